"""What the weights of an integer network take when written in a format of their own, decodable by hardware or not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from models.compress.accounting import layer_parts
from models.compress.encoded import encode_layer
from models.errors import InputError
from models.graph import Linear
from models.integer import IntegerNetwork, MatrixLayer

FORMATS = ("dense", "shared", "sparse", "shared+huffman", "sparse+huffman")
RECORD_BYTES = 8  # bias, multiplier and shift of a channel


def stored_bytes(network: IntegerNetwork, formats: Sequence[str]) -> int:
    """Bytes of all weights, each layer in that one of `formats` (of FORMATS) that takes least there, and its records.

    Values are int8 codes or, in a shared layer, indices into a codebook of int8 codes; positions, filler entries and
    code tables are those that `models.compress.encoded` really writes.

    Raises InputError for a format that does not exist, and when none is given.
    """
    if not formats or any(f not in FORMATS for f in formats):
        raise InputError(f"formats must be some of {', '.join(FORMATS)}, not {', '.join(formats) or 'none'}")
    total = 0
    for layer in network.layers:
        if isinstance(layer, MatrixLayer):
            total += min(layer_bytes(layer, format) for format in formats)
            total += RECORD_BYTES * len(layer.requantise.bias)
    return total


def layer_bytes(layer: MatrixLayer, format: str) -> int:
    """Bytes of one layer's weights, without its records."""
    if format == "dense":
        return layer.weights.size
    if format == "shared" and layer.shared:
        # As the codebook stands, whose indices have the technique's width even if not every entry is used.
        return -(-layer.weights.size * layer.shared.bits // 8) + len(layer.shared.codebook)
    flat = layer.weights.reshape(len(layer.weights), -1).astype(np.float32)
    encoded = encode_layer(Linear(layer.name, ("x",), "y", flat, np.zeros(len(flat), np.float32)), format)
    parts = layer_parts(replace(encoded, bias=np.zeros(0, np.float32)))
    if not len(encoded.codebook):  # the encoder took float32 for values where a codebook does not pay: int8 here
        return -(-(parts.total_bits - sum(encoded.values.lane_bits) // 4 * 3) // 8)
    return -(-(parts.total_bits - parts.codebooks_bits // 4 * 3) // 8)
