"""The encoder: blocks of codes to one stream, played by the decoder's rules without playing it.

Which reader takes a chunk of the stream before which step follows from how many bits it has used until then, so all
chunks of all readers are found at once. See `docs/formats.md` ("Coded weights").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from accel.entropy.runs import LEAST_ZEROS, LONGEST_RUNS, Entries, gaps_of, literal_entries, sparse_entries
from accel.entropy.stream import CHUNK_BITS, DISPATCHED_BEATS
from accel.entropy.tables import RUN_SYMBOLS, VALUE_SYMBOLS, Code, make_code


@dataclass(frozen=True)
class Block:
    """One LOAD: `data` in whole beats; the others as in `accel.entropy.decode.Decoded`."""

    data: NDArray[np.uint8]
    gaps: NDArray[np.int64]
    tail: int
    runs: int
    values: int
    entries: int = 0


@dataclass(frozen=True)
class Encoded:
    """Streams of one layer, each a list of blocks, and their tables. `literal` as in the LOADs."""

    streams: list[list[Block]]
    tables: tuple[bytes, bytes]
    literal: bool

    @property
    def bytes(self) -> int:
        """Of streams and tables."""
        return sum(len(b.data) for blocks in self.streams for b in blocks) + sum(map(len, self.tables))


Codes = NDArray[np.uint8]
Counts = NDArray[np.int64]


def lanes_of(blocks: Sequence[Codes], lanes: int) -> Codes:
    """(L, steps) what each lane says of (rows, codes of a row) blocks: lane l has columns l, l + L, l + 2L of a row."""
    return np.ascontiguousarray(np.concatenate([block.reshape(-1, lanes) for block in blocks]).T)


def encode(streams: Sequence[Sequence[Codes]], lanes: int, beat_bytes: int, zero: int) -> Encoded | None:
    """The shortest of some ways to write streams of blocks of codes, whose zero is `zero`.

    The streams share their tables. None if these have not enough places, or a block of a stream is so short that the
    beats of the one before bring it as well.
    """
    sequences = [lanes_of(blocks, lanes) for blocks in streams]
    share = sum(int((s == zero).sum()) for s in sequences) / sum(s.size for s in sequences)
    ways = [*(-least for least in LEAST_ZEROS if share < 0.6), *(longest for longest in LONGEST_RUNS if share > 0.1)]
    best = best_of([(s, s == zero) for s in sequences], ways)
    if best is None:
        return None
    longest, entries, runs, values = best
    made = []
    for e, s, blocks in zip(entries, sequences, streams, strict=True):
        stream = _stream(e, s.shape, [len(b) * b.shape[1] // lanes for b in blocks], runs, values, beat_bytes)
        if stream is None:
            return None
        made.append(stream)
    return Encoded(made, (runs.table, values.table), longest < 0)


class Way(NamedTuple):
    """Entries of each sequence and their codes; `longest` as in `best_of`."""

    longest: int
    entries: list[Entries]
    runs: Code
    values: Code


def best_of(sequences: Sequence[tuple[Codes, NDArray[np.bool_]]], ways: Sequence[int]) -> Way | None:
    """The shortest way to write (L, n) codes, of which some are zeros; None if the tables have too few places.

    A way is the longest run of zeros before a value, or less than 0: values in runs, and how many zeros are one.
    """
    shortest: tuple[int, int, Counts, Counts] | None = None
    gaps = [gaps_of(zero) for _, zero in sequences]
    literal = {way: [literal_entries(s, zero, -way) for s, zero in sequences] for way in ways if way < 0}
    sparse_values = _counts([s[~zero] for s, zero in sequences])
    for way in ways:
        run_counts = (
            _counts([e.bytes for e in literal[way]]) if way < 0 else np.sum([g.runs(way) for g in gaps], axis=0)
        )
        value_counts = _counts([e.values for e in literal[way]]) if way < 0 else sparse_values
        if (run_counts > 0).sum() > RUN_SYMBOLS or (value_counts > 0).sum() > VALUE_SYMBOLS:
            continue
        runs, values = _code(run_counts), _code(value_counts)
        bits = int((runs.lengths * run_counts).sum() + (values.lengths * value_counts).sum())
        bits += 8 * (len(runs.table) + len(values.table))
        if shortest is None or bits < shortest[0]:
            shortest = bits, way, run_counts, value_counts
    if shortest is None:
        return None
    _, way, run_counts, value_counts = shortest
    ends = sum(len(s) for s, _ in sequences)  # of strings of run words, and of value words
    runs, values = _short(run_counts, ends), _short(value_counts, ends)
    entries = literal.get(way) or [sparse_entries(s, g, way) for (s, _), g in zip(sequences, gaps, strict=True)]
    return Way(way, entries, runs, values)


def _short(counts: Counts, ends: int) -> Code:
    """The code with which words and what readers hold at so many ends, about the longest word, are shortest."""
    best = _code(counts)
    least = max(1, int((counts > 0).sum() - 1).bit_length())

    def bits(code: Code) -> int:
        return int((code.lengths * counts).sum()) + ends * code.longest

    for limit in range(best.longest - 1, least - 1, -1):
        shorter = make_code(counts, limit)
        if bits(shorter) >= bits(best):
            break
        best = shorter
    return best


def _code(counts: Counts) -> Code:
    return _made_code(counts.tobytes())


@lru_cache(64)
def _made_code(counts: bytes) -> Code:
    """Values are often the same whatever the runs are."""
    return make_code(np.frombuffer(counts, np.int64))


def _stream(
    e: Entries, shape: tuple[int, ...], sizes: list[int], runs: Code, values: Code, beat_bytes: int
) -> list[Block] | None:
    """One stream of blocks of so many steps; None if there is a block that needs no beat of its own.

    Step s + 1 emits place s of each lane, step 0 what is dropped.
    """
    lanes, count = shape
    firsts = np.concatenate([[0], np.cumsum(sizes)])  # place where each block begins
    first_steps = np.concatenate([[0], firsts[1:-1] + 1])
    # A turn before the first step of each block fills the readers.
    fills = first_steps + np.arange(len(sizes))

    def turns(steps: NDArray[np.int64]) -> NDArray[np.int64]:
        return steps + np.searchsorted(first_steps, steps, side="right")

    is_last = np.zeros(count + 2, bool)
    is_last[firsts[1:]] = True
    is_first = np.zeros(count + 2, bool)
    is_first[first_steps] = True

    run_lengths, value_lengths = runs.lengths[e.bytes], values.lengths[e.values]
    value_lanes, value_steps = e.places // count, e.places % count + 1
    run_used = bits_before(run_lengths, e.lanes, lanes)
    value_used = bits_before(value_lengths, value_lanes, lanes)
    base = np.append(np.cumsum(value_lengths) - value_lengths, value_lengths.sum())
    lane_base = base[np.searchsorted(value_lanes, np.arange(lanes))]
    used_by_entry = base[e.before] - lane_base[e.lanes]  # bits of values before each entry

    # Demands: reader, step (or the turn that fills before it), bits that it must have got by then.
    demands: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]] = []

    def demand(readers: NDArray[np.int64], steps: NDArray[np.int64], bits: NDArray[np.int64]) -> None:
        """In the turn of a step, unless it is its block's last."""
        kept = ~is_last[steps]
        demands.append((readers[kept], turns(steps[kept]), bits[kept]))

    def fill(readers: NDArray[np.int64], steps: NDArray[np.int64], bits: NDArray[np.int64]) -> None:
        """Before a block's first step."""
        kept = is_first[steps]
        demands.append((readers[kept], turns(steps[kept]) - 1, bits[kept]))

    run_readers, value_readers = 2 * e.lanes, 2 * value_lanes + 1
    demand(run_readers, e.starts, run_used + 2 * runs.longest)
    fill(run_readers, e.starts, run_used + runs.longest)
    longer = np.append(False, (e.lanes[1:] == e.lanes[:-1]) & (np.diff(e.starts) > 1))
    demand(run_readers[longer], e.starts[longer] - 1, run_used[longer] + runs.longest)
    demand(value_readers, value_steps, value_used + 2 * values.longest)
    fill(value_readers, value_steps, value_used + values.longest)
    alone = (np.diff(e.places, prepend=-2) > 1) | (np.diff(value_lanes, prepend=-1) > 0)
    demand(value_readers[alone], value_steps[alone] - 1, value_used[alone] + values.longest)
    # An entry that follows zeros only may begin with a value.
    after_zeros = np.append(True, (e.lanes[1:] != e.lanes[:-1]) | (e.before[1:] == e.before[:-1]))
    demand(2 * e.lanes[after_zeros] + 1, e.starts[after_zeros], used_by_entry[after_zeros] + values.longest)

    readers, at, bits = (np.concatenate(parts) for parts in zip(*demands, strict=True))
    rounds = count + 1 + len(sizes)
    order = np.argsort(readers * rounds + at, kind="stable")
    readers, at, bits = readers[order], at[order], bits[order]
    chunks = -(-bits // CHUNK_BITS)
    apart = int(chunks.max(initial=0)) + 1
    chunks = np.maximum.accumulate(chunks + readers * apart) - readers * apart
    before = np.append(0, chunks[:-1])
    before[np.append(True, readers[1:] != readers[:-1])] = 0
    takes = chunks > before
    taker, when, number = readers[takes], at[takes], before[takes]
    totals = np.bincount(taker, minlength=2 * lanes)
    offsets = np.cumsum(totals) - totals
    words = packed(
        np.concatenate([runs.words[e.bytes], values.words[e.values]]),
        np.concatenate([run_lengths, value_lengths]),
        np.concatenate(
            [CHUNK_BITS * offsets[run_readers] + run_used, CHUNK_BITS * offsets[value_readers] + value_used]
        ),
        int(totals.sum()),
    )
    in_stream = np.argsort(when * (2 * lanes) + taker, kind="stable")
    chunks_in_order = words[(offsets[taker] + number)[in_stream]]
    # A turn takes several cycles if more readers want a chunk than get one in a cycle.
    per_beat = beat_bytes * 8 // CHUNK_BITS
    wanted = np.bincount(when, minlength=rounds)
    cycles = np.maximum(1, -(-wanted // (DISPATCHED_BEATS * per_beat)))
    end_cycles = np.cumsum(cycles)
    turn = np.repeat(np.arange(rounds), cycles)
    within = np.arange(len(turn)) - (end_cycles - cycles)[turn]
    given = np.minimum((within + 1) * DISPATCHED_BEATS * per_beat, wanted[turn]) + (np.cumsum(wanted) - wanted)[turn]
    run_turns, value_turns = turns(e.starts), turns(value_steps)
    found, have = [], 0
    for first_turn, end_turn in zip(fills.tolist(), np.append(fills[1:], rounds).tolist(), strict=True):
        first, end = int(end_cycles[first_turn] - cycles[first_turn]), int(end_cycles[end_turn - 1])
        need = -(-(given[first:end] - have) // per_beat)
        beats = int(need[-1])
        if beats < 1:
            return None
        accepted = np.minimum(beats, np.maximum(1, need + 1))
        accept = np.searchsorted(accepted, np.arange(1, beats + 1))
        pure = int(need[accept[-1]] >= beats)
        data = np.zeros(beats * per_beat, "<u2")
        piece = chunks_in_order[have : have + beats * per_beat]
        data[: len(piece)] = piece
        have += beats * per_beat
        inside = [int(((t >= first_turn) & (t < end_turn)).sum()) for t in (run_turns, value_turns)]
        tail = end - first - 1 - int(accept[-1]) + pure
        found.append(Block(data.view(np.uint8), np.maximum(1, np.diff(accept)), tail, *inside))
    return found


def _counts(symbols: Sequence[NDArray[Any]]) -> NDArray[np.int64]:
    """How often each byte occurs."""
    return np.bincount(np.concatenate(symbols), minlength=256)


def bits_before(lengths: NDArray[np.int64], owners: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """The sum of the lengths before each, of the same owner; `owners` ascend."""
    sums = np.append(0, np.cumsum(lengths))
    first = np.searchsorted(owners, np.arange(count))
    return sums[:-1] - sums[first][owners]


def packed(
    words: NDArray[np.int64], lengths: NDArray[np.int64], starts: NDArray[np.int64], chunks: int
) -> NDArray[np.uint16]:
    """Words of so many bits at their bit of a string of chunks."""
    place, shift = starts // CHUNK_BITS, starts % CHUNK_BITS
    shifted = words << shift
    low = np.bincount(place, shifted & 0xFFFF, chunks + 1)
    high = np.bincount(place + 1, shifted >> CHUNK_BITS, chunks + 2)
    return (low[:chunks] + high[:chunks]).astype(np.uint16)
