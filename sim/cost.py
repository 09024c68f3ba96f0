"""Energy: a pure function of events, constants and the design. Later tables change the constants, not this form.

Counted: DRAM traffic, every access of the on-chip memories and their leakage, multiply-accumulates and requantisation.
Not counted: clock tree, control, the leakage of logic, DRAM standby, and the host. Memories are those of
`accel.memories`, with two ports each (`TWO_PORT_ACCESS`, `TWO_PORT_LEAKAGE`); registers and multipliers those of
`accel.datapath`. What a multiply-accumulate costs is uncertain by about five times in the literature, so compute has a
low and a high figure:

    low    Horowitz's 8-bit multiplication and 32-bit addition; no registers, and an idle PE costs nothing; a lane of
           requantisation without a residual operand
    high   Aladdin's multiplier scaled by the product of widths, its adder, and every register of every PE clocked in
           every cycle, idle or not (the emitted hardware has no clock gating); a lane with a residual operand

A product with a zero operand costs no multiplication in either, because it leaves the multiplier's inputs alone. How
many there are depends on the input (Event.MACS_ZERO).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from accel.datapath import REQUANTISE_ADDERS, REQUANTISE_MULTIPLIERS, RESIDUAL_ADDERS, pe_registers
from accel.design import Design, OnChip
from accel.events import Event
from accel.memories import CODE_BITS, of
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
    SRAM_32KB_32,
    TWO_PORT_ACCESS,
    TWO_PORT_LEAKAGE,
)

__all__ = ["Energy", "Range", "energy"]


@dataclass(frozen=True)
class Range:
    """A low and a high figure in pJ."""

    low_pj: float
    high_pj: float


@dataclass(frozen=True)
class Energy:
    """Energy of one run (or one layer) in pJ.

    `sram_pj` by memory. `sram_flat_pj` is the same traffic at Deep Compression's 5 pJ for 32 bits,
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


def mac(design: Design) -> Range:
    """One multiply-accumulate of 8-bit codes, the PE's registers included in the high figure."""
    share = design.widths.accumulator / 32
    high = MUL_INT32_HIGH.value_pj * (CODE_BITS * CODE_BITS) / (32 * 32) + ADD_INT32_HIGH.value_pj * share
    return Range(MUL_INT8.value_pj + ADD_INT32.value_pj * share, high + idle_pe(design).high_pj)


def zero_mac(design: Design) -> Range:
    """A multiply-accumulate with a zero operand: the multiplier's inputs are left alone, the adder adds nothing."""
    share = design.widths.accumulator / 32
    return Range(ADD_INT32.value_pj * share, ADD_INT32_HIGH.value_pj * share + idle_pe(design).high_pj)


def idle_pe(design: Design) -> Range:
    """A PE in a cycle without a multiply-accumulate: nothing at best, its clocked registers at worst."""
    return Range(0.0, sum(pe_registers(design).values()) * REGISTER_BIT.value_pj)


def requantise() -> Range:
    """One lane of post-processing: multiplications scaled by the product of widths, additions by theirs."""
    main, residual = (left * right / (32 * 32) for left, right in REQUANTISE_MULTIPLIERS)
    adders, residual_adders = sum(REQUANTISE_ADDERS.values()) / 32, sum(RESIDUAL_ADDERS.values()) / 32
    return Range(
        MUL_INT32.value_pj * main + ADD_INT32.value_pj * adders,
        MUL_INT32_HIGH.value_pj * (main + residual) + ADD_INT32_HIGH.value_pj * (adders + residual_adders),
    )


STORE = "store"  # the memory of a core without DRAM


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

    def accesses(self, events: Mapping[Event, int]) -> int:
        """Words read and written in all of them."""
        return events.get(self.reads, 0) * self.read + events.get(self.writes, 0) * self.written


def memories(design: Design) -> tuple[MemoryShape, ...]:
    """The on-chip memories of a design; without DRAM also what holds program, weights and tensors, as one memory."""
    shapes = [
        MemoryShape(m.name, *m.cells(design), m.reads, m.writes, m.read_cells(design), m.written_cells(design))
        for m in of(design)
    ]
    if isinstance(design.memory, OnChip):
        words = design.memory.bytes // design.beat_bytes
        shapes.append(MemoryShape(STORE, 1, words, design.memory.bits, Event.READ_BEATS, Event.WRITE_BEATS, 1, 1))
    return tuple(shapes)


def price(design: Design, shape: MemoryShape) -> Sram:
    """Of one memory of a kind, with its two ports."""
    technology = design.technology
    one = memory(technology.sram_cell, technology.node_nm, shape.words, shape.width_bits)
    access, leakage = TWO_PORT_ACCESS.value, TWO_PORT_LEAKAGE.value
    return Sram(one.read_pj * access, one.write_pj * access, one.leakage_mw * leakage)


def static_mw(design: Design) -> float:
    """Leakage of all on-chip memories."""
    return sum(shape.count * price(design, shape).leakage_mw for shape in memories(design))


def energy(events: Mapping[Event, int], design: Design) -> Energy:
    """The energy of a run with these counts; missing events count as 0. Leakage lasts for Event.CYCLES.

    Without a count of Event.MACS_ZERO every product is priced as one that multiplies, and a note says so.
    """
    count = {event: events.get(event, 0) for event in Event}
    sram, flat_words = {}, 0.0
    for shape in memories(design):
        one = price(design, shape)
        reads, writes = count[shape.reads] * shape.read, count[shape.writes] * shape.written
        sram[shape.name] = reads * one.read_pj + writes * one.write_pj
        flat_words += shape.accesses(count) * shape.width_bits / 32
    beats = 0 if isinstance(design.memory, OnChip) else count[Event.READ_BEATS] + count[Event.WRITE_BEATS]
    dram_bytes = beats * design.beat_bytes
    # Linear in the counts, so that layers sum to the whole: one may stream in cycles that are another layer's share.
    places = design.rows * design.cols
    silent = (count[Event.CYCLES] - count[Event.STREAM_CYCLES]) * places
    if design.is_sparse:  # a PE that has no entry in a cycle
        silent = count[Event.CYCLES] * places - count[Event.MACS] - count[Event.MACS_GATED]
    parts = (
        (count[Event.MACS] - count[Event.MACS_ZERO], mac(design)),
        (count[Event.MACS_ZERO], zero_mac(design)),
        (count[Event.MACS_GATED] + silent, idle_pe(design)),
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
        notes=_notes(design, Event.MACS_ZERO in events or not count[Event.MACS]),
    )


def _notes(design: Design, counted: bool) -> tuple[str, ...]:
    node, notes = design.technology.node_nm, []
    if node != LOGIC_NODE_NM:
        notes.append(f"{design.name}: compute energy is that of {LOGIC_NODE_NM} nm, on-chip memories are at {node} nm")
    if not counted:
        notes.append(f"{design.name}: no input was run, so that products with a zero operand are priced as all others")
    return tuple(notes)
