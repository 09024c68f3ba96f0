"""Rows of the DRAM behind a design: which addresses share one, and how often a program opens one.

A rank is as many devices side by side as the design's bandwidth asks for, a power of two, so that a row of the rank is
as many rows of a device. Row number n lies in bank n mod banks, and stays open until another row of the bank is opened.
Reads and writes each have rows of their own: a controller collects writes and drains them apart from reads, so
neither closes what the other has open. So the count depends on the program alone, not on how fast the memory is; a test
counts in the bench of the emitted Verilog as well (`tests/benches/verilator.cpp`).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, log2
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from accel.commands import Opcode, Target
from accel.layout import in_beats
from accel.memory_kinds import OnChip
from accel.rows import LOAD, OPCODE, STORE, WIDTH, Rows
from accel.timing.kernel import Ints, MutableInts, call, part

if TYPE_CHECKING:
    from accel.design import Design

OP_LOAD, OP_STORE = int(Opcode.LOAD), int(Opcode.STORE)


@dataclass(frozen=True)
class Device:
    """A DRAM device: bytes of a row, banks, and the bandwidth that it can give."""

    title: str
    row_bytes: int
    banks: int
    gigabytes_per_s: float


# Geometry of DRAMPower's memory specifications of these devices.
DEVICES = {
    "ddr3": Device("Micron 2 Gb DDR3-1600 x16", 2048, 8, 3.2),
    "ddr4": Device("Micron 4 Gb DDR4-2400 x8", 1024, 16, 2.4),
    "lpddr3": Device("Micron 4 Gb LPDDR3-1600 x32", 4096, 8, 6.4),
}


class Rank(NamedTuple):
    """`devices` of one kind side by side: a row of `row_bytes` in each of `banks`."""

    devices: int
    row_bytes: int
    banks: int


def rank_of(design: Design) -> Rank | None:
    """The rank behind a design: None without DRAM, and where a flat price a bit stands for it."""
    if isinstance(design.memory, OnChip) or design.technology.dram == "flat":
        return None
    device = DEVICES[design.technology.dram]
    wanted = design.bytes_per_cycle * design.clock_mhz / 1e3 / device.gigabytes_per_s
    devices = 1 << max(0, ceil(log2(wanted) - 1e-9))
    return Rank(devices, devices * device.row_bytes, device.banks)


def alike(design: Design) -> Design:
    """The design that stands for all whose programs open as many rows: without technology but the DRAM, and with the
    highest clock that its rank can serve (1 MHz where there is none)."""
    rank, clock = rank_of(design), 1.0
    dram = design.technology.dram
    if rank is not None:
        clock = rank.devices * DEVICES[dram].gigabytes_per_s * 1e3 / design.bytes_per_cycle
    technology = type(design.technology)(dram=dram)
    return design.model_copy(update={"clock_mhz": clock, "technology": technology})


@part
def opened(rank: Rank, first: int, size: int, rows: int, pitch: int, open_rows: MutableInts, at: int) -> int:
    """How many rows of the DRAM an access opens that reads or writes `rows` times `size` bytes, `pitch` bytes apart.

    `open_rows`: the open row of each bank, from place `at` on.
    """
    count = 0
    for k in range(rows):
        start = first + k * pitch
        for row in range(start // rank.row_bytes, (start + size - 1) // rank.row_bytes + 1):
            place = at + row % rank.banks
            if open_rows[place] != row:
                open_rows[place] = row
                count += 1
    return count


@part
def all_opened(
    rank: Rank, beat_bytes: int, words_per_beat: int, beats_per_word: int, rows: Ints, open_rows: MutableInts,
    found: MutableInts,
) -> int:  # fmt: skip
    """`found`: how many rows of the DRAM each of some commands opens, whose `rows` stand one after the other.

    Words are those of the activation memory. `open_rows`: two places a bank, for reads and for writes.
    """
    for k in range(len(found)):
        r = k * WIDTH
        if rows[r + OPCODE] == OP_LOAD:
            size = rows[r + LOAD.row_beats] * beat_bytes
            address, times, pitch = rows[r + LOAD.dram_addr], rows[r + LOAD.rows], rows[r + LOAD.dram_pitch]
            found[k] = opened(rank, address, size, times, pitch, open_rows, 0)
        elif rows[r + OPCODE] == OP_STORE:
            size = -(-rows[r + STORE.row_words] // words_per_beat) * beats_per_word * beat_bytes
            address, times, pitch = rows[r + STORE.dram_addr], rows[r + STORE.rows], rows[r + STORE.dram_pitch]
            found[k] = opened(rank, address, size, times, pitch, open_rows, rank.banks)
    return 0


def row_activations(design: Design, rows: Rows) -> NDArray[np.int64]:
    """(n,) rows of the DRAM that each of n commands opens, in the order of the program."""
    found, rank = np.zeros(len(rows), np.int64), rank_of(design)
    if rank is None:
        return found
    inputs = (rank, design.beat_bytes, *in_beats(design, Target.ACTIVATION), np.ascontiguousarray(rows).ravel())
    call(all_opened, len(rows), inputs, (np.full(2 * rank.banks, -1, np.int64), found))
    return found
