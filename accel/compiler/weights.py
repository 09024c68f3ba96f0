"""The weights of a layer in blocks of output tiles by channel groups, and its parameter records.

What only costs time to know (which blocks there are, how many words each takes) is computed at once; the words
themselves are packed when somebody asks for them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod

import numpy as np
from numpy.typing import NDArray

from accel.compiler.formats import choose
from accel.compiler.formats.dense import Dense
from accel.compiler.formats.format import Codes, Rows, WeightFormat
from accel.compiler.geometry import Geometry, Range
from accel.entropy.encode import Encoded, encode
from accel.layout import pack_weight_columns, packed_words
from accel.memories import CODE_BITS, RECORD_BYTES
from accel.models.integers.network import MatrixLayer, Requantise
from accel.records import pack_records
from accel.structured import HALVES, INDEX_BITS, compress, fits
from accel.structured import halves as by_half

Chunk = tuple[Range, Range]  # output tiles, channel groups
LARGEST_WHOLE = 1 << 22  # codes of a layer that are put in order together, and kept
Arrange = Callable[[Codes, int], Codes]  # codes and the code of 0 to codes


@dataclass(frozen=True)
class LayerWeights:
    """A layer's weights as an array of `cols` columns takes them, in channel groups of `rows`, a word of activations.

    `geometry` is what the array sees. A layer with `groups` is read like a dense one whose other weights are zero, but
    for the channel groups that a tile's outputs do not reach. `arrange`: from the layer's channels and kernel to those
    of the geometry, if the input is unfolded. `weight_rows` rows of the array enter in a cycle. With `two_of_four` the
    array has half as many rows as a group has channels (`accel.structured`). `lanes`: of each channel, among those of
    the geometry (None: as they are); the others get weights of 0, and so do outputs beyond the layer's, up to `made`.
    """

    layer: MatrixLayer
    format: WeightFormat
    geometry: Geometry
    rows: int
    cols: int
    weight_rows: int = 1
    arrange: Arrange | None = None
    two_of_four: bool = False
    lanes: tuple[int, ...] | None = None
    made: int = 0

    @cached_property
    def structured(self) -> bool:
        """Whether a channel group is one tile of an array that has half its rows.

        An index costs two bits, as much as what it saves with codes of two: below, weights are taken as they are.
        """
        if not self.two_of_four or self.format.bits < INDEX_BITS or not self.format.has_zero:
            return False
        return fits(self._values(self._arranged(0, self.outputs, (0, self.groups))))

    @property
    def halves(self) -> int:
        """Tiles of a channel group and kernel position."""
        return HALVES if self.two_of_four and not self.structured else 1

    @property
    def code_bits(self) -> int:
        """Bits of a weight's code, with its index."""
        return self.format.bits + (INDEX_BITS if self.structured else 0)

    @property
    def lane_bits(self) -> int:
        """Bits of a lane of a weight word."""
        return CODE_BITS + (INDEX_BITS if self.two_of_four else 0)

    @property
    def name(self) -> str:
        """The format's, for reports."""
        first, *rest = self.format.name.split(" ")
        return " ".join([f"{first}-2:4" if self.structured else first, *rest])

    @cached_property
    def outputs(self) -> int:
        """Output channels."""
        return max(len(self.layer.weights), self.made)

    @cached_property
    def tiles(self) -> int:
        """Output tiles of C channels."""
        return -(-self.outputs // self.cols)

    @cached_property
    def groups(self) -> int:
        """Channel groups of R channels."""
        return -(-self.geometry.channels // self.rows)

    @property
    def words_of_group(self) -> int:
        """Channel groups of the geometry for R channels of the layer."""
        return prod(self.layer.window.kernel) if self.geometry.deep else 1

    @cached_property
    def reach(self) -> tuple[Range, ...]:
        """The channel groups that each output tile needs."""
        if self.layer.groups == 1:
            return ((0, self.groups),) * self.tiles
        own, each_in = len(self.layer.weights), self.layer.weights.shape[1]
        each_out = own // self.layer.groups
        found = []
        for tile in range(self.tiles):
            first = min(own - 1, tile * self.cols) // each_out
            last = (min(own, (tile + 1) * self.cols) - 1) // each_out
            lanes = self._lanes(first * each_in, (last + 1) * each_in)
            low, high = min(lanes) // self.rows, max(lanes) // self.rows + 1
            found.append((low * self.words_of_group, high * self.words_of_group))
        return tuple(found)

    def _lanes(self, first: int, last: int) -> Sequence[int]:
        """Lanes of the channels `first`..`last` - 1."""
        return range(first, last) if self.lanes is None else self.lanes[first:last]

    def words(self, tiles: int, groups: int) -> int:
        """Words of a block of so many output tiles and channel groups."""
        return packed_words(self.code_rows(tiles, groups), self.code_bits, self.lane_bits)

    @property
    def tile_rows(self) -> int:
        """Rows of the array."""
        return self.rows // (2 if self.two_of_four else 1)

    def code_rows(self, tiles: int, groups: int) -> int:
        """Rows of codes of a block of so many output tiles and channel groups."""
        return tiles * groups * self.geometry.taps * self.halves * self.tile_rows // self.weight_rows

    def coded_fields(self, tiles: Range, groups: Range) -> dict[str, int]:
        """Fields of a coded LOAD of a block that the engine asks for."""
        return {"dst_pitch": self.code_rows(tiles[1] - tiles[0], groups[1] - groups[0])}

    @property
    def stored_bytes(self) -> int:
        """What lies in DRAM: codes in whole tiles, without the alignment of blocks, and the codebook."""
        tiles = sum(high - low for low, high in self.reach)
        codes = tiles * self.geometry.taps * self.halves * self.tile_rows * self.cols
        return -(-codes * self.code_bits // 8) + len(self.format.codebook)

    @property
    def last_rows(self) -> int:
        """Lanes of the last channel group that have a channel."""
        return self.geometry.channels - (self.groups - 1) * self.rows

    @property
    def trims(self) -> bool:
        """Whether each lane's weights are a word of their own, and not all lanes of the last group have a channel."""
        plain = self.weight_rows == self.halves == 1 and not self.structured and not self.format.coded
        alone = self.layer.groups == 1 and not self.geometry.beside and not self.geometry.deep
        return plain and alone and self.code_bits == self.lane_bits and self.last_rows < self.rows

    def least_bits(self, needed: int) -> int:
        """What `needed` of the layer's weights take in their format, without any filling: of 2:4, two of four."""
        return needed * self.code_bits // (2 if self.structured else 1)

    def block(self, tiles: Range, groups: Range) -> NDArray[np.uint8]:
        """Weight-buffer words (n, bytes) of one COMPUTE."""
        return pack_weight_columns(self.ordered(tiles, groups), self.code_bits, self.lane_bits)

    def encoded(self, streams: tuple[tuple[Chunk, ...], ...], lanes: int, beat_bytes: int) -> Encoded | None:
        """Streams of blocks, each the codes of one COMPUTE, as the decoder reads them; None if that cannot be."""
        key = streams, lanes, beat_bytes
        if key not in self._encoded:
            codes = [[self.ordered(*chunk).astype(np.uint8) for chunk in chunks] for chunks in streams]
            self._encoded[key] = encode(codes, lanes, beat_bytes, self.format.pad_code)
        return self._encoded[key]

    @cached_property
    def _encoded(self) -> dict[object, Encoded | None]:
        return {}

    def ordered(self, tiles: Range, groups: Range) -> Rows:
        """Codes (n, w * C) of one COMPUTE: a row has those that enter in one cycle."""
        rows, cols, w, count = self.tile_rows, self.cols, self.weight_rows, groups[1] - groups[0]
        if self._whole is not None:
            return self._whole[slice(*tiles), slice(*groups)].reshape(-1, w * cols)
        codes = self.codes(tiles, groups)
        full: Rows = compress(codes, self._values(codes) != 0, self.format.bits) if self.structured else codes
        if self.structured and self.format.coded:  # of a weight of 0 no index matters: it is the one code of zeros
            full = np.where(full % (1 << self.format.bits) == self.format.pad_code, self.format.pad_code, full)
        if self.halves > 1:
            full = np.ascontiguousarray(by_half(codes.reshape(len(codes) * count, -1, *codes.shape[2:])))
        shaped = full.reshape(tiles[1] - tiles[0], cols, count, self.halves, w, rows // w, *full.shape[-2:])
        return np.ascontiguousarray(shaped.transpose(0, 2, 6, 7, 3, 5, 4, 1).reshape(-1, w * cols))

    @cached_property
    def _whole(self) -> Codes | None:
        """Codes (tiles, groups, ...) of the layer, whose parts `ordered` gives; None if it is large or special.

        Of small layers each block would take longer to put in order than all of it does.
        """
        size = self.tiles * self.cols * self.groups * self.rows * self.geometry.taps
        if self.layer.groups > 1 or self.structured or self.halves > 1 or size > LARGEST_WHOLE:
            return None
        codes, w = self.codes((0, self.tiles), (0, self.groups)), self.weight_rows
        shaped = codes.reshape(self.tiles, self.cols, self.groups, w, self.tile_rows // w, *codes.shape[-2:])
        return np.ascontiguousarray(shaped.transpose(0, 2, 5, 6, 4, 3, 1))

    def codes(self, tiles: Range, groups: Range) -> Codes:
        """(outputs of whole tiles, lanes of whole groups, kernel) the codes of a block."""
        cols = self.cols
        own = len(self.layer.weights)
        first, last = min(own - 1, tiles[0] * cols), min(own, tiles[1] * cols)
        codes = self._arranged(first, max(first + 1, last), groups)[: max(0, last - tiles[0] * cols)]
        whole = (tiles[1] - tiles[0]) * cols
        if len(codes) == whole:
            return codes
        full = np.full((whole, *codes.shape[1:]), self.format.pad_code, np.uint8)
        full[: len(codes)] = codes
        return full

    def _values(self, codes: Codes) -> NDArray[np.int8]:
        """The weights that codes stand for."""
        return self.format.codebook[codes] if len(self.format.codebook) else codes.view(np.int8)

    def _arranged(self, first: int, last: int, groups: Range) -> Codes:
        """Codes of outputs first..last over the channels of `groups`: (outputs, channels, kernel)."""
        if self.layer.groups > 1 and self.geometry.deep:
            words = self.words_of_group
            low, high = groups[0] // words, -(-groups[1] // words)
            whole = deep_order(self._grouped(first, last, (low, high)), self.rows)
            return whole[:, (groups[0] - low * words) * self.rows : (groups[1] - low * words) * self.rows]
        if self.layer.groups > 1:
            return self._grouped(first, last, groups)
        whole = self.format.codes()[first:last]
        first_lane, last_lane = groups[0] * self.rows, groups[1] * self.rows
        if not self.arrange and self.lanes is None and last_lane <= whole.shape[1]:
            return whole[:, first_lane:last_lane]
        arranged = self.arrange(whole, self.format.pad_code) if self.arrange else self._pad(whole)
        return arranged[:, first_lane:last_lane]

    def _pad(self, codes: Codes) -> Codes:
        """(o, C, kh, kw) with the channels in their lanes, filled up to whole groups."""
        return in_lanes(codes, self.lanes, self.groups * self.rows, self.format.pad_code)

    def _grouped(self, first: int, last: int, groups: Range) -> Codes:
        """Weights of outputs first..last over the channels of `groups`, zero outside each output's own."""
        codes, rows = self.format.codes(), self.rows
        each_in, each_out = codes.shape[1], len(codes) // self.layer.groups
        size = (groups[1] - groups[0]) * rows
        out = np.full((last - first, size, *codes.shape[2:]), self.format.pad_code, np.uint8)
        for output in range(first, min(last, len(codes))):
            start = output // each_out * each_in
            at = np.array(self._lanes(start, start + each_in)) - groups[0] * rows
            inside = (at >= 0) & (at < size)
            out[output - first, at[inside]] = codes[output, inside]
        return out


def in_lanes(codes: Codes, lanes: Sequence[int] | None, count: int, pad_code: int) -> Codes:
    """(o, C, kh, kw) with the channels in `lanes` (None: as they are) of `count`: (o, count, kh, kw)."""
    out = np.full((len(codes), count, *codes.shape[2:]), pad_code, np.uint8)
    out[:, slice(codes.shape[1]) if lanes is None else list(lanes)] = codes
    return out


def deep_order(codes: Codes, rows: int) -> Codes:
    """(o, whole groups, h, w) with each word of `rows` channels of a pixel as channels of their own: (o, all, 1, 1)."""
    split = codes.reshape(len(codes), -1, rows, *codes.shape[2:]).transpose(0, 1, 3, 4, 2)
    return np.ascontiguousarray(split).reshape(len(codes), -1, 1, 1)


def layer_weights(
    layer: MatrixLayer, geometry: Geometry, rows: int, cols: int, weight_rows: int = 1, arrange: Arrange | None = None,
    as_dense: bool = False, two_of_four: bool = False, lanes: tuple[int, ...] | None = None, made: int = 0,
) -> LayerWeights:  # fmt: skip
    """The weights in the format that takes fewest bytes; `as_dense`: as int8 whatever they are.

    A layer with groups, or with lanes or outputs that are not its own, needs weights of 0.
    """
    needs_zero = layer.groups > 1 or lanes is not None or made > len(layer.weights)
    form = Dense(layer) if as_dense else choose(layer, needs_zero)
    return LayerWeights(layer, form, geometry, rows, cols, weight_rows, arrange, two_of_four, lanes, made)


def parameter_words(requantise: Requantise, channels: Range, lanes: int) -> NDArray[np.uint8]:
    """Records of output channels, one word of P records a chunk: (chunks, 8 * P) bytes."""
    view = slice(*channels)
    records = pack_records(requantise.bias[view], requantise.multiplier[view], requantise.shift[view])
    words = np.zeros((-(-(channels[1] - channels[0]) // lanes) * lanes, RECORD_BYTES), np.uint8)
    words[: len(records)] = records
    return words.reshape(-1, RECORD_BYTES * lanes)
