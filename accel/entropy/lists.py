"""The decoder of coded LOADs of a sparse engine: the bits of a stream to the PEs' lists of entries, step by step.

`docs/formats.md` ("Coded entries") has the rules. A lane says the weights of its PEs column by column as runs and
values, whose zeros go on from column to column; what lies in a PE's memory are entries, which begin anew in each. So an
entry waits until the next run tells whether it is its column's last.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from accel.entropy.stream import (
    BIT,
    CHUNK_BITS,
    DISPATCHED_BEATS,
    EMPTY,
    HAVE,
    LANE,
    LONG,
    PROBLEMS,
    RESULT,
    RUNS,
    STEPS_A_COMMAND,
    TAIL,
    TAKEN,
    TRUNCATED,
    VALUES,
    Position,
    ended,
    read_run,
    read_value,
    tables_of,
    take_beats,
    take_chunk,
)
from accel.entropy.tables import Lookup
from accel.models.encode.bitstream import DamagedStream
from accel.timing.kernel import Ints, MutableInts, call, part

MANY = 5
LIST_PROBLEMS = PROBLEMS | {MANY: "a PE must have at most the entries of its block"}

# What a lane knows of its column, WORK numbers a lane: positions that are left, zeros since the last entry, whether an
# entry waits and which, columns to come, which of its PEs, and what its readers want.
WORK = 7
REST, GAP, WAITS, ENTRY, COLUMNS, WHICH, WANTS = range(WORK)
RUN_AT, VALUE_AT = 1, 9  # bits of an entry as a number: last, run, value


class ListSetup(NamedTuple):
    """A coded LOAD of entries. `longest`: zeros that a filler stands for; `words`: entries that a PE may get at most.

    Others as in `accel.entropy.decode.Setup`; `pes` of a lane, with `columns` of `tiles` positions each.
    """

    lanes: int
    per_beat: int
    beats: int
    level: int
    literal: int
    zero_code: int
    code_bits: int
    run_bits: int
    value_bits: int
    pes: int
    columns: int
    tiles: int
    longest: int
    words: int


@part
def lane_step(
    s: ListSetup, lane: int, runs: Ints, values: Ints, state: MutableInts, work: MutableInts, entries: MutableInts,
    sizes: MutableInts, result: MutableInts,
) -> int:  # fmt: skip
    """One step of a lane: what its readers want of the stream in it (1: runs, 2: values), or a problem, less than 0."""
    w, lanes, run, value = lane * WORK, s.lanes, 2 * lane, 2 * lane + 1
    if work[w + COLUMNS] == 0:
        return 0
    held, zeros_at = 2 * lanes, 6 * lanes + lane
    zeros, more, rest, gap = state[zeros_at], state[7 * lanes + lane], work[w + REST], work[w + GAP]
    crosses = zeros >= rest
    if crosses:  # the column ends
        zeros, rest, gap = zeros - rest, s.tiles, 0
    inside = zeros < rest
    if crosses or (work[w + WAITS] > 0 and inside and more > 0):
        pe = lane + work[w + WHICH] * lanes
        if sizes[pe] == s.words:
            result[LANE], result[BIT] = lane, state[4 * lanes + run]
            return -MANY
        entry = work[w + ENTRY] if work[w + WAITS] > 0 else s.zero_code << VALUE_AT
        entries[pe * s.words + sizes[pe]] = entry + crosses
        sizes[pe] += 1
        work[w + WAITS] = 0
    state[zeros_at], work[w + REST], work[w + GAP] = zeros, rest, gap
    if crosses:
        work[w + WHICH] = 0 if work[w + WHICH] == s.pes - 1 else work[w + WHICH] + 1
        work[w + COLUMNS] -= 1
        if work[w + COLUMNS] == 0:
            return 0
    if not inside:
        return (state[held + run] < s.run_bits) + 2 * (state[held + value] < s.value_bits)
    total, read = gap + zeros, 0
    ends = more == 0
    if ends:
        work[w + GAP] = total
    elif total >= s.longest:
        work[w + ENTRY], work[w + GAP] = (s.longest - 1 << RUN_AT) + (s.zero_code << VALUE_AT), total - s.longest
        work[w + WAITS] = 1
    else:
        read = 1
    work[w + REST], state[zeros_at] = rest - zeros - read, 0
    wants = (state[held + run] < (1 + (ends or (read == 1 and more == 1))) * s.run_bits) + 2 * (
        state[held + value] < (1 + read) * s.value_bits
    )
    if read:
        code = read_value(s, lane, values, state, result)
        if code < 0:
            return code
        work[w + ENTRY], work[w + GAP], work[w + WAITS] = (total << RUN_AT) + (code << VALUE_AT), 0, 1
        ends = more == 1
    if ends and read_run(s, lane, runs, state, result):
        return -EMPTY
    return wants


@part
def lanes_turn(
    s: ListSetup, fill: int, runs: Ints, values: Ints, state: MutableInts, work: MutableInts, entries: MutableInts,
    sizes: MutableInts, result: MutableInts,
) -> int:  # fmt: skip
    """A step of every lane, or the turn before the first; how many chunks are wanted, or a problem, less than 0."""
    held, wanted = 2 * s.lanes, 0
    for lane in range(s.lanes):
        if fill:
            wants = (state[held + 2 * lane] < s.run_bits) + 2 * (state[held + 2 * lane + 1] < s.value_bits)
        else:
            wants = lane_step(s, lane, runs, values, state, work, entries, sizes, result)
            if wants < 0:
                return wants
        work[lane * WORK + WANTS] = wants
        wanted += (wants & 1) + (wants >> 1)
    return wanted


@part
def wants_of(work: Ints, reader: int) -> int:
    """Whether a reader takes a chunk in this turn."""
    return work[(reader >> 1) * WORK + WANTS] >> (reader & 1) & 1


@part
def columns_left(s: ListSetup, work: Ints) -> int:
    """Columns of the lane that has most to come."""
    most = 0
    for lane in range(s.lanes):
        most = max(most, work[lane * WORK + COLUMNS])
    return most


@part
def play_lists(
    s: ListSetup, chunks: Ints, runs: Ints, values: Ints, state: MutableInts, work: MutableInts, entries: MutableInts,
    sizes: MutableInts, gaps: MutableInts, result: MutableInts,
) -> int:  # fmt: skip
    """Decode one LOAD; 0, or the number of a problem. `state` and `gaps` as for `accel.entropy.decode.play`."""
    at, fill, result[HAVE] = 0, 1, s.level
    result[LANE], result[BIT] = 0, state[4 * s.lanes]
    if s.level > DISPATCHED_BEATS * s.per_beat:  # there is no room for the first beat
        return LONG
    while fill or columns_left(s, work) > 0:
        wanted = lanes_turn(s, fill, runs, values, state, work, entries, sizes, result)
        fill = 0
        if wanted < 0:
            return -wanted
        if take_beats(s.per_beat, s.beats, at, wanted, gaps, result):
            return TRUNCATED
        for reader in range(2 * s.lanes):
            if wants_of(work, reader):
                take_chunk(s.lanes, reader, chunks[at], state)
                at += 1
    return ended(s.beats, at, result)


@part
def order_lists(
    s: ListSetup, sources: Ints, ends: Ints, runs: Ints, values: Ints, state: MutableInts, work: MutableInts,
    entries: MutableInts, sizes: MutableInts, taken: MutableInts, chunks: MutableInts, result: MutableInts,
) -> int:  # fmt: skip
    """The chunks of one LOAD in the order in which readers take them, behind result[TAKEN] of them; 0, or a problem.

    `sources`: the chunks of each reader, one reader after the other; `ends` (readers + 1): where each reader's begin.
    """
    at, fill = result[TAKEN], 1
    while fill or columns_left(s, work) > 0:
        wanted = lanes_turn(s, fill, runs, values, state, work, entries, sizes, result)
        fill = 0
        if wanted < 0:
            return -wanted
        for reader in range(2 * s.lanes):
            if wants_of(work, reader):
                place = ends[reader] + taken[reader]
                chunks[at] = sources[place] if place < ends[reader + 1] else 0
                taken[reader] += 1
                take_chunk(s.lanes, reader, chunks[at], state)
                at += 1
    result[TAKEN] = at
    return 0


class CodedLists(NamedTuple):
    """A coded LOAD of entries as the decoder is told of it; `tables` are the contents of the run and value table."""

    lanes: int
    cols: int
    beat_bytes: int
    columns: int
    tiles: int
    run_bits: int
    words: int
    literal: bool
    zero_code: int
    code_bits: int
    tables: tuple[bytes, bytes]

    def setup(self, runs: Lookup, values: Lookup, beats: int, level: int) -> ListSetup:
        """For the kernel."""
        return ListSetup(
            self.lanes, self.beat_bytes * 8 // CHUNK_BITS, beats, level, int(self.literal), self.zero_code,
            self.code_bits, runs.bits, values.bits, self.cols // self.lanes, self.columns, self.tiles,
            1 << self.run_bits, self.words,
        )  # fmt: skip

    def begin(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """What lanes know of their columns, the entries, and how many each PE has, at the start of the LOAD."""
        work = np.zeros((self.lanes, WORK), np.int64)
        work[:, REST], work[:, COLUMNS] = self.tiles, self.columns * (self.cols // self.lanes)
        return work.ravel(), np.zeros(self.cols * self.words, np.int64), np.zeros(self.cols, np.int64)

    @property
    def work(self) -> int:
        """In commands, for `call`."""
        return self.cols * self.words // STEPS_A_COMMAND


@dataclass(frozen=True)
class DecodedLists:
    """What a coded LOAD of entries brings. `numbers` (C, words): entries as numbers; of each PE the first `sizes`.

    Others as in `accel.entropy.decode.Decoded`.
    """

    numbers: NDArray[np.int64]
    sizes: NDArray[np.int64]
    gaps: NDArray[np.int64]
    tail: int
    runs: int
    values: int
    position: Position

    @cached_property
    def entries(self) -> int:
        """Of all PEs."""
        return int(self.sizes.sum())


def decode_lists(coded: CodedLists, data: bytes, position: Position, layer: str = "") -> DecodedLists:
    """Decode the beats `data` of a LOAD that begins at `position`.

    Raises DamagedStream with lane and bit (of the lane's runs or values) where the hardware raises ErrorCode.STREAM.
    """
    runs, values = tables_of(coded.tables, layer)
    beats = len(data) // coded.beat_bytes
    setup = coded.setup(runs, values, beats, len(position.chunks))
    chunks = position.joined(data)
    state, (work, entries, sizes) = np.array(position.state, np.int64), coded.begin()
    gaps, result = np.zeros(beats, np.int64), np.zeros(RESULT, np.int64)
    inputs, outputs = (setup, chunks, runs.entries, values.entries), (state, work, entries, sizes, gaps, result)
    error = call(play_lists, coded.work, inputs, outputs)
    if error:
        raise DamagedStream(layer, int(result[LANE]), int(result[BIT]), LIST_PROBLEMS[error])
    return DecodedLists(
        entries.reshape(coded.cols, coded.words), sizes, gaps[: beats - 1], int(result[TAIL]), int(result[RUNS]),
        int(result[VALUES]), Position.behind(state, chunks, result),
    )  # fmt: skip
