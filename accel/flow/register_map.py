"""The register map as Markdown and as a C header, from the table that the hardware is made of."""

from __future__ import annotations

from accel.commands import ErrorCode
from accel.design import Design, OnChip
from accel.on_chip import regions_of
from accel.program import Program
from accel.registers import COUNTER_BASE, COUNTER_BITS, COUNTERS, REGISTERS, Register, registers

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

A start takes over the registers that are marked *latched*; what is written to them during a run is for the next one.
`IRQ_ENABLE` acts at once.

A run works on `IMAGES` images, one after the other, and raises done after the last. The first is run by the program at
`PROGRAM_OFFSET`, the others by that at `NEXT_OFFSET`, which may count on what the first one left on chip. Inputs lie
`INPUT_MOVE` bytes behind the places that the program names, and with each image `INPUT_STEP` further; outputs likewise.
All of it must lie in `DRAM_SIZE`. `IMAGES_DONE` says how many outputs are complete, after an error as well.

The watchdog ends a run in which nothing happens any more. A run that works for longer than it should is stopped by
writing 2 to `CONTROL`: bursts in flight are completed, then the run is done with the error ABORTED.

A memory that answers nothing any more cannot hold a run for ever: when the bus was neither quiet nor active for
another `WATCHDOG` cycles after the error, the run is done with bursts in flight, and bit 3 of `STATUS` is set. Until it
is clear a start is refused (bit 0 of `STATUS` stays 0): late answers are taken and dropped, and when the last one has
come, the bit goes. **A driver must** therefore read `STATUS` before a start, wait while bit 3 is set, and, if the
memory does not recover, reset accelerator, interconnect and memory controller together (`rst` for one cycle; a reset
of the accelerator alone would leave it with answers to bursts that it has forgotten).
"""

CORE_INTRODUCTION = """\
# Register map

32-bit registers on the AXI4-Lite port `s_axil`; offsets are in bytes. What is not listed reads as 0 and ignores writes.

The core needs none of them: it runs by itself whenever an image has come in. `irq` rises after each image if it is
enabled, until the next run starts; the counters are those of the last run.

A run that ends with an error (`ERROR`, bit 2 of `STATUS`) sends nothing, and the core waits with its image: write 1 to
`CONTROL` to run it again, or reset the core. The watchdog ends a run in which nothing happens any more; writing 2 to
`CONTROL` stops a run with the error ABORTED.
"""


COUNTERS_TEXT = f"""\
{COUNTER_BITS} bits each; cleared by a start, at rest after done, and one that is full stays so. Counters of what
a design has not are 0. A read is answered when the counter's turn comes: within as many cycles as there are counters.\
"""


def markdown(design: Design) -> str:
    """The map of a design's hardware as a page."""
    inside = isinstance(design.memory, OnChip)
    lines = [CORE_INTRODUCTION if inside else INTRODUCTION, *_table(registers(design))]
    lines += ["", "## Performance counters", "", COUNTERS_TEXT, ""]
    lines += _table(COUNTERS)
    lines += ["", "## Error codes", "", "| code | name | |", "|---|---|---|"]
    lines += [f"| {int(code)} | {code.name} | {code.text} |" for code in ErrorCode]
    return "\n".join(lines) + "\n"


def _table(found: tuple[Register, ...]) -> list[str]:
    lines = ["| offset | name | access | after reset | |", "|---|---|---|---|---|"]
    for r in found:
        access = ACCESS[r.access] + (", latched" if r.latched else "")
        lines.append(f"| 0x{r.offset:03X} | {r.name} | {access} | 0x{r.reset:X} | {r.text} |")
    return lines


def core_header(program: Program) -> str:
    """Registers, error codes, and the sizes of packets, of a core without DRAM."""
    found = regions_of(program)
    sizes = {"BEAT_BYTES": found.beat_bytes, "IMAGE_BEATS": found.image.beats, "RESULT_BEATS": found.result.beats}
    lines = [
        "/* Registers (byte offsets), error codes, and the sizes of the packets of both streams. */",
        "#ifndef ACCELERATOR_H",
        "#define ACCELERATOR_H",
        "",
        *definitions(registers(program.design)),
        "",
        f"/* {program.name} on {program.design.name} */",
        *(f"#define ACCEL_{name} {value}u" for name, value in sizes.items()),
        "",
        "#endif",
        "",
    ]
    return "\n".join(lines)


def definitions(found: tuple[Register, ...] = REGISTERS) -> list[str]:
    """The lines of the C header that are the same for every program: offsets, counters, error codes."""
    lines = [f"#define ACCEL_{r.name} 0x{r.offset:03X}u /* {ACCESS[r.access]}: {r.text} */" for r in found]
    lines += ["", f"#define ACCEL_COUNTERS {len(COUNTERS)}u /* counters of {COUNTER_BITS} bits, a register each */"]
    lines.append(f"#define ACCEL_COUNTER_BASE 0x{COUNTER_BASE:03X}u /* of the first one */")
    lines += [f"#define ACCEL_{r.name} 0x{r.offset:03X}u /* {r.text} */" for r in COUNTERS]
    lines.append("")
    lines += [f"#define ACCEL_ERROR_{code.name} {int(code)} /* {code.text} */" for code in ErrorCode]
    assert [int(code) for code in ErrorCode] == list(range(len(ErrorCode)))
    texts = ", \\\n    ".join(f'"{code.text}"' for code in ErrorCode)
    return [*lines, f"#define ACCEL_ERROR_TEXTS {{ \\\n    {texts}, \\\n}}"]
