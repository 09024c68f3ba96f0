"""One table across designs: what each technique costs on each, all of it against the first technique on the first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rich.console import Console

from accel.flow import tables
from accel.flow.compare import Comparison, Row
from accel.flow.tables import Column

TITLE = "All designs: latency and energy of each technique over those of the first row on the first design"


@dataclass(frozen=True)
class Across:
    """One technique on every design; `base` is the row that all are compared to."""

    base: Row
    rows: tuple[Row, ...]

    def latency_ratio(self, design: int) -> float:
        """Of times, since clocks may differ."""
        return self.rows[design].run.result.latency_us / self.base.run.result.latency_us

    def energy_ratio(self, design: int) -> float:
        """Of the high totals, as in the tables of each design."""
        return self.rows[design].energy.total_high_pj / self.base.energy.total_high_pj


def across(comparison: Comparison) -> list[Across]:
    """A line for each technique, in the order of the comparison."""
    base = comparison.rows[0]
    found: dict[str, list[Row]] = {}
    for row in comparison.rows:
        found.setdefault(row.technique, []).append(row)
    return [Across(base, tuple(rows)) for rows in found.values()]


def columns(comparison: Comparison) -> list[Column[Across]]:
    """Technique, what it costs in accuracy and bytes, and two ratios for each design."""
    shown: list[Column[Across]] = [Column("technique", "", lambda a: a.rows[0].title, left=True)]
    if any(row.accuracy_percent is not None for row in comparison.rows):
        shown.append(Column("accuracy", "%", lambda a: _accuracy(a.rows[0])))
    shown.append(Column("stored", "bytes", lambda a: f"{a.rows[0].stored_bytes:,}"))
    for index, design in enumerate(comparison.designs):
        shown.append(Column(design.name, "latency", _ratio(Across.latency_ratio, index)))
        shown.append(Column("", "energy", _ratio(Across.energy_ratio, index)))
    return shown


def show(where: Console, comparison: Comparison) -> None:
    """Print the table, if there is more than one design."""
    if len(comparison.designs) > 1:
        tables.show(where, TITLE, columns(comparison), across(comparison))


def _accuracy(row: Row) -> str:
    return "" if row.accuracy_percent is None else f"{row.accuracy_percent:.2f}"


def _ratio(ratio: Callable[[Across, int], float], design: int) -> Callable[[Across], str]:
    return lambda line: f"{ratio(line, design):.2f}"
