"""What the weights of an integer network take when written in a format of their own, decodable by hardware or not."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from accel.models.encode.accounting import layer_parts
from accel.models.encode.choose import INT8_BITS
from accel.models.encode.encoded_layer import FORMATS as FORMATS
from accel.models.encode.encoded_layer import EncodedLayer, encode_layer
from accel.models.errors import InputError
from accel.models.graph import Linear
from accel.models.integers.network import IntegerNetwork, MatrixLayer

RECORD_BYTES = 8  # bias, multiplier and shift of a channel


def stored_bytes(network: IntegerNetwork, formats: Sequence[str]) -> int:
    """Bytes of all weights, each layer in that one of `formats` (of FORMATS) that takes least there, and its records.

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
    """Bytes of one layer in a file of compressed weights (docs/formats.md): header, codebook, code tables, streams."""
    return layer_parts(encoded(layer, format)).total_bits // 8


def encoded(layer: MatrixLayer, format: str) -> EncodedLayer:
    """The int8 weights of a layer, encoded as (outputs, columns); without a bias, which is in its records."""
    flat = layer.weights.reshape(len(layer.weights), -1).astype(np.float32)
    return encode_layer(Linear(layer.name, ("x",), "y", flat, np.empty(0, np.float32)), format, number_bits=INT8_BITS)
