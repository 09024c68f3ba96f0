"""What both systolic compute units have: ports, and the way of commands to a feeder that takes them from a slot."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Signal, Value
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from accel.commands import COMMAND_BYTES, Compute, Opcode
from accel.design import Design
from accel.memories import ACCUMULATOR, ACTIVATION, CODEBOOK, WEIGHT
from accel.rtl.layouts import layout
from accel.rtl.ports import read_port, unit_members, waits_hold, write_port


def systolic_members(design: Design) -> dict:
    """The ports of a systolic compute unit: those of every unit, its memories, its events."""
    rows, cols = design.rows, design.cols
    return {
        **unit_members(),
        "r_act": Out(read_port(ACTIVATION, design)),
        "w_weight": In(write_port(WEIGHT, design)),
        "w_codebook": In(write_port(CODEBOOK, design)),
        "r_acc": In(read_port(ACCUMULATOR, design)),
        "event_act_reads": Out(1),
        "event_weight_reads": Out(1),
        "event_codebook_reads": Out(range(WEIGHT.lanes(design) + 1)),
        "event_acc_reads": Out(1),
        "event_acc_writes": Out(1),
        "event_macs": Out(range(rows * cols + 1)),
        "event_macs_gated": Out(range(rows * cols + 1)),
        "event_macs_zero": Out(range(rows * cols + 1)),
        "event_stream_cycles": Out(1),
    }


def dispatch(m: Module, unit: Any, feeder: Any, free: Value) -> Signal:
    """Commands of the `unit` to the slot of its `feeder`, and `unit.idle`. Returns: a COMPUTE is taken.

    A command is popped when the slot is empty or being emptied; a COMPUTE needs its waits, and `free`.
    """
    slot, slot_valid = Signal(8 * COMMAND_BYTES, reset_less=True, name="slot"), Signal(name="slot_valid")
    head = data.View(layout(Compute), unit.i.payload)
    is_compute = head.opcode == Opcode.COMPUTE
    waits = waits_hold(unit, head)
    room, pop, begun = (Signal(name=name) for name in ("room", "pop", "begun"))
    under_way = Signal(8, name="under_way")  # COMPUTE commands popped and not done
    m.d.comb += [
        room.eq(~slot_valid | feeder.slot_taken),
        pop.eq(unit.i.valid & room & ~unit.halt & (~is_compute | (waits & free))),
        unit.i.ready.eq(pop),
        begun.eq(pop & is_compute),
        feeder.slot.eq(slot),
        feeder.slot_valid.eq(slot_valid),
        feeder.halt.eq(unit.halt),
        unit.idle.eq((under_way == 0) & ~slot_valid),
    ]
    m.d.sync += under_way.eq(under_way + begun - unit.done)
    with m.If(room):  # a command that is not popped yet may be there already: whether it is comes late
        m.d.sync += [slot.eq(unit.i.payload), slot_valid.eq(pop)]
    return begun
