"""The operators of ONNX that are read, as the table of docs/operators.md.

Run as `python -m accel.flow.operator_table docs/operators.md`.
"""

from __future__ import annotations

from accel.models.exchange.onnx_attributes import ATTRIBUTES
from accel.models.exchange.onnx_ops import OPERATORS
from accel.models.pages import rewrite, with_part

BEGIN, END = "<!-- operators -->\n", "<!-- end of operators -->\n"


def table() -> str:
    """A line for each operator: what it becomes, and the attributes that are looked at."""
    lines = ["| operator | what it becomes | attributes |", "|---|---|---|"]
    for name, operator in sorted(OPERATORS.items()):
        given = ", ".join(f"`{attribute}`" for attribute in ATTRIBUTES[name])
        lines.append(f"| {name} | {operator.becomes} | {given} |")
    return "\n".join(lines) + "\n"


def replace(text: str) -> str:
    """A page with its table made anew."""
    return with_part(text, BEGIN, END, table())


if __name__ == "__main__":
    rewrite(replace)
