"""LOADs and STOREs of words, cut into commands that their fields can hold.

Every function gives rows of numbers (`accel.rows`), the waits still 0.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from accel.commands import Load, Store, Target, most
from accel.design import Design
from accel.layout import in_beats, stride_bytes, word_bytes
from accel.rows import LOAD, STORE, row_of

Row = list[int]

LARGEST_ROW_BEATS = most(Load, "row_beats")
LARGEST_LOAD_ROWS = most(Load, "rows")
LARGEST_LOAD_PITCH = most(Load, "dram_pitch")
LARGEST_ROW_WORDS = most(Store, "row_words")
LARGEST_STORE_ROWS = most(Store, "rows")
LARGEST_STORE_PITCH = most(Store, "dram_pitch")
STORE_RUN = (LARGEST_ROW_WORDS + 1) // 2  # words of the STOREs that a longer row is cut into

_LOAD, _STORE = row_of(Load), row_of(Store)


class Words(NamedTuple):
    """How words of a LOAD target lie in DRAM. `most`: words that the row of one LOAD can have."""

    target: Target
    size_bytes: int
    stride_bytes: int
    per_beat: int
    beats: int  # of a word
    most: int

    def row_beats(self, words: int) -> int:
        """Beats of a row of words."""
        return -(-words // self.per_beat) * self.beats


@lru_cache(32)
def words_of(design: Design, target: Target) -> Words:
    """How words of a target lie in DRAM behind this design."""
    size, (per_beat, beats) = word_bytes(design, target), in_beats(design, target)
    stride = stride_bytes(size, design.beat_bytes)
    return Words(target, size, stride, per_beat, beats, LARGEST_ROW_BEATS // beats * per_beat)


def load_words(words: Words, dram: int, dst: int, count: int) -> list[Row]:
    """LOADs of `count` consecutive words."""
    if 0 < count <= words.most:
        made = _LOAD.copy()
        made[LOAD.dram_addr], made[LOAD.target], made[LOAD.dst_addr] = dram, words.target, dst
        made[LOAD.row_beats] = -(-count // words.per_beat) * words.beats
        return [made]
    found = []
    for first in range(0, count, words.most):
        made = _LOAD.copy()
        made[LOAD.dram_addr] = dram + first * words.stride_bytes
        made[LOAD.target] = words.target
        made[LOAD.dst_addr] = dst + first
        made[LOAD.row_beats] = words.row_beats(min(words.most, count - first))
        found.append(made)
    return found


def load_rows(words: Words, dram: int, dst: int, count: int, rows: int, far: int, near: int) -> list[Row]:
    """LOADs of `rows` rows of `count` words, `far` words apart in DRAM and `near` on chip."""
    if rows > 1 and far == near == count:
        count, rows = count * rows, 1
    pitch, beats = far * words.stride_bytes, words.row_beats(count)
    found = []
    if rows == 1 or count > words.most or pitch > LARGEST_LOAD_PITCH:
        for k in range(rows):
            found += load_words(words, dram + k * pitch, dst + k * near, count)
        return found
    for first in range(0, rows, LARGEST_LOAD_ROWS):
        made = _LOAD.copy()
        made[LOAD.dram_addr] = dram + first * pitch
        made[LOAD.target] = words.target
        made[LOAD.dst_addr] = dst + first * near
        made[LOAD.row_beats] = beats
        made[LOAD.rows] = min(LARGEST_LOAD_ROWS, rows - first)
        made[LOAD.dram_pitch] = pitch
        made[LOAD.dst_pitch] = near
        found.append(made)
    return found


def store_words(words: Words, dram: int, src: int, count: int) -> list[Row]:
    """STOREs of `count` consecutive words."""
    run = count if count <= LARGEST_ROW_WORDS else STORE_RUN
    found = []
    for first in range(0, count, run):
        made = _STORE.copy()
        made[STORE.dram_addr] = dram + first * words.stride_bytes
        made[STORE.src_addr] = src + first
        made[STORE.row_words] = min(run, count - first)
        found.append(made)
    return found


def store_rows(
    words: Words, dram: int, src: int, count: int, rows: int, far: int, near: int, line: int = 1
) -> list[Row]:
    """STOREs of `rows` rows of `count` words, `far` words apart in DRAM and `near` on chip.

    Which words of a row are written repeats after `line` words, and begins anew with the row.
    """
    if rows > 1 and far == near == count and count % line == 0:
        count, rows = count * rows, 1
    pitch = far * words.stride_bytes
    found = []
    if rows == 1 or count > LARGEST_ROW_WORDS or pitch > LARGEST_STORE_PITCH:
        for k in range(rows):
            found += store_words(words, dram + k * pitch, src + k * near, count)
        return found
    for first in range(0, rows, LARGEST_STORE_ROWS):
        made = _STORE.copy()
        made[STORE.dram_addr] = dram + first * pitch
        made[STORE.src_addr] = src + first * near
        made[STORE.row_words] = count
        made[STORE.rows] = min(LARGEST_STORE_ROWS, rows - first)
        made[STORE.dram_pitch] = pitch
        made[STORE.src_pitch] = near
        found.append(made)
    return found
