"""The register map of the AXI4-Lite port: hardware, drivers and documentation are made from this table.

Registers are 32 bits at byte offsets from the port's base. The performance counters follow from COUNTER_BASE in the
order of `accel.events.Event`; a start clears them, after done they rest, and one that is full stays so.
A run uses the values that the registers had when it was started (`latched`); a write meanwhile is for the next one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from accel.design import Design
from accel.events import Event
from accel.memory_kinds import OnChip

VERSION = 0x0001_0004
COUNTER_BASE = 0x100
COUNTER_BITS = 32  # one register
PROGRAM_COUNT_BITS = 13
IMAGES_BITS = 16
PAGE_BITS = 12  # what is moved is moved by pages of 4 KiB, so that bursts are cut as before
STEP_BITS = 24
WATCHDOG_RESET = 1 << 20


@dataclass(frozen=True)
class Bits:
    """A part of a register: its lowest bit and how many there are. `cleared`: by writing 1."""

    name: str
    low: int
    text: str
    bits: int = 1
    cleared: bool = False

    def __str__(self) -> str:
        return f"bit{f's {self.low + self.bits - 1}..{self.low}' if self.bits > 1 else f' {self.low}'}: {self.text}"


@dataclass(frozen=True)
class Register:
    """A 32-bit register: byte offset, access ("rw", "ro", "wo", "w1c"), what it means, and its value after reset.

    Of a register that can be written, bits [align, bits) hold what was written and the others read as 0. `latched`: a
    start takes over the value, for the whole run. `grows_by`: the register by which that value grows from one image of
    the run to the next. `parts`: what its bits are, if they are not one value; they say it all (`of_parts`).
    """

    name: str
    offset: int
    access: str
    text: str
    reset: int = 0
    bits: int = 32
    align: int = 0
    latched: bool = False
    grows_by: str = ""
    parts: tuple[Bits, ...] = ()


def of_parts(name: str, offset: int, access: str, *parts: Bits, bits: int = 32) -> Register:
    """The register whose text is that of its parts."""
    return Register(name, offset, access, "; ".join(map(str, parts)), bits=bits, parts=parts)


ABORT = Bits("abort", 1, "write 1 to abort (ignored unless busy)")
REGISTERS = (
    of_parts(
        "CONTROL",
        0x00,
        "wo",
        Bits("start", 0, "write 1 to start (ignored while bit 0 or bit 3 of STATUS is set)"),
        ABORT,
    ),
    of_parts(
        "STATUS",
        0x04,
        "w1c",
        Bits("busy", 0, "busy"),
        Bits("done", 1, "done (write 1 to clear)", cleared=True),
        Bits("failed", 2, "stopped by an error"),
        Bits("draining", 3, "bus not quiet, a run that was stopped has bursts in flight"),
    ),
    of_parts("IRQ_ENABLE", 0x08, "rw", Bits("done", 0, "irq follows done"), bits=1),
    Register("ERROR", 0x0C, "ro", "code of the first error since the last start (0: none)"),
    Register("DRAM_BASE", 0x10, "rw", "byte address of the image, 4 KiB aligned: bits 31..0", align=12, latched=True),
    Register(
        "DRAM_SIZE",
        0x14,
        "rw",
        "bytes that commands may touch, from DRAM_BASE (but not beyond what an address can name)",
        latched=True,
    ),
    Register("PROGRAM_OFFSET", 0x18, "rw", "byte offset of the first command, beat aligned", latched=True),
    Register(
        "PROGRAM_COUNT",
        0x1C,
        "rw",
        "commands in the hardware's own first fetch",
        bits=PROGRAM_COUNT_BITS,
        latched=True,
    ),
    Register(
        "WATCHDOG",
        0x20,
        "rw",
        "cycles without any progress after which a run is stopped (0: never)",
        reset=WATCHDOG_RESET,
        latched=True,
    ),
    Register("VERSION", 0x24, "ro", f"0x{VERSION:08x}", reset=VERSION),
    of_parts(
        "ARRAY",
        0x28,
        "ro",
        Bits("rows", 0, "rows", 8),
        Bits("columns", 8, "columns", 8),
        Bits("lanes", 16, "post-process lanes", 8),
        Bits("weight_rows", 24, "weight rows that enter in a cycle", 8),
    ),
    Register(
        "DRAM_BASE_HIGH",
        0x2C,
        "rw",
        "bits 63..32 of DRAM_BASE; reads as 0 and ignores writes if addresses have 32 bits",
        latched=True,
    ),
    Register(
        "INPUT_MOVE",
        0x30,
        "rw",
        "bytes by which inputs lie behind their places in the image, 4 KiB aligned",
        align=PAGE_BITS,
        latched=True,
        grows_by="INPUT_STEP",
    ),
    Register(
        "OUTPUT_MOVE",
        0x34,
        "rw",
        "bytes by which outputs lie behind their places in the image, 4 KiB aligned",
        align=PAGE_BITS,
        latched=True,
        grows_by="OUTPUT_STEP",
    ),
    Register("IMAGES", 0x38, "rw", "images of a run (0: one)", reset=1, bits=IMAGES_BITS, latched=True),
    Register("IMAGES_DONE", 0x3C, "ro", "images of this run whose outputs are complete"),
    Register(
        "INPUT_STEP",
        0x40,
        "rw",
        "bytes from the inputs of an image to those of the next one, 4 KiB aligned",
        bits=STEP_BITS,
        align=PAGE_BITS,
        latched=True,
    ),
    Register(
        "OUTPUT_STEP",
        0x44,
        "rw",
        "bytes from the outputs of an image to those of the next one, 4 KiB aligned",
        bits=STEP_BITS,
        align=PAGE_BITS,
        latched=True,
    ),
    Register("NEXT_OFFSET", 0x48, "rw", "as PROGRAM_OFFSET, for the images behind the first one", latched=True),
    Register(
        "NEXT_COUNT",
        0x4C,
        "rw",
        "as PROGRAM_COUNT, for the images behind the first one",
        bits=PROGRAM_COUNT_BITS,
        latched=True,
    ),
)
COUNTERS = tuple(
    Register(f"COUNT_{event.name}", COUNTER_BASE + 4 * index, "ro", event.value) for index, event in enumerate(Event)
)
OFFSETS = {register.name: register.offset for register in REGISTERS + COUNTERS}


def counter_offset(event: Event) -> int:
    """Byte offset of an event's counter."""
    return OFFSETS[f"COUNT_{event.name}"]


