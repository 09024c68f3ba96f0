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
    factors = ["| node, nm | energy of logic | area of logic | E(V) | V, unverified |", "|---|---|---|---|---|"]
    factors += [_node(node) for node in scaling.ENERGY_FACTOR]
    return "\n".join([*lines, "", f"Logic between nodes: {scaling.SOURCE}.", "", *factors])


def _node(node_nm: int) -> str:
    energy, area = scaling.ENERGY_FACTOR[node_nm], scaling.AREA_FACTOR[node_nm]
    how = "between its neighbours, in logarithms | "
    if node_nm in scaling.NODES:
        a, b, c, voltage, _ = scaling.NODES[node_nm]
        how = f"{a:g} V^2 {b:+g} V {c:+g} | {voltage:g}"
    return f"| {node_nm} | {energy:.2f} | {area:.2f} | {how} |"


def _line(c: Constant) -> str:
    values = " | ".join(f"{value:.4g}" for value in (c.low, c.nominal, c.high))
    node, voltage = ("" if value is None else f"{value:g}" for value in (c.node_nm, c.voltage))
    return f"| `{c.name}` | {c.what} | {values} | {c.unit} | {node} | {voltage} | {c.status} | {c.source} |"


def replace(page: str) -> str:
    """The page with the table as the source has it."""
    return with_part(page, BEGIN, END, table())


if __name__ == "__main__":
    rewrite(replace)
