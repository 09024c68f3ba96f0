"""What a comparison says: for each row whether it pays and why, a sentence a design, one over all designs.

Made of the rows' numbers alone. What costs more than `POINTS` of accuracy does not pay. Of the rest that saves time or
energy the row with the least product of latency and energy pays most.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from accel.flow.compare import Comparison, Row

SAVES = 0.95  # a ratio below this is worth a word
POINTS = 1.0  # of accuracy that a technique may cost, in percent of the inputs
MEASURE, MOST, PAYS, ENERGY, STORAGE, NOTHING, WRONG, LATER = (
    "", "pays most", "pays", "energy only", "storage only", "no gain", "inaccurate", "if retrained"
)  # fmt: skip


@dataclass(frozen=True)
class Judgement:
    """A row, what it is worth on its design (one of the words above; of the first row nothing), and why."""

    row: Row
    word: str
    why: str


def judge(rows: Sequence[Row]) -> list[Judgement]:
    """A judgement for each of the rows of one design, against the first of them."""
    first, *others = rows
    sound = [row for row in others if is_sound(first, row) and not _is_unknown(row)]
    best = min((row for row in sound if _saves(row)), key=_product, default=None)
    best = best if best and _product(best) < SAVES else None
    return [
        Judgement(first, MEASURE, f"{first.work.limited_by} limits"),
        *(_judged(first, row, best) for row in others),
    ]


def verdict(rows: Sequence[Row]) -> str:
    """The sentence for the rows of one design: what pays, by how much, and what keeps the others from paying."""
    (measure, *others), design = judge(rows), rows[0].design
    first = measure.row
    limit = f"{first.title} is limited by {first.work.limited_by} ({_share(first)} of its cycles)"
    if not others:
        return f"On {design} {limit}; there is nothing to compare it to."
    by_word = {
        word: [j.row for j in others if j.word == word] for word in (MOST, PAYS, ENERGY, STORAGE, NOTHING, WRONG, LATER)
    }
    words = [f"{limit}, and nothing pays"]
    for best in by_word[MOST]:
        words = [f"{limit}, and {_titles([best])} pays most: {_gain(best)}, with {_left(first, best)}"]
    if paying := by_word[PAYS]:
        words.append(_range(sorted(paying, key=_product, reverse=True)))
    if later := by_word[LATER]:
        what = f"{_titles(later)} {_s(later, 'saves', 'save')}" if len(later) < 3 else f"{len(later)} more save"
        words.append(f"{what} time or energy if retrained (--train)")
    if frugal := by_word[ENERGY]:
        words.append(f"{_titles(frugal)} {_s(frugal, 'saves', 'save')} energy but no time, because {_limits(frugal)}")
    if small := by_word[STORAGE]:
        words.append(
            f"{_titles(small)} {_s(small, 'saves', 'save')} storage only, because the hardware reads "
            f"{_s(small, 'it', 'them')} as {_formats(small)}"
        )
    if nothing := by_word[NOTHING]:
        reason = "the bytes and the products stay" if all(_as_much(first, row) for row in nothing) else _limits(nothing)
        words.append(f"{_titles(nothing)} {_s(nothing, 'saves', 'save')} neither time nor energy, because {reason}")
    if wrong := by_word[WRONG]:
        words.append(f"{_titles(wrong)} {_s(wrong, 'costs', 'cost')} more than {POINTS:g} point of accuracy")
    if any(row.accuracy_percent is None for row in rows):
        words.append("accuracy was not measured")
    return f"On {design} {'; '.join(words)}."


def cheapest(comparison: Comparison) -> Row:
    """Of the rows that keep the accuracy the one with the least product of latency and energy, over all designs."""
    first = comparison.rows[0]
    sound = [row for row in comparison.rows if is_sound(first, row) and not _is_unknown(row)]
    return min(sound, key=lambda row: latency_to(first, row) * energy_to(first, row))


def headline(comparison: Comparison) -> str:
    """The sentence over all designs: the cheapest pair, and what each half of it gives alone; "" for one design."""
    if len(comparison.designs) < 2:
        return ""
    first, best = comparison.rows[0], cheapest(comparison)
    measure = f"{first.title} on {first.design}"
    if best is first:
        return f"No design makes any technique cheaper than {measure}."
    pair = {(row.design, row.technique): row for row in comparison.rows}
    hardware, technique = pair[best.design, first.technique], pair[first.design, best.technique]
    words = [
        f"{_titles([best])} on {best.design} costs least: {latency_to(first, best):.2f} of the latency and "
        f"{energy_to(first, best):.2f} of the energy of {measure}"
        + ("" if best.accuracy_percent is None else f", at {best.accuracy_percent:.2f} %")
    ]
    for what, row in (("hardware", hardware), ("technique", technique)):
        if row is not first and row is not best:
            words.append(f"the {what} alone gives {latency_to(first, row):.2f} and {energy_to(first, row):.2f}")
    return f"{'; '.join(words)}."


def latency_to(first: Row, row: Row) -> float:
    """Ratio of times, since the clocks of two designs may differ."""
    return row.run.result.latency_us / first.run.result.latency_us


def energy_to(first: Row, row: Row) -> float:
    """Ratio of the nominal totals, as in the tables of each design."""
    return row.energy.total_pj.nominal / first.energy.total_pj.nominal


def is_sound(first: Row, row: Row) -> bool:
    """Whether a row costs no more accuracy than a technique may."""
    return _points(first, row) <= POINTS


def _is_unknown(row: Row) -> bool:
    """Whether nobody knows what a row's accuracy would be: its recipe was not trained, and nothing was measured."""
    return row.untrained and row.accuracy_percent is None


