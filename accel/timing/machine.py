"""The numbers that the recurrence works on: what a duration depends on, of the design and of each command.

*Facts* of a command are all that its unit's time depends on. They are a row of `FACTS` numbers: its opcode, and then

    LOAD       FIRST_BEAT, ROW_BEATS, ROWS, PITCH_BEATS   where its beats lie, so where its bursts end
               GAP                                        cycles in which a beat is unpacked
               FETCH_BEATS                                beats of a command if it fetches commands, else 0
               GAPS                                       coded: where its gaps begin in the table of gaps, else 0
               RUNS, VALUES, LISTED                       coded: symbols decoded, and entries if the engine is sparse
               TALL, APART                                window: rows of one, and from one to the next; else 0
               WORDS, RUN, STEP, SKIP, PARTS              window: words of a row, and the bytes of each
    COMPUTE    TILES, PIXELS                              weight tiles, and pixels that stream through each (os: meet)
    POST       ELEMENTS                                   window elements, and cycles of operands that need one
               BEHIND                                     cycles from the last element to its output's write
               of a sparse engine: DURATION, ENTRIES, BROADCASTS, SKIPPED, PRODUCTS, WORKED   see `accel.timing.sparse`
    STORE      BEATS, BURSTS
    others     nothing

`accel.timing.facts.facts_of` makes them of a command and the configuration in force. What a coded LOAD takes depends on
the bits of its stream: the compiler knows it when it has encoded them, the simulator when it has decoded them, and both
put it beside the others (`accel.timing.coded`). The *table of gaps* is one flat sequence: from place GAPS of a LOAD on,
for each of its beats the cycles from its first beat to that one, when the memory has every beat ready. Place 0 is 0.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from accel import memories
from accel.commands import Target
from accel.design import Design
from accel.latency import (
    ADDRESS_CYCLES,
    BACK_CYCLES,
    COMPLETE_CYCLES,
    DONE_CYCLES,
    FETCHED_CYCLES,
    FIRST_PUSH_CYCLE,
    MIN_TILE_CYCLES,
    SEQUENCER_INTERVAL,
    STORE_PENDING,
    compute_cycles,
    cycles,
    filter_cycles,
    post_cycles,
    product_pipeline,
    store_read_cycles,
    table_cycles,
    unit_cycles,
)
from accel.layout import in_beats
from accel.memories import WEIGHT
from accel.records import filter_passes

FACTS = 18
FIRST_BEAT, ROW_BEATS, ROWS, PITCH_BEATS, GAP, FETCH_BEATS, GAPS, RUNS, VALUES, LISTED = range(1, 11)
TALL, APART, WORDS, RUN, STEP, SKIP, PARTS = range(11, FACTS)
TILES, PIXELS = 1, 2
DURATION, ENTRIES, BROADCASTS, SKIPPED, PRODUCTS, WORKED = 1, 2, 3, 4, 5, 6
ELEMENTS, BEHIND = 1, 2
BEATS, BURSTS = 1, 2


class Machine(NamedTuple):
    """A design as the recurrence sees it. `words_per_beat` and `beats_per_word` by LOAD target."""

    rows: int
    word_lanes: int
    cols: int
    weight_rows: int
    fill_cycles: int
    weight_lane_bits: int
    two_of_four: int
    lanes: int
    beat_bytes: int
    words_per_beat: tuple[int, ...]
    beats_per_word: tuple[int, ...]
    latency: int
    interval: int
    burst: int
    outstanding: int
    queue_depth: int
    dispatch_interval: int
    fetched_cycles: int
    first_push: int
    complete_cycles: int
    done_cycles: int
    address_cycles: int
    back_cycles: int
    loader_ahead: int
    min_tile: int
    compute_latency: int
    post_cycles: int
    product_cycles: int
    table_cycles: int
    filter_cycles: int
    filter_line: int
    filter_passes: int  # cycles of a weighted window of 3 x 3
    store_read: int
    store_pending: int
    outputs: int  # 1 if they are what stays in the array
    unit_cycles: int
    sparse: int  # 1 if the engine is
    queue: int  # its depth F
    pointers: int
    entry_bits: int
    read_busy: int = 0  # when the run, or an image of it, begins

    @classmethod
    @lru_cache(4)
    def of(cls, design: Design) -> Machine:
        """The numbers of a design."""
        memory, in_beat = design.memory, [in_beats(design, target) for target in Target]
        return cls(
            rows=design.rows,
            word_lanes=design.word_lanes,
            cols=design.cols,
            weight_rows=design.weight_rows,
            fill_cycles=design.fill_cycles,
            weight_lane_bits=WEIGHT.lane_bits(design),
            two_of_four=int(design.two_of_four),
            lanes=design.lanes,
            beat_bytes=design.beat_bytes,
            words_per_beat=tuple(words for words, _ in in_beat),
            beats_per_word=tuple(beats for _, beats in in_beat),
            latency=memory.latency_cycles,
            interval=memory.beat_interval_cycles,
            burst=memory.burst_beats,
            outstanding=memory.outstanding_bursts,
            queue_depth=design.buffers.queue_commands,
            dispatch_interval=SEQUENCER_INTERVAL,
            fetched_cycles=FETCHED_CYCLES,
            first_push=FIRST_PUSH_CYCLE,
            complete_cycles=COMPLETE_CYCLES,
            done_cycles=DONE_CYCLES,
            address_cycles=ADDRESS_CYCLES,
            back_cycles=BACK_CYCLES,
            loader_ahead=design.buffers.queue_commands,
            min_tile=MIN_TILE_CYCLES,
            compute_latency=compute_cycles(design),
            post_cycles=post_cycles(design),
            product_cycles=cycles(product_pipeline(design)),
            table_cycles=table_cycles(design),
            filter_cycles=filter_cycles(design),
            filter_line=design.filter_line,
            filter_passes=filter_passes(design.filter_multipliers, 1) if design.filter_multipliers else 0,
            store_read=store_read_cycles(design),
            store_pending=STORE_PENDING,
            outputs=int(design.output_stationary),
            unit_cycles=unit_cycles(design),
            sparse=int(design.is_sparse),
            queue=design.engine.queue_depth if design.engine.kind == "sparse" else 0,
            pointers=memories.POINTER.words(design),
            entry_bits=memories.entry_bits(design),
        )
