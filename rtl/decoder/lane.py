"""A lane: a code in each step, a zero as long as a run of them lasts, else a value. And what all lanes have."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from accel.entropy.stream import CHUNK_BITS
from accel.models.encode.huffman import LONGEST_BITS
from accel.rtl.decoder.reader import Reader
from accel.rtl.decoder.table import ADDRESS_BITS, LENGTH_BITS, SPARE_BITS
from accel.rtl.modules import shared

KINDS = ("run", "value")
COUNT_BITS = 7
TABLE_PORTS = {"spares": SPARE_BITS, "bases": ADDRESS_BITS * LONGEST_BITS, "longest": LENGTH_BITS}


def lane_ports() -> dict:
    """Ports of every lane.

    `clear`: a stream begins. `step`: one step of the lane; in the cycle after it `is_value` says whether it has read a
    value at `value_addr`. `fill`: the turn before the first step. `run_want`, `value_want`: the reader is to have a
    chunk before the next step. `empty`: the run that was read stands for nothing.
    """
    ports = {f"{kind}_{name}": In(bits) for kind in KINDS for name, bits in TABLE_PORTS.items()}
    for kind in KINDS:
        ports |= {
            f"{kind}_take": In(1), f"{kind}_chunk": In(CHUNK_BITS), f"{kind}_want": Out(1),
            f"{kind}_read": Out(1), f"{kind}_addr": Out(ADDRESS_BITS),
        }  # fmt: skip
    return ports | {
        "run_data": In(8), "clear": In(1), "step": In(1), "fill": In(1), "literal": In(1), "is_value": Out(1),
        "empty": Out(1),
    }  # fmt: skip


def readers(m: Module, lane: Any) -> tuple[Reader, Reader]:
    """The readers of a lane's runs and values, which use up a code word when it is read."""
    found = {kind: shared(m, Reader, kind, "decoder_reader") for kind in KINDS}
    for kind, reader in found.items():
        m.d.comb += [
            reader.clear.eq(lane.clear), reader.take.eq(getattr(lane, f"{kind}_take")),
            reader.chunk.eq(getattr(lane, f"{kind}_chunk")), reader.use.eq(getattr(lane, f"{kind}_read")),
            getattr(lane, f"{kind}_addr").eq(reader.addr),
            *(getattr(reader, name).eq(getattr(lane, f"{kind}_{name}")) for name in TABLE_PORTS),
        ]  # fmt: skip
    m.d.sync += lane.is_value.eq(lane.value_read)
    return found["run"], found["value"]


def coming(m: Module, lane: Any, zeros: Signal, more: Signal) -> tuple[Signal, Signal]:
    """The zeros and values to come in this cycle: those that are left, or those of the run that was just read."""
    fresh = Signal(name="fresh")  # a run was read: it is in `run_data`
    count, alone = lane.run_data[:COUNT_BITS], lane.run_data[COUNT_BITS]  # `alone`: without values
    zeros_now, more_now = Signal(COUNT_BITS, name="zeros_now"), Signal(COUNT_BITS, name="more_now")
    m.d.comb += [
        zeros_now.eq(zeros),
        more_now.eq(more),
        lane.empty.eq(fresh & (count == 0) & (alone | lane.literal)),
    ]
    with m.If(fresh):
        m.d.comb += [
            zeros_now.eq(Mux(lane.literal & ~alone, 0, count)),
            more_now.eq(Mux(alone, 0, Mux(lane.literal, count, 1))),
        ]
    m.d.sync += fresh.eq(lane.run_read & ~lane.clear)
    return zeros_now, more_now


class Lane(wiring.Component):
    """Two readers and the zeros and values to come; the tables' memories are outside. A step says one code."""

    def __init__(self) -> None:
        super().__init__(lane_ports())

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        zeros, more = Signal(COUNT_BITS, name="zeros", init=1), Signal(COUNT_BITS, name="more")
        zeros_now, more_now = coming(m, self, zeros, more)
        left = Signal(COUNT_BITS + 1, name="left")
        is_zero, ends = Signal(name="is_zero"), Signal(name="ends")
        m.d.comb += [left.eq(zeros_now + more_now), is_zero.eq(zeros_now != 0), ends.eq(left == 1)]
        m.d.sync += [zeros.eq(zeros_now - (self.step & is_zero)), more.eq(more_now - (self.step & ~is_zero))]
        run, value = readers(m, self)
        m.d.comb += [
            self.run_read.eq(self.step & ends),
            self.value_read.eq(self.step & ~is_zero),
            self.run_want.eq(Mux(self.fill, ends & run.short, (ends & run.low) | ((left == 2) & run.short))),
            self.value_want.eq(
                Mux(self.fill, ~is_zero & value.short, (~is_zero & value.low) | ((zeros_now == 1) & value.short))
            ),
        ]
        with m.If(self.clear):
            m.d.sync += Cat(zeros, more).eq(1)
        return m
