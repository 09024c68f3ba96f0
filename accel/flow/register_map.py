"""The register map as Markdown and as a C header, from the table that the hardware is made of."""

from __future__ import annotations

from accel.commands import ErrorCode
from accel.program import Program
from accel.registers import COUNTER_BASE, COUNTERS, REGISTERS, Register

ACCESS = {
    "rw": "read, write",
    "ro": "read only",
    "wo": "write only",
    "w1c": "read; write 1 to clear",
}
INTRODUCTION = """\
# Register map

32-bit registers on the AXI4-Lite port `s_axil`; offsets are in bytes. What is not listed reads as 0 and ignores writes.

A run: write `DRAM_BASE`, `DRAM_SIZE`, `PROGRAM_OFFSET` and `PROGRAM_COUNT`, then 1 to `CONTROL`. When `irq` rises (or
bit 1 of `STATUS` is set), `ERROR` says whether it ended well. Write 2 to `STATUS` before the next run.

The watchdog ends a run in which nothing happens any more. A run that works for longer than it should is stopped by
writing 2 to `CONTROL`: bursts in flight are completed, then the run is done with the error ABORTED.
"""


def markdown() -> str:
    """The map as a page."""
    lines = [INTRODUCTION, *_table(REGISTERS)]
    lines += ["", "## Performance counters", "", "64 bits each, cleared by a start, at rest after done.", ""]
    lines += _table(COUNTERS)
    lines += ["", "## Error codes", "", "| code | name | |", "|---|---|---|"]
    lines += [f"| {int(code)} | {code.name} | {code.text} |" for code in ErrorCode]
    return "\n".join(lines) + "\n"


def _table(registers: tuple[Register, ...]) -> list[str]:
    lines = ["| offset | name | access | after reset | |", "|---|---|---|---|---|"]
    lines += [
        f"| 0x{r.offset:03X} | {r.name} | {ACCESS[r.access]} | 0x{r.reset:X} | {r.text} |" for r in registers
    ]  # fmt: skip
    return lines


def header(program: Program) -> str:
    """Registers, error codes, and what a driver writes to run `program`."""
    values = {
        "IMAGE_DRAM_BYTES": program.dram_bytes,
        "IMAGE_PROGRAM_OFFSET": program.program_offset,
        "IMAGE_PROGRAM_COUNT": program.first_fetch,
        "IMAGE_INPUT_OFFSET": program.input.offset,
        "IMAGE_OUTPUT_OFFSET": program.output.offset,
    }
    lines = [
        "/* Registers (byte offsets), error codes, and the values that start the program in image.bin. */",
        "#ifndef ACCELERATOR_H",
        "#define ACCELERATOR_H",
        "",
        *definitions(),
        "",
        f"/* {program.name} on {program.design.name} */",
        *(f"#define ACCEL_{name} {value}u" for name, value in values.items()),
    ]
    return "\n".join([*lines, "", "#endif", ""])


def definitions() -> list[str]:
    """The lines of the C header that are the same for every program: offsets, counters, error codes."""
    lines = [f"#define ACCEL_{r.name} 0x{r.offset:03X}u /* {ACCESS[r.access]}: {r.text} */" for r in REGISTERS]
    lines += ["", f"#define ACCEL_COUNTERS {len(COUNTERS) // 2}u /* counters of 64 bits, low half first */"]
    lines.append(f"#define ACCEL_COUNTER_BASE 0x{COUNTER_BASE:03X}u /* of the first one */")
    lines += [f"#define ACCEL_{r.name} 0x{r.offset:03X}u /* {r.text} */" for r in COUNTERS]
    lines.append("")
    lines += [f"#define ACCEL_ERROR_{code.name} {int(code)}u /* {code.text} */" for code in ErrorCode]
    return lines
