"""Timing of the compute unit whose outputs stay in the array (`dataflow` os): a closed form over units of words.

A *unit* is a block of up to R pixels under one kernel position and channel group. Its words are read in U =
`accel.latency.unit_cycles`, and pass the array as R columns in the next U while those of the unit after it are read. So
for a command with B = ceil(T / R) blocks of pixels there are n = B x n tiles x groups x kernel units:

    pop         p   = max(pushed + 1, waits, q of the command before)           (the last one not for a configuration)
    feeder      q   = max(p + 1, last cycle of the last unit before)            command taken from the slot
    units       t_1 = q + 1, t_j = t_{j-1} + U                                  address of the first word
    done        e   = last cycle of the last unit + compute_cycles(design) + pixels of the last block - 1

Sums are written while the next tile's are made: R cycles of each tile's U or more, so they never wait.
"""

from __future__ import annotations

from accel.layout import packed_words
from accel.rows import COMPUTE as ROW
from accel.timing.compute import (
    ACC_READS,
    ACC_WRITES,
    ACT_READS,
    CODEBOOK_READS,
    MACS,
    MACS_GATED,
    STREAM_CYCLES,
    WEIGHT_READS,
    blocks_of,
    macs_of,
    tile_cycles,
    words_inside,
)
from accel.timing.kernel import Ints, MutableInts, part
from accel.timing.machine import PIXELS, TILES, Machine
from accel.timing.state import BUSY, COMPLETE, FINISHED, ISSUED, POPPED, SLOT


@part
def drain_cycles(m: Machine, pixels: int) -> int:
    """From the last cycle of a command's last unit to its end, if it has so many pixels."""
    return m.compute_latency + (pixels - 1) % m.rows


@part
def outputs_events(m: Machine, rows: Ints, r: int, c: int, facts: Ints, f: int, events: MutableInts, e: int) -> int:
    """Add what a COMPUTE counts to the counters that begin at `e`: weights are read again for each block of pixels."""
    tiles, pixels, n_tiles = facts[f + TILES], facts[f + PIXELS], rows[r + ROW.n_tiles]
    blocks, macs = blocks_of(m, pixels), macs_of(m, rows, r, c, pixels)
    columns = blocks * tiles * m.rows
    events[e + ACT_READS] += words_inside(rows, r, c) * n_tiles * rows[r + ROW.groups]
    events[e + WEIGHT_READS] += blocks * packed_words(tiles * m.rows, rows[r + ROW.weight_bits], m.weight_lane_bits)
    events[e + CODEBOOK_READS] += columns * m.cols if rows[r + ROW.use_codebook] else 0
    events[e + ACC_READS] += n_tiles * pixels if rows[r + ROW.accumulate] else 0
    events[e + ACC_WRITES] += n_tiles * pixels
    events[e + MACS] += macs
    events[e + MACS_GATED] += columns * m.rows * m.cols - macs
    events[e + STREAM_CYCLES] += columns
    return 0


@part
def outputs_step(
    m: Machine, state: MutableInts, facts: Ints, f: int, pushed: int, ready: int, out: MutableInts, o: int
) -> int:
    """Time one COMPUTE; arguments as for `accel.timing.compute.compute_step`."""
    pixels = facts[f + PIXELS]
    busy = facts[f + TILES] * tile_cycles(m, pixels)
    pop = max(pushed + 1, ready, state[SLOT])
    state[SLOT] = max(pop + 1, state[FINISHED])
    state[FINISHED] = state[SLOT] + busy
    out[o + POPPED], out[o + ISSUED] = pop, state[SLOT]
    out[o + COMPLETE], out[o + BUSY] = state[FINISHED] + drain_cycles(m, pixels), busy
    return pop
