"""Timing of the compute unit: a closed form over the tiles of a command.

For T pixels a tile, with `beside` and a word more in each row, N tiles (n tiles x groups x kernel), Q = R / w cycles in
which a tile's weights enter, S = max(T, Q, MIN_TILE_CYCLES):

    pop         p   = max(pushed + 1, waits, q of the command before,
                          last weight row of the command before)                (not for a configuration)
    weights     s_1 = max(p + 1, start of the last tile before)                 first row of the first tile issued
    feeder      q   = max(p + 1, last pixel of the command before)              command taken from the slot
    first tile  t_1 = max(q + 1, s_1 + Q, start of the last tile before + MIN_TILE_CYCLES)
    later       s_j = t_{j-1} or later (a tile's rows take Q cycles), t_j = t_{j-1} + S
    done        e   = last pixel + compute_cycles(design)
"""

from __future__ import annotations

from accel.events import COLUMN, Event
from accel.layout import packed_words
from accel.rows import COMPUTE as ROW
from accel.rows import CONFIG_COMPUTE as CONFIG
from accel.structured import existing_rows
from accel.timing.kernel import Ints, MutableInts, part
from accel.timing.machine import PIXELS, TILES, Machine
from accel.timing.state import BUSY, COMPLETE, FINISHED, ISSUED, POPPED, SLOT, TILE, WEIGHTS

ACT_READS, WEIGHT_READS = COLUMN[Event.ACT_READS], COLUMN[Event.WEIGHT_READS]
CODEBOOK_READS, STREAM_CYCLES = COLUMN[Event.CODEBOOK_READS], COLUMN[Event.STREAM_CYCLES]
ACC_READS, ACC_WRITES = COLUMN[Event.ACC_READS], COLUMN[Event.ACC_WRITES]
MACS, MACS_GATED = COLUMN[Event.MACS], COLUMN[Event.MACS_GATED]


part(packed_words)
part(existing_rows)