def _judged(first: Row, row: Row, best: Row | None) -> Judgement:
    if not is_sound(first, row):
        return Judgement(row, WRONG, f"-{_points(first, row):.2f} points")
    if _is_unknown(row) and _saves(row):
        products, bytes_ = _work(first, row)
        return Judgement(row, LATER, f"products {products:.2f}, bytes {bytes_:.2f}")
    if row is best or row.latency_ratio < SAVES:
        products, bytes_ = _work(first, row)
        return Judgement(row, MOST if row is best else PAYS, f"products {products:.2f}, bytes {bytes_:.2f}")
    if row.energy_ratio < SAVES:
        return Judgement(row, ENERGY, f"{row.work.limited_by} limits")
    if not _as_much(first, row):
        return Judgement(row, NOTHING, f"{row.work.limited_by} limits")
    if row.stored_bytes < SAVES * first.stored_bytes:
        return Judgement(row, STORAGE, f"read as {row.work.info.weight_format}")
    return Judgement(row, NOTHING, "bytes, products stay")


def _saves(row: Row) -> bool:
    return row.latency_ratio < SAVES or row.energy_ratio < SAVES


def _product(row: Row) -> float:
    return row.latency_ratio * row.energy_ratio


def _points(first: Row, row: Row) -> float:
    """Percentage points of accuracy that a row costs."""
    if first.accuracy_percent is None or row.accuracy_percent is None:
        return 0.0
    return first.accuracy_percent - row.accuracy_percent


def _share(row: Row) -> str:
    work = row.work
    return f"{100 * work.limits[work.limited_by] / work.cycles:.0f} %"


def _gain(row: Row) -> str:
    return f"{row.latency_ratio:.2f} of the latency and {row.energy_ratio:.2f} of the energy"


def _work(first: Row, row: Row) -> tuple[float, float]:
    """The shares of the first row's products and bytes that are left; of a sparse engine, of those that it does."""
    macs = first.work.useful_macs
    return row.work.useful_macs / macs if macs else 1.0, row.work.dram_bytes / first.work.dram_bytes


def _left(first: Row, row: Row) -> str:
    products, bytes_ = _work(first, row)
    return f"{products:.2f} of the products and {bytes_:.2f} of the bytes"


def _range(rows: Sequence[Row]) -> str:
    """The rows that pay too: all of a few by name, of many the first and the last, by what they save."""
    named = [f"{_titles([row])} ({row.latency_ratio:.2f}, {row.energy_ratio:.2f})" for row in rows]
    if len(rows) <= 2:
        return f"{_and(named)} {_s(rows, 'pays', 'pay')} too, but less"
    return f"{len(rows)} more pay, from {named[0]} to {named[-1]}"


def _as_much(first: Row, row: Row) -> bool:
    """Whether a row moves as many bytes and does as many products as the first."""
    return all(share >= SAVES for share in _work(first, row))


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
