"""One table across designs: what each technique costs on each, all of it against the first technique on the first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rich.console import Console
from rich.text import Text

from accel.flow import tables
from accel.flow.compare import Comparison, Row, is_measured
from accel.flow.tables import Column
from accel.flow.verdict import energy_to, headline, latency_to

TITLE = "All designs: latency and energy of each technique over those of the first row on the first design"


@dataclass(frozen=True)
class Across:
    """One technique on every design; `base` is the row that all are compared to."""

    base: Row
    rows: tuple[Row, ...]

    def latency_ratio(self, design: int) -> float:
        """Of times, since clocks may differ."""
        return latency_to(self.base, self.rows[design])

    def energy_ratio(self, design: int) -> float:
        """Of the nominal totals, as in the tables of each design."""
        return energy_to(self.base, self.rows[design])


def across(comparison: Comparison) -> list[Across]:
    """A line for each technique, in the order of the comparison."""
    base = comparison.rows[0]
    found: dict[str, list[Row]] = {}
    for row in comparison.rows:
        found.setdefault(row.technique, []).append(row)
    return [Across(base, tuple(rows)) for rows in found.values()]


def columns(comparison: Comparison) -> list[Column[Across]]:
    """Technique, its latency and its energy on each design, and what it costs in accuracy and bytes."""
    shown: list[Column[Across]] = [Column("technique", "", lambda a: a.rows[0].title, left=True)]
    for unit, ratio in (("latency", Across.latency_ratio), ("energy", Across.energy_ratio)):
        shown += [Column(d.name, unit, _ratio(ratio, index)) for index, d in enumerate(comparison.designs)]
    if is_measured(comparison):
        shown.append(Column("accuracy", "%", lambda a: _accuracy(a.rows[0])))
    shown.append(Column("stored", "bytes", lambda a: f"{a.rows[0].stored_bytes:,}"))
    return shown


def show(where: Console, comparison: Comparison) -> None:
    """Print the sentence over all designs and the table, if there is more than one."""
    if len(comparison.designs) > 1:
        where.print(Text(headline(comparison)), width=min(where.width, tables.TEXT_WIDTH))
        tables.show(where, TITLE, columns(comparison), across(comparison))


def _accuracy(row: Row) -> str:
    return "" if row.accuracy_percent is None else f"{row.accuracy_percent:.2f}"


def _ratio(ratio: Callable[[Across, int], float], design: int) -> Callable[[Across], str]:
    return lambda line: f"{ratio(line, design):.2f}"
