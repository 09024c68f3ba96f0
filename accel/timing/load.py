"""Timing of the loader: closed forms for each burst.

With memory latency L, one beat in B cycles, and g cycles to unpack a beat (words a beat; 1 if a word takes several):

    pop      p   = max(pushed + 1, waits, c of the last burst of the command before + 1,
                       cycle in which the back took the command `queue_commands` before + 1)
    back     b   = max(p + BACK_CYCLES, done of the command before)                        command taken by the back
    burst j  c_j = max(c_{j-1} (p for the first) + 1, k_{j-1})                                         cut
             k_j = max(c_j + 1, a_{j-1})                                                           checked
             a_j = max(k_j + 1, last beat of burst j - outstanding + 1)                            address taken
             x   = max(a_j + L, last beat of the burst before + max(B, g), b + 1)          first beat taken
             later beats every max(B, g) (across commands: B)
    done     e   = last beat + g                                                           last word written

The beats of a coded LOAD are not evenly apart: beat k keeps the decoder busy for its own g_k cycles, so the next comes
max(B, g_k) after it. The last g is the time from the last beat to the last word. Those of a window LOAD are not, too:
g_k is the words that beat k completes times the windows that its row is in, and 1 at least (`accel.timing.window`).
"""

from __future__ import annotations

from accel.commands import Target
from accel.entries import entry_rows
from accel.events import COLUMN, Event
from accel.layout import packed_words
from accel.rows import LOAD as ROW
from accel.timing.kernel import Ints, MutableInts, part
from accel.timing.machine import (
    APART,
    FETCH_BEATS,
    FIRST_BEAT,
    GAP,
    GAPS,
    LISTED,
    PARTS,
    PITCH_BEATS,
    ROW_BEATS,
    ROWS,
    RUN,
    RUNS,
    SKIP,
    STEP,
    TALL,
    VALUES,
    WORDS,
    Machine,
)
from accel.timing.state import (
    BACK,
    BURST_COUNT,
    BUSY,
    CHECKED,
    COMPLETE,
    FRONT,
    ISSUED,
    LASTS_RING,
    NEXT_BEAT,
    OFFERED,
    POPPED,
    TAKEN,
    TAKEN_RING,
    WRITTEN,
)
from accel.timing.window import copies, row_writes, words_complete

ACTIVATION, WEIGHT, PARAMETER, CODEBOOK, PROGRAM, RUN_TABLE, VALUE_TABLE, TABLE = map(int, Target)
READ_BEATS, READ_BURSTS = COLUMN[Event.READ_BEATS], COLUMN[Event.READ_BURSTS]
ACT_WRITES, WEIGHT_WRITES = COLUMN[Event.ACT_WRITES], COLUMN[Event.WEIGHT_WRITES]
PARAM_WRITES, CODEBOOK_WRITES = COLUMN[Event.PARAM_WRITES], COLUMN[Event.CODEBOOK_WRITES]
POINTER_WRITES = COLUMN[Event.POINTER_WRITES]
RUN_READS, VALUE_READS = COLUMN[Event.RUN_READS], COLUMN[Event.VALUE_READS]
RUN_TABLE_WRITES, VALUE_TABLE_WRITES = COLUMN[Event.RUN_TABLE_WRITES], COLUMN[Event.VALUE_TABLE_WRITES]
TABLE_WRITES = COLUMN[Event.TABLE_WRITES]


@part
def unpack_cycles(m: Machine, target: int) -> int:
    """Cycles in which a beat is unpacked, but of window loads: its words, 1 if a word takes several."""
    return m.words_per_beat[target]


@part
def beat_spacing(m: Machine, gap: int) -> int:
    """Cycles from one beat to the next, if it takes `gap` cycles to use or to make one."""
    return max(gap, m.interval)


@part
def stage_cycle(before: int, ahead: int) -> int:
    """The cycle in which a burst leaves a stage: after it came there, and not before the burst ahead left the next one.

    From `cut` it comes to `checked`; into `cut` comes the next burst of a command, or the first one when it is taken.
    """
    return max(before + 1, ahead)