OUTSIDE = (
    "DRAM_BASE", "DRAM_BASE_HIGH", "DRAM_SIZE", "PROGRAM_OFFSET", "PROGRAM_COUNT", "NEXT_OFFSET", "NEXT_COUNT",
    "INPUT_MOVE", "OUTPUT_MOVE", "INPUT_STEP", "OUTPUT_STEP", "IMAGES", "IMAGES_DONE",
)  # fmt: skip
"""Registers that say where a program and its images lie: a core without DRAM has the one inside, the others stream."""
GO_ON = of_parts(
    "CONTROL",
    0x00,
    "wo",
    Bits("start", 0, "write 1 to run the image again after an error (ignored while bit 0 or bit 3 of STATUS is set)"),
    ABORT,
)


def registers(design: Design) -> tuple[Register, ...]:
    """The registers that the hardware of a design has, with the values that they have after reset."""
    found = []
    inside = isinstance(design.memory, OnChip)
    for register in REGISTERS:
        if inside and register.name in OUTSIDE:
            continue
        if inside and register.name == "CONTROL":
            register = GO_ON
        if register.name == "ARRAY":
            shape = design.rows | design.cols << 8 | design.lanes << 16 | design.weight_rows << 24
            register = replace(register, reset=shape)
        if register.name != "DRAM_BASE_HIGH" or design.memory.axi_address_bits > 32:
            found.append(register)
    return tuple(found)
