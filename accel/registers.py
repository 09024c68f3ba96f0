"""The register map of the AXI4-Lite slave: one table, from which hardware, Markdown and C header are made.

Registers are 32 bits, little-endian, at byte offsets from the slave's base. The performance counters (64 bits, low word
first) follow from COUNTERS_OFFSET in the order of `accel.events.Event`; they are cleared by a start and hold their
values from done to the next start.
"""

from __future__ import annotations

from dataclasses import dataclass

from accel.design import Design
from accel.events import Event

ADDRESS_BITS = 12
COUNTERS_OFFSET = 0x100
PROGRAM_COUNT_BITS = 13
IDENTITY = 0x4C434341  # "ACCL"
VERSION = 1


@dataclass(frozen=True)
class Field:
    """Bits of a register."""

    name: str
    low: int
    bits: int
    description: str


@dataclass(frozen=True)
class Register:
    """One 32-bit register.

    `access`: "ro" read only; "rw" read and write; "wo" write only, reads 0; "w1c" read, writing 1 clears the bits that
    say so. `reset` is its value after reset, or the attribute of the Design that a read-only register shows.
    `bits`: the writable (or meaningful) low bits; `align`: that many lowest bits are always 0.
    """

    name: str
    offset: int
    access: str
    reset: int | str
    description: str
    bits: int = 32
    align: int = 0
    fields: tuple[Field, ...] = ()

    def value(self, design: Design) -> int:
        """Its value after reset, in the hardware made from `design`."""
        return int(getattr(design, self.reset)) if isinstance(self.reset, str) else self.reset


REGISTERS: tuple[Register, ...] = (
    Register(
        "CTRL", 0x00, "wo", 0, "control", 1,
        fields=(Field("START", 0, 1, "write 1 to start the program; ignored while BUSY"),),
    ),
    Register(
        "STATUS", 0x04, "w1c", 0, "state", 3,
        fields=(
            Field("BUSY", 0, 1, "a program is running"),
            Field("DONE", 1, 1, "the program ended, by END or by an error; write 1 to clear, cleared by a start"),
            Field("ERROR", 2, 1, "it ended by an error; the code is in ERROR"),
        ),
    ),
    Register(
        "IRQ_ENABLE", 0x08, "rw", 0, "interrupt enable", 1,
        fields=(Field("DONE", 0, 1, "the interrupt line follows STATUS.DONE"),),
    ),
    Register("ERROR", 0x0C, "ro", 0, "code of the first error since the last start (accel.commands.ErrorCode)", 4),
    Register("DRAM_BASE", 0x10, "rw", 0, "byte address of DRAM offset 0; a multiple of 4096", align=12),
    Register("DRAM_SIZE", 0x14, "rw", 0, "bytes behind DRAM_BASE that bursts may touch"),
    Register("PROGRAM_OFFSET", 0x18, "rw", 0, "DRAM offset of the first command; a multiple of the beat size"),
    Register("PROGRAM_COUNT", 0x1C, "rw", 0, "commands that the hardware fetches by itself", PROGRAM_COUNT_BITS),
    Register("WATCHDOG", 0x20, "rw", 1 << 20, "cycles without any event that end the run with TIMEOUT; 0: never"),
    Register("ID", 0x40, "ro", IDENTITY, "0x4C434341"),
    Register("VERSION", 0x44, "ro", VERSION, "version of this register map and of the command set"),
    Register("ROWS", 0x48, "ro", "rows", "array rows of the design"),
    Register("COLS", 0x4C, "ro", "cols", "array columns of the design"),
    Register("LANES", 0x50, "ro", "lanes", "post-process lanes of the design"),
    Register("BEAT_BYTES", 0x54, "ro", "beat_bytes", "bytes of an AXI beat"),
)  # fmt: skip
BY_NAME: dict[str, Register] = {register.name: register for register in REGISTERS}


def counter_offset(event: Event) -> int:
    """Byte offset of the low word of an event's counter; the high word follows."""
    return COUNTERS_OFFSET + 8 * list(Event).index(event)
