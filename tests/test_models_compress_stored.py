"""Stored bytes of integer networks against what the formats say, and against entropy."""

from __future__ import annotations

import numpy as np
import pytest

from models.compress.cluster import share_weights
from models.compress.prune import to_density
from models.compress.stored import FORMATS, RECORD_BYTES, layer_bytes, stored_bytes
from models.errors import InputError
from models.quantise import quantise
from models.share import quantise_compressed, share
from models.train import lenet_300_100

CHANNELS = 410
WEIGHTS = 266_200


@pytest.fixture(scope="module")
def calibration() -> np.ndarray:
    return np.random.default_rng(0).random((8, 1, 28, 28)).astype(np.float32)


def test_dense_is_a_byte_a_weight(calibration: np.ndarray) -> None:
    integer = quantise(lenet_300_100(np.random.default_rng(0)), calibration)
    assert stored_bytes(integer, ("dense",)) == WEIGHTS + RECORD_BYTES * CHANNELS


@pytest.mark.parametrize("bits", range(1, 9))
def test_shared_is_its_bits_and_its_codebooks(calibration: np.ndarray, bits: int) -> None:
    integer = share(lenet_300_100(np.random.default_rng(0)), calibration, bits)
    assert stored_bytes(integer, ("shared",)) == WEIGHTS * bits // 8 + 3 * 2**bits + RECORD_BYTES * CHANNELS


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
    sizes = {f: layer_bytes(layer, f) for f in FORMATS}
    assert stored_bytes(integer, FORMATS) <= sum(
        min(layer_bytes(x, f) for f in FORMATS) for x in integer.layers
    ) + RECORD_BYTES * CHANNELS  # fmt: skip
    assert min(sizes, key=lambda f: sizes[f]) == "sparse+huffman"


def test_formats_must_exist(calibration: np.ndarray) -> None:
    integer = quantise(lenet_300_100(np.random.default_rng(0)), calibration)
    for formats in ((), ("zip",)):
        with pytest.raises(InputError, match="formats must be some of dense, shared, "):
            stored_bytes(integer, formats)
