"""Boards: what is on one, the clock that it gives a design, and how a host speaks to the design over a serial port.

A request is a header of HEADER_BYTES bytes: READ or WRITE, an address (4 bytes), how many words of 32 bits (2 bytes),
all lowest byte first, and the CRC-16 of these seven (XMODEM: polynomial 0x1021 from 0, highest byte first). Behind the
header of a WRITE follow the words, lowest byte first, and their CRC-16. The answer to a WRITE is one byte, ACCEPTED if
the words came as they were sent; they are written as they come, so that after REFUSED they must be sent again. The
answer to a READ is ACCEPTED, the words, and their CRC-16. A header that is not in order is answered by REFUSED, and
then everything is dropped until the line was idle for IDLE_BITS bits; after so long a pause a request that is not
complete is forgotten. Addresses with bit MEMORY_BIT are of memory, others of registers.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

from accel.design import Design, load
from accel.latency import ON_CHIP_CYCLES
from accel.memory_kinds import Memory, OnChip
from accel.models.errors import InputError
from accel.resources.parts import PARTS

READ, WRITE = ord("R"), ord("W")
ACCEPTED, REFUSED = 0x06, 0x15  # ASCII's ACK and NAK
WORD_BYTES, CHECK_BYTES = 4, 2
HEADER_BYTES = 7 + CHECK_BYTES
MEMORY_BIT = 31
IDLE_BITS = 1 << 15


@dataclass(frozen=True)
class Board:
    """`part`: as `accel.resources` calls it. `design`: that fits it, at a clock that place and route reaches
    (docs/synthesis.md). `clock_mhz`: of the oscillator. `baud`: of the serial port.
    """

    name: str
    part: str
    design: str
    clock_mhz: int
    baud: int


BOARDS = {board.name: board for board in (Board("ulx3s", "ecp5-85f", "nano-ecp5", 25, 1_000_000),)}
"""Boards by name. ULX3S: github.com/emard/ulx3s, with an LFE5U-85F, and an FT231X (3 Mbaud at most) at the port."""


def board(name: str) -> Board:
    """The board of that name. Raises InputError."""
    if name not in BOARDS:
        raise InputError(f"board must be one of {', '.join(BOARDS)}, not {name!r}")
    return BOARDS[name]


@dataclass(frozen=True)
class Pll:
    """Dividers of an ECP5's EHXPLLL with its feedback from CLKOP, and the clock that comes of `input_mhz`."""

    input_mhz: int
    input_divider: int
    feedback_divider: int
    output_divider: int

    @property
    def clock_mhz(self) -> float:
        """Of CLKOP."""
        return self.input_mhz * self.feedback_divider / self.input_divider


VCO_MHZ = (400, 800)  # Lattice TN1263: where the oscillator of an EHXPLLL works
PHASE_DETECTOR_MHZ = (3.125, 400)


def pll(on: Board, wanted_mhz: float) -> Pll:
    """The fastest clock that is no faster than `wanted_mhz`. Raises InputError if that is too slow."""
    found = [
        Pll(on.clock_mhz, divide, times, post)
        for divide, times, post in product(range(1, 9), range(1, 81), range(1, 129))
        if on.clock_mhz / divide >= PHASE_DETECTOR_MHZ[0]
        and VCO_MHZ[0] <= on.clock_mhz * times * post / divide <= VCO_MHZ[1]
        and on.clock_mhz * times / divide <= wanted_mhz
    ]
    if not found:
        raise InputError(f"clock_mhz must be at least {VCO_MHZ[0] / 128:g} on {on.name}, not {wanted_mhz:g}")
    # Of equal clocks the one with the least division, which jitters least, and the oscillator nearest its middle.
    return max(
        found, key=lambda one: (one.clock_mhz, -one.input_divider, -abs(600 - one.clock_mhz * one.output_divider))
    )


def default_design(on: Board) -> Design:
    """What a board is made with if nobody says otherwise."""
    return load(on.design)


def design_on(on: Board, design: Design) -> Design:
    """The design with the memory and the clock that it has on the board: block RAM, which answers at once.

    Raises InputError for a core without DRAM, and for a clock that the board cannot make.
    """
    if isinstance(design.memory, OnChip):
        raise InputError(f"{design.name}: a design for {on.name} must have memory.kind axi, not on-chip")
    memory = Memory.model_validate(
        design.memory.model_dump()
        | {
            "latency_cycles": ON_CHIP_CYCLES,
            "beat_interval_cycles": 1,
            "outstanding_bursts": min(2, design.memory.outstanding_bursts),
            "axi_address_bits": 32,
        }
    )
    technology = design.technology.model_copy(update={"target": on.part})
    clock_mhz = pll(on, design.clock_mhz).clock_mhz
    return design.model_copy(
        update={"memory": memory, "clock_mhz": clock_mhz, "technology": technology, "reset": "active-high"}
    )


def memory_brams(on: Board, design: Design, memory_bytes: int) -> int:
    """Block RAMs of a memory of `memory_bytes`, a byte of a beat wide each, as Yosys makes them of one with strobes."""
    kbit = PARTS[on.part].bram_kbit // 9 * 8  # the ninth bits are not used
    return design.beat_bytes * -(-memory_bytes // (design.beat_bytes * kbit * 128))
