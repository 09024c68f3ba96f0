"""The encoder for a sparse engine: lists of entries to one stream, by playing the decoder's lanes without beats."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from accel.entropy.encode import Block, Encoded, Way, best_of, bits_before, packed
from accel.entropy.lists import CodedLists, decode_lists, order_lists
from accel.entropy.runs import LONGEST_RUNS, Entries
from accel.entropy.stream import CHUNK_BITS, RESULT, TAKEN, Position, tables_of
from accel.timing.kernel import call

WAYS = {False: LONGEST_RUNS, True: (-1,)}  # by `literal`


class Lists(NamedTuple):
    """The weights of a COMPUTE: (C, columns, tiles) codes, and which of them have an entry that is no filler.

    `words`: entries of the PE that has most.
    """

    codes: NDArray[np.uint8]
    present: NDArray[np.bool_]
    words: int

    def lanes(self, count: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """(L, n) what each lane says, and where it says zeros: lane l has column by column PE l, l + L, l + 2L, ..."""
        cols, columns, tiles = self.codes.shape

        def lane_by_lane(values: NDArray) -> NDArray:
            shaped = values.reshape(cols // count, count, columns, tiles).transpose(1, 2, 0, 3)
            return np.ascontiguousarray(shaped).reshape(count, -1)

        return lane_by_lane(self.codes), lane_by_lane(~self.present)


def encode_lists(streams: Sequence[Sequence[Lists]], first: CodedLists) -> Encoded | None:
    """Streams of blocks with tables in common. `first`: what the LOADs of all blocks have alike, but the tables.

    None if these have not enough places, or a block is so short that the beats of the one before bring it as well.
    """
    sequences = []
    for blocks in streams:
        codes, zeros = zip(*(block.lanes(first.lanes) for block in blocks), strict=True)
        sequences.append((np.concatenate(codes, axis=1), np.concatenate(zeros, axis=1)))
    way = best_of(sequences, WAYS[first.literal])
    if way is None:
        return None
    made, tables = [], (way.runs.table, way.values.table)
    for number, blocks in enumerate(streams):
        stream = _stream(way, number, blocks, first._replace(tables=tables))
        if stream is None:
            return None
        made.append(stream)
    return Encoded(made, tables, first.literal)


def _stream(way: Way, number: int, blocks: Sequence[Lists], first: CodedLists) -> list[Block] | None:
    """The blocks of one stream; None if one needs no beat of its own."""
    coded = [first._replace(columns=b.codes.shape[1], tiles=b.codes.shape[2], words=b.words) for b in blocks]
    count = sum(b.codes.size for b in blocks) // first.lanes
    sources, ends = _sources(way, way.entries[number], first.lanes, count)
    runs, values = tables_of(first.tables, "")
    state = np.array(Position.start(first.lanes, 0).state, np.int64)
    taken, result = np.zeros(2 * first.lanes, np.int64), np.zeros(RESULT, np.int64)
    order = np.zeros(len(sources) + 4 * 2 * first.lanes, np.int64)
    until = []
    for c in coded:
        inputs = (c.setup(runs, values, 0, 0), sources, ends, runs.entries, values.entries)
        error = call(order_lists, c.work, inputs, (state, *c.begin(), taken, order, result))
        assert error == 0, error
        until.append(int(result[TAKEN]))
    per_beat, found, have, position = first.beat_bytes * 8 // CHUNK_BITS, [], 0, Position.start(first.lanes, 0)
    stream = np.zeros(-(-until[-1] // per_beat) * per_beat, "<u2")
    stream[: until[-1]] = order[: until[-1]]
    for c, end in zip(coded, until, strict=True):
        beats = -(-(end - have) // per_beat)
        if beats < 1:
            return None
        data = stream[have : have + beats * per_beat].view(np.uint8)
        d = decode_lists(c, data.tobytes(), position)
        found.append(Block(data, d.gaps, d.tail, d.runs, d.values, d.entries))
        have, position = have + beats * per_beat, d.position
    return found


def _sources(way: Way, e: Entries, lanes: int, count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The chunks of each reader, one reader after the other, and where each reader's begin (readers + 1).

    `count`: codes of a lane.
    """
    run_lengths, value_lengths = way.runs.lengths[e.bytes], way.values.lengths[e.values]
    value_lanes = e.places // count
    readers = np.concatenate([2 * e.lanes, 2 * value_lanes + 1])
    lengths = np.concatenate([run_lengths, value_lengths])
    used = np.concatenate([bits_before(run_lengths, e.lanes, lanes), bits_before(value_lengths, value_lanes, lanes)])
    sizes = -(-np.bincount(readers, lengths, 2 * lanes).astype(np.int64) // CHUNK_BITS)
    ends = np.append(0, np.cumsum(sizes))
    words = np.concatenate([way.runs.words[e.bytes], way.values.words[e.values]])
    chunks = packed(words, lengths, CHUNK_BITS * ends[readers] + used, int(ends[-1]))
    return chunks.astype(np.int64), ends
