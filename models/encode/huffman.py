"""Canonical Huffman coding with a limited code length (Han et al., arXiv 1510.00149, section 4), in lanes.

A lane is the stream of one PE, which owns the output channels n = pe (mod PEs): a contiguous block of symbols, not
every L-th symbol. Blocks are what the hardware wants: a column of the array, or a PE of EIE (arXiv 1602.01528),
consumes the weights of its own outputs in order, so its decoder feeds it without a crossbar; the PEs hold different
numbers of entries in a sparse layer, which dealing out in turn cannot express; and a lane that stalls on a full
queue does not stop the others. All lanes share the layer's code table; each decodes one symbol a cycle.

Code words are canonical: sorted by length, then symbol, they count upwards, so that the lengths are the whole
table. The most significant bit of a code word comes first in the lane.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel.models.encode.bitstream import DamagedStream, Stream, check_lengths, lane_bytes, pack, split, windows
from accel.models.errors import InputError

# A length fits in 4 bits of the stored table, and 0 stands for a symbol that does not occur.
LONGEST_BITS = 15
# Bits that are decoded at a time: the working memory is about 20 bytes for each byte of them.
CHUNK_BITS = 1 << 22


def code_lengths(counts: NDArray[Any], limit_bits: int = LONGEST_BITS) -> NDArray[np.uint8]:
    """Lengths of the best prefix code without words longer than `limit_bits`, for symbols that occur `counts` times.

    `counts` (symbols,) integers >= 0, below 2**59 together; the result has their shape, 0 where a count is 0. A single
    symbol gets one bit.
    Package-merge (Larmore & Hirschberg 1990): a symbol's length is the number of levels in whose cheapest items it is.

    Raises InputError if `limit_bits` is not 1..15 or too small for the number of symbols.
    """
    if limit_bits not in range(1, LONGEST_BITS + 1):
        raise InputError(f"limit of code lengths must be 1..{LONGEST_BITS} bits, not {limit_bits}")
    used = np.flatnonzero(counts)
    lengths = np.zeros(len(counts), np.uint8)
    if len(used) > 2**limit_bits:
        raise InputError(
            f"limit of code lengths must be at least {(len(used) - 1).bit_length()} bits, not {limit_bits}"
        )
    if len(used) < 2:
        lengths[used] = 1
        return lengths
    order = used[np.argsort(counts[used], kind="stable")]
    leaves = counts[order].astype(np.int64)
    levels: list[NDArray[np.bool_]] = []  # of a level's items in ascending order: is it a symbol, or a package of two
    packages = leaves[:0]
    for _ in range(limit_bits):
        items = np.concatenate([leaves, packages])
        places = np.argsort(items, kind="stable")
        levels.append(places < len(leaves))
        pairs = items[places[: len(items) // 2 * 2]]
        packages = pairs[::2] + pairs[1::2]
    taken = 2 * len(leaves) - 2
    for level in reversed(levels):
        symbols = int(level[:taken].sum())
        lengths[order[:symbols]] += 1
        taken = 2 * (taken - symbols)
    return lengths


def code_words(lengths: NDArray[Any]) -> NDArray[np.uint16]:
    """Canonical code word of each symbol, most significant bit first; 0 where the length is 0."""
    words = np.zeros(len(lengths), np.uint16)
    word = 0
    length = 0
    for symbol in np.lexsort((np.arange(len(lengths)), lengths)):
        if lengths[symbol]:
            word <<= int(lengths[symbol]) - length
            length = int(lengths[symbol])
            words[symbol] = word
            word += 1
    return words


def encode(lanes: Sequence[NDArray[Any]], lengths: NDArray[np.uint8]) -> Stream:
    """The stream of `lanes` (arrays of symbols) under the code of these `lengths`.

    Raises InputError for a symbol that has no code word.
    """
    words = bits_reversed(code_words(lengths), lengths)
    packed = []
    for lane in lanes:
        taken = lengths[lane] if len(lane) else np.empty(0, np.uint8)
        if not taken.all():
            raise InputError(f"symbols must have a code word, not {lane[int(np.argmin(taken))]}")
        packed.append(pack(words[lane] if len(lane) else lane, taken))
    return Stream(b"".join(data for data, _ in packed), tuple(bits for _, bits in packed))


def check_code(lengths: NDArray[np.uint8], layer: str = "") -> None:
    """Raise DamagedStream unless the lengths make a complete code (Kraft sum 1), one word of one bit, or none."""
    used = lengths[lengths > 0].astype(np.int64)
    good = len(used) == 0 or (len(used) == 1 and used[0] == 1)
    if used.size and used.max() <= LONGEST_BITS:
        good = good or int((1 << (LONGEST_BITS - used)).sum()) == 1 << LONGEST_BITS
    if not good:
        raise DamagedStream(layer, 0, 0, "the code table must be a complete prefix code")


def decode(
    stream: Stream, lengths: NDArray[np.uint8], counts: Sequence[int], layer: str = ""
) -> list[NDArray[np.uint16]]:
    """The symbols of each lane; `counts` says how many there must be. The inverse of `encode`.

    Where a code word starts depends on all before it. So each lane is cut into blocks of bits; for every bit of
    every block at once, from the last to the first, where a chain that starts there leaves the block is looked
    up; one short walk over the blocks finds where each is entered; and all blocks are then decoded side by side.

    Raises DamagedStream for a bad code, bits that are no code word, and lanes that do not end with the last symbol.
    """
    check_code(lengths, layer)
    check_lengths(stream, layer)
    if not lengths.any():
        for lane, (bits, count) in enumerate(zip(stream.lane_bits, counts, strict=True)):
            if bits or count:
                raise DamagedStream(layer, lane, 0, "the code table must have code words")
        return [np.empty(0, np.uint16) for _ in counts]
    bits = sum(stream.lane_bits)
    block_bits = min(max(1 << (bits.bit_length() // 2), 64), 1024)
    layout = _Blocks(stream, block_bits)
    table = _Table(lengths)
    symbols: list[NDArray[np.uint16]] = []
    seen = np.zeros(len(counts), np.int64)
    step = max(CHUNK_BITS // block_bits, 1)
    entry = 0
    for first in range(0, len(layout.lane), step):
        chunk, entry = layout.decode(first, min(first + step, len(layout.lane)), entry, table, layer)
        found = np.bincount(layout.lane[chunk.blocks], minlength=len(counts))
        for lane in np.flatnonzero(seen + found > counts).tolist():
            excess = int(np.searchsorted(layout.lane[chunk.blocks], lane)) + int(counts[lane] - seen[lane])
            raise DamagedStream(layer, lane, chunk.bit(excess), f"must end after {counts[lane]} symbols")
        seen += found
        symbols.append(chunk.symbols)
    for lane in np.flatnonzero(seen < counts).tolist():
        problem = f"must hold {counts[lane]} symbols, not {seen[lane]}"
        raise DamagedStream(layer, lane, stream.lane_bits[lane], problem)
    flat = np.concatenate([np.empty(0, np.uint16), *symbols])
    return np.split(flat, np.cumsum(counts, dtype=np.int64)[:-1]) if len(counts) else []


class _Table:
    """Symbol and length of the code word that the next `bits` bits of a lane begin with; length 0 if none."""

    def __init__(self, lengths: NDArray[np.uint8]) -> None:
        self.bits = int(lengths.max())
        order = np.lexsort((np.arange(len(lengths)), lengths))
        order = order[lengths[order] > 0]
        spans = 1 << (self.bits - lengths[order].astype(np.int64))
        fill = (1 << self.bits) - int(spans.sum())
        backwards = bits_reversed(np.arange(1 << self.bits), np.full(1 << self.bits, self.bits, np.uint8))
        self.symbols = np.append(np.repeat(order, spans), np.zeros(fill, np.int64)).astype(np.uint16)[backwards]
        self.lengths = np.append(np.repeat(lengths[order], spans), np.zeros(fill, np.uint8)).astype(np.uint8)[backwards]


class _Chunk:
    """Decoded symbols in the order of the stream, with block and bit of the lane of each."""

    def __init__(self, symbols: NDArray[np.uint16], blocks: NDArray[np.int64], bits: NDArray[np.int64]) -> None:
        self.symbols = symbols
        self.blocks = blocks
        self.bits = bits

    def bit(self, index: int) -> int:
        """Bit of its lane where symbol `index` starts."""
        return int(self.bits[index])


class _Blocks:
    """The lanes of a stream in blocks of `block_bits` bits: each lane starts a block, the last is filled with zeros."""

    def __init__(self, stream: Stream, block_bits: int) -> None:
        counts = [-(-bits // block_bits) for bits in stream.lane_bits]
        firsts = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
        self.block_bits = block_bits
        self.lane_bits = np.array(stream.lane_bits, np.int64)
        self.lane = np.repeat(np.arange(len(counts)), counts)
        self.start = (np.arange(len(self.lane)) - firsts[self.lane]) * block_bits
        self.valid = np.minimum(self.lane_bits[self.lane] - self.start, block_bits)
        self.data = np.zeros(len(self.lane) * block_bits // 8 + 2, np.uint8)
        for data, size, first in zip(split(stream), lane_bytes(stream.lane_bits), firsts.tolist(), strict=False):
            at = first * block_bits // 8
            self.data[at : at + size] = data

    def decode(self, first: int, end: int, entry: int, table: _Table, layer: str) -> tuple[_Chunk, int]:
        """Symbols of the blocks first..end-1; the first is entered at bit `entry`. Also the entry of block `end`."""
        blocks, size = end - first, self.block_bits
        flat = windows(self.data[first * size // 8 : end * size // 8 + 2])[: blocks * size // 8]
        rows = np.ascontiguousarray(flat.reshape(blocks, size // 8).T).astype(np.intp)
        # Row by row, the whole chunk's bit `row` of each block.
        steps = np.maximum(table.lengths, 1).astype(np.intp) * blocks
        lengths = np.empty((size, blocks), np.uint8)
        exits = np.empty((size + 16, blocks), np.uint8)
        exits[size:] = np.arange(16, dtype=np.uint8)[:, None]
        column = np.arange(blocks)
        mask = (1 << table.bits) - 1
        for row in range(size - 1, -1, -1):
            window = (rows[row >> 3] >> (row & 7)) & mask
            lengths[row] = table.lengths.take(window)
            exits[row] = exits[row:].reshape(-1).take(steps.take(window) + column)
        entries = []
        for begins, ways in zip((self.start[first:end] == 0).tolist(), exits[:16].T.tolist(), strict=True):
            entry = 0 if begins else entry
            entries.append(entry)
            entry = ways[entry]
        marks = _walk(np.array(entries), self.valid[first:end], lengths)
        at = np.flatnonzero(np.ascontiguousarray(marks.T))
        window = (flat[at >> 3] >> (at & 7).astype(np.uint32)) & np.uint32(mask)
        found = first + at // size
        chunk = _Chunk(table.symbols.take(window), found, self.start[found] + at % size)
        taken = table.lengths.take(window)
        ends = chunk.bits + taken
        wrong = np.flatnonzero((taken == 0) | (ends > self.lane_bits[self.lane[found]]))
        if len(wrong):
            bad = int(wrong[0])
            problem = "no code word starts here" if taken[bad] == 0 else "the code word must end within the lane"
            raise DamagedStream(layer, int(self.lane[found[bad]]), chunk.bit(bad), problem)
        return chunk, entry


def _walk(position: NDArray[np.int64], valid: NDArray[np.int64], lengths: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Mark where code words start: (block_bits, blocks), from `position` to `valid` in each block."""
    marks = np.zeros(lengths.shape, bool)
    blocks = lengths.shape[1]
    column = np.arange(blocks)
    while True:
        inside = position < valid
        if not inside.all():
            position, valid, column = position[inside], valid[inside], column[inside]
        if not len(position):
            return marks
        at = position * blocks + column
        marks.reshape(-1)[at] = True
        # A bit that starts no code word counts as one, so that damage is found and never stands still.
        position = position + np.maximum(lengths.reshape(-1).take(at), 1)


def bits_reversed(words: NDArray[Any], lengths: NDArray[Any]) -> NDArray[np.int64]:
    """The low `lengths` bits of each word in the opposite order."""
    out = np.zeros(len(words), np.int64)
    for bit in range(LONGEST_BITS):
        inside = lengths > bit
        out[inside] |= (words[inside].astype(np.int64) >> bit & 1) << (lengths[inside].astype(np.int64) - 1 - bit)
    return out
