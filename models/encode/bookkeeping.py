"""The book-keeping of Deep Compression (Han et al., arXiv 1510.00149, tables 2 to 5), from shapes and widths alone.

A dense weight counts 32 bits. A pruned layer's entry counts the bits of its value and of its relative index, a shared
layer's codebook 32 bits for each of its 2**bits entries. After Huffman coding the widths are average lengths. Code
tables and headers are not counted: for what a file really takes, see `accel.models.encode.accounting`.

The tables say neither how many filler entries there were nor whether biases are counted. Their totals before Huffman
coding (P+Q) are matched, within 6 %, by weights alone with the filler entries that are expected if every weight is zero
independently of the others (`fillers`); without fillers AlexNet comes out 12 % and VGG-16 16 % low. Of the rows, the
three smallest layers fit better without biases than with them. Rows of large layers with few weights left lie between
the sizes without and with fillers, most others on one side of both, by the rounding of what is printed. So sizes are of
weights, without biases; `bias_bits` has those.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from accel.models.encode.choose import FLOAT_BITS
from accel.models.encode.encoded_layer import EncodedLayer
from accel.models.errors import InputError


@dataclass(frozen=True)
class LayerWidths:
    """One row of the tables: `weights` of which the fraction `density` is not 0.

    `weight_bits` and `index_bits` are the widths of codebook index and relative index (columns "weight bits" and
    "index bits", P+Q); 32 weight bits are floats without a codebook, 0 index bits a layer that stores every weight.
    `coded_weight_bits` and `coded_index_bits` are the averages after Huffman coding (P+Q+H). `entries` is the number of
    values and positions, fillers included, if it is known.

    Raises InputError if `weights` is below 1, `density` outside 0..1, `weight_bits` not 1..8 or 32, `index_bits` not
    0..8, or another number below 0.
    """

    name: str
    weights: int
    density: float
    weight_bits: int
    index_bits: int
    coded_weight_bits: float | None = None
    coded_index_bits: float | None = None
    biases: int = 0
    entries: int | None = None

    def __post_init__(self) -> None:
        if self.weights < 1:
            raise InputError(f"weights of {self.name!r} must be at least 1, not {self.weights}")
        if not 0 <= self.density <= 1:
            raise InputError(f"density of {self.name!r} must be 0..1, not {self.density}")
        if self.weight_bits not in (*range(1, 9), FLOAT_BITS):
            raise InputError(f"weight bits of {self.name!r} must be 1..8 or {FLOAT_BITS}, not {self.weight_bits}")
        if self.index_bits not in range(9):
            raise InputError(f"index bits of {self.name!r} must be 0..8, not {self.index_bits}")
        least = min(self.coded_weight_bits or 0, self.coded_index_bits or 0)
        if least < 0:
            raise InputError(f"bits of {self.name!r} must be at least 0, not {least}")
        if self.biases < 0:
            raise InputError(f"biases of {self.name!r} must be at least 0, not {self.biases}")


def entry_density(density: float, index_bits: int) -> float:
    """Entries a weight, fillers included, if each weight is not 0 with probability `density` on its own.

    A gap is geometric and takes a filler for each 2**index_bits zeros: with q = (1 - density)**(2**index_bits) the
    expected number of fillers for a non-zero weight is q / (1 - q), so entries are density / (1 - q).
    """
    if density in (0, 1):
        return density
    return density / -math.expm1(2**index_bits * math.log1p(-density))


def best_index_bits(density: float, value_bits: int) -> int:
    """The width of relative indices, 1..8, with the fewest expected bits for values of `value_bits`."""
    return min(range(1, 9), key=lambda bits: entry_density(density, bits) * (value_bits + bits))


def layer_bits(layer: LayerWidths, *, coded: bool = False, fillers: bool = False) -> float:
    """The bits of one layer's weights: entries and codebook.

    `coded` takes the widths after Huffman coding, `fillers` adds the expected filler entries. Raises InputError if
    `coded` widths are not given.
    """
    entries = layer.weights * layer.density
    if layer.entries is not None:
        entries = layer.entries
    elif not layer.index_bits:
        entries = layer.weights
    elif fillers:
        entries = layer.weights * entry_density(layer.density, layer.index_bits)
    width: float = layer.weight_bits + layer.index_bits
    if coded:
        if layer.coded_weight_bits is None or layer.coded_index_bits is None:
            raise InputError(f"layer {layer.name!r} must have widths after Huffman coding")
        width = layer.coded_weight_bits + layer.coded_index_bits
    codebook = 2**layer.weight_bits if layer.weight_bits < FLOAT_BITS else 0
    return entries * width + FLOAT_BITS * codebook


def bias_bits(layers: Sequence[LayerWidths]) -> int:
    """What the biases of `layers` take, which no size here counts: 32 bits each."""
    return FLOAT_BITS * sum(layer.biases for layer in layers)


def widths_of(layer: EncodedLayer) -> LayerWidths:
    """The row of a layer that is really encoded, with the entries that it really has."""
    entries = sum(layer.entries)

    def average(lane_bits: Sequence[int]) -> float:
        return sum(lane_bits) / entries if entries else 0.0

    return LayerWidths(
        layer.name, math.prod(layer.shape), layer.nonzeros / math.prod(layer.shape), layer.value_bits,
        layer.index_bits, average(layer.values.lane_bits), average(layer.runs.lane_bits), len(layer.bias), entries,
    )  # fmt: skip


def fraction(layers: Sequence[LayerWidths], *, coded: bool = False, fillers: bool = False) -> float:
    """The size of `layers` as a fraction of 32 bits a weight: column "compress rate"; the factor is its inverse."""
    bits = sum(layer_bits(layer, coded=coded, fillers=fillers) for layer in layers)
    return bits / (FLOAT_BITS * sum(layer.weights for layer in layers))


def pruned_fraction(layers: Sequence[LayerWidths]) -> float:
    """The fraction of weights that are not 0: column "weights% (P)"."""
    return sum(layer.weights * layer.density for layer in layers) / sum(layer.weights for layer in layers)
