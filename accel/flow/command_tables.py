"""Writes the part of docs/formats.md about commands from `accel.commands` and `accel.legal`.

Run as `python -m accel.flow.command_tables docs/formats.md`.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from dataclasses import fields

from accel import commands, latency
from accel.commands import COMMANDS, OPCODE_BITS, Command, ErrorCode, Target
from accel.design import load
from accel.legal import CONFIGURED_BY, RULES
from accel.models.pages import rewrite, with_part

EXAMPLE = "nano"  # the design whose latencies are printed
BEGIN, END = "<!-- command tables -->\n", "<!-- end of command tables -->\n"
LEGEND = f"""\
An opcode that is not one of {", ".join(str(int(opcode)) for opcode in COMMANDS)} ends a run with the error OPCODE.
"Illegal" values end a run with the error FIELD, as does a bit above the last field that is not zero; R and C are the
rows and columns of the array, P the lanes of post-processing, W the bytes of an AXI beat. Every other value is legal;
what it makes of addresses is checked when they are used."""


def tables() -> str:
    """Ordering and addresses, targets, error codes, and a section for each command."""
    assert commands.__doc__ is not None
    _, _, *rules = inspect.cleandoc(commands.__doc__).split("\n\n")
    targets = _table(("target", "name", "what a LOAD writes"), ((t.value, t.name, t.text) for t in Target))
    errors = _table(("code", "name", "the first error of a run"), ((c.value, c.name, c.text) for c in ErrorCode))
    sections = (_section(c) for c in COMMANDS.values())
    return "\n\n".join([*rules, targets, errors, LEGEND, *sections, *_latencies()]) + "\n"


def _latencies() -> tuple[str, ...]:
    """The pipelines of `accel.latency` on a design that ships."""
    design = load(EXAMPLE)
    pipelines = (
        ("feed", "from an activation's address to the array's edge", latency.feed_pipeline(design)),
        ("weight feed", "from a weight row's issue to the array's edge", latency.weight_pipeline(design)),
        ("array", "from the array's edge to a pixel's sums", latency.array_pipeline(design)),
        ("accumulate", "from sums to the write of the accumulator", latency.ACCUMULATE),
        ("post-process", "from a window's last element to the write of the output", latency.post_pipeline(design)),
        ("store", "from a beat's last slot to the beat on the bus", latency.store_pipeline(design)),
        ("dispatch", "from the write of a command into the program buffer to its dispatch", latency.SEQUENCER),
        ("address", "from a LOAD or STORE that is taken to its first address", latency.ADDRESS),
        ("complete", "from the end of a command to the cycle in which END sees it", latency.COMPLETE),
        ("done", "from the end of everything to done", latency.DONE),
    )
    rows = (
        (name, text, ", ".join(f"{stage.name} {stage.cycles}" for stage in stages), latency.cycles(stages))
        for name, text, stages in pipelines
    )
    depths = f"multipliers of {design.engine.multiplier_stages} and {design.post_multiplier_stages} stages"
    intro = (
        f"Latencies as `accel/latency.py` composes them, on the design `{EXAMPLE}` (array"
        f" {design.rows} x {design.cols}, {depths}; deeper ones lengthen `multiply`)."
        f" REUSE_CYCLES is {latency.REUSE_CYCLES}, post_cycles {latency.post_cycles(design)}."
    )
    return "### Latencies", intro, _table(("pipeline", "what", "stages and their cycles", "cycles"), rows)


def _section(command: type[Command]) -> str:
    """What a command does, and its fields: bits (high:low), meaning, illegal values."""
    assert command.__doc__ is not None
    parts = [f"### {command.OPCODE.name} (opcode {int(command.OPCODE)})"]
    parts.append(f"```text\n{inspect.cleandoc(command.__doc__)}\n```")
    if command in CONFIGURED_BY:
        parts.append(f"Illegal before the first {CONFIGURED_BY[command].OPCODE.name} since start.")
    at, rows = OPCODE_BITS, []
    for f in fields(command):
        width, text = f.metadata["bits"], f.metadata["text"] + (" (signed)" if f.metadata["signed"] else "")
        illegal = "; ".join(rule.illegal for rule in RULES[command] if rule.field == f.name)
        rows.append((f.name, f"{at + width - 1}:{at}", text, illegal))
        at += width
    if rows:
        parts.append(_table(("field", "bits", "meaning", "illegal"), rows))
    return "\n\n".join(parts)


def _table(head: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines)


def replace(text: str) -> str:
    """A page with its command tables made anew."""
    return with_part(text, BEGIN, END, tables())


if __name__ == "__main__":
    rewrite(replace)
