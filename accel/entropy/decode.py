"""The decoder of coded LOADs: the bits of a stream to codes, step by step as the hardware does it.

`docs/formats.md` ("Coded weights") has the rules. `play` is a part of the kernel (`accel.timing.kernel`): ordinary
Python, or the same text compiled.
"""

from __future__ import annotations

from dataclasses import dataclass
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
from accel.models.encode.bitstream import DamagedStream
from accel.timing.kernel import Ints, MutableInts, call, part


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


@part
def play(
    s: Setup, chunks: Ints, runs: Ints, values: Ints, state: MutableInts, codes: MutableInts, gaps: MutableInts,
    result: MutableInts,
) -> int:  # fmt: skip
    """Decode one LOAD; 0, or the number of a problem.

    `state`: of each reader (run, value of lane 0, run, ...) its bits and how many they are and how many it has used,
    then of each lane the zeros and the values to come. `gaps`: of each beat, cycles until the next can be taken.
    """
    lanes = s.lanes
    held, used, zeros, more = 2 * lanes, 4 * lanes, 6 * lanes, 7 * lanes
    at, turns, result[HAVE] = 0, 1 + s.fresh + s.steps, s.level
    if s.level > DISPATCHED_BEATS * s.per_beat:  # there is no room for the first beat
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
        if take_beats(s.per_beat, s.beats, at, wanted, gaps, result):
            result[LANE], result[BIT] = 0, state[used]
            return TRUNCATED
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
                    code = read_value(s, lane, values, state, result)
                    if code < 0:
                        return -code
                else:
                    state[zeros + lane] = z - 1
                if place >= 0:
                    codes[place + lane] = code
                if left == 1 and read_run(s, lane, runs, state, result):
                    return EMPTY
            if run_wanted:
                take_chunk(lanes, run, chunks[at], state)
                at += 1
            if value_wanted:
                take_chunk(lanes, value, chunks[at], state)
                at += 1
    if ended(s.beats, at, result):
        result[LANE], result[BIT] = 0, state[used]
        return LONG
    return 0


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
    chunks = position.joined(data)
    state = np.array(position.state, np.int64)
    codes, gaps, result = np.zeros(steps * lanes, np.int64), np.zeros(beats, np.int64), np.zeros(RESULT, np.int64)
    work = steps * lanes // STEPS_A_COMMAND
    error = call(play, work, (setup, chunks, runs.entries, values.entries), (state, codes, gaps, result))
    if error:
        raise DamagedStream(layer, int(result[LANE]), int(result[BIT]), PROBLEMS[error])
    return Decoded(
        codes.astype(np.uint8).reshape(coded.rows, coded.row_codes), gaps[: beats - 1], int(result[TAIL]),
        int(result[RUNS]), int(result[VALUES]), Position.behind(state, chunks, result),
    )  # fmt: skip
