"""Lanes of bits: words of 1..16 bits one after the other, and the exception for streams that cannot be read.

Bit j of a lane is bit `j % 8` (0 is the lowest) of byte `j // 8`, as everywhere in docs/formats.md. A lane
belongs to one processing element (PE), starts on a byte, and the bits that fill its last byte are zero.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel.models.errors import InputError

# Words that are packed at a time: bounds the working memory at about 40 MB.
CHUNK_WORDS = 1 << 20


class DamagedStream(InputError):
    """An encoded stream that no encoder wrote: `layer`, `lane` and `bit` (of the lane) say where it was noticed."""

    def __init__(self, layer: str, lane: int, bit: int, problem: str) -> None:
        super().__init__(f"layer {layer!r}, lane {lane}, bit {bit}: {problem}")
        self.layer = layer
        self.lane = lane
        self.bit = bit
        self.problem = problem


@dataclass(frozen=True)
class Stream:
    """The lanes of one layer: `data` holds them one after the other, `lane_bits` their lengths without filling."""

    data: bytes
    lane_bits: tuple[int, ...]

    @property
    def padding_bits(self) -> int:
        """The bits that fill the last bytes of the lanes."""
        return 8 * len(self.data) - sum(self.lane_bits)


def lane_bytes(lane_bits: Sequence[int]) -> list[int]:
    """The bytes that each lane takes."""
    return [(n + 7) // 8 for n in lane_bits]


def pack(words: NDArray[Any], lengths_bits: NDArray[np.uint8]) -> tuple[bytes, int]:
    """One lane: the low `lengths_bits[i]` bits (1..16) of `words[i]`, lowest bit first. Returns bytes and bits."""
    total = int(lengths_bits.sum(dtype=np.int64))
    out = np.zeros(total // 64 + 2, np.uint64)
    base = 0
    for first in range(0, len(words), CHUNK_WORDS):
        chunk = words[first : first + CHUNK_WORDS].astype(np.uint64)
        ends = base + np.cumsum(lengths_bits[first : first + CHUNK_WORDS], dtype=np.int64)
        starts = np.concatenate([[base], ends[:-1]])
        cell = starts >> 6
        shift = (starts & 63).astype(np.uint64)
        # Words are shorter than a cell of 64 bits, so every cell between first and last has a word that starts in it.
        heads = np.flatnonzero(np.diff(cell, prepend=-1))
        tails = np.append(heads[1:], len(chunk)) - 1
        out[cell[heads]] |= np.bitwise_or.reduceat(chunk << shift, heads)
        out[cell[tails] + 1] |= (chunk[tails] >> np.uint64(1)) >> (np.uint64(63) - shift[tails])
        base = int(ends[-1])
    return out.astype("<u8").tobytes()[: (total + 7) // 8], total


def pack_lanes(lanes: Sequence[NDArray[Any]], width_bits: int) -> Stream:
    """A stream of words of one width, 1..16 bits."""
    packed = [pack(lane, np.full(len(lane), width_bits, np.uint8)) for lane in lanes]
    return Stream(b"".join(data for data, _ in packed), tuple(bits for _, bits in packed))


def unpack_lanes(stream: Stream, width_bits: int, counts: Sequence[int], layer: str = "") -> list[NDArray[np.uint16]]:
    """The inverse of `pack_lanes` for lanes of `counts` words. Raises DamagedStream if the lengths do not fit."""
    check_lengths(stream, layer)
    lanes = []
    for lane, (data, bits, count) in enumerate(zip(split(stream), stream.lane_bits, counts, strict=True)):
        if bits != count * width_bits:
            problem = f"must hold {count} words of {width_bits} bits, not {bits} bits"
            raise DamagedStream(layer, lane, min(bits, count * width_bits), problem)
        starts = np.arange(count, dtype=np.int64) * width_bits
        found = windows(data)[starts >> 3] >> (starts & 7).astype(np.uint32)
        lanes.append((found & np.uint32(2**width_bits - 1)).astype(np.uint16))
    return lanes


def windows(data: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """The 24 bits that start at each byte, zeros after the end: shifted by 0..7, at least 17 bits from any bit on."""
    padded = np.concatenate([data, np.zeros(2, np.uint8)]).astype(np.uint32)
    return padded[:-2] | padded[1:-1] << np.uint32(8) | padded[2:] << np.uint32(16)


def split(stream: Stream) -> Iterator[NDArray[np.uint8]]:
    """The bytes of each lane."""
    data = np.frombuffer(stream.data, np.uint8)
    ends = np.cumsum(lane_bytes(stream.lane_bits), dtype=np.int64).tolist()
    for start, end in zip([0, *ends], ends, strict=False):
        yield data[start:end]


def check_lengths(stream: Stream, layer: str) -> None:
    """Raise DamagedStream if the data is not as long as its lanes say, or filling bits are not zero."""
    start = 0
    for lane, (size, bits) in enumerate(zip(lane_bytes(stream.lane_bits), stream.lane_bits, strict=True)):
        if start + size > len(stream.data):
            raise DamagedStream(layer, lane, 8 * (len(stream.data) - start), f"the lane must have {bits} bits")
        if bits % 8 and stream.data[start + size - 1] >> bits % 8:
            raise DamagedStream(layer, lane, bits, "the bits after the end must be zero")
        start += size
    if start != len(stream.data):
        lane = max(len(stream.lane_bits) - 1, 0)
        raise DamagedStream(layer, lane, (*stream.lane_bits, 0)[lane], f"{len(stream.data) - start} bytes too many")
