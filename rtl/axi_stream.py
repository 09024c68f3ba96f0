"""AXI-Stream in and out of a core without DRAM: images into their places, results out of theirs."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, Signature

from accel.on_chip import PLACES
from accel.rtl.bursts import BEAT_BITS


def stream_master(bits: int) -> Signature:
    """An AXI-Stream master: whole beats, a packet ends with TLAST."""
    return Signature({"tdata": Out(bits), "tvalid": Out(1), "tready": In(1), "tlast": Out(1)})


class Places(wiring.Component):
    """Two places that are filled and emptied in turn.

    `filled`: pulse, the one at `fill` holds something now; `emptied`: the one at `empty` does not any more. `room`,
    `ready`: the one at `fill` is free, the one at `empty` holds something.
    """

    def __init__(self) -> None:
        outputs = {name: Out(1) for name in ("fill", "empty", "room", "ready")}
        super().__init__({"filled": In(1), "emptied": In(1), **outputs})

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        held = Signal(range(PLACES + 1), name="held")
        m.d.sync += [
            held.eq(held + self.filled - self.emptied),
            self.fill.eq(self.fill ^ self.filled),
            self.empty.eq(self.empty ^ self.emptied),
        ]
        m.d.comb += [self.room.eq(held != PLACES), self.ready.eq(held != 0)]
        return m


class ImageReceiver(wiring.Component):
    """Writes packets of exactly `beats` beats into the image's places, a beat a cycle while a place is free.

    A packet that ends earlier, or does not end there, is dropped whole: `dropped` pulses with its last beat, and the
    next one begins behind its TLAST. `ready`: there is an image, at `place`; `release`: pulse, it is needed no more.
    """

    def __init__(self, bits: int, address_bits: int) -> None:
        super().__init__(
            {
                "i": In(stream_master(bits)),
                "w": Out(Signature({"en": Out(1), "addr": Out(address_bits), "data": Out(bits)})),
                "beats": In(BEAT_BITS),
                "release": In(1),
                "place": Out(1),
                "ready": Out(1),
                "dropped": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        m.submodules.places = places = Places()
        count, beyond = Signal(BEAT_BITS, name="count"), Signal(name="beyond")
        taken, full = self.i.tvalid & self.i.tready, Signal(name="full")
        m.d.comb += [
            self.i.tready.eq(places.room),
            full.eq(count == self.beats - 1),
            self.w.en.eq(taken & ~beyond),
            self.w.addr.eq(count + Mux(places.fill, self.beats, 0)),
            self.w.data.eq(self.i.tdata),
            places.filled.eq(taken & self.i.tlast & full & ~beyond),
            self.dropped.eq(taken & self.i.tlast & ~(full & ~beyond)),
            places.emptied.eq(self.release),
            self.place.eq(places.empty),
            self.ready.eq(places.ready),
        ]
        with m.If(taken):
            m.d.sync += [count.eq(count + 1), beyond.eq(beyond | full)]
            with m.If(self.i.tlast):
                m.d.sync += [count.eq(0), beyond.eq(0)]
        return m


class ResultSender(wiring.Component):
    """Sends what the result's places hold as packets of `beats` beats, a beat a cycle while the receiver takes them.

    `commit`: pulse, the result at `place` is complete. `room`: that place is free.
    """

    def __init__(self, bits: int, address_bits: int) -> None:
        super().__init__(
            {
                "o": Out(stream_master(bits)),
                "r": Out(Signature({"en": Out(1), "addr": Out(address_bits), "data": In(bits)})),
                "beats": In(BEAT_BITS),
                "commit": In(1),
                "place": Out(1),
                "room": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        m.submodules.places = places = Places()
        count, last = Signal(BEAT_BITS, name="count"), Signal(name="last")
        move: Value = ~self.o.tvalid | self.o.tready
        m.d.comb += [
            last.eq(count == self.beats - 1),
            self.r.en.eq(places.ready & move),
            self.r.addr.eq(count + Mux(places.empty, self.beats, 0)),
            self.o.tdata.eq(self.r.data),
            places.filled.eq(self.commit),
            # What is sent last is read by now: the place may be written.
            places.emptied.eq(self.r.en & last),
            self.place.eq(places.fill),
            self.room.eq(places.room),
        ]
        with m.If(move):
            m.d.sync += [self.o.tvalid.eq(places.ready), self.o.tlast.eq(last)]
        with m.If(self.r.en):
            m.d.sync += count.eq(Mux(last, 0, count + 1))
        return m
