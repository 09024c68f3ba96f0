"""Latencies that the hardware has and the simulator counts on: the only place where they are written.

A latency is that of a pipeline: named stages with the cycles, that is the registers, of each. `rtl` makes its pipelines
of the same stages: it delays what travels beside the data by them, and where a stage may be deeper it has that many
registers. `accel.timing` adds them up. Those that depend on the design are functions of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from accel.design import Design


class Stage(NamedTuple):
    """A step of a pipeline and the registers that data pass in it."""

    name: str
    cycles: int = 1


Pipeline = tuple[Stage, ...]


def cycles(pipeline: Iterable[Stage]) -> int:
    """From the first stage's input to the last one's output."""
    return sum(stage.cycles for stage in pipeline)


def until(pipeline: Pipeline, name: str) -> int:
    """From the first stage's input to the output of the stage `name`. Raises ValueError if there is none."""
    names = [stage.name for stage in pipeline]
    return cycles(pipeline[: names.index(name) + 1])


# Control

# Of a command in the program buffer; while one is checked and dispatched, the next is read and held.
SEQUENCER: Pipeline = (Stage("read"), Stage("hold"), Stage("check"), Stage("dispatch"))
SEQUENCER_INTERVAL = cycles(SEQUENCER[2:])  # from one dispatch to the next
FETCHED_CYCLES = cycles(SEQUENCER)  # from the write of a command into the program buffer to its dispatch
FIRST_PUSH_CYCLE = 1 + SEQUENCER_INTERVAL  # of the hardware's own fetch: the sequencer sees start in cycle 1
COMPLETE: Pipeline = (Stage("count"), Stage("compare"))  # from a command's completion to the cycle in which END sees it
COMPLETE_CYCLES = cycles(COMPLETE)
DONE: Pipeline = (Stage("ended"),)  # from the cycle in which END sees every command complete to that of done
DONE_CYCLES = cycles(DONE)

# Loader and storer

ADDRESS: Pipeline = (Stage("begin"), Stage("cut"), Stage("check"))  # from a command's pop to its first burst's address
ADDRESS_CYCLES = cycles(ADDRESS)
BACK: Pipeline = (Stage("queue"), Stage("wait"))  # from a LOAD's pop to the first cycle in which the back may take it
BACK_CYCLES = cycles(BACK)
STORE_PENDING = 4  # STORE commands that may wait for write responses


def store_pipeline(design: Design) -> Pipeline:
    """From a beat's last slot to the cycle in which it is offered."""
    return Stage("read", design.memory_stages), Stage("queue")


def store_read_cycles(design: Design) -> int:
    """From a beat's last slot to the cycle in which it is offered."""
    return cycles(store_pipeline(design))


def store_fifo_beats(design: Design) -> int:
    """Beats that the storer reads ahead: with fewer, places come back too late for a beat a cycle."""
    return store_read_cycles(design) + 1


ON_CHIP: Pipeline = (Stage("take"), Stage("read"), Stage("select"))  # of a core without DRAM: an address to its beat
ON_CHIP_CYCLES = cycles(ON_CHIP)

# The decoder of coded LOADs

DECODE: Pipeline = (Stage("look up"), Stage("gather"), Stage("pack"))  # from a step to the write of what it completes
DECODE_CYCLES = cycles(DECODE)

# The compute unit

ACC_READ: Pipeline = (Stage("read"), Stage("select"))  # of the word that sums at the array's exit are added to
ACCUMULATE: Pipeline = (Stage("add"),)  # from sums at the array's exit to the write of the accumulator
REUSE_CYCLES = cycles(ACC_READ) + cycles(ACCUMULATE) + 1  # from such a read to the earliest one of what is written then
MIN_TILE_CYCLES = 4  # an accumulator word is read again at the earliest this many cycles later
assert MIN_TILE_CYCLES >= REUSE_CYCLES


def feed_pipeline(design: Design) -> Pipeline:
    """From an activation's address to the array's edge."""
    return Stage("walk", design.memory_stages - 1), Stage("read", design.memory_stages), Stage("pad"), Stage("edge")


def weight_pipeline(design: Design) -> Pipeline:
    """From a weight row's issue to the array's edge, where it meets activations: as long as `feed_pipeline`."""
    return Stage("read", design.memory_stages), Stage("unpack"), Stage("decode", design.memory_stages)


def feed_cycles(design: Design) -> int:
    """From an activation's address, or a weight row's issue, to the array's edge."""
    return cycles(feed_pipeline(design))


