"""One sentence on a design: which technique pays there, and why the others do not. Made of the rows' numbers alone."""

from __future__ import annotations

from collections.abc import Sequence

from accel.flow.compare import Row

SAVES = 0.95  # a ratio below this is worth a word
POINTS = 1.0  # of accuracy that a technique may cost, in percent of the inputs


def verdict(rows: Sequence[Row]) -> str:
    """The sentence for the rows of one design, the first of which is what the others are compared to.

    What costs more than `POINTS` of accuracy does not pay. Of the rest that saves time or energy the one with the least
    product of latency and energy pays most.
    """
    first, *others = rows
    limit = f"{first.title} is limited by {first.work.limited_by} ({_share(first)} of its cycles)"
    if not others:
        return f"On {first.design} {limit}; there is nothing to compare it to."
    wrong = [row for row in others if _points(first, row) > POINTS]
    sound = [row for row in others if row not in wrong]
    paying = [row for row in sound if row.latency_ratio < SAVES or row.energy_ratio < SAVES]
    best = min(paying, key=lambda row: row.latency_ratio * row.energy_ratio, default=None)
    if best and best.latency_ratio * best.energy_ratio < SAVES:
        words = [f"{limit}, and {_titles([best])} pays most: {_gain(first, best)}"]
    else:
        best, words = None, [f"{limit}, and nothing pays"]
    rest = [row for row in sound if row is not best]
    fast = [row for row in rest if row.latency_ratio < SAVES]
    frugal = [row for row in rest if row not in fast and row.energy_ratio < SAVES]
    idle = [row for row in rest if row not in fast and row not in frugal]
    small = [row for row in idle if row.stored_bytes < SAVES * first.stored_bytes and _as_much(first, row)]
    if fast:
        words.append(f"{_titles(fast)} {_s(fast, 'pays', 'pay')} too, but less")
    if frugal:
        words.append(f"{_titles(frugal)} {_s(frugal, 'saves', 'save')} energy but no time, because {_limits(frugal)}")
    if small:
        words.append(
            f"{_titles(small)} {_s(small, 'saves', 'save')} storage only, because the hardware reads "
            f"{_s(small, 'it', 'them')} as {_formats(small)}"
        )
    if nothing := [row for row in idle if row not in small]:
        reason = "the bytes and the products stay" if all(_as_much(first, row) for row in nothing) else _limits(nothing)
        words.append(f"{_titles(nothing)} {_s(nothing, 'saves', 'save')} neither time nor energy, because {reason}")
    if wrong:
        words.append(f"{_titles(wrong)} {_s(wrong, 'costs', 'cost')} more than {POINTS:g} point of accuracy")
    if any(row.accuracy_percent is None for row in rows):
        words.append("accuracy was not measured")
    return f"On {first.design} {'; '.join(words)}."


def _points(first: Row, row: Row) -> float:
    """Percentage points of accuracy that a row costs."""
    if first.accuracy_percent is None or row.accuracy_percent is None:
        return 0.0
    return first.accuracy_percent - row.accuracy_percent


def _share(row: Row) -> str:
    work = row.work
    return f"{100 * work.limits[work.limited_by] / work.cycles:.0f} %"


def _gain(first: Row, row: Row) -> str:
    """What the best row saves, and what of the work it leaves."""
    products = row.work.info.must.macs / first.work.info.must.macs if first.work.info.must.macs else 1.0
    left = f"{products:.2f} of the products and {row.work.dram_bytes / first.work.dram_bytes:.2f} of the bytes"
    return f"{row.latency_ratio:.2f} of the latency and {row.energy_ratio:.2f} of the energy, with {left}"


def _as_much(first: Row, row: Row) -> bool:
    """Whether a row moves as many bytes and does as many products as the first."""
    return (
        row.work.dram_bytes >= SAVES * first.work.dram_bytes
        and row.work.info.must.macs >= SAVES * first.work.info.must.macs
    )


def _limits(rows: Sequence[Row]) -> str:
    causes = list(dict.fromkeys(row.work.limited_by for row in rows))
    return f"{_and(causes)} {_s(causes, 'limits', 'limit')} {_s(rows, 'it', 'them')}"


def _formats(rows: Sequence[Row]) -> str:
    return _and(list(dict.fromkeys(row.work.info.weight_format for row in rows)))


def _titles(rows: Sequence[Row]) -> str:
    return _and([f'"{row.title}"' for row in rows])


def _and(words: Sequence[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def _s(things: Sequence[object], one: str, several: str) -> str:
    return one if len(things) == 1 else several
