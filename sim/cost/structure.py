"""What a design is made of, as far as it is priced: memories by kind and logic by component.

Memories are those of `accel.memories`, widths, registers and multipliers those of `accel.datapath`. What has no such
list (skew of the array's edges, the shell, logic that is no multiplier) are numbers counted in emitted Verilog and in
its synthesis for an FPGA; a test compares the sum of all registers with other Verilog
(tests/test_sim_cost_structure.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import starmap
from operator import mul
from typing import NamedTuple

from accel.datapath import (
    OFFSET_BITS,
    REQUANTISE_ADDERS,
    REQUANTISE_MULTIPLIERS,
    RESIDUAL_ADDERS,
    RESIDUAL_MULTIPLIER,
    filter_area,
    pe_registers,
)
from accel.design import Design, OnChip
from accel.events import Event
from accel.memories import ACCUMULATOR, CODE_BITS, WEIGHT, of

STORE = "store"  # the memory of a core without DRAM

# Registers, counted in the emitted Verilog of nano, edge, edge-sparse, edge-coded and core.
EDGE_REGISTERS, PLACE_REGISTERS, SPARSE_PLACE_REGISTERS = 437, 48, 30  # of an engine beside its PEs: fixed, a place
LANE_REGISTERS = 339  # of a lane of requantisation
DECODER_LANE_REGISTERS = 158
SHELL_REGISTERS, SHELL_LANE_REGISTERS = 5290, 216  # loader, storer, queues, CSR, control: fixed, a lane of post-process
# 4-input LUTs without those of multipliers: `python -m tests.benchmarks.synthesis`, docs/results.md.
PE_LUTS, OUTPUT_PE_LUTS = 29, 106  # whose weight stays, and whose output does
SPARSE_PE_LUTS, SPARSE_LANE_LUTS = 203, 138  # of a PE of the sparse engine, and for each of its multipliers
LANE_LUTS = 567
DECODER_LANE_LUTS = 2530
SHELL_LUTS = 14_000

# Of a lane of requantisation: products of widths of its multipliers, bits of its adders; and what a residual moves.
LANE_BITS2, LANE_RESIDUAL_BITS2 = sum(starmap(mul, REQUANTISE_MULTIPLIERS)), mul(*RESIDUAL_MULTIPLIER)
LANE_ADDERS, LANE_RESIDUAL_ADDERS = sum(REQUANTISE_ADDERS.values()), sum(RESIDUAL_ADDERS.values())
FILTER_SUM_BITS = 20  # of nine products of a filter


@dataclass(frozen=True)
class MemoryShape:
    """One kind of on-chip memory: `count` memories of `words` words of `width_bits`, and the events that access it.

    What is counted as an access reads `read` of them, or writes `written`.
    """

    name: str
    count: int
    words: int
    width_bits: int
    reads: Event
    writes: Event
    read: int
    written: int
    beside_bits: int = 0  # of the width, that are no data

    @property
    def data_bits(self) -> int:
        """Bits of a word that its users see."""
        return self.width_bits - self.beside_bits

    def accesses(self, events: Mapping[Event, int]) -> int:
        """Words read and written in all of them."""
        return events.get(self.reads, 0) * self.read + events.get(self.writes, 0) * self.written


def memories(design: Design) -> tuple[MemoryShape, ...]:
    """The on-chip memories of a design; without DRAM also what holds program, weights and tensors, as one memory."""
    shapes = [
        MemoryShape(
            m.name,
            *m.cells(design),
            m.reads,
            m.writes,
            m.read_cells(design),
            m.written_cells(design),
            m.beside_bits(design),
        )
        for m in of(design)
    ]
    if isinstance(design.memory, OnChip):
        words = design.memory.bytes // design.beat_bytes
        shapes.append(MemoryShape(STORE, 1, words, design.memory.bits, Event.READ_BEATS, Event.WRITE_BEATS, 1, 1))
    return tuple(shapes)


class Block(NamedTuple):
    """Logic of one component: all products of multipliers' widths, LUTs, registers that every cycle clocks, and `kept`.

    `kept`: bits of registers that are clocked only when they are written.
    """

    name: str
    multiplier_bits2: int
    luts: int
    registers: int
    kept: int = 0


def queue_bits(design: Design) -> int:
    """Bits of a broadcast in the queue of a sparse engine's PE."""
    start, count = (WEIGHT.words(design) - 1).bit_length(), design.rows.bit_length()
    block = ACCUMULATOR.word_bits - (design.rows - 1).bit_length()
    return start + OFFSET_BITS * design.rows + block + 2 * count


def blocks(design: Design) -> tuple[Block, ...]:
    """The logic of a design: array, post-process, filter and decoder if there are such, control."""
    places, lanes = design.rows * design.cols, design.lanes
    registers = sum(pe_registers(design).values()) * places
    if design.engine.kind == "sparse":
        kept = design.cols * design.engine.queue_depth * queue_bits(design)
        luts = design.cols * SPARSE_PE_LUTS + places * SPARSE_LANE_LUTS
        beside = EDGE_REGISTERS + places * SPARSE_PLACE_REGISTERS
        array = Block("array", places * OFFSET_BITS * CODE_BITS, luts, registers + beside, kept)
    else:
        beside = EDGE_REGISTERS + places * PLACE_REGISTERS
        luts = places * (OUTPUT_PE_LUTS if design.output_stationary else PE_LUTS)
        array = Block("array", places * CODE_BITS * CODE_BITS, luts, registers + beside)
    found = [
        array,
        Block("post-process", lanes * (LANE_BITS2 + LANE_RESIDUAL_BITS2), lanes * LANE_LUTS, lanes * LANE_REGISTERS),
        Block("control", 0, SHELL_LUTS, SHELL_REGISTERS + SHELL_LANE_REGISTERS * lanes),
    ]
    if design.filter_multipliers:
        products = lanes * design.filter_multipliers * CODE_BITS * CODE_BITS
        found.append(Block("filter", products, *filter_area(design)))
    if design.decoder_lanes:
        decoders = design.decoder_lanes
        found.append(Block("decoder", 0, decoders * DECODER_LANE_LUTS, decoders * DECODER_LANE_REGISTERS))
    return tuple(found)
