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
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from accel.commands import Opcode, Target
from accel.layout import beats_per_word, words_per_beat
from accel.memory_kinds import OnChip
from accel.rows import LOAD, OPCODE, STORE, Rows

if TYPE_CHECKING:
    from accel.design import Design

Ints = NDArray[np.int64]


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


@dataclass(frozen=True)
class Rank:
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


def opened(rank: Rank, first: Ints, size: Ints, rows: Ints, pitch: Ints) -> Ints:
    """(n,) rows of the DRAM that each of n accesses opens, one after the other in one direction.

    Each reads or writes `rows` times `size` bytes, from `first` on, `pitch` bytes apart.
    """
    commands, place = _repeated(rows)
    start = first[commands] + place * pitch[commands]
    low, high = start // rank.row_bytes, (start + size[commands] - 1) // rank.row_bytes
    pieces, step = _repeated(high - low + 1)
    commands, visited = commands[pieces], low[pieces] + step
    order = np.argsort(visited % rank.banks, kind="stable")
    visited = visited[order]
    fresh = np.ones(len(visited), bool)
    fresh[1:] = visited[1:] != visited[:-1]  # rows of two banks differ
    return np.bincount(commands[order][fresh], minlength=len(first)).astype(np.int64)


def _repeated(counts: Ints) -> tuple[Ints, Ints]:
    """Each index as often as its count says, and the number of each repetition."""
    index = np.repeat(np.arange(len(counts)), counts)
    before = np.cumsum(counts) - counts
    return index, np.arange(len(index)) - before[index]


def row_activations(design: Design, rows: Rows) -> Ints:
    """(n,) rows of the DRAM that each of n commands opens, in the order of the program."""
    found, rank = np.zeros(len(rows), np.int64), rank_of(design)
    if rank is None:
        return found
    reads, writes = (np.flatnonzero(rows[:, OPCODE] == opcode) for opcode in (Opcode.LOAD, Opcode.STORE))
    if len(reads):
        of = rows[reads]
        sizes = of[:, LOAD.row_beats] * design.beat_bytes
        found[reads] = opened(rank, of[:, LOAD.dram_addr], sizes, of[:, LOAD.rows], of[:, LOAD.dram_pitch])
    if len(writes):
        of = rows[writes]
        words, of_word = words_per_beat(design, Target.ACTIVATION), beats_per_word(design, Target.ACTIVATION)
        sizes = -(-of[:, STORE.row_words] // words) * of_word * design.beat_bytes
        found[writes] = opened(rank, of[:, STORE.dram_addr], sizes, of[:, STORE.rows], of[:, STORE.dram_pitch])
    return found
