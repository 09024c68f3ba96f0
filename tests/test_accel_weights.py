"""Weight formats and blocks: every weight stands once, where the array looks for it; and how many words that takes."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.compiler.formats import FORMATS, choose
from accel.compiler.formats.dense import dense
from accel.compiler.formats.shared import shared
from accel.compiler.geometry import matrix_geometry
from accel.compiler.weights import LayerWeights, layer_weights, parameter_words
from accel.layout import unpack_weight_columns
from accel.models.integers.network import MatrixLayer, Requantise, TensorSpec
from accel.models.window import Window
from tests.benches.layers import matrix
from tests.benches.unit_designs import divisor


def layer(
    out: int, channels: int, kernel: tuple[int, int] = (1, 1), codebook: list[int] | None = None, groups: int = 1
) -> MatrixLayer:
    spec = TensorSpec("x", (channels, 9, 9), 1.0, 0)
    made, _ = matrix(out, Window(kernel), codebook, groups)("layer", spec)
    assert isinstance(made, MatrixLayer)
    return made


def weights_of(made: MatrixLayer, rows: int, cols: int, weight_rows: int = 1) -> LayerWeights:
    channels = made.weights.shape[1] * made.groups
    return layer_weights(made, matrix_geometry(made, (channels, 9, 9), None), rows, cols, weight_rows)


def values(weights: LayerWeights, words: np.ndarray, rows: int) -> np.ndarray:
    """The weights (rows, C) that the array sees in the words of a block: segment by segment."""
    form, w = weights.format, weights.weight_rows
    codes = unpack_weight_columns(words, form.bits, rows // w).reshape(-1, weights.rows // w, w, weights.cols)
    codes = np.swapaxes(codes, 1, 2).reshape(rows, weights.cols)
    return form.codebook[codes] if len(form.codebook) else codes.view(np.int8)


def whole(made: MatrixLayer) -> np.ndarray:
    """(outputs, all channels, kernel) weights, zero between groups."""
    each_in, each_out = made.weights.shape[1], len(made.weights) // made.groups
    out = np.zeros((len(made.weights), each_in * made.groups, *made.weights.shape[2:]), np.int8)
    for output, kernel in enumerate(made.weights):
        first = output // each_out * each_in
        out[output, first : first + each_in] = kernel
    return out


@settings(max_examples=80, deadline=None)
@given(st.randoms(use_true_random=False))
def test_blocks_hold_every_weight_once(rng: Random) -> None:
    rows, cols, groups = rng.randint(1, 5), rng.randint(1, 5), rng.choice([1, 1, 2, 3])
    codebook = rng.choice([None, [0, 7], [3, -2, 0, 90], list(range(-8, 8))])
    kernel = (rng.randint(1, 3), rng.randint(1, 2))
    made = layer(groups * rng.randint(1, 6), groups * rng.randint(1, 6), kernel, codebook, groups)
    weights = weights_of(made, rows, cols, divisor(rng, rows))
    expected = whole(made)
    for tile in range(weights.tiles):
        low, high = weights.reach[tile]
        outputs = expected[tile * cols : (tile + 1) * cols]
        assert not outputs[:, : low * rows].any()  # what a tile does not reach is zero
        assert not outputs[:, high * rows :].any()
        for group in range(low, high):
            words = weights.block((tile, tile + 1), (group, group + 1))
            assert len(words) == weights.words(1, 1)
            found = values(weights, words, made.weights[0, 0].size * rows).reshape(*made.weights.shape[2:], rows, cols)
            channels = outputs[:, group * rows : (group + 1) * rows]
            taken = found.transpose(3, 2, 0, 1)[: len(outputs), : channels.shape[1]]
            np.testing.assert_array_equal(taken, channels)
            if weights.format.has_zero:  # padding, too, is zero
                assert np.abs(found.astype(int)).sum() == np.abs(channels.astype(int)).sum()


def test_a_block_is_its_tiles_and_groups_in_the_order_of_the_array() -> None:
    """Tile, channel group, kernel row and column, channel: a word each, one output a column."""
    made = layer(3, 4, (1, 2))
    weights = weights_of(made, 2, 2)
    block = weights.block((0, 2), (0, 2)).view(np.int8)
    w = whole(made)
    expected = [
        [w[o, c, 0, kx] if o < 3 else 0 for o in (2 * n, 2 * n + 1)]
        for n in range(2)
        for g in range(2)
        for kx in range(2)
        for c in (2 * g, 2 * g + 1)
    ]
    np.testing.assert_array_equal(block, np.array(expected))


def test_a_row_of_a_block_has_one_weight_row_of_each_segment() -> None:
    """Four rows in two segments: rows 0 and 2 of the tile, then 1 and 3, two columns each."""
    made = layer(2, 4)
    w = whole(made)[:, :, 0, 0]
    block = weights_of(made, 4, 2, 2).block((0, 1), (0, 1)).view(np.int8)
    np.testing.assert_array_equal(block, [[*w[:, 0], *w[:, 2]], [*w[:, 1], *w[:, 3]]])


@pytest.mark.parametrize(
    ("codebook", "groups", "name", "bits", "pad", "zero"),
    [
        (None, 1, "dense", 8, 0, True),
        ([5, 0, 9, -1], 1, "shared2", 2, 1, True),
        ([5, -2, 9, 3], 1, "shared2", 2, 1, False),
        ([5, -2, 9, 3], 2, "dense (no 0 in its codebook)", 8, 0, True),
        ([5, -2, 0, 3], 2, "shared2", 2, 2, True),
    ],
)
def test_the_format_of_a_layer(
    codebook: list[int] | None, groups: int, name: str, bits: int, pad: int, zero: bool
) -> None:
    made = choose(layer(4, 4, codebook=codebook, groups=groups), needs_zero=groups > 1)
    assert (made.name, made.bits, made.pad_code, made.has_zero) == (name, bits, pad, zero)


def test_every_format_takes_the_words_that_it_says() -> None:
    for bits in range(1, 9):
        made = layer(4, 8, codebook=[k - 128 for k in range(1 << bits)])
        for form in (shared(made), dense(made)):
            assert form
            for rows in (1, 3, 8, 9):
                codes = np.random.default_rng(rows).integers(0, 1 << form.bits, (rows, 4)).astype(np.uint8)
                packed = form.pack(codes)
                assert packed.shape == (form.words(rows), 4)
                np.testing.assert_array_equal(unpack_weight_columns(packed, form.bits, rows), codes)
    assert [form(layer(4, 4)) is None for form in FORMATS] == [True, False]


def test_stored_bytes_are_those_of_whole_tiles() -> None:
    assert weights_of(layer(5, 5, (3, 3)), 4, 4).stored_bytes == 2 * 2 * 16 * 9
    assert weights_of(layer(5, 5, (3, 3), [0, 1]), 4, 4).stored_bytes == 2 * 2 * 16 * 9 // 8 + 2
    assert weights_of(layer(8, 8, (3, 3), groups=8), 4, 4).stored_bytes == 2 * 16 * 9  # each tile reaches one group


def test_parameter_records() -> None:
    record = Requantise(
        np.array([1, -2, 3], np.int32), np.array([4, 5, 60000], np.uint16), np.array([7, 8, 47], np.uint8), 0
    )
    assert bytes(parameter_words(record, (1, 3), 2)).hex(" ", 4) == "feffffff 05000800 03000000 60ea2f00"
    words = parameter_words(record, (0, 3), 2)
    assert words.shape == (2, 16)
    assert bytes(words[1]).hex(" ", 4) == "03000000 60ea2f00 00000000 00000000"
