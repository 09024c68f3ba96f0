"""Weight formats and blocks: every weight stands once, where the array looks for it; and how many words that takes."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from random import Random
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.compiler import weights
from accel.compiler.formats import FORMATS, choose
from accel.compiler.geometry import matrix_geometry
from accel.compiler.weights import LayerWeights, layer_weights, parameter_words
from accel.layout import pack_weight_columns, packed_words, unpack_weight_columns
from accel.models.integers.network import MatrixLayer, Requantise, TensorSpec
from accel.models.window import Window
from tests.benches.layers import matrix
from tests.benches.unit_designs import divisor
from tests.benches.wide import draws


def layer(
    out: int, channels: int, kernel: tuple[int, int] = (1, 1), codebook: list[int] | None = None, groups: int = 1
) -> MatrixLayer:
    spec = TensorSpec("x", (channels, 9, 9), 1.0, 0)
    made, _ = matrix(out, Window(kernel), codebook, groups)("layer", spec)
    assert isinstance(made, MatrixLayer)
    return made


def weights_of(
    made: MatrixLayer, rows: int, cols: int, weight_rows: int = 1, two_of_four: bool = False
) -> LayerWeights:
    channels = made.weights.shape[1] * made.groups
    return layer_weights(
        made, matrix_geometry(made, (channels, 9, 9), None), rows, cols, weight_rows, None, False, two_of_four
    )


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


def pruned(made: MatrixLayer, rng: Random) -> MatrixLayer:
    """With two weights at most that are not 0 in each four channels."""
    weights = made.weights.copy()
    for output, tap in np.ndindex(len(weights), weights[0, 0].size):
        for first in range(0, weights.shape[1], 4):
            quad = weights[output, first : first + 4].reshape(-1, weights[0, 0].size)[:, tap]
            quad[rng.sample(range(len(quad)), max(0, len(quad) - rng.choice([0, 1, 2, 2])))] = 0
    if made.shared is None:
        return replace(made, weights=weights)
    place = int(np.flatnonzero(made.shared.codebook == 0)[0])
    indices = np.where(weights == made.weights, made.shared.indices, place).astype(np.uint8)
    return replace(made, weights=weights, shared=replace(made.shared, indices=indices))


@settings(max_examples=draws(90), deadline=None)
@given(st.randoms(use_true_random=False))
def test_blocks_of_small_and_of_large_layers_are_alike(rng: Random) -> None:
    """Whether a layer is put in order as a whole, or block by block."""
    rows, cols = rng.randint(1, 8), rng.randint(1, 8)
    made = layer(rng.randint(1, 20), rng.randint(1, 20), (rng.randint(1, 3), rng.randint(1, 3)))
    small = weights_of(made, rows, cols, divisor(rng, rows))
    large = replace(small)
    tiles, groups = (sorted(rng.sample(range(n + 1), 2)) for n in (small.tiles, small.groups))
    with patch.object(weights, "LARGEST_WHOLE", 0):
        expected = large.block((tiles[0], tiles[1]), (groups[0], groups[1]))
    np.testing.assert_array_equal(small.block((tiles[0], tiles[1]), (groups[0], groups[1])), expected)
    assert large._whole is None
    assert small._whole is not None


@settings(max_examples=60, deadline=None)
@given(st.randoms(use_true_random=False))
def test_2_of_4_blocks_hold_every_weight_once(rng: Random) -> None:
    """Row 2j + i of a tile has a weight of channels 4j .. 4j + 3, and its index says which; or, half by half, of
    channel 4j + 2h + i, where the weights are not 2:4."""
    pairs, cols = rng.randint(1, 3), rng.randint(1, 4)
    codebook = rng.choice([None, [0, 7, 9, -3], list(range(-8, 8))])
    made = layer(rng.randint(1, 6), rng.randint(1, 14), (rng.randint(1, 2), rng.randint(1, 2)), codebook)
    wanted = rng.random() < 0.7
    made = pruned(made, rng) if wanted else made
    rows, w = 2 * pairs, divisor(rng, 2 * pairs)
    weights = weights_of(made, 2 * rows, cols, w, True)
    expected = np.zeros((weights.tiles * cols, weights.groups * 2 * rows, *made.weights.shape[2:]), np.int8)
    expected[: len(made.weights), : made.weights.shape[1]] = made.weights
    kept = np.count_nonzero(expected.reshape(len(expected), -1, 4, *expected.shape[2:]), axis=2)
    assert weights.structured == (kept.max() <= 2)
    assert weights.structured or not wanted
    bits, taps = weights.format.bits, made.weights[0, 0].size
    whole = (0, weights.tiles), (0, weights.groups)
    words = weights.block(*whole)
    assert len(words) == weights.words(weights.tiles, weights.groups)
    stream = np.unpackbits(words, axis=1, bitorder="little")[:, : 10 * w * cols].reshape(len(words), w * cols, 10)
    lanes = stream.transpose(1, 0, 2).reshape(w * cols, -1)  # lane l: its bits, one after the other
    size, at, found = bits + 2 * weights.structured, 0, np.zeros_like(expected)
    for tile, group, tap in np.ndindex(weights.tiles, weights.groups, taps):
        ky, kx = divmod(tap, made.weights.shape[3])
        for half, i in np.ndindex(weights.halves, rows // w):
            code = (lanes[:, at : at + size].astype(int) << np.arange(size)).sum(axis=1)
            at += size
            for lane in range(w * cols):
                row, column = lane // cols * (rows // w) + i, lane % cols
                low = code[lane] & (1 << bits) - 1
                value = weights.format.codebook[low] if codebook else np.int8(np.uint8(low))
                index = code[lane] >> bits if weights.structured else 2 * half + row % 2
                found[tile * cols + column, group * 2 * rows + 4 * (row // 2) + index, ky, kx] += value
    np.testing.assert_array_equal(found, expected)


def test_2_of_4_by_hand() -> None:
    """Four channels, weights 0 5 0 -7: rows 5 at index 1 and -7 at index 3, ten bits each in a lane."""
    made = replace(layer(1, 4), weights=np.array([0, 5, 0, -7], np.int8).reshape(1, 4, 1, 1))
    weights = weights_of(made, 4, 1, 1, True)
    assert (weights.structured, weights.name, weights.code_bits) == (True, "dense-2:4", 10)
    assert weights.block((0, 1), (0, 1)).tolist() == [[5, 1], [249, 3]]
    assert weights.stored_bytes == 3
    other = replace(made, weights=np.array([1, 5, 0, -7], np.int8).reshape(1, 4, 1, 1))
    weights = weights_of(other, 4, 1, 1, True)  # two tiles of two rows, eight bits each
    assert (weights.structured, weights.name, weights.halves) == (False, "dense", 2)
    bits = int.from_bytes(bytes([1, 5, 0, 249]), "little")  # words of ten bits: 1 and the first two of 5, and so on
    assert [int.from_bytes(bytes(w), "little") for w in weights.block((0, 1), (0, 1))] == [
        bits >> 10 * k & 1023 for k in range(4)
    ]


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


@pytest.mark.parametrize("lane_bits", [8, 10])
def test_rows_take_the_words_that_are_said(lane_bits: int) -> None:
    for bits, rows in product(range(1, lane_bits + 1), (1, 3, 8, 9)):
        codes = np.random.default_rng(rows).integers(0, 1 << bits, (rows, 4)).astype(np.uint16)
        packed = pack_weight_columns(codes, bits, lane_bits)
        assert packed.shape == (packed_words(rows, bits, lane_bits), 4 * lane_bits // 8)
        np.testing.assert_array_equal(unpack_weight_columns(packed, bits, rows, lane_bits, 4), codes)


def test_every_layer_has_a_format() -> None:
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