@part
def address_cycle(checked: int, last: int) -> int:
    """The cycle in which the address of a burst is taken; `last`: that of the last beat that frees its place."""
    return max(checked + 1, last + 1)


@part
def first_beat(m: Machine, address: int, next_beat: int) -> int:
    """The cycle of a burst's first beat; `next_beat`: when the bus and the loader's back are free."""
    return max(address + m.latency, next_beat)


@part
def load_facts(m: Machine, rows: Ints, r: int, facts: MutableInts, f: int) -> int:
    """Facts at `f` of the LOAD whose row begins at `r`; those of a coded one that its stream decides are left out."""
    target = rows[r + ROW.target]
    facts[f + FIRST_BEAT] = rows[r + ROW.dram_addr] // m.beat_bytes
    facts[f + ROW_BEATS] = rows[r + ROW.row_beats]
    facts[f + ROWS] = rows[r + ROW.rows]
    facts[f + PITCH_BEATS] = rows[r + ROW.dram_pitch] // m.beat_bytes
    facts[f + GAP] = unpack_cycles(m, target)
    facts[f + FETCH_BEATS] = m.beats_per_word[target] if target == PROGRAM else 0
    facts[f + GAPS], facts[f + RUNS], facts[f + VALUES], facts[f + LISTED] = 0, 0, 0, 0
    facts[f + TALL] = 0
    if rows[r + ROW.window]:
        facts[f + TALL], facts[f + APART] = rows[r + ROW.zero_code], rows[r + ROW.code_bits]
        facts[f + WORDS], facts[f + PARTS] = rows[r + ROW.row_words], rows[r + ROW.parts] + 1
        facts[f + RUN], facts[f + STEP] = rows[r + ROW.run], rows[r + ROW.step]
        facts[f + SKIP] = rows[r + ROW.skip_bytes]
    return 0


