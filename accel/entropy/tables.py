"""Code tables as a LOAD brings them: how many code words each length has, then the symbols in canonical order.

A table is bytes: byte k (1..15) is the number of code words of k bits, byte 0 has no meaning, and from byte 16 on the
symbols follow by length, those of one length in any order. Code words count upwards in that order, extended by zeros
on the right where the length grows. A table is good if its words fill the code space exactly (Kraft sum 1) and are no
more than the table has places for; so every string of bits is a string of symbols.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from accel.models.encode.huffman import LONGEST_BITS, bits_reversed, code_lengths, code_words

HEADER_BYTES = 16  # before the symbols
RUN_SYMBOLS, VALUE_SYMBOLS = 48, 256  # places of a table
MOST_OF_A_LENGTH = 255  # code words: a byte counts them


class Code(NamedTuple):
    """Code words of bytes by symbol (256 places, length 0 if it has none), first bit lowest; `table` as bytes."""

    lengths: NDArray[np.int64]
    words: NDArray[np.int64]
    table: bytes

    @property
    def longest(self) -> int:
        """Bits of the longest code word."""
        return max(k for k in range(1, HEADER_BYTES) if self.table[k])


class Lookup(NamedTuple):
    """`16 * symbol + length` of the code word that the next `bits` bits begin with, by these bits, first lowest."""

    bits: int
    entries: NDArray[np.int64]


def make_code(counts: NDArray[np.int64], limit_bits: int = LONGEST_BITS) -> Code:
    """The code for bytes that occur so often (256 counts), of words of at most `limit_bits` bits.

    A code of fewer than two words is filled up with a word that nobody uses: the same symbol again, of one bit.
    """
    lengths = code_lengths(counts, limit_bits).astype(np.int64)
    if (lengths == 8).sum() > MOST_OF_A_LENGTH:  # all 256, equally often
        lengths = code_lengths(counts + (np.arange(256) == counts.argmax()) * int(counts.sum())).astype(np.int64)
    order = np.lexsort((np.arange(256), lengths))
    order = order[lengths[order] > 0]
    header = np.bincount(lengths[order], minlength=HEADER_BYTES)
    symbols = order
    if len(order) < 2:
        symbols = np.repeat(order if len(order) else np.zeros(1, np.int64), 2)
        header[1] = 2
    words = bits_reversed(code_words(lengths), lengths)
    return Code(lengths, words, bytes(header.astype(np.uint8)) + bytes(symbols.astype(np.uint8)))


@lru_cache(256)
def lookup(table: bytes, places: int) -> Lookup | None:
    """The table as the decoder sees it; None if it is not good. Bytes behind its symbols have no meaning."""
    header = np.frombuffer(table[:HEADER_BYTES], np.uint8).astype(np.int64)
    counts = header[1:]
    total = int(counts.sum())
    space = int((counts << (LONGEST_BITS - np.arange(1, LONGEST_BITS + 1))).sum())
    if space != 1 << LONGEST_BITS or total > places or len(table) < HEADER_BYTES + total:
        return None
    lengths = np.repeat(np.arange(1, LONGEST_BITS + 1), counts)
    symbols = np.frombuffer(table[HEADER_BYTES : HEADER_BYTES + total], np.uint8).astype(np.int64)
    bits = int(lengths.max())
    in_order = np.repeat(16 * symbols + lengths, 1 << (bits - lengths))
    return Lookup(bits, in_order[_backwards(bits)])


@lru_cache(LONGEST_BITS + 1)
def _backwards(bits: int) -> NDArray[np.int64]:
    """The numbers of so many bits with their bits in the opposite order."""
    found = np.zeros(1, np.int64)
    for _ in range(bits):
        found = np.concatenate([2 * found, 2 * found + 1])
    return found
