"""Rows of beats in DRAM as AXI bursts, one a cycle: cut, checked against DRAM_SIZE, and offered from registers."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from accel.commands import field_bits
from accel.design import Design
from accel.latency import ADDRESS
from accel.rtl.axi import byte_address


class Cutter(wiring.Component):
    """Naturally aligned bursts of the rows of a LOAD or STORE, in order.

    `begin`: of a command's `rows`, all of `row_beats` beats, `pitch` beats apart, the first from beat `start` on; not
    while `busy` (they are not all cut). `valid`: a burst is at the end of the pipeline `accel.latency.ADDRESS`, its
    byte `address`, its beats less one (`length`), whether it is the command's `last`, and whether it is `outside`: it
    leaves [0, dram_size) or what an address can name; `good`: there is one that is not. `take`: the next one. `flush`:
    all are forgotten. `idle`: there are none.

    Where a row ends is counted from the first beat of the block that a burst is cut from: it ends there if that is not
    more than a block, and no sum of addresses is waited for. Where in its block the next row begins is known a row
    ahead.
    """

    def __init__(self, design: Design, command: Any, row_bits: int) -> None:
        self.design = design
        self.shift = (design.beat_bytes - 1).bit_length()
        # One bit more than an address has: what a pitch leads to beyond 2**32 is seen to be outside.
        self.beat_bits = field_bits(command, "dram_addr") + 1 - self.shift
        address_bits = design.memory.axi_address_bits
        super().__init__(
            {
                "begin": In(1),
                "start": In(self.beat_bits),
                "row_beats": In(row_bits),
                "rows": In(field_bits(command, "rows")),
                "pitch": In(field_bits(command, "dram_pitch") - self.shift),
                "dram_base": In(address_bits),
                "dram_size": In(32),
                "flush": In(1),
                "take": In(1),
                "busy": Out(1),
                "idle": Out(1),
                "valid": Out(1),
                "outside": Out(1),
                "good": Out(1),
                "address": Out(address_bits),
                "length": Out(range(max(2, design.memory.burst_beats))),
                "last": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        assert [stage.name for stage in ADDRESS] == ["begin", "cut", "check"]
        low = (self.design.memory.burst_beats - 1).bit_length()  # bits of a beat's place in its block
        busy, cut, moves = Signal(name="cutting"), Signal(name="cut_valid"), Signal(name="cut_moves")
        row_start, beat = (Signal(self.beat_bits, name=name, reset_less=True) for name in ("row_start", "beat"))
        # The row's beats, and how many there are up to its end from the first one of the block that `beat` is in.
        row_beats = Signal.like(self.row_beats, name="row_beats_reg", reset_less=True)
        reach = Signal(max(len(self.row_beats), low) + 1, name="reach", reset_less=True)
        # The place in its block of the next row's first beat.
        next_place = Signal(max(1, low), name="next_place", reset_less=True)
        rows, pitch = Signal.like(self.rows, name="rows_left"), Signal.like(self.pitch, name="pitch_reg")
        row_ends, step = Signal(name="row_ends"), Signal(name="step")
        following = Signal(self.beat_bits, name="next_row")
        m.d.comb += [
            row_ends.eq(~reach[low + 1 :].any() & ~(reach[low] & reach[:low].any())),
            step.eq(busy & (~cut | moves)),
            self.busy.eq(busy),
            following.eq(row_start + pitch),
        ]

        with m.If(step):
            m.d.sync += [beat.eq(Cat(Const(0, low), beat[low:] + 1)), reach.eq(Cat(reach[:low], reach[low:] - 1))]
            with m.If(row_ends):
                m.d.sync += [beat.eq(following), row_start.eq(following), reach.eq(row_beats + next_place)]
                m.d.sync += next_place.eq(next_place + pitch[:low])
                m.d.sync += rows.eq(rows - 1)
                with m.If(rows == 1):
                    m.d.sync += busy.eq(0)
        with m.If(~busy):  # so that nothing but `busy` waits for `begin`
            m.d.sync += [
                busy.eq(self.begin),
                row_start.eq(self.start),
                beat.eq(self.start),
                row_beats.eq(self.row_beats),
                reach.eq(self.row_beats + self.start[:low]),
                next_place.eq(self.start[:low] + self.pitch[:low]),
                rows.eq(self.rows),
                pitch.eq(self.pitch),
            ]
        cut_beat = Signal(self.beat_bits, name="cut_beat", reset_less=True)
        cut_last = Signal(name="cut_last", reset_less=True)
        cut_end: Value = cut_beat
        with m.If(step):
            m.d.sync += [cut_beat.eq(beat), cut_last.eq(row_ends & (rows == 1))]
        if low:
            cut_stop = Signal(low, name="cut_stop", reset_less=True)  # the last beat's place in its block
            cut_end = Cat(cut_stop, cut_beat[low:])
            with m.If(step):
                # One less, without a chain of carries.
                stop = Cat(reach[k] ^ ~reach[:k].any() for k in range(low))
                m.d.sync += cut_stop.eq(Mux(row_ends, stop, -1))
        valid, outside, last = Signal(name="offered"), Signal(name="is_outside"), Signal(name="is_last")
        good, leaves = Signal(name="is_good"), Signal(name="leaves")
        address = Signal.like(self.address, name="address_reg", reset_less=True)
        length = Signal.like(self.length, name="length_reg", reset_less=True)
        found, no_address = byte_address(self.dram_base, cut_beat, self.design.beat_bytes)
        m.d.comb += [
            moves.eq(cut & (~valid | self.take)),
            leaves.eq((cut_end >= self.dram_size[self.shift :]) | no_address),
        ]
        with m.If(moves):
            m.d.sync += [
                address.eq(found),
                length.eq(cut_end[:low] - cut_beat[:low] if low else 0),
                outside.eq(leaves),
                good.eq(~leaves),
                last.eq(cut_last),
            ]
        with m.Elif(self.take):
            m.d.sync += good.eq(0)
        m.d.sync += [cut.eq(step | (cut & ~moves)), valid.eq(moves | (valid & ~self.take))]
        with m.If(self.flush):
            m.d.sync += [busy.eq(0), cut.eq(0), valid.eq(0), good.eq(0)]
        m.d.comb += [
            self.valid.eq(valid),
            self.outside.eq(outside),
            self.good.eq(good),
            self.address.eq(address),
            self.length.eq(length),
            self.last.eq(last),
            self.idle.eq(~busy & ~cut & ~valid),
        ]
        return m