@part
def burst_count(m: Machine, first: int, row_beats: int, rows: int, pitch: int) -> int:
    """Bursts of some rows: none leaves an aligned block of `m.burst` beats."""
    if pitch % m.burst == 0:
        return rows * ((first % m.burst + row_beats - 1) // m.burst + 1)
    bursts = 0
    for y in range(rows):
        bursts += ((first + y * pitch) % m.burst + row_beats - 1) // m.burst + 1
    return bursts


@part
def load_events(m: Machine, rows: Ints, r: int, facts: Ints, f: int, events: MutableInts, e: int) -> int:
    """Add what a LOAD counts to the counters that begin at `e`."""
    target, row_beats, count = rows[r + ROW.target], facts[f + ROW_BEATS], facts[f + ROWS]
    events[e + READ_BEATS] += count * row_beats
    events[e + READ_BURSTS] += burst_count(m, facts[f + FIRST_BEAT], row_beats, count, facts[f + PITCH_BEATS])
    events[e + RUN_READS] += facts[f + RUNS]
    events[e + VALUE_READS] += facts[f + VALUES]
    words = row_beats // m.beats_per_word[target] * m.words_per_beat[target]
    if target == ACTIVATION and rows[r + ROW.window]:
        writes, size = row_writes(count, facts[f + TALL], facts[f + APART]), row_beats * m.beat_bytes - facts[f + SKIP]
        events[e + ACT_WRITES] += writes * words_complete(
            size, facts[f + WORDS], facts[f + RUN], facts[f + STEP], facts[f + PARTS]
        )
    elif target == ACTIVATION:
        events[e + ACT_WRITES] += count * words
    elif target == WEIGHT and m.sparse:
        if rows[r + ROW.coded]:
            events[e + WEIGHT_WRITES] += facts[f + LISTED]
        else:
            events[e + WEIGHT_WRITES] += m.cols * entry_rows(words, rows[r + ROW.run], rows[r + ROW.step])
        events[e + POINTER_WRITES] += m.cols * rows[r + ROW.row_words]
    elif target == WEIGHT:
        if rows[r + ROW.coded]:
            words = packed_words(rows[r + ROW.dst_pitch], rows[r + ROW.code_bits], m.weight_lane_bits)
        events[e + WEIGHT_WRITES] += count * words
    elif target == PARAMETER:
        events[e + PARAM_WRITES] += count * words
    elif target == CODEBOOK:
        events[e + CODEBOOK_WRITES] += count * words
    elif target == RUN_TABLE:
        events[e + RUN_TABLE_WRITES] += count * words
    elif target == VALUE_TABLE:
        events[e + VALUE_TABLE_WRITES] += count * words
    elif target == TABLE:
        events[e + TABLE_WRITES] += count * words
    return 0


@part
def load_step(
    m: Machine, state: MutableInts, facts: Ints, f: int, gaps: Ints, pushed: int, ready: int, written: MutableInts,
    out: MutableInts, o: int,
) -> int:  # fmt: skip
    """Time one LOAD: `pushed` into the queue, waits hold from `ready` on. What is said of it begins at `o`."""
    coded, tall = facts[f + GAPS], facts[f + TALL]
    gap, row_beats, fetch_beats = facts[f + GAP], facts[f + ROW_BEATS], facts[f + FETCH_BEATS]
    spacing = beat_spacing(m, gap)
    pop = max(pushed + 1, ready, state[FRONT])
    ring = TAKEN_RING + state[TAKEN] % m.loader_ahead
    if state[TAKEN] >= m.loader_ahead:
        pop = max(pop, state[ring] + 1)
    back = max(pop + m.back_cycles, state[BACK])
    state[ring] = back
    state[TAKEN] += 1
    cut, checked, address, last, beat = pop, state[CHECKED], state[OFFERED], 0, 0
    next_beat = max(state[NEXT_BEAT], back + 1)
    bursts, at, row = state[BURST_COUNT], state[WRITTEN], facts[f + FIRST_BEAT]
    for y in range(facts[f + ROWS]):
        left, room = row_beats, m.burst - row % m.burst
        times = copies(y, facts[f + ROWS], tall, facts[f + APART]) if tall else 0
        size, complete = -facts[f + SKIP], 0
        while left > 0:
            length = min(left, room)
            room = m.burst
            ring = LASTS_RING + bursts % m.outstanding
            cut = stage_cycle(cut, checked)
            checked = stage_cycle(cut, address)
            address = address_cycle(checked, state[ring])
            first = first_beat(m, address, next_beat)
            last = first + (length - 1) * spacing
            if coded:
                last = first + gaps[coded + length - 1] - gaps[coded]
            if tall:
                next_beat = first
                for _ in range(length):
                    last, size = next_beat, size + m.beat_bytes
                    now = words_complete(size, facts[f + WORDS], facts[f + RUN], facts[f + STEP], facts[f + PARTS])
                    gap = max(1, (now - complete) * times)
                    next_beat, complete = last + beat_spacing(m, gap), now
                spacing = next_beat - last
            state[ring] = last
            bursts += 1
            if fetch_beats:
                for k in range(length):
                    beat += 1
                    if beat % fetch_beats == 0:
                        for j in range(gap):
                            written[at] = first + k * spacing + 1 + j
                            at += 1
            next_beat = last + spacing
            left -= length
            if coded and left > 0:
                next_beat = first + gaps[coded + length] - gaps[coded]
                coded += length
        row += facts[f + PITCH_BEATS]
    state[BURST_COUNT], state[WRITTEN] = bursts, at
    state[FRONT], state[CHECKED], state[OFFERED] = cut + 1, checked, address
    state[NEXT_BEAT], state[BACK] = last + m.interval, last + gap
    out[o + POPPED], out[o + ISSUED], out[o + COMPLETE] = pop, address + 1, last + gap
    out[o + BUSY] = facts[f + ROWS] * row_beats
    return pop
