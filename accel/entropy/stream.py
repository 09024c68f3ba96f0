"""What decoders of coded LOADs have in common: readers, beats that come as they are wanted, and where a stream stands.

The functions are parts of the kernel (`accel.timing.kernel`). `state`: of each reader (run, value of lane 0, run, ...)
its bits and how many they are and how many it has used, then of each lane the zeros and the values to come.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from accel.entropy.tables import RUN_SYMBOLS, VALUE_SYMBOLS, Lookup, lookup
from accel.models.encode.bitstream import DamagedStream
from accel.timing.kernel import Ints, MutableInts, part

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


class Codes(Protocol):
    """What the readers of a coded LOAD know: see `accel.entropy.decode.Setup`."""

    @property
    def lanes(self) -> int:
        """Lanes."""

    @property
    def literal(self) -> int:
        """What the bytes of runs say."""

    @property
    def code_bits(self) -> int:
        """Bits of a code."""

    @property
    def run_bits(self) -> int:
        """Bits of the longest code word of a run."""

    @property
    def value_bits(self) -> int:
        """Bits of the longest code word of a value."""


RESULT = 11
TAIL, TAKEN, RUNS, VALUES, LANE, BIT, HAVE, BEATS, ACCEPTED, PURE, CYCLE = range(RESULT)


@part
def take_beats(per_beat: int, most_beats: int, at: int, wanted: int, gaps: MutableInts, result: MutableInts) -> int:
    """The cycles of a turn that takes `wanted` chunks behind the first `at`, and beats when they come; 0 or TRUNCATED.

    `result`: chunks that are there, beats that came, the cycle of the last and whether it only filled, cycles so far.
    """
    most, given, until = DISPATCHED_BEATS * per_beat, at, at + wanted
    have, beats, accepted, pure, cycle = result[HAVE], result[BEATS], result[ACCEPTED], result[PURE], result[CYCLE]
    while True:
        given = min(given + most, until)
        while given > have or (beats < most_beats and (beats == 0 or have - given < per_beat)):
            if beats == most_beats:
                return TRUNCATED
            pure = 1 if given > have else 0
            if beats > 0:
                gaps[beats - 1] = max(1, cycle - accepted)
            accepted = cycle
            have += per_beat
            beats += 1
            if pure == 0:
                break
        cycle += 1
        if given == until:
            break
    result[HAVE], result[BEATS], result[ACCEPTED], result[PURE], result[CYCLE] = have, beats, accepted, pure, cycle
    return 0


@part
def take_chunk(lanes: int, reader: int, chunk: int, state: MutableInts) -> int:
    """A chunk comes in behind the bits that a reader holds."""
    state[reader] |= chunk << state[2 * lanes + reader]
    state[2 * lanes + reader] += CHUNK_BITS
    return 0


@part
def use_bits(lanes: int, reader: int, length: int, state: MutableInts) -> int:
    """A reader has used so many bits."""
    state[reader] >>= length
    state[2 * lanes + reader] -= length
    state[4 * lanes + reader] += length
    return 0


@part
def read_value(s: Codes, lane: int, values: Ints, state: MutableInts, result: MutableInts) -> int:
    """The next value of a lane, or -WIDE."""
    lanes, reader = s.lanes, 2 * lane + 1
    entry = values[state[reader] & (1 << s.value_bits) - 1]
    code = entry >> 4
    if code >> s.code_bits:
        result[LANE], result[BIT] = lane, state[4 * lanes + reader]
        return -WIDE
    use_bits(lanes, reader, entry & 15, state)
    state[7 * lanes + lane] -= 1
    result[VALUES] += 1
    return code


@part
def read_run(s: Codes, lane: int, runs: Ints, state: MutableInts, result: MutableInts) -> int:
    """The next run of a lane: the zeros and values that it says are those to come. 0, or -EMPTY."""
    lanes, reader = s.lanes, 2 * lane
    entry = runs[state[reader] & (1 << s.run_bits) - 1]
    byte = entry >> 4
    count = byte & MOST_RUN
    if count == 0 and (byte >= NO_VALUE or s.literal):
        result[LANE], result[BIT] = lane, state[4 * lanes + reader]
        return -EMPTY
    use_bits(lanes, reader, entry & 15, state)
    state[6 * lanes + lane] = 0 if s.literal and byte < NO_VALUE else count
    state[7 * lanes + lane] = 0 if byte >= NO_VALUE else (count if s.literal else 1)
    result[RUNS] += 1
    return 0


@part
def ended(most_beats: int, at: int, result: MutableInts) -> int:
    """All turns are over, and `at` chunks are taken; 0, or LONG if beats are left."""
    if result[BEATS] < most_beats:
        return LONG
    result[TAKEN] = at
    result[TAIL] = result[CYCLE] - 1 - result[ACCEPTED] + result[PURE]
    return 0


@dataclass(frozen=True)
class Position:
    """Where a stream stands between two LOADs: `state`, and the chunks that nobody has taken."""

    state: tuple[int, ...]
    chunks: tuple[int, ...]

    @classmethod
    def start(cls, lanes: int, zeros: int = 1) -> Position:
        """Before the first bit: as if a zero were to come, which is dropped; of lists of entries none."""
        return cls((0,) * (6 * lanes) + (zeros,) * lanes + (0,) * lanes, ())

    def joined(self, data: bytes) -> NDArray[np.int64]:
        """All chunks: those that nobody has taken, then those of the beats `data`."""
        return np.concatenate([np.array(self.chunks, np.int64), np.frombuffer(data, "<u2").astype(np.int64)])

    @classmethod
    def behind(cls, state: NDArray[np.int64], chunks: NDArray[np.int64], result: NDArray[np.int64]) -> Position:
        """After a LOAD whose kernel left `state` and `result`, of all its `chunks`."""
        return cls(tuple(state.tolist()), tuple(chunks[int(result[TAKEN]) :].tolist()))


def tables_of(tables: tuple[bytes, bytes], layer: str) -> tuple[Lookup, Lookup]:
    """The run and the value table as the decoder sees them. Raises DamagedStream if one is not good."""
    runs, values = lookup(tables[0], RUN_SYMBOLS), lookup(tables[1], VALUE_SYMBOLS)
    if runs is None or values is None:
        raise DamagedStream(layer, 0, 0, f"the code table of {'runs' if runs is None else 'values'} must be complete")
    return runs, values
