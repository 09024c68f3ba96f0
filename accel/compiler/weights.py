"""The constants of a layer as the buffers want them: weight blocks, parameter records, codebook."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from accel.compiler.geometry import Range
from accel.design import Design
from accel.layout import pack_weight_columns
from accel.models.integers.network import MatrixLayer, Requantise

Codes = NDArray[np.uint8]


class LayerWeights:
    """Weights of a matrix layer, in blocks of output tiles by channel groups.

    A layer with `groups` is read like a dense one whose other weights are zero, but for the channel groups that a
    tile's outputs do not reach. `bits` a code, `shared` whether it is an index. A layer that needs a zero that its
    codebook does not have is written as dense int8, as is any with `as_dense`.
    """

    def __init__(
        self, layer: MatrixLayer, channels: int, design: Design, arrange: Callable[..., Codes] | None,
        as_dense: bool = False,
    ) -> None:  # fmt: skip
        self.design, self.layer = design, layer
        self.outputs = len(layer.weights)
        self.tiles = -(-self.outputs // design.cols)
        self.arrange = arrange or self._pad
        self.groups = -(-channels // design.rows)
        codebook = layer.shared.codebook if layer.shared else None
        self.shared = codebook is not None and not as_dense and not (layer.groups > 1 and 0 not in codebook)
        self.fallback = codebook is not None and not self.shared
        if self.shared and layer.shared is not None:
            self.codebook = layer.shared.codebook
            self.bits = layer.shared.bits
            self.codes: Codes = layer.shared.indices
            self.pad_code = int(np.abs(self.codebook.astype(np.int16)).argmin())
        else:
            self.codebook = np.zeros(0, np.int8)
            self.bits, self.codes, self.pad_code = 8, layer.weights.view(np.uint8), 0

    @property
    def has_zero(self) -> bool:
        """Whether padding is a weight of 0."""
        return not self.shared or self.codebook[self.pad_code] == 0

    @property
    def stored_bytes(self) -> int:
        """Codes of the layer in DRAM, filled up to whole tiles, and its codebook."""
        groups = sum(b - a for a, b in map(self.reach, range(self.tiles)))
        kernel = self.arrange(self.codes[:1], 0).shape[2:] if self.layer.groups == 1 else self.codes.shape[2:]
        codes = groups * self.design.rows * self.design.cols * kernel[0] * kernel[1]
        return -(-codes * self.bits // 8) + len(self.codebook)

    @property
    def format(self) -> str:
        """For reports."""
        if self.shared:
            return f"shared{self.bits}"
        return "dense (no 0 in its codebook)" if self.fallback else "dense"

    def reach(self, tile: int) -> Range:
        """The channel groups that an output tile needs."""
        if self.layer.groups == 1:
            return 0, self.groups
        each_out = self.outputs // self.layer.groups
        each_in = self.layer.weights.shape[1]
        first = tile * self.design.cols // each_out
        last = (min(self.outputs, (tile + 1) * self.design.cols) - 1) // each_out
        return first * each_in // self.design.rows, -(-((last + 1) * each_in) // self.design.rows)

    def block(self, tiles: Range, groups: Range) -> NDArray[np.uint8]:
        """Weight-buffer words (n, C) of one COMPUTE."""
        rows, cols = self.design.rows, self.design.cols
        first, last = tiles[0] * cols, min(self.outputs, tiles[1] * cols)
        codes = self.arrange(self.codes[first:last], self.pad_code) if self.layer.groups == 1 else self._grouped(
            first, last, groups
        )  # fmt: skip
        low = 0 if self.layer.groups > 1 else groups[0]
        codes = codes[:, low * rows : (low + groups[1] - groups[0]) * rows]
        full = np.full(((tiles[1] - tiles[0]) * cols, *codes.shape[1:]), self.pad_code, np.uint8)
        full[: len(codes)] = codes
        shaped = full.reshape(tiles[1] - tiles[0], cols, groups[1] - groups[0], rows, *codes.shape[2:])
        ordered = shaped.transpose(0, 2, 4, 5, 3, 1).reshape(-1, cols)
        return pack_weight_columns(np.ascontiguousarray(ordered), self.bits)

    def _pad(self, codes: Codes, pad_code: int) -> Codes:
        """(o, C, kh, kw) with the channels filled up to whole groups."""
        out = np.full((len(codes), self.groups * self.design.rows, *codes.shape[2:]), pad_code, np.uint8)
        out[:, : codes.shape[1]] = codes
        return out

    def _grouped(self, first: int, last: int, groups: Range) -> Codes:
        """Weights of outputs first..last over the channels of `groups`, zero outside each output's own."""
        rows, each_in = self.design.rows, self.codes.shape[1]
        each_out = self.outputs // self.layer.groups
        size = (groups[1] - groups[0]) * rows
        out = np.full((last - first, size, *self.codes.shape[2:]), self.pad_code, np.uint8)
        for output in range(first, last):
            start = output // each_out * each_in - groups[0] * rows
            low, high = max(0, start), min(size, start + each_in)
            if low < high:
                out[output - first, low:high] = self.codes[output, low - start : high - start]
        return out


def parameter_words(requantise: Requantise, channels: Range, lanes: int) -> NDArray[np.uint8]:
    """Records of output channels, one word of P records a chunk: (chunks, 8 * P) bytes."""
    count = -(-(channels[1] - channels[0]) // lanes)
    records = np.zeros((count * lanes, 8), np.uint8)
    view = slice(channels[0], channels[1])
    used = channels[1] - channels[0]
    records[:used, :4] = requantise.bias[view].astype("<i4").view(np.uint8).reshape(-1, 4)
    records[:used, 4:6] = requantise.multiplier[view].astype("<u2").view(np.uint8).reshape(-1, 2)
    records[:used, 6] = requantise.shift[view]
    return records.reshape(count, 8 * lanes)
