"""The architectures of the zoo, as the table of docs/zoo.md.

Run as `python -m accel.flow.zoo_table docs/zoo.md`.
"""

from __future__ import annotations

from accel.models.build import IMAGE
from accel.models.pages import rewrite, with_part
from accel.models.zoo.networks import ARCHITECTURES, sketch

BEGIN, END = "<!-- architectures -->\n", "<!-- end of architectures -->\n"


def table() -> str:
    """A line for each architecture: input and output, layers with weights, parameters and MACs."""
    lines = ["| name | input | output | layers with weights | parameters | MACs |", "|---|---|---|--:|--:|--:|"]
    for name in ARCHITECTURES:
        found = sketch(name)
        sizes = (" x ".join(map(str, found.shapes[tensor])) for tensor in (IMAGE, found.last))
        counts = (f"{n:,}" for n in (len(found.macs), found.parameters, sum(found.macs.values())))
        lines.append(" | ".join((f"| `{name}`", *sizes, *counts)) + " |")
    return "\n".join(lines) + "\n"


def replace(text: str) -> str:
    """A page with its table made anew."""
    return with_part(text, BEGIN, END, table())


if __name__ == "__main__":
    rewrite(replace)