def array_pipeline(design: Design) -> Pipeline:
    """From a pixel at the array's edge to its sums: the last row's skew, factors, product and sum, the last column.

    A product takes `multiplier_stages` registers in every row, and a sum goes down one row a cycle: so the depth of the
    multiplier counts once. Output-stationary, from the last terms of a tile at the edge to the sums of its first pixel,
    which is in the last row: when they are complete, the chain takes them.
    """
    return (
        Stage("skew", design.rows - 1),
        Stage("factors"),
        Stage("multiply", design.engine.multiplier_stages),
        Stage("add"),
        *((Stage("drain"),) if design.output_stationary else ()),
        Stage("columns", design.cols - 1),
    )


def compute_cycles(design: Design) -> int:
    """From a pixel's address to the write of its sum; of a sparse engine, from an entry's address.

    Output-stationary, from the last cycle of a tile's last unit (`unit_cycles`) to the write of its first pixel.
    """
    if design.is_sparse:
        return cycles(entry_pipeline(design))
    turn = (Stage("turn", design.rows),) if design.output_stationary else ()
    return cycles((*feed_pipeline(design), *turn, *array_pipeline(design), *ACCUMULATE))


def unit_cycles(design: Design) -> int:
    """Cycles of a unit, R pixels under one kernel position and channel group, in an output-stationary array.

    In so many its words are read; in the next ones they are turned, and pass the array as columns while those of the
    unit after it are read. A sum that is written comes no sooner to be read again.
    """
    return max(design.rows, MIN_TILE_CYCLES)


# The sparse engine

TRANSPOSERS = 2  # blocks of words that are turned into columns: one is broadcast, the other filled
BROADCAST: Pipeline = (Stage("point"), Stage("queue"))  # from a broadcast to the cycle in which a PE may take it
BROADCAST_CYCLES = cycles(BROADCAST)


def transpose_pipeline(design: Design) -> Pipeline:
    """From a word's address to its place among the columns of a block."""
    return Stage("read", design.memory_stages), Stage("turn")


def entry_pipeline(design: Design) -> Pipeline:
    """From an entry's address to the write of its sums. These are read while it is multiplied, in two cycles at least:
    "select" is what one register of a multiplier lacks.
    """
    stages = design.engine.multiplier_stages
    return (
        Stage("read"),
        Stage("decode", design.memory_stages),
        Stage("multiply", stages),
        Stage("select", max(0, cycles(ACC_READ) - stages)),
        Stage("add"),
    )


# The post-process


def requantise_pipeline(design: Design) -> Pipeline:
    """One lane of requantisation, from a sum to its code."""
    return (
        Stage("bias"),
        Stage("multiply", design.post_multiplier_stages),
        *(Stage(name) for name in ("align", "scale", "add", "clip")),
    )


def post_pipeline(design: Design) -> Pipeline:
    """From the walk's cycle of a window's last element to the write of the output."""
    reads = Stage("read", design.memory_stages)
    return Stage("address"), reads, Stage("select"), Stage("reduce"), *requantise_pipeline(design)


def filter_pipeline(design: Design) -> Pipeline:
    """Of a weighted window: what its sums take longer to come to the reduction than an element."""
    return Stage("window"), Stage("multiply", design.post_multiplier_stages), Stage("add")


def filter_cycles(design: Design) -> int:
    """So many cycles after its last pixel a POST with `filter` is through with the line buffer."""
    return cycles(filter_pipeline(design))


def least_line(design: Design) -> int:
    """Columns that pass at least in a row: a chunk's records must be there before the next one's are read."""
    return filter_cycles(design)


def post_cycles(design: Design) -> int:
    """From a window's last element to the write of the output."""
    return cycles(post_pipeline(design))


def product_pipeline(design: Design) -> Pipeline:
    """What a configuration that multiplies two operands has more: their product, before that with the multiplier."""
    return (Stage("operands", design.post_multiplier_stages),)


def table_pipeline(design: Design) -> Pipeline:
    """Behind that pipeline, of a configuration with a table."""
    return (Stage("look up", design.memory_stages),)


def table_cycles(design: Design) -> int:
    """From a code to its entry in a table."""
    return cycles(table_pipeline(design))


def output_cycles(design: Design, table: int, multiply: int) -> int:
    """From an output's read of its operand to its write, by a configuration with a table or that multiplies (0, 1)."""
    return post_cycles(design) + table_cycles(design) * table + cycles(product_pipeline(design)) * multiply
