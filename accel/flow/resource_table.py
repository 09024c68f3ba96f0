"""What the designs that ship need of an FPGA, as a table: `python -m accel.flow.resource_table README.md`."""

from __future__ import annotations

from accel.design import load, names
from accel.models.pages import rewrite, with_part
from accel.resources import PARTS, predict, shortfalls
from accel.resources.predict import FAMILY

BEGIN, END = "<!-- resources -->\n", "<!-- end of resources -->\n"
FIELDS = ("lut", "ff", "dsp", "bram")


def table() -> str:
    """A row a design, a column a part that the predictor knows: fits, or what is short."""
    parts = [part for part in PARTS.values() if part.family == FAMILY]
    lines = [
        "| | LUTs | registers | multipliers | block RAMs | MHz |" + "".join(f" {part.name} |" for part in parts),
        "|---|---|---|---|---|---|" + "---|" * len(parts),
    ]
    for name in names():
        found = predict(load(name))
        amounts = " | ".join(f"{getattr(found, field):,}" for field in FIELDS)
        fits = "".join(f" {_short(shortfalls(found, part))} |" for part in parts)
        lines.append(f"| `{name}` | {amounts} | {found.fmax_mhz:.0f} |{fits}")
    for part in parts:
        amounts = " | ".join(f"{getattr(part, field):,}" for field in FIELDS)
        lines.append(f"| {part.name} has | {amounts} | |" + " |" * len(parts))
    return "\n".join(lines) + "\n"


def _short(texts: tuple[str, ...]) -> str:
    """Names of what is short."""
    names = [text.split(" ", 1)[1].split(" of ")[0] for text in texts]
    return f"too few {', '.join(names)}" if names else "fits"


def replace(text: str) -> str:
    """A page with its table made anew."""
    return with_part(text, BEGIN, END, table())


if __name__ == "__main__":
    rewrite(replace)
