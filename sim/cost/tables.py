"""Writes the table of constants into docs/cost.md: `python -m accel.sim.cost.tables docs/cost.md`."""

from __future__ import annotations

from accel.models.pages import rewrite, with_part
from accel.sim.cost import scaling
from accel.sim.cost.constants import CONSTANTS, Constant

BEGIN, END = "<!-- constants -->\n", "<!-- end of constants -->\n"


def table() -> str:
    """The constants, then what logic takes at each node."""
    lines = ["| constant | of what | low | nominal | high | unit | nm | V | status | source |", "|" + "---|" * 10]
    lines += [_line(constant) for constant in CONSTANTS]
    factors = ["| node, nm | energy of logic | area of logic |", "|---|---|---|"]
    factors += [
        f"| {n} | {scaling.ENERGY_FACTOR[n]:.2f} | {scaling.AREA_FACTOR[n]:.2f} |" for n in scaling.ENERGY_FACTOR
    ]
    return "\n".join([*lines, "", *factors])


def _line(c: Constant) -> str:
    values = " | ".join(f"{value:.4g}" for value in (c.low, c.nominal, c.high))
    node, voltage = ("" if value is None else f"{value:g}" for value in (c.node_nm, c.voltage))
    return f"| `{c.name}` | {c.what} | {values} | {c.unit} | {node} | {voltage} | {c.status} | {c.source} |"


def replace(page: str) -> str:
    """The page with the table as the source has it."""
    return with_part(page, BEGIN, END, table())


if __name__ == "__main__":
    rewrite(replace)
