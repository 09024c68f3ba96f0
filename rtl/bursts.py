"""Memories that answer the bursts of loader and storer at once: what goes through the beats of a burst."""

from __future__ import annotations

from amaranth.hdl import Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, Signature

from accel.latency import ON_CHIP, until
from accel.memory_kinds import Memory, OnChip
from accel.rtl.axi import read_master, write_master
from accel.rtl.pipeline import later

BEAT_BITS = 26  # of a beat's number: the largest memory in the narrowest beats, and what alignment adds


def beat_of(address: Value, memory: Memory | OnChip) -> Value:
    """The beat that holds a byte address."""
    shift = (memory.axi_bits // 8 - 1).bit_length()
    return address[shift : shift + BEAT_BITS]


class BurstReader(wiring.Component):
    """Takes any address at once, and gives a beat each cycle; the first comes ON_CHIP_CYCLES after its address.

    One burst is answered while one waits, as `OnChip.outstanding_bursts` has it. `r`: the memory answers beat `beat` in
    the cycle after `en`, and holds the answer until the next one. `hold`: an answer waits there, nobody else may read.
    """

    def __init__(self, memory: Memory | OnChip) -> None:
        self.memory = memory
        port = Signature({"en": Out(1), "beat": Out(BEAT_BITS), "data": In(memory.axi_bits)})
        super().__init__({"axi": In(read_master(memory)), "r": Out(port), "hold": Out(1)})

    def elaborate(self, platform: object) -> Module:
        """A cursor goes through the beats of a burst; two registers behind it have what the memory answers."""
        m = Module()
        axi, burst, r = self.axi, self.memory.burst_beats, self.r
        cursor, left = Signal(BEAT_BITS, name="cursor"), Signal(range(burst + 1), name="left")
        waiting = Signal(name="waiting")
        next_cursor, next_left = Signal(BEAT_BITS, name="next_cursor"), Signal(range(burst + 1), name="next_left")
        free, ended = Signal(name="free"), Signal(name="ended")
        came, came_last = Signal(name="came"), Signal(name="came_last")
        data = Signal(self.memory.axi_bits, name="answered", reset_less=True)
        move = Signal(name="move")
        assert [stage.name for stage in ON_CHIP] == ["take", "read", "select"]  # cursor, memory, `data`
        new_beat, new_left = beat_of(axi.araddr, self.memory), axi.arlen[: len(left)] + 1
        m.d.comb += [
            axi.arready.eq(~waiting),
            move.eq(~axi.rvalid | axi.rready),
            r.en.eq((left != 0) & (~came | move)),
            r.beat.eq(cursor),
            ended.eq(r.en & (left == 1)),
            free.eq((left == 0) | ended),
            self.hold.eq(came & ~move),
        ]
        taken = axi.arvalid & axi.arready
        with m.If(r.en):
            m.d.sync += [cursor.eq(cursor + 1), left.eq(left - 1)]
        with m.If(free & waiting):
            m.d.sync += [cursor.eq(next_cursor), left.eq(next_left), waiting.eq(0)]
        with m.Elif(taken & free):
            m.d.sync += [cursor.eq(new_beat), left.eq(new_left)]
        with m.Elif(taken):
            m.d.sync += [next_cursor.eq(new_beat), next_left.eq(new_left), waiting.eq(1)]
        with m.If(r.en | move):
            m.d.sync += [came.eq(r.en), came_last.eq(left == 1)]
        with m.If(move):
            m.d.sync += [axi.rvalid.eq(came), axi.rlast.eq(came_last), data.eq(r.data)]
        m.d.comb += [axi.rdata.eq(data), axi.rresp.eq(0)]
        return m


class BurstWriter(wiring.Component):
    """Takes addresses and beats at once; the response comes ON_CHIP_CYCLES after the last beat.

    `w`: the beat that is written, in the cycle in which it is taken. `bready` is taken to be 1, and an address
    to come before its beats, as the storer's do.
    """

    def __init__(self, memory: Memory | OnChip) -> None:
        self.memory = memory
        bits = memory.axi_bits
        port = Signature({"en": Out(1), "beat": Out(BEAT_BITS), "data": Out(bits), "strobes": Out(bits // 8)})
        super().__init__({"axi": In(write_master(memory)), "w": Out(port)})

    def elaborate(self, platform: object) -> Module:
        """A cursor goes through the beats."""
        m = Module()
        axi, w = self.axi, self.w
        cursor = Signal(BEAT_BITS, name="cursor")
        m.d.comb += [
            axi.awready.eq(1),
            axi.wready.eq(1),
            axi.bresp.eq(0),
            w.en.eq(axi.wvalid & axi.wready),
            w.beat.eq(cursor),
            w.data.eq(axi.wdata),
            w.strobes.eq(axi.wstrb),
        ]
        with m.If(axi.awvalid):
            m.d.sync += cursor.eq(beat_of(axi.awaddr, self.memory))
        with m.Elif(w.en):
            m.d.sync += cursor.eq(cursor + 1)
        m.d.comb += axi.bvalid.eq(later(m, w.en & axi.wlast, until(ON_CHIP, "select"), "answered"))
        return m
