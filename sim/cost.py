"""Energy: a pure function of events, constants and the design. Later tables change the constants, not this form.

Counted: DRAM traffic, every access of the on-chip memories and their leakage, multiply-accumulates, requantisation and
codebook look-ups. Not counted: clock tree, control, the leakage of logic, DRAM standby, and the host. What a
multiply-accumulate costs is uncertain by about five times in the literature, so compute has a low and a high figure:

    low    Horowitz's 8-bit multiplication and 32-bit addition; no registers, and an idle PE costs nothing
    high   Aladdin's multiplier scaled by the product of widths, its adder, and every register of every PE clocked in
           every cycle, idle or not (the emitted hardware has no clock gating)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from accel.commands import COMMAND_BYTES
from accel.design import Design
from accel.events import Event
from accel.sim.cost_sram import Sram, memory
from accel.sim.cost_table import (
    ADD_INT32,
    ADD_INT32_HIGH,
    DRAM_32,
    LOGIC_NODE_NM,
    MUL_INT8,
    MUL_INT32,
    MUL_INT32_HIGH,
    REGISTER_BIT,
    REGISTER_FILE_32,
    SRAM_32KB_32,
)

__all__ = ["Energy", "Range", "energy"]

PE_CODE_REGISTER_BITS = 4 * 8 + 16 + 4  # activation, passing, held and shadow weight; product; control (pe.py)
REQUANTISE_BITS = 33 * 16  # sum with bias times multiplier
REQUANTISE_ADDS = 3  # bias, rounding, zero point


@dataclass(frozen=True)
class Range:
    """A low and a high figure in pJ."""

    low_pj: float
    high_pj: float


@dataclass(frozen=True)
class Energy:
    """Energy of one run (or one layer) in pJ.

    `sram_pj` by memory, codebook included. `sram_flat_pj` is the same traffic at Deep Compression's 5 pJ for 32 bits,
    for comparison with that literature; it is in no total. `notes` say where a constant does not fit the design.
    """

    dram_pj: float
    sram_pj: dict[str, float]
    sram_flat_pj: float
    compute_low_pj: float
    compute_high_pj: float
    static_pj: float
    notes: tuple[str, ...] = ()

    @property
    def sram_total_pj(self) -> float:
        """All on-chip memories."""
        return sum(self.sram_pj.values())

    @property
    def total_low_pj(self) -> float:
        """Everything, with the low figure for compute."""
        return self.dram_pj + self.sram_total_pj + self.compute_low_pj + self.static_pj

    @property
    def total_high_pj(self) -> float:
        """Everything, with the high figure for compute."""
        return self.dram_pj + self.sram_total_pj + self.compute_high_pj + self.static_pj


def mac(sum_bits: int = 32) -> Range:
    """One multiply-accumulate of 8-bit codes, the PE's registers included in the high figure."""
    high = MUL_INT32_HIGH.value_pj * (8 * 8) / (32 * 32) + ADD_INT32_HIGH.value_pj * sum_bits / 32
    return Range(MUL_INT8.value_pj + ADD_INT32.value_pj * sum_bits / 32, high + idle_pe(sum_bits).high_pj)


def idle_pe(sum_bits: int = 32) -> Range:
    """A PE in a cycle without a multiply-accumulate: nothing at best, its clocked registers at worst."""
    return Range(0.0, (PE_CODE_REGISTER_BITS + sum_bits) * REGISTER_BIT.value_pj)


def requantise() -> Range:
    """One lane of post-processing: multiplications scaled by the product of widths, and additions."""
    share = REQUANTISE_BITS / (32 * 32)
    return Range(
        MUL_INT32.value_pj * share + REQUANTISE_ADDS * ADD_INT32.value_pj,
        MUL_INT32_HIGH.value_pj * share + REQUANTISE_ADDS * ADD_INT32_HIGH.value_pj,
    )


@dataclass(frozen=True)
class MemoryShape:
    """One kind of on-chip memory: `banks` of `words` words of `width_bits`, and the events that access it."""

    name: str
    banks: int
    words: int
    width_bits: int
    reads: Event
    writes: Event


def memories(design: Design) -> tuple[MemoryShape, ...]:
    """The on-chip memories of a design. A command is written to the program buffer once and read once."""
    return (
        MemoryShape(
            "activation", 2, design.activation_words, 8 * design.rows, Event.ACT_READS, Event.ACT_WRITES
        ),
        MemoryShape("weight", 1, design.weight_words, 8 * design.cols, Event.WEIGHT_READS, Event.WEIGHT_WRITES),
        MemoryShape("accumulator", 2, design.accumulator_words, 32 * design.cols, Event.ACC_READS, Event.ACC_WRITES),
        MemoryShape("parameter", 1, design.parameter_words, 64 * design.lanes, Event.PARAM_READS, Event.PARAM_WRITES),
        MemoryShape(
            "program", 1, design.buffers.program_commands, 8 * COMMAND_BYTES, Event.COMMANDS, Event.COMMANDS
        ),
    )  # fmt: skip


def _price(design: Design, shape: MemoryShape) -> Sram:
    technology = design.technology
    return memory(technology.sram_cell, technology.node_nm, shape.words, shape.width_bits)


def static_mw(design: Design) -> float:
    """Leakage of all on-chip memories."""
    return sum(shape.banks * _price(design, shape).leakage_mw for shape in memories(design))


def energy(events: Mapping[Event, int], design: Design) -> Energy:
    """The energy of a run with these counts; missing events count as 0. Leakage lasts for Event.CYCLES."""
    count = {event: events.get(event, 0) for event in Event}
    sram, flat_words = {}, 0.0
    for shape in memories(design):
        price = _price(design, shape)
        sram[shape.name] = count[shape.reads] * price.read_pj + count[shape.writes] * price.write_pj
        flat_words += (count[shape.reads] + count[shape.writes]) * shape.width_bits / 32
    sram["codebook"] = count[Event.CODEBOOK_READS] * REGISTER_FILE_32.value_pj * 8 / 32
    dram_bytes = (count[Event.READ_BEATS] + count[Event.WRITE_BEATS]) * design.beat_bytes
    sum_bits = design.widths.accumulator
    # Linear in the counts, so that layers sum to the whole: one may stream in cycles that are another layer's share.
    silent_cycles = count[Event.CYCLES] - count[Event.STREAM_CYCLES]
    parts = (
        (count[Event.MACS], mac(sum_bits)),
        (count[Event.MACS_GATED] + silent_cycles * design.rows * design.cols, idle_pe(sum_bits)),
        (count[Event.POST_OUTPUTS] * design.lanes, requantise()),
    )
    static_pj = static_mw(design) * count[Event.CYCLES] / design.clock_mhz * 1e3  # mW x us = nJ
    return Energy(
        dram_pj=dram_bytes * 8 * DRAM_32.value_pj / 32,
        sram_pj=sram,
        sram_flat_pj=flat_words * SRAM_32KB_32.value_pj,
        compute_low_pj=sum(n * cost.low_pj for n, cost in parts),
        compute_high_pj=sum(n * cost.high_pj for n, cost in parts),
        static_pj=static_pj,
        notes=_notes(design),
    )


def _notes(design: Design) -> tuple[str, ...]:
    node = design.technology.node_nm
    if node == LOGIC_NODE_NM:
        return ()
    return (f"{design.name}: compute energy is that of {LOGIC_NODE_NM} nm, on-chip memories are at {node} nm",)
