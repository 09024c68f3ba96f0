"""Timing of the post-process unit: one window element a cycle.

Outputs are chunks times pixels; each takes its window's elements, and one cycle more when a residual operand and the
source both come from the activation banks:

    pop    p = max(pushed + 1, waits, last element of the command before)
           configuration: max(pushed + 1, last element + post_cycles + 1)
    last   l = p + outputs * (window [+ 1])
    done   e = l + post_cycles
"""

from __future__ import annotations

from accel.events import COLUMN, Event
from accel.rows import CONFIG_POST as CONFIG
from accel.rows import POST as ROW
from accel.timing.compute import inside_pairs
from accel.timing.kernel import Ints, MutableInts, part
from accel.timing.machine import ELEMENTS, Machine
from accel.timing.state import BUSY, COMPLETE, FREE, ISSUED, LAST, POPPED

ACC_READS, ACT_READS, ACT_WRITES = COLUMN[Event.ACC_READS], COLUMN[Event.ACT_READS], COLUMN[Event.ACT_WRITES]
PARAM_READS, POST_OUTPUTS = COLUMN[Event.PARAM_READS], COLUMN[Event.POST_OUTPUTS]


@part
def _outputs(rows: Ints, r: int) -> int:
    return rows[r + ROW.chunks] * rows[r + ROW.out_h] * rows[r + ROW.out_w]


@part
def post_facts(m: Machine, rows: Ints, r: int, c: int, facts: MutableInts, f: int) -> int:
    """Facts at `f` of the POST whose row begins at `r`, its configuration's at `c`."""
    own = 1 if rows[r + ROW.residual] and rows[r + ROW.from_activation] else 0
    facts[f + ELEMENTS] = _outputs(rows, r) * (rows[c + CONFIG.win_h] * rows[c + CONFIG.win_w] + own)
    return 0


@part
def post_events(m: Machine, rows: Ints, r: int, c: int, events: MutableInts, e: int) -> int:
    """Add what a POST counts to the counters that begin at `e`."""
    outputs = _outputs(rows, r)
    inside = (
        inside_pairs(
            rows[r + ROW.iy0], 1, rows[c + CONFIG.win_h], rows[c + CONFIG.stride_y], rows[r + ROW.out_h],
            rows[c + CONFIG.in_h],
        )
        * inside_pairs(
            rows[r + ROW.ix0], 1, rows[c + CONFIG.win_w], rows[c + CONFIG.stride_x], rows[r + ROW.out_w],
            rows[c + CONFIG.in_w],
        )
        * rows[r + ROW.chunks]
    )  # fmt: skip
    if rows[r + ROW.from_activation]:
        events[e + ACT_READS] += inside
    else:
        events[e + ACC_READS] += inside * m.cols if m.sparse else inside
    if rows[r + ROW.residual]:
        events[e + ACT_READS] += outputs
    if not rows[r + ROW.uniform]:
        events[e + PARAM_READS] += outputs
    events[e + ACT_WRITES] += outputs
    events[e + POST_OUTPUTS] += outputs
    return 0


@part
def config_post_step(m: Machine, state: MutableInts, pushed: int, out: MutableInts, o: int) -> int:
    """Time one CONFIG_POST; arguments as for `post_step`."""
    pop = max(pushed + 1, state[LAST] + m.post_cycles + 1, state[FREE])
    state[FREE] = pop + 1
    out[o + POPPED], out[o + ISSUED], out[o + COMPLETE], out[o + BUSY] = pop, pop + 1, pop, 0
    return pop


@part
def post_step(
    m: Machine, state: MutableInts, facts: Ints, f: int, pushed: int, ready: int, out: MutableInts, o: int
) -> int:
    """Time one POST: `pushed` into the queue, waits hold from `ready` on. What is said of it begins at `o`."""
    pop = max(pushed + 1, ready, state[LAST], state[FREE])
    last = pop + facts[f + ELEMENTS]
    state[LAST] = last
    out[o + POPPED], out[o + ISSUED], out[o + COMPLETE] = pop, last, last + m.post_cycles
    out[o + BUSY] = facts[f + ELEMENTS]
    return pop
