"""The decoder of coded LOADs: the bits of a stream to codes, step by step as the hardware does it.

`docs/formats.md` ("Coded weights") has the rules. `play` is a part of the kernel (`accel.timing.kernel`): ordinary
Python, or the same text compiled.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from accel.entropy.tables import RUN_SYMBOLS, VALUE_SYMBOLS, Lookup, lookup
from accel.models.encode.bitstream import DamagedStream
from accel.timing.kernel import Ints, MutableInts, call, part

CHUNK_BITS = 16  # what a reader takes of the stream at a time
DISPATCHED_BEATS = 2  # as many chunks at most go to readers in a cycle
NO_VALUE = 128  # bit of a run byte
MOST_RUN = 127

STEPS_A_COMMAND = 20  # steps of one lane take about as long as timing a command does
PROBLEMS = {
    1: "the stream must not end before its last code",
    2: "a run must not be empty",
    3: "a value must have at most the bits of its code",
    4: "the stream must end with its last code",
}
TRUNCATED, EMPTY, WIDE, LONG = PROBLEMS


class Setup(NamedTuple):
    """A coded LOAD. `level`: chunks at the front that the one before left; `run_bits`, `value_bits`: longest codes."""

    lanes: int
    per_beat: int
    beats: int
    steps: int
    level: int
    fresh: int
    literal: int
    zero_code: int
    code_bits: int
    run_bits: int
    value_bits: int


RESULT = 6
TAIL, TAKEN, RUNS, VALUES, LANE, BIT = range(RESULT)


@part
def play(
    s: Setup, chunks: Ints, runs: Ints, values: Ints, state: MutableInts, codes: MutableInts, gaps: MutableInts,
    result: MutableInts,
) -> int:  # fmt: skip
    """Decode one LOAD; 0, or the number of a problem.

    `state`: of each reader (run, value of lane 0, run, ...) its bits and how many they are and how many it has used,
    then of each lane the zeros and the values to come. `gaps`: of each beat, cycles until the next can be taken.
    """
    lanes, most = s.lanes, DISPATCHED_BEATS * s.per_beat
    held, used, zeros, more = 2 * lanes, 4 * lanes, 6 * lanes, 7 * lanes
    run_mask, value_mask = (1 << s.run_bits) - 1, (1 << s.value_bits) - 1
    at, have, beats, accepted, pure, cycle = 0, s.level, 0, 0, 0, 0
    turns = 1 + s.fresh + s.steps
    if s.level > most:  # there is no room for the first beat
        result[LANE], result[BIT] = 0, state[used]
        return LONG
    for turn in range(turns):
        step, last = turn > 0, turn == turns - 1
        wanted = 0
        if not last:
            for lane in range(lanes):
                z = state[zeros + lane]
                left = z + state[more + lane]
                if left == 1 or (left == 2 and step):
                    wanted += state[held + 2 * lane] < (1 + (step and left == 1)) * s.run_bits
                if z == 0 or (z == 1 and step):
                    wanted += state[held + 2 * lane + 1] < (1 + (step and z == 0)) * s.value_bits
        given = at
        while True:
            given = min(given + most, at + wanted)
            while given > have or (beats < s.beats and (beats == 0 or have - given < s.per_beat)):
                if beats == s.beats:
                    result[LANE], result[BIT] = 0, state[used]
                    return TRUNCATED
                pure = 1 if given > have else 0
                if beats > 0:
                    gaps[beats - 1] = max(1, cycle - accepted)
                accepted = cycle
                have += s.per_beat
                beats += 1
                if pure == 0:
                    break
            cycle += 1
            if given == at + wanted:
                break
        place = (turn - 1 - s.fresh) * lanes
        for lane in range(lanes):
            z, run, value = state[zeros + lane], 2 * lane, 2 * lane + 1
            left = z + state[more + lane]
            ends = left == 1 or (left == 2 and step)
            run_wanted = not last and ends and state[held + run] < (1 + (step and left == 1)) * s.run_bits
            near = z == 0 or (z == 1 and step)
            value_wanted = not last and near and state[held + value] < (1 + (step and z == 0)) * s.value_bits
            if step:
                code = s.zero_code
                if z == 0:
                    entry = values[state[value] & value_mask]
                    code, length = entry >> 4, entry & 15
                    if code >> s.code_bits:
                        result[LANE], result[BIT] = lane, state[used + value]
                        return WIDE
                    state[value] >>= length
                    state[held + value] -= length
                    state[used + value] += length
                    state[more + lane] -= 1
                    result[VALUES] += 1
                else:
                    state[zeros + lane] = z - 1
                if place >= 0:
                    codes[place + lane] = code
                if left == 1:
                    entry = runs[state[run] & run_mask]
                    byte, length = entry >> 4, entry & 15
                    count = byte & MOST_RUN
                    if count == 0 and (byte >= NO_VALUE or s.literal):
                        result[LANE], result[BIT] = lane, state[used + run]
                        return EMPTY
                    state[run] >>= length
                    state[held + run] -= length
                    state[used + run] += length
                    state[zeros + lane] = 0 if s.literal and byte < NO_VALUE else count
                    state[more + lane] = 0 if byte >= NO_VALUE else (count if s.literal else 1)
                    result[RUNS] += 1
            if run_wanted:
                state[run] |= chunks[at] << state[held + run]
                state[held + run] += CHUNK_BITS
                at += 1
            if value_wanted:
                state[value] |= chunks[at] << state[held + value]
                state[held + value] += CHUNK_BITS
                at += 1
    if beats < s.beats:
        result[LANE], result[BIT] = 0, state[used]
        return LONG
    result[TAKEN] = at
    result[TAIL] = cycle - 1 - accepted + pure
    return 0


@dataclass(frozen=True)
class Position:
    """Where a stream stands between two LOADs: the state of `play`, and the chunks that nobody has taken."""

    state: tuple[int, ...]
    chunks: tuple[int, ...]

    @classmethod
    def start(cls, lanes: int, zeros: int = 1) -> Position:
        """Before the first bit: as if a zero were to come, which is dropped; of lists of entries none."""
        return cls((0,) * (6 * lanes) + (zeros,) * lanes + (0,) * lanes, ())


@dataclass(frozen=True)
class Decoded:
    """What a coded LOAD brings: (rows, codes of a row) `codes`, and what its time and counts depend on.

    `gaps`: cycles from each beat to the next that can be taken, but for the last; `tail`: from the last beat to the
    last step; `runs`, `values`: symbols decoded; `position`: where the stream stands afterwards.
    """

    codes: NDArray[np.uint8]
    gaps: NDArray[np.int64]
    tail: int
    runs: int
    values: int
    position: Position
    entries: int = 0


class Coded(NamedTuple):
    """A coded LOAD as the decoder is told of it; `tables` are the contents of the run and of the value table."""

    lanes: int
    row_codes: int
    beat_bytes: int
    rows: int
    fresh: bool
    literal: bool
    zero_code: int
    code_bits: int
    tables: tuple[bytes, bytes]


def tables_of(tables: tuple[bytes, bytes], layer: str) -> tuple[Lookup, Lookup]:
    """The run and the value table as the decoder sees them. Raises DamagedStream if one is not good."""
    runs, values = lookup(tables[0], RUN_SYMBOLS), lookup(tables[1], VALUE_SYMBOLS)
    if runs is None or values is None:
        raise DamagedStream(layer, 0, 0, f"the code table of {'runs' if runs is None else 'values'} must be complete")
    return runs, values


def decode(coded: Coded, data: bytes, position: Position, layer: str = "") -> Decoded:
    """Decode the beats `data` of a LOAD that begins at `position` (a fresh one: `Position.start`).

    Raises DamagedStream with lane and bit (of the lane's runs or values) where the hardware raises ErrorCode.STREAM.
    """
    runs, values = tables_of(coded.tables, layer)
    lanes, steps = coded.lanes, coded.rows * coded.row_codes // coded.lanes
    per_beat, beats = coded.beat_bytes * 8 // CHUNK_BITS, len(data) // coded.beat_bytes
    setup = Setup(
        lanes, per_beat, beats, steps, len(position.chunks), int(coded.fresh), int(coded.literal), coded.zero_code,
        coded.code_bits, runs.bits, values.bits,
    )  # fmt: skip
    chunks = np.concatenate([np.array(position.chunks, np.int64), np.frombuffer(data, "<u2").astype(np.int64)])
    state = np.array(position.state, np.int64)
    codes, gaps, result = np.zeros(steps * lanes, np.int64), np.zeros(beats, np.int64), np.zeros(RESULT, np.int64)
    work = steps * lanes // STEPS_A_COMMAND
    error = call(play, work, (setup, chunks, runs.entries, values.entries), (state, codes, gaps, result))
    if error:
        raise DamagedStream(layer, int(result[LANE]), int(result[BIT]), PROBLEMS[error])
    left = tuple(chunks[int(result[TAKEN]) :].tolist())
    return Decoded(
        codes.astype(np.uint8).reshape(coded.rows, coded.row_codes), gaps[: beats - 1], int(result[TAIL]),
        int(result[RUNS]), int(result[VALUES]), Position(tuple(state.tolist()), left),
    )  # fmt: skip
