"""The register map of the AXI4-Lite port: hardware, drivers and documentation are made from this table.

Registers are 32 bits at byte offsets from the port's base. The performance counters, 64 bits each, low word first,
follow from COUNTER_BASE in the order of `accel.events.Event`; a start clears them, and after done they rest.
"""

from __future__ import annotations

from dataclasses import dataclass

from accel.events import Event

VERSION = 0x0001_0001
COUNTER_BASE = 0x100
PROGRAM_COUNT_BITS = 13
WATCHDOG_RESET = 1 << 20


@dataclass(frozen=True)
class Register:
    """A 32-bit register: byte offset, access ("rw", "ro", "wo", "w1c"), what it means, and its value after reset.

    Of a register that can be written, bits [align, bits) hold what was written and the others read as 0.
    """

    name: str
    offset: int
    access: str
    text: str
    reset: int = 0
    bits: int = 32
    align: int = 0


REGISTERS = (
    Register(
        "CONTROL",
        0x00,
        "wo",
        "bit 0: write 1 to start (ignored while busy); bit 1: write 1 to abort (ignored unless busy)",
    ),
    Register("STATUS", 0x04, "w1c", "bit 0: busy; bit 1: done (write 1 to clear); bit 2: stopped by an error"),
    Register("IRQ_ENABLE", 0x08, "rw", "bit 0: irq follows done", bits=1),
    Register("ERROR", 0x0C, "ro", "code of the first error since the last start (0: none)"),
    Register("DRAM_BASE", 0x10, "rw", "byte address of the image, 4 KiB aligned", align=12),
    Register("DRAM_SIZE", 0x14, "rw", "bytes that commands may touch, from DRAM_BASE (but not beyond 2**32)"),
    Register("PROGRAM_OFFSET", 0x18, "rw", "byte offset of the first command, beat aligned"),
    Register("PROGRAM_COUNT", 0x1C, "rw", "commands in the hardware's own first fetch", bits=PROGRAM_COUNT_BITS),
    Register(
        "WATCHDOG",
        0x20,
        "rw",
        "cycles without any progress after which a run is stopped (0: never)",
        reset=WATCHDOG_RESET,
    ),
    Register("VERSION", 0x24, "ro", f"0x{VERSION:08x}", reset=VERSION),
    Register("ARRAY", 0x28, "ro", "bits 7..0: rows, bits 15..8: columns, bits 23..16: post-process lanes"),
)
COUNTERS = tuple(
    register
    for index, event in enumerate(Event)
    for register in (
        Register(f"{event.name}_LO", COUNTER_BASE + 8 * index, "ro", f"{event.value}, bits 31..0"),
        Register(f"{event.name}_HI", COUNTER_BASE + 8 * index + 4, "ro", f"{event.value}, bits 63..32"),
    )
)
OFFSETS = {register.name: register.offset for register in REGISTERS + COUNTERS}


def counter_offset(event: Event) -> int:
    """Byte offset of the low half of an event's counter."""
    return OFFSETS[f"{event.name}_LO"]