@part
def blocks_of(m: Machine, pixels: int) -> int:
    """Blocks of R pixels."""
    return -(-pixels // m.rows)


@part
def tile_cycles(m: Machine, pixels: int) -> int:
    """Cycles from the start of one tile to that of the next; os: of all its pixels in a kernel position and group."""
    if m.outputs:
        return blocks_of(m, pixels) * m.unit_cycles
    return max(pixels, m.fill_cycles, m.min_tile)


@part
def inside_pairs(start: int, dilation: int, taps: int, stride: int, count: int, size: int) -> int:
    """How many (tap, output position) pairs of one dimension read inside 0..size-1."""
    total = 0
    for tap in range(taps):
        first = start + tap * dilation
        low = max(0, -(first // stride))
        high = min(count, -((first - size) // stride))
        total += max(0, high - low)
    return total


@part
def tiles_of_tap(m: Machine, structured: int) -> int:
    """Weight tiles of a channel group and kernel position: two halves of weights that are not 2:4 on 2:4 hardware."""
    return 2 if m.two_of_four and not structured else 1


@part
def tiles_of(m: Machine, n_tiles: int, groups: int, taps: int, structured: int) -> int:
    """Weight tiles of a COMPUTE with so many column tiles, channel groups and kernel positions."""
    return n_tiles * groups * taps * tiles_of_tap(m, structured)


@part
def code_bits(weight_bits: int, structured: int) -> int:
    """Bits of a weight's code, with its index."""
    return weight_bits + 2 * structured


@part
def words_inside(rows: Ints, r: int, c: int) -> int:
    """Words that a COMPUTE reads of a channel group: (kernel position, pixel) pairs that are no padding."""
    return inside_pairs(
        rows[r + ROW.iy0], rows[c + CONFIG.dilation_y], rows[c + CONFIG.kernel_h], rows[c + CONFIG.stride_y],
        rows[r + ROW.out_h], rows[c + CONFIG.in_h],
    ) * inside_pairs(
        rows[r + ROW.ix0], rows[c + CONFIG.dilation_x], rows[c + CONFIG.kernel_w], rows[c + CONFIG.stride_x],
        rows[r + ROW.out_w] + rows[c + CONFIG.beside], rows[c + CONFIG.in_w],
    )  # fmt: skip


@part
def compute_facts(m: Machine, rows: Ints, r: int, c: int, facts: MutableInts, f: int) -> int:
    """Facts at `f` of the COMPUTE whose row begins at `r`, its configuration's at `c`."""
    taps = rows[c + CONFIG.kernel_h] * rows[c + CONFIG.kernel_w]
    facts[f + TILES] = tiles_of(m, rows[r + ROW.n_tiles], rows[r + ROW.groups], taps, rows[r + ROW.structured])
    facts[f + PIXELS] = rows[r + ROW.out_h] * (rows[r + ROW.out_w] + rows[c + CONFIG.beside])
    return 0


@part
def macs_of(m: Machine, rows: Ints, r: int, c: int, pixels: int) -> int:
    """Products of a COMPUTE's existing input channels and columns, for so many pixels."""
    groups, structured = rows[r + ROW.groups], rows[r + ROW.structured]
    if structured:
        valid_rows = (groups - 1) * m.rows + existing_rows(rows[r + ROW.rows_last])
    else:  # of both halves, if there are any
        valid_rows = (groups - 1) * m.word_lanes + rows[r + ROW.rows_last]
    taps = rows[c + CONFIG.kernel_h] * rows[c + CONFIG.kernel_w]
    return taps * pixels * valid_rows * ((rows[r + ROW.n_tiles] - 1) * m.cols + rows[r + ROW.cols_last])


@part
def compute_events(m: Machine, rows: Ints, r: int, c: int, facts: Ints, f: int, events: MutableInts, e: int) -> int:
    """Add what a COMPUTE counts to the counters that begin at `e`."""
    tiles, pixels = facts[f + TILES], rows[r + ROW.out_h] * rows[r + ROW.out_w]
    n_tiles, groups, structured = rows[r + ROW.n_tiles], rows[r + ROW.groups], rows[r + ROW.structured]
    streamed, inside, macs = tiles * pixels, words_inside(rows, r, c), macs_of(m, rows, r, c, pixels)
    events[e + ACT_READS] += inside * n_tiles * groups * tiles_of_tap(m, structured)
    bits = code_bits(rows[r + ROW.weight_bits], structured)
    events[e + WEIGHT_READS] += packed_words(tiles * m.fill_cycles, bits, m.weight_lane_bits)
    events[e + CODEBOOK_READS] += tiles * m.rows * m.cols if rows[r + ROW.use_codebook] else 0
    events[e + ACC_READS] += streamed - (0 if rows[r + ROW.accumulate] else n_tiles * pixels)
    events[e + ACC_WRITES] += streamed
    events[e + MACS] += macs
    events[e + MACS_GATED] += streamed * m.rows * m.cols - macs
    events[e + STREAM_CYCLES] += streamed
    return 0


@part
def config_compute_step(m: Machine, state: MutableInts, pushed: int, out: MutableInts, o: int) -> int:
    """Time one CONFIG_COMPUTE; arguments as for `compute_step`."""
    pop = max(pushed + 1, state[SLOT])
    state[SLOT] = max(pop + 1, state[FINISHED])
    out[o + POPPED], out[o + ISSUED], out[o + COMPLETE], out[o + BUSY] = pop, state[SLOT], state[SLOT], 0
    return pop


@part
def compute_step(
    m: Machine, state: MutableInts, facts: Ints, f: int, pushed: int, ready: int, out: MutableInts, o: int
) -> int:
    """Time one COMPUTE: `pushed` into the queue, waits hold from `ready` on. What is said of it begins at `o`."""
    tiles, pixels = facts[f + TILES], facts[f + PIXELS]
    period = tile_cycles(m, pixels)
    pop = max(pushed + 1, ready, state[SLOT], state[WEIGHTS])
    taken = max(pop + 1, state[FINISHED])
    first_weights = max(pop + 1, state[TILE])
    start = max(taken + 1, first_weights + m.fill_cycles, state[TILE] + m.min_tile)
    last_weights = first_weights if tiles == 1 else start + (tiles - 2) * period
    state[TILE] = start + (tiles - 1) * period
    state[FINISHED] = state[TILE] + pixels - 1
    state[SLOT] = taken
    state[WEIGHTS] = last_weights + m.fill_cycles - 1
    out[o + POPPED], out[o + ISSUED] = pop, max(taken, state[WEIGHTS])
    out[o + COMPLETE], out[o + BUSY] = state[FINISHED] + m.compute_latency, tiles * pixels
    return pop
