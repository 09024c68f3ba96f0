"""What an encoded network takes, bit by bit: the sum of the parts is the length of the file (`encoded_file`)."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from accel.models.encode.choose import FLOAT_BITS, LENGTH_BITS
from accel.models.encode.encoded import EncodedNetwork
from accel.models.encode.encoded_file import frame_bytes, header_bytes
from accel.models.encode.encoded_layer import EncodedLayer, decode_layer
from accel.models.encode.whole import bias_bytes, positions_bits


@dataclass(frozen=True)
class Parts:
    """The bits of a layer or of a whole file.

    `values_bits` and `runs_bits` (positions) are of non-zero weights, or of all weights unless sparse; in an arithmetic
    code, where no bit belongs to one of them, positions are what they take when coded alone. `filler_bits` are of
    filler entries, values and runs; `headers_bits` everything that says how to read the rest; `padding_bits` the
    filling of the last byte of a lane. `parameters` counts weights and biases.
    """

    name: str
    parameters: int
    values_bits: int = 0
    runs_bits: int = 0
    filler_bits: int = 0
    codebooks_bits: int = 0
    code_tables_bits: int = 0
    biases_bits: int = 0
    headers_bits: int = 0
    padding_bits: int = 0

    @property
    def total_bits(self) -> int:
        """The sum of all parts."""
        return sum(getattr(self, f.name) for f in fields(self) if f.name.endswith("_bits"))

    @property
    def ratio(self) -> float:
        """How many times smaller this is than 32-bit floats for all parameters."""
        return FLOAT_BITS * self.parameters / self.total_bits


@dataclass(frozen=True)
class Accounting:
    """The parts of each layer in order, and their sum with the frame of the file, which is part of `headers_bits`."""

    layers: tuple[Parts, ...]
    total: Parts


def account(encoded: EncodedNetwork) -> Accounting:
    """Where the bits of `encoded` are; `total.total_bits` is 8 times the size of its file."""
    layers = tuple(layer_parts(layer) for layer in encoded.layers)
    sums = {f.name: sum(getattr(layer, f.name) for layer in layers) for f in fields(Parts) if f.name != "name"}
    sums["headers_bits"] += 8 * frame_bytes(encoded)
    return Accounting(layers, Parts(encoded.name, **sums))


def layer_parts(layer: EncodedLayer) -> Parts:
    """Where the bits of one layer are."""
    if layer.arithmetic:
        return _arithmetic_parts(layer)
    fillers = sum(layer.entries) - layer.nonzeros if layer.sparse else 0
    # A filler is entry 0 of the codebook and the longest run.
    value = int(layer.value_lengths[0]) if len(layer.value_lengths) else layer.value_bits
    run = int(layer.run_lengths[-1]) if len(layer.run_lengths) else layer.index_bits
    return Parts(
        layer.name,
        math.prod(layer.shape) + len(layer.bias),
        values_bits=sum(layer.values.lane_bits) - fillers * value,
        runs_bits=sum(layer.runs.lane_bits) - fillers * run,
        filler_bits=fillers * (value + run),
        codebooks_bits=_codebook_bits(layer),
        # An odd table would be rounded up to whole bytes, but alphabets are powers of two.
        code_tables_bits=LENGTH_BITS * (len(layer.value_lengths) + len(layer.run_lengths)),
        biases_bits=FLOAT_BITS * len(layer.bias),
        headers_bits=8 * header_bytes(layer),
        padding_bits=layer.values.padding_bits + layer.runs.padding_bits,
    )


def _codebook_bits(layer: EncodedLayer) -> int:
    """Those of the scales of its outputs among them."""
    return layer.number_bits * len(layer.codebook) + FLOAT_BITS * len(layer.scales)


def _arithmetic_parts(layer: EncodedLayer) -> Parts:
    positions = positions_bits(decode_layer(layer).reshape(layer.matrix_shape) != 0)
    return Parts(
        layer.name,
        math.prod(layer.shape) + len(layer.bias),
        values_bits=8 * len(layer.values.data) - positions,
        runs_bits=positions,
        codebooks_bits=_codebook_bits(layer),
        biases_bits=8 * len(bias_bytes(layer.bias, arithmetic=True)),
        headers_bits=8 * header_bytes(layer),
    )
