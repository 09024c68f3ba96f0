"""Timing of the post-process unit: one window element a cycle, or one pixel that passes the line buffer.

Outputs are chunks times pixels; each takes its window's elements, and one cycle more when a residual operand and the
source both come from the activation banks:

    pop    p = max(pushed + 1, waits, last element of the command before)
           configuration: max(pushed + 1, done of the command before + 1)
    last   l = p + outputs * (window [+ 1])
    done   e = l + post_cycles [+ memory_stages if the configuration has a table]
                 [+ post_multiplier_stages if it multiplies]

With `filter` a chunk takes a cycle for each of its parameter words and one for each of its pixels H x W that pass, a
window of several passes as many cycles more less one; the last chunk ends with its last window. With k x k windows, t,
l the rows and columns of padding before the first pixel (0..k - 1), A x B outputs of strides s, r, and F
`filter_cycles`:

    last   l = p + chunks * words + (chunks - 1) * H * W + ((A - 1) * s + k - 1 - t) * W + (B - 1) * r + k - l
                 + outputs * (passes - 1) + F
"""

from __future__ import annotations

from accel.events import COLUMN, Event
from accel.records import filter_parts, filter_side, filter_words
from accel.rows import CONFIG_POST as CONFIG
from accel.rows import POST as ROW
from accel.timing.compute import inside_pairs
from accel.timing.kernel import Ints, MutableInts, part
from accel.timing.machine import BEHIND, ELEMENTS, Machine
from accel.timing.state import BUSY, COMPLETE, DRAINED, FREE, ISSUED, LAST, POPPED

FILTER_STEPS, FILTER_MACS = COLUMN[Event.FILTER_STEPS], COLUMN[Event.FILTER_MACS]
ACC_READS, ACT_READS, ACT_WRITES = COLUMN[Event.ACC_READS], COLUMN[Event.ACT_READS], COLUMN[Event.ACT_WRITES]
PARAM_READS, POST_OUTPUTS = COLUMN[Event.PARAM_READS], COLUMN[Event.POST_OUTPUTS]
TABLE_READS = COLUMN[Event.TABLE_READS]


part(filter_parts)
part(filter_side)
part(filter_words)


@part
def _outputs(rows: Ints, r: int) -> int:
    return rows[r + ROW.chunks] * rows[r + ROW.out_h] * rows[r + ROW.out_w]


@part
def reached(count: int, stride: int, passing: int) -> int:
    """How many of `count` windows along an axis are made where so many pixels pass: all of them if those are enough."""
    return min(count, (passing - 1) // stride + 1)


@part
def filtered(rows: Ints, r: int, c: int) -> int:
    """Outputs of a chunk with `filter`."""
    return reached(rows[r + ROW.out_h], rows[c + CONFIG.stride_y], rows[r + ROW.stream_h]) * reached(
        rows[r + ROW.out_w], rows[c + CONFIG.stride_x], rows[r + ROW.stream_w]
    )


@part
def filter_steps(rows: Ints, r: int, c: int) -> int:
    """Pixels that pass the line buffer until the last window is complete, places behind the tensor included."""
    height, width = rows[r + ROW.stream_h], rows[r + ROW.stream_w]
    down, right = rows[r + ROW.out_h] - 1, rows[r + ROW.out_w] - 1
    down, right = down * rows[c + CONFIG.stride_y], right * rows[c + CONFIG.stride_x]
    reach = filter_side(rows[r + ROW.filter]) - 1
    first = (reach + min(0, rows[r + ROW.iy0])) * width + reach + min(0, rows[r + ROW.ix0])
    last = down * width + right + 1 if down < height and right < width else height * width
    return first + (rows[r + ROW.chunks] - 1) * height * width + last


@part
def post_facts(m: Machine, rows: Ints, r: int, c: int, facts: MutableInts, f: int) -> int:
    """Facts at `f` of the POST whose row begins at `r`, its configuration's at `c`."""
    own = 1 if rows[r + ROW.residual] and rows[r + ROW.from_activation] else 0
    facts[f + ELEMENTS] = _outputs(rows, r) * (rows[c + CONFIG.win_h] * rows[c + CONFIG.win_w] + own)
    facts[f + BEHIND] = m.post_cycles + (m.table_cycles if rows[c + CONFIG.table] else 0)
    facts[f + BEHIND] += m.product_cycles if rows[c + CONFIG.multiply] else 0
    if rows[r + ROW.filter]:
        chunks, number = rows[r + ROW.chunks], rows[r + ROW.filter]
        again = chunks * filtered(rows, r, c) * (m.filter_passes * filter_parts(number) - 1)
        facts[f + ELEMENTS] = chunks * filter_words(number) + filter_steps(rows, r, c) + again + m.filter_cycles
    return 0


@part
def post_events(m: Machine, rows: Ints, r: int, c: int, events: MutableInts, e: int) -> int:
    """Add what a POST counts to the counters that begin at `e`."""
    if rows[r + ROW.filter]:
        return filter_events(m, rows, r, c, events, e)
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
    if rows[c + CONFIG.table]:
        events[e + TABLE_READS] += outputs * m.lanes
    events[e + ACT_WRITES] += outputs
    events[e + POST_OUTPUTS] += outputs
    return 0


@part
def filter_events(m: Machine, rows: Ints, r: int, c: int, events: MutableInts, e: int) -> int:
    """As `post_events`, of a POST with `filter`."""
    chunks, height, width = rows[r + ROW.chunks], rows[r + ROW.stream_h], rows[r + ROW.stream_w]
    number = rows[r + ROW.filter]
    outputs, steps = chunks * filtered(rows, r, c), filter_steps(rows, r, c)
    rows_inside = min(height, max(0, rows[c + CONFIG.in_h] - max(0, rows[r + ROW.iy0])))
    cols_inside = min(width, max(0, rows[c + CONFIG.in_w] - max(0, rows[r + ROW.ix0])))
    left = min(steps, chunks * height * width)  # what passes of the chunks; whole rows, and some of the next
    whole, rest = left // (height * width), left % (height * width)
    inside = whole * rows_inside * cols_inside
    inside += min(rest // width, rows_inside) * cols_inside
    inside += min(rest % width, cols_inside) if rest // width < rows_inside else 0
    events[e + ACT_READS] += inside
    events[e + PARAM_READS] += filter_words(number) * chunks
    events[e + FILTER_STEPS] += steps
    events[e + FILTER_MACS] += outputs * filter_side(number) ** 2 * m.lanes
    if rows[c + CONFIG.table]:
        events[e + TABLE_READS] += outputs * m.lanes
    events[e + ACT_WRITES] += outputs
    events[e + POST_OUTPUTS] += outputs
    return 0


@part
def config_post_step(m: Machine, state: MutableInts, pushed: int, out: MutableInts, o: int) -> int:
    """Time one CONFIG_POST; arguments as for `post_step`."""
    pop = max(pushed + 1, state[DRAINED] + 1, state[FREE])
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
    state[LAST], state[DRAINED] = last, last + facts[f + BEHIND]
    out[o + POPPED], out[o + ISSUED], out[o + COMPLETE] = pop, last, state[DRAINED]
    out[o + BUSY] = facts[f + ELEMENTS]
    return pop
