"""Timing of the storer, in closed form for each command.

With memory latency L, one beat in B cycles, and g cycles to make a beat (words a beat; 1 if a word takes several):

    pop        p   = max(pushed + 1, waits, last beat of the command before + 1,
                         done of the command STORE_PENDING before + 1)
    first beat x_1 = max(p + g + store_read_cycles, p + ADDRESS_CYCLES + 1, last beat of the command before + B)
    others     x_i = x_{i-1} + max(B, g), or + max(B, g, 2) for the first beat of a burst (its address goes between)
    done       e   = last beat + L + 1

The reader makes beats while addresses are sent and keeps ahead, so neither rows nor bursts cost it anything. It can be
ahead of the write channel only where the channel is the slower one, which then goes at its own pace to the end.
"""

from __future__ import annotations

from accel.commands import Target
from accel.events import COLUMN, Event
from accel.rows import STORE as ROW
from accel.timing.kernel import Ints, MutableInts, part
from accel.timing.load import beat_spacing, burst_count
from accel.timing.machine import BEATS, BURSTS, Machine
from accel.timing.state import BUSY, COMPLETE, ISSUED, PENDING_RING, POPPED, STORE_COUNT, STORED

ACTIVATION = int(Target.ACTIVATION)
ACT_READS, WRITE_BEATS, WRITE_BURSTS = (COLUMN[e] for e in (Event.ACT_READS, Event.WRITE_BEATS, Event.WRITE_BURSTS))


@part
def store_facts(m: Machine, rows: Ints, r: int, facts: MutableInts, f: int) -> int:
    """Facts at `f` of the STORE whose row begins at `r`."""
    per_beat = m.words_per_beat[ACTIVATION]
    row_beats = -(-rows[r + ROW.row_words] // per_beat) * m.beats_per_word[ACTIVATION]
    start, pitch = rows[r + ROW.dram_addr] // m.beat_bytes, rows[r + ROW.dram_pitch] // m.beat_bytes
    facts[f + BEATS] = rows[r + ROW.rows] * row_beats
    facts[f + BURSTS] = burst_count(m, start, row_beats, rows[r + ROW.rows], pitch)
    return 0


@part
def store_events(m: Machine, rows: Ints, r: int, facts: Ints, f: int, events: MutableInts, e: int) -> int:
    """Add what a STORE counts to the counters that begin at `e`."""
    events[e + WRITE_BEATS] += facts[f + BEATS]
    events[e + WRITE_BURSTS] += facts[f + BURSTS]
    events[e + ACT_READS] += rows[r + ROW.rows] * rows[r + ROW.row_words]
    return 0


@part
def store_step(
    m: Machine, state: MutableInts, facts: Ints, f: int, pushed: int, ready: int, out: MutableInts, o: int
) -> int:
    """Time one STORE: `pushed` into the queue, waits hold from `ready` on. What is said of it begins at `o`."""
    gap = m.words_per_beat[ACTIVATION]
    spacing = beat_spacing(m, gap)
    pop = max(pushed + 1, ready, state[STORED] + 1)
    ring = PENDING_RING + state[STORE_COUNT] % m.store_pending
    if state[STORE_COUNT] >= m.store_pending:
        pop = max(pop, state[ring] + 1)
    first = max(pop + max(gap + m.store_read, m.address_cycles + 1), state[STORED] + m.interval)
    last = first + (facts[f + BEATS] - 1) * spacing + (facts[f + BURSTS] - 1) * (max(spacing, 2) - spacing)
    state[STORED], state[ring] = last, last + m.latency + 1
    state[STORE_COUNT] += 1
    out[o + POPPED], out[o + ISSUED], out[o + COMPLETE] = pop, last + 1, last + m.latency + 1
    out[o + BUSY] = facts[f + BEATS]
    return pop
