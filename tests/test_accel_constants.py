"""Weights, records and codebooks on their way on chip: loaded when they are not there, and only then."""

from __future__ import annotations

import numpy as np

from accel.compiler.estimate import Machine
from accel.compiler.lower.constants import Constants
from accel.compiler.ops import Stream
from accel.compiler.text import log_text
from accel.layout import stride_bytes
from accel.models.integers.network import MatrixLayer
from accel.models.window import Window
from tests.benches.layers import design_of, matrix, network_of
from tests.benches.tasks import weights_of


def constants(
    codebook: list[int] | None = None, key: int = 0, stream: Stream | None = None, **buffers: int
) -> tuple[Stream, Constants]:
    """Of a layer of 12 outputs and 8 channels on 4 x 4: three tiles, two groups, 16 bytes a tile and group."""
    design = design_of(4, 4, 64, **buffers)
    layer = network_of((8, 1, 1), matrix(12, Window((1, 1)), codebook)).layers[0]
    assert isinstance(layer, MatrixLayer)
    made = stream or Stream(design, 100)
    made.new_layer(key)
    return made, Constants(made, Machine.of(design), weights_of(layer, (8, 1, 1), design), layer.requantise, key)


def test_a_chunk_is_loaded_once_while_it_is_there() -> None:
    """A buffer of 16 words holds two chunks of 8."""
    stream, made = constants(weight_bytes=64)
    a, b, c = (((n, n + 1), (0, 2)) for n in range(3))
    assert [made.chunk(chunk) for chunk in (a, b, a, c, b, a)] == [(0, 0), (8, 1), (0, 0), (0, 2), (8, 1), (8, 3)]
    assert log_text(stream.finish()) == (
        "0 item 0   Load dram_addr=constants+0 WEIGHT row_beats=4\n"
        "0 item 1   Load dram_addr=constants+64 WEIGHT dst_addr=8 row_beats=4\n"
        "0 item 2   Load dram_addr=constants+128 WEIGHT row_beats=4\n"
        "0 item 3   Load dram_addr=constants+0 WEIGHT dst_addr=8 row_beats=4"
    )
    assert stream.constant_bytes == 3 * 64  # each block stands in the image once


def test_the_image_holds_the_blocks() -> None:
    stream, made = constants()
    chunks = [((n, n + 1), (g, g + 1)) for n in range(3) for g in range(2)]
    for chunk in chunks:
        made.chunk(chunk)
    image = stream.image(stream.constant_bytes)
    for k, chunk in enumerate(chunks):
        words = image[64 * k : 64 * k + 4 * stride_bytes(4, 8)].reshape(4, -1)[:, :4]
        np.testing.assert_array_equal(words, made.weights.block(*chunk))


def test_records_of_the_whole_layer_if_that_leaves_room() -> None:
    """Three words of four records."""
    stream, made = constants(parameter_bytes=6 * 32)
    assert [made.records((n, n + 1)) for n in (0, 2, 1)] == [(0, 0), (2, 0), (1, 0)]
    assert log_text(stream.finish()) == "0 item 0   Load dram_addr=constants+0 PARAMETER row_beats=12"
    stream, made = constants(parameter_bytes=5 * 32)
    assert [made.records((n, n + 1)) for n in (0, 2, 0)] == [(0, 0), (1, 1), (0, 0)]


def test_codebooks_take_the_two_banks_in_turn() -> None:
    stream, first = constants([0, 5, 9, -4])
    first.begin([])
    _, second = constants([1, 7], 1, stream)
    second.begin([])
    _, third = constants([0, 5], 2, stream)
    third.begin([])
    assert [(c.codebook, c.codebook_item) for c in (first, second, third)] == [(0, 0), (1, 1), (0, 2)]
    assert log_text(stream.finish()) == (
        "0 item 0   Load dram_addr=constants+0 CODEBOOK\n"
        "1 item 1   Load dram_addr=constants+64 CODEBOOK dst_addr=256\n"
        "2 item 2   Load dram_addr=constants+128 CODEBOOK"
    )
    image = stream.image(stream.constant_bytes).view(np.int8)
    assert image[:4].tolist() == [0, 5, 9, -4]
    assert image[64:66].tolist() == [1, 7]


def test_a_layer_whose_weights_fit_begins_where_they_lie_together() -> None:
    _, made = constants(weight_bytes=4 * 30)
    made.chunk(((0, 1), (0, 2)))
    made.begin([((n, n + 1), (0, 2)) for n in range(3)])  # 24 words do not fit behind the 8 in 30
    assert made.chunk(((1, 2), (0, 2))) == (0, 1)


def test_shared_weights_take_their_bits() -> None:
    _, made = constants([0, 5, 9, -4])
    assert made.chunk_words(((0, 1), (0, 2))) == 2  # 8 rows of 2 bits
    assert made.chunk_words(((0, 1), (0, 1))) == 2  # a beat has two words
