"""Writes the command tables of docs/formats.md from `accel.commands`.

Run as `python -m accel.flow.command_tables docs/formats.md`.
"""

from __future__ import annotations

import sys
from dataclasses import fields
from pathlib import Path

from accel.commands import COMMANDS, OPCODE_BITS

BEGIN, END = "<!-- command tables -->\n", "<!-- end of command tables -->\n"


def tables() -> str:
    """One Markdown table a command: field, bits (high:low), signed."""
    parts = []
    for opcode, command in COMMANDS.items():
        rows = [f"**{opcode.name}** (opcode {int(opcode)})\n", "| field | bits | |", "|---|---|---|"]
        at = OPCODE_BITS
        for f in fields(command):
            width = f.metadata["bits"]
            kind = "signed" if f.metadata["signed"] else ""
            rows.append(f"| {f.name} | {at + width - 1}:{at} | {kind} |")
            at += width
        parts.append("\n".join(rows if at > OPCODE_BITS else rows[:1]))
    return "\n\n".join(parts) + "\n"


def replace(text: str) -> str:
    """A page with its command tables made anew."""
    head, rest = text.split(BEGIN)
    return head + BEGIN + "\n" + tables() + "\n" + END + rest.split(END)[1]


def main() -> None:
    """Rewrite the tables in the file that is named."""
    page = Path(sys.argv[1])
    page.write_text(replace(page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
