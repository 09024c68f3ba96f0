"""Stored bytes of integer networks against what the formats say, and against entropy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from accel.models.compress.cluster import share_weights
from accel.models.compress.prune import to_density
from accel.models.compress.share import share
from accel.models.encode import integer_file
from accel.models.encode.encoded_layer import HUFFMAN, encode_layer
from accel.models.encode.stored import FORMATS, layer_bytes, stored_bytes
from accel.models.errors import InputError
from accel.models.graph import Linear
from accel.models.integers.network import IntegerNetwork, MatrixLayer
from accel.models.quantisation.quantise import quantise
from accel.models.quantisation.shared import quantise_compressed
from accel.models.zoo.architectures import lenet_300_100

CHANNELS = 410
WEIGHTS = 266_200
RECORD_BYTES = 8  # bias, multiplier, shift and a byte of zeros
HEADER_BYTES = 12 + 4 * 4  # docs/formats.md: fixed part and four dimensions; sparse layers add 4 a lane


@pytest.fixture(scope="module")
def calibration() -> np.ndarray:
    return np.random.default_rng(0).random((8, 1, 28, 28)).astype(np.float32)


def around(network: IntegerNetwork, formats: tuple[str, ...]) -> int:
    """Bytes of the file that belong to no layer: docs/formats.md, "File"."""
    return 8 + 2 + 2 + 4 + int.from_bytes(integer_file.to_bytes(network, formats)[12:16], "little") + 4


def test_dense_is_a_byte_a_weight(calibration: np.ndarray) -> None:
    integer = quantise(lenet_300_100(np.random.default_rng(0)), calibration)
    expected = WEIGHTS + RECORD_BYTES * CHANNELS + 3 * HEADER_BYTES + around(integer, ("dense",))
    assert stored_bytes(integer, ("dense",)) == expected


@pytest.mark.parametrize("bits", range(1, 9))
def test_shared_is_its_bits_and_its_codebooks(calibration: np.ndarray, bits: int) -> None:
    integer = share(lenet_300_100(np.random.default_rng(0)), calibration, bits)
    expected = RECORD_BYTES * CHANNELS
    for layer in integer.layers:
        entries = len(np.unique(layer.weights))  # at most 2**bits: int8 makes centroids equal
        assert entries <= 2**bits
        expected += HEADER_BYTES + entries + layer.weights.size * max(1, (entries - 1).bit_length()) // 8
    assert stored_bytes(integer, ("shared",)) == expected + around(integer, ("shared",))


@pytest.mark.parametrize(("name", "density"), [("ip1", 0.08), ("ip2", 0.2), ("ip3", 0.5)])
def test_sparse_against_a_count_by_hand(calibration: np.ndarray, name: str, density: float) -> None:
    """A byte a value and the width of runs that takes fewest bits, fillers included."""
    integer = quantise(to_density(lenet_300_100(np.random.default_rng(0)), {name: density}), calibration)
    layer = integer.layers[["ip1", "ip2", "ip3"].index(name)]
    in_columns = layer.weights.reshape(len(layer.weights), -1).T.ravel()  # one lane, column by column
    gaps = np.diff(np.flatnonzero(in_columns), prepend=-1) - 1
    sizes = []
    for bits in range(1, 9):
        entries = int((gaps // 2**bits + 1).sum())
        sizes.append(HEADER_BYTES + 4 + entries + -(-entries * bits // 8))
    assert layer_bytes(layer, "sparse") == min(sizes)


@pytest.mark.parametrize("format", FORMATS)
def test_the_number_is_the_length_of_a_file_that_is_read_back(
    calibration: np.ndarray, tmp_path: Path, format: str
) -> None:
    network = share_weights(to_density(lenet_300_100(np.random.default_rng(0)), {"ip1": 0.1}), {"ip1": 5, "ip2": 4})
    integer = quantise_compressed(network, calibration)
    path = tmp_path / "n.int8"
    integer_file.save(integer, path, (format,))
    layers = [layer for layer in integer.layers if isinstance(layer, MatrixLayer)]
    expected = sum(layer_bytes(layer, format) for layer in layers) + around(integer, (format,))
    if format.endswith("+arithmetic"):
        zeros = [integer.tensors[layer.input].zero_point for layer in layers]
        coded = [len(integer_file.records_bytes(*x, arithmetic=True)) for x in zip(layers, zeros, strict=True)]
        assert sum(coded) < RECORD_BYTES * CHANNELS / 2
        expected += sum(coded)
    else:
        expected += RECORD_BYTES * CHANNELS
    assert stored_bytes(integer, (format,)) == path.stat().st_size == expected
    for ours, theirs in zip(integer.layers, integer_file.load(path).layers, strict=True):
        assert isinstance(ours, MatrixLayer)
        assert isinstance(theirs, MatrixLayer)
        np.testing.assert_array_equal(ours.weights, theirs.weights)


def test_other_weights_are_not_stored_in_8_bits() -> None:
    layer = Linear("l", ("x",), "y", np.array([[0.5]], np.float32), np.zeros(1, np.float32))
    with pytest.raises(InputError, match="layer 'l' must have weights that are int8 codes to be stored in 8 bits"):
        encode_layer(layer, "dense", number_bits=8)


def entropy_bits(values: np.ndarray) -> float:
    counts = np.unique(values, return_counts=True)[1] / values.size
    return float(-(counts * np.log2(counts)).sum())


def test_pruned_layers_take_their_entries(calibration: np.ndarray) -> None:
    """Values of 8 bits and positions: between the entropy of where the zeros are, and a byte and a position each."""
    network = to_density(lenet_300_100(np.random.default_rng(0)), {"ip1": 0.08})
    layer = quantise(network, calibration).layers[0]
    assert layer.weights.ndim == 4
    kept, size = np.count_nonzero(layer.weights), layer.weights.size
    where = entropy_bits(layer.weights != 0) * size
    found = 8 * layer_bytes(layer, "sparse")
    assert where + 7 * kept < found < 1.2 * where + 9 * kept + 8 * 600
    assert layer_bytes(layer, "sparse") < layer_bytes(layer, "dense")


def test_huffman_is_near_the_entropy(calibration: np.ndarray) -> None:
    network = to_density(lenet_300_100(np.random.default_rng(0)), {"ip1": 0.08, "ip2": 0.1})
    integer = quantise_compressed(share_weights(network, {"ip1": 4, "ip2": 4}), calibration)
    layer = integer.layers[0]
    values = layer.weights[layer.weights != 0]
    bound = entropy_bits(layer.weights != 0) * layer.weights.size + entropy_bits(values) * values.size
    assert bound < 8 * layer_bytes(layer, "sparse+huffman") < 1.15 * bound
    sizes = {f: layer_bytes(layer, f) for f in HUFFMAN}
    assert stored_bytes(integer, HUFFMAN) <= sum(
        min(layer_bytes(x, f) for f in HUFFMAN) for x in integer.layers
    ) + RECORD_BYTES * CHANNELS + around(integer, HUFFMAN)  # fmt: skip
    assert min(sizes, key=lambda f: sizes[f]) == "sparse+huffman"


def test_formats_must_exist(calibration: np.ndarray) -> None:
    integer = quantise(lenet_300_100(np.random.default_rng(0)), calibration)
    for formats in ((), ("zip",)):
        with pytest.raises(InputError, match="formats must be some of dense, shared, "):
            stored_bytes(integer, formats)
