"""How words of on-chip buffers lie in DRAM beats, and how tensors lie in words.

A buffer word of Z bytes occupies a stride of `stride_bytes(Z, W)` bytes in DRAM, so that either a beat of W bytes holds
a whole number of words or a word takes a whole number of beats; the rest of the stride is zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel.commands import Target
from accel.design import Design
from accel.memories import BY_TARGET


def stride_bytes(word_bytes: int, beat_bytes: int) -> int:
    """DRAM bytes from one word to the next."""
    if word_bytes >= beat_bytes:
        return -(-word_bytes // beat_bytes) * beat_bytes
    return 1 << (word_bytes - 1).bit_length()


def word_bytes(design: Design, target: Target) -> int:
    """Bytes of one word of a LOAD target."""
    return BY_TARGET[target].word_bytes(design)


def target_depth(design: Design, target: Target) -> int:
    """Words that a LOAD target holds (of one bank, for activations)."""
    return BY_TARGET[target].words(design)


def window_bytes(design: Design) -> int:
    """Bytes that the words of one pixel of a window LOAD may have together."""
    return 2 * design.word_lanes


def window_beats(design: Design) -> int:
    """Beats that the loader holds for them: the first byte may be the last one of a beat."""
    return -(-(design.beat_bytes - 1 + window_bytes(design)) // design.beat_bytes)


def in_beats(design: Design, target: Target) -> tuple[int, int]:
    """Words that one beat brings, and beats that one word takes; one of them is 1."""
    beat = design.beat_bytes
    stride = stride_bytes(word_bytes(design, target), beat)
    return max(1, beat // stride), max(1, stride // beat)


def words_per_beat(design: Design, target: Target) -> int:
    """Words that one beat brings (1 when a word takes one beat or several)."""
    return in_beats(design, target)[0]


def beats_per_word(design: Design, target: Target) -> int:
    """Beats that one word takes (1 when a beat holds one word or several)."""
    return in_beats(design, target)[1]


def beats(design: Design, target: Target, words: int) -> int:
    """Beats that bring `words` consecutive words."""
    per_beat, of_word = in_beats(design, target)
    return -(-words // per_beat) * of_word


@dataclass(frozen=True)
class WordTensor:
    """A (channels, height, width) tensor in activation words, on chip or in DRAM.

    Channel c of pixel (y, x) is lane c % R of word `(c // R) * plane + y * row_pitch + x`.
    """

    channels: int
    height: int
    width: int
    row_pitch: int
    plane: int

    def groups(self, rows: int) -> int:
        """Channel groups of R lanes."""
        return -(-self.channels // rows)

    def words(self, rows: int) -> int:
        """Words from the first to one past the last plane."""
        return self.groups(rows) * self.plane

    def pack(self, codes: NDArray[np.int8], rows: int) -> NDArray[np.int8]:
        """(..., channels, height, width) codes to (..., words, R) words; unused lanes and words are 0."""
        lead = codes.shape[:-3]
        groups = self.groups(rows)
        out = np.zeros((*lead, groups * self.plane, rows), np.int8)
        full = np.zeros((*lead, groups * rows, self.height, self.width), np.int8)
        full[..., : self.channels, :, :] = codes
        view = np.moveaxis(full.reshape(*lead, groups, rows, self.height, self.width), -3, -1)
        index = (
            np.arange(groups)[:, None, None] * self.plane
            + np.arange(self.height)[:, None] * self.row_pitch
            + np.arange(self.width)
        )
        out[..., index, :] = view
        return out

    def unpack(self, words: NDArray[np.int8]) -> NDArray[np.int8]:
        """(..., words, R) words to (..., channels, height, width) codes."""
        rows = words.shape[-1]
        groups = self.groups(rows)
        index = (
            np.arange(groups)[:, None, None] * self.plane
            + np.arange(self.height)[:, None] * self.row_pitch
            + np.arange(self.width)
        )
        view = np.moveaxis(words[..., index, :], -1, -3)
        lead = view.shape[:-4]
        codes = view.reshape(*lead, groups * rows, self.height, self.width)
        return np.ascontiguousarray(codes[..., : self.channels, :, :])


@dataclass(frozen=True)
class RowTensor:
    """A (channels, height, width) tensor in DRAM as rows of bytes, channel fastest: what window loads read.

    Padding is stored: the row of input row y (from -pads[0] to height + pads[2] - 1) starts at byte
    (y + pads[0]) * pitch_bytes, its pixel x (from -pads[1]) at (x + pads[1]) * channels. `pad_value` fills it.
    """

    channels: int
    height: int
    width: int
    pads: tuple[int, int, int, int]
    pitch_bytes: int
    pad_value: int

    @property
    def bytes(self) -> int:
        """Size in DRAM."""
        return (self.height + self.pads[0] + self.pads[2]) * self.pitch_bytes

    def pack(self, codes: NDArray[np.int8]) -> NDArray[np.int8]:
        """(..., channels, height, width) codes to (..., bytes)."""
        top, left, bottom, right = self.pads
        lead = codes.shape[:-3]
        padded = np.full(
            (*lead, self.height + top + bottom, self.width + left + right, self.channels), self.pad_value, np.int8
        )
        padded[..., top : top + self.height, left : left + self.width, :] = np.moveaxis(codes, -3, -1)
        out = np.zeros((*lead, self.height + top + bottom, self.pitch_bytes), np.int8)
        flat = padded.reshape(*lead, self.height + top + bottom, -1)
        out[..., : flat.shape[-1]] = flat
        return out.reshape(*lead, self.bytes)


def words_to_dram(words: NDArray[np.int8], beat_bytes: int) -> NDArray[np.int8]:
    """(..., n, Z) words to (..., n * stride) DRAM bytes."""
    stride = stride_bytes(words.shape[-1], beat_bytes)
    if stride == words.shape[-1]:
        return words.reshape(*words.shape[:-2], -1)
    out = np.zeros((*words.shape[:-1], stride), np.int8)
    out[..., : words.shape[-1]] = words
    return out.reshape(*words.shape[:-2], -1)


def dram_to_words(data: NDArray[np.int8], word_bytes: int, beat_bytes: int) -> NDArray[np.int8]:
    """(..., n * stride) DRAM bytes to (..., n, Z) words."""
    stride = stride_bytes(word_bytes, beat_bytes)
    return data.reshape(*data.shape[:-1], -1, stride)[..., :word_bytes]


def packed_words(rows: int, bits: int, lane_bits: int) -> int:
    """Weight-buffer words of `rows` rows of `bits`-bit codes: each lane is a bit stream, `lane_bits` a word."""
    return -(-rows * bits // lane_bits)


def pack_weight_columns(indices: NDArray[np.unsignedinteger[Any]], bits: int, lane_bits: int = 8) -> NDArray[np.uint8]:
    """Rows (n, lanes) of `bits`-bit codes (two's complement when 8 and dense) to (words, bytes) weight-buffer words.

    Each lane is a bit stream: its codes in row order, lowest bit first. With B = `lane_bits`, word k holds bits kB ..
    kB + B - 1 of every lane's stream, lane c in its bits cB .. cB + B - 1. The last word is filled with zero bits.
    """
    n, lanes = indices.shape
    if bits == lane_bits == 8:
        return indices.astype(np.uint8)
    planes = ((indices[:, None, :] >> np.arange(bits, dtype=indices.dtype)[:, None]) & 1).astype(np.uint8)
    stream = planes.reshape(n * bits, lanes)
    if lane_bits == 8:
        return np.packbits(stream, axis=0, bitorder="little")
    words = np.zeros((packed_words(n, bits, lane_bits), lane_bits, lanes), np.uint8)
    words.reshape(-1, lanes)[: len(stream)] = stream
    return np.packbits(words.transpose(0, 2, 1).reshape(len(words), -1), axis=1, bitorder="little")


def unpack_weight_columns(
    words: NDArray[np.uint8], bits: int, n: int, lane_bits: int = 8, lanes: int = 0
) -> NDArray[np.unsignedinteger[Any]]:
    """The inverse of `pack_weight_columns`: (words, bytes) to the first `n` rows (n, lanes) of codes.

    `lanes` is needed where a lane is no byte.
    """
    if bits == lane_bits == 8:
        return words[:n]
    if lane_bits == 8:
        stream = np.unpackbits(words, axis=0, bitorder="little")[: n * bits].reshape(n, bits, -1)
    else:
        found = np.unpackbits(words, axis=1, bitorder="little")[:, : lanes * lane_bits]
        found = found.reshape(-1, lanes, lane_bits).transpose(0, 2, 1).reshape(-1, lanes)
        stream = found[: n * bits].reshape(n, bits, lanes)
    codes = (stream.astype(np.uint16) << np.arange(bits, dtype=np.uint16)[:, None]).sum(axis=1)
    return codes.astype(np.uint8 if bits <= 8 else np.uint16)
