"""Timing of the sparse engine's compute unit: its buffers and queues, played on the columns of a COMPUTE.

The unit works on one command at a time, which it takes (`pop`) when the one before is done and its waits hold; what it
takes from there is its DURATION. Relative to `pop`, for units u = 0, 1, ... (a block of r <= R pixels under one kernel
position and channel group: r words, and as many columns as the group has lanes) and broadcasts j = 0, 1, ...:

    clear      sums are cleared from cycle 1 to K, unless the command accumulates     (K words of R sums)
    feeder     a_u = max(a_{u-1} + r_{u-1} (1 for the first), f_{u-TRANSPOSERS} + 1)  address of a unit's first word
    columns    c_u = max(a_u + r_u + transposition - 1, f_{u-1} + 1, K + 1)        they can be broadcast from then on
    broadcast  g_j = max(g_{j-1} + 1, c_u, last i_{j-F} of all PEs + 1)               a column that is not zero
    freed      f_u = g of its last broadcast; c_u if all its columns are zero
    PE         i_j = max(g_j + BROADCAST_CYCLES, i_{j-1} + entries of column j-1)     its first entry of it is read
    done       e   = max(last f, cycle of the last entry's address) + entry pipeline  all sums are written

So it is a recurrence with maxima and sums, played for each broadcast and PE: nothing is estimated. Where blocks of
pixels repeat the same columns (all activations not zero: what the compiler knows) and the state repeats, so does time.

Each moment also carries how many of the cycles that lead to it are no entries of a PE, in the low bits of the same
number: maxima and sums of such numbers are those of time, and of equally long ways the one with fewest entries. The
others are WORKED, the part of DURATION in which PEs are waited for; the rest is clearing, reading and broadcasting.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from accel.design import Design
from accel.events import COLUMN, Event
from accel.latency import BROADCAST_CYCLES, TRANSPOSERS, compute_cycles, cycles, transpose_pipeline
from accel.models.errors import InputError
from accel.rows import COMPUTE as ROW
from accel.rows import CONFIG_COMPUTE as CONFIG
from accel.timing.compute import words_inside
from accel.timing.kernel import Ints, MutableInts, call, part
from accel.timing.machine import BROADCASTS, DURATION, ENTRIES, PRODUCTS, SKIPPED, WORKED, Machine
from accel.timing.state import BUSY, COMPLETE, ISSUED, POPPED, SLOT

COMMAND_STEPS = 60  # steps of the play that take as long in Python as a command of the recurrence

ACT_READS, WEIGHT_READS = COLUMN[Event.ACT_READS], COLUMN[Event.WEIGHT_READS]
CODEBOOK_READS, STREAM_CYCLES = COLUMN[Event.CODEBOOK_READS], COLUMN[Event.STREAM_CYCLES]
ACC_READS, ACC_WRITES = COLUMN[Event.ACC_READS], COLUMN[Event.ACC_WRITES]
MACS, MACS_GATED = COLUMN[Event.MACS], COLUMN[Event.MACS_GATED]
BROADCAST_EVENTS, SKIPPED_EVENTS = COLUMN[Event.BROADCASTS], COLUMN[Event.BROADCASTS_SKIPPED]


class Play(NamedTuple):
    """What the play of a COMPUTE is about.

    `pixels` in all, in blocks of `rows`; `clear` words; `columns`: lanes of each unit of a block, one after the other;
    `lengths`: entries of each column (the columns of a block in order), `pes` numbers each; `sums` of these;
    `zero`: for each block, whether each column is zero, `width` numbers a block; no numbers if none is.
    """

    rows: int
    pes: int
    queue: int
    transpose: int
    tail: int
    pixels: int
    clear: int
    width: int
    columns: MutableInts
    lengths: MutableInts
    sums: MutableInts
    zero: MutableInts


CYCLE = 1 << 31  # of a moment: one in which a PE reads an entry
STEP = CYCLE + 1  # any other one

# The state, in moments: of the last broadcast (or what comes in its place), of the feeder's next address, of units
# freed (a ring), of each PE's next entry, and of the last PE that took each of the last F broadcasts (a ring).
SENT, FED, FREED = 0, 1, 2
FREE = FREED + TRANSPOSERS


def state_size(pes: int, queue: int) -> int:
    """Numbers of the state, twice: as it is, and as it was a block ago."""
    return 2 * (FREE + pes + queue)


@part
def play(q: Play, state: MutableInts, result: MutableInts) -> int:
    """Play a COMPUTE: facts DURATION to WORKED in `result`, at their columns.

    `state`: `state_size` numbers to work with.
    """
    taken = FREE + q.pes
    for k in range(2 * (taken + q.queue)):
        state[k] = 0
    state[SENT], state[FED] = q.clear * STEP, STEP
    unit = sent = entries = products = skipped = block = 0
    blocks, dense = -(-q.pixels // q.rows), len(q.zero) == 0
    while block < blocks:
        pixels = min(q.rows, q.pixels - block * q.rows)
        column, zeros, unit_before, sent_before, entries_before = 0, block * q.width, unit, sent, entries
        for lanes in q.columns:
            freed = FREED + unit % TRANSPOSERS
            fed = max(state[FED], state[freed] + STEP)
            state[FED] = fed + pixels * STEP
            ready = max(fed + (pixels + q.transpose - 1) * STEP, state[SENT] + STEP)
            go = ready - STEP
            for _ in range(lanes):
                if dense or q.zero[zeros + column] == 0:
                    place = taken + sent % q.queue
                    go = max(go, state[place]) + STEP
                    latest, at = 0, column * q.pes
                    for pe in range(q.pes):
                        issue = max(go + BROADCAST_CYCLES * STEP, state[FREE + pe])
                        state[FREE + pe] = issue + q.lengths[at + pe] * CYCLE
                        latest = max(latest, issue)
                    state[place] = latest
                    sent += 1
                    entries += q.sums[column]
                else:
                    skipped += 1
                column += 1
            state[SENT] = state[freed] = max(go, ready)
            unit += 1
        products += (entries - entries_before) * pixels
        block += 1
        if dense and 0 < block < blocks - 1:
            moved = repeats(q, state, unit, sent)
            if moved:
                more = blocks - 1 - block
                advance(q, state, unit, sent, unit - unit_before, sent - sent_before, more, more * moved)
                products += more * (entries - entries_before) * q.rows
                entries += more * (entries - entries_before)
                unit, sent = unit + more * (unit - unit_before), sent + more * (sent - sent_before)
                block += more
    last = state[SENT]
    for pe in range(q.pes):
        last = max(last, state[FREE + pe] - CYCLE)
    result[DURATION], result[WORKED] = last // CYCLE + q.tail, last // CYCLE - last % CYCLE
    result[ENTRIES], result[BROADCASTS], result[SKIPPED], result[PRODUCTS] = entries, sent, skipped, products
    return 0


@part
def repeats(q: Play, state: MutableInts, unit: int, sent: int) -> int:
    """By how much the last block moved all of the state alike; 0 if it did not. Remembers the state."""
    size = FREE + q.pes + q.queue
    moved, same = state[SENT] - state[size + SENT], 1
    for k in range(size):
        at = k
        if FREED <= k < FREE:
            at = FREED + (unit + k - FREED) % TRANSPOSERS
        elif k >= FREE + q.pes:
            at = FREE + q.pes + (sent + k - FREE - q.pes) % q.queue
        if state[at] - state[size + k] != moved:
            same = 0
        state[size + k] = state[at]
    return moved if same else 0


@part
def advance(
    q: Play, state: MutableInts, unit: int, sent: int, units: int, sends: int, more: int, moved: int
) -> int:  # fmt: skip
    """Move the state, which `repeats` has just remembered, by `more` blocks of so many units and broadcasts."""
    size = FREE + q.pes + q.queue
    for k in range(size):
        at = k
        if FREED <= k < FREE:
            at = FREED + (unit + more * units + k - FREED) % TRANSPOSERS
        elif k >= FREE + q.pes:
            at = FREE + q.pes + (sent + more * sends + k - FREE - q.pes) % q.queue
        state[at] = state[size + k] + moved
    return 0


@part
def clear_words(n_tiles: int, acc_shift: int) -> int:
    """Words of R sums, of each PE, that a COMPUTE which does not accumulate clears."""
    return n_tiles << acc_shift


def facts_of_play(
    design: Design,
    pixels: int,
    clear: int,
    columns: list[int],
    lengths: NDArray[np.int64],
    zero: NDArray[np.int64] | None = None,
) -> dict[int, int]:
    """The facts of a COMPUTE, by their columns.

    `columns`: lanes of each unit of a block. `lengths` (columns, C): entries. `zero` (blocks, columns): whether the
    activations of a column are all zero; None: no column is. Raises InputError for a COMPUTE of 2**31 cycles or more.
    """
    block = int(lengths.max(axis=1).sum()) + len(lengths) + len(columns) * (design.rows + 8)
    most = -(-pixels // design.rows) * block + clear
    if most >= CYCLE:
        raise InputError(f"a COMPUTE of the sparse engine must take fewer than {CYCLE:,} cycles, not up to {most:,}")
    pes, queue = design.cols, design.engine.queue_depth if design.engine.kind == "sparse" else 1
    flags = np.zeros(0, np.int64) if zero is None else np.ascontiguousarray(zero, np.int64).ravel()
    q = Play(
        design.rows, pes, queue, cycles(transpose_pipeline(design)), compute_cycles(design), pixels, clear,
        len(lengths), np.array(columns, np.int64),
        np.ascontiguousarray(lengths, np.int64).ravel(), lengths.sum(axis=1).astype(np.int64), flags,
    )  # fmt: skip
    result = np.zeros(WORKED + 1, np.int64)
    blocks = min(-(-pixels // design.rows), 8 if zero is None else pixels)
    work = 1 + blocks * len(lengths) * (10 + pes) // COMMAND_STEPS
    call(play, work, (q,), (np.zeros(state_size(pes, queue), np.int64), result))
    return {k: int(result[k]) for k in (DURATION, ENTRIES, BROADCASTS, SKIPPED, PRODUCTS, WORKED)}


# In the recurrence over commands


@part
def sparse_facts(m: Machine, rows: Ints, r: int, c: int, facts: MutableInts, f: int) -> int:
    """Facts at `f` of a COMPUTE as far as the command tells: as if each column had one entry, and none were zero."""
    pixels = rows[r + ROW.out_h] * rows[r + ROW.out_w]
    lanes = (rows[r + ROW.groups] - 1) * m.word_lanes + rows[r + ROW.rows_last]
    sent = lanes * rows[c + CONFIG.kernel_h] * rows[c + CONFIG.kernel_w] * -(-pixels // m.rows)
    facts[f + DURATION], facts[f + BROADCASTS] = sent + m.compute_latency, sent
    return 0


@part
def sparse_events(m: Machine, rows: Ints, r: int, c: int, facts: Ints, f: int, events: MutableInts, e: int) -> int:
    """Add what a COMPUTE counts to the counters that begin at `e`."""
    taps, entries = rows[c + CONFIG.kernel_h] * rows[c + CONFIG.kernel_w], facts[f + ENTRIES]
    pixels = rows[r + ROW.out_h] * rows[r + ROW.out_w]
    inside = words_inside(rows, r, c)
    words = clear_words(rows[r + ROW.n_tiles], rows[r + ROW.acc_shift])
    events[e + ACT_READS] += inside * rows[r + ROW.groups]
    events[e + STREAM_CYCLES] += pixels * taps * rows[r + ROW.groups]
    events[e + WEIGHT_READS] += entries
    events[e + CODEBOOK_READS] += entries if rows[r + ROW.use_codebook] else 0
    events[e + ACC_READS] += entries
    events[e + ACC_WRITES] += entries + (0 if rows[r + ROW.accumulate] else words * m.cols)
    events[e + MACS] += facts[f + PRODUCTS]
    events[e + MACS_GATED] += entries * m.rows - facts[f + PRODUCTS]
    events[e + BROADCAST_EVENTS] += facts[f + BROADCASTS]
    events[e + SKIPPED_EVENTS] += facts[f + SKIPPED]
    return 0


@part
def sparse_config_step(m: Machine, state: MutableInts, pushed: int, out: MutableInts, o: int) -> int:
    """Time one CONFIG_COMPUTE; arguments as for `sparse_step`."""
    pop = max(pushed + 1, state[SLOT])
    state[SLOT] = pop + 1
    out[o + POPPED], out[o + ISSUED], out[o + COMPLETE], out[o + BUSY] = pop, pop + 1, pop + 1, 0
    return pop


@part
def sparse_step(
    m: Machine, state: MutableInts, facts: Ints, f: int, pushed: int, ready: int, out: MutableInts, o: int
) -> int:  # fmt: skip
    """Time one COMPUTE: `pushed` into the queue, waits hold from `ready` on. What is said of it begins at `o`."""
    pop = max(pushed + 1, ready, state[SLOT])
    done = pop + facts[f + DURATION]
    state[SLOT] = done + 1
    out[o + POPPED], out[o + ISSUED], out[o + COMPLETE] = pop, done + 1, done
    out[o + BUSY] = facts[f + WORKED]
    return pop
