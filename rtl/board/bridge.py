"""From bytes to words of registers and memory, and back: what a host sends over a serial port."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.crc import catalog
from amaranth.lib.wiring import In, Out, Signature

from accel.board import ACCEPTED, CHECK_BYTES, HEADER_BYTES, IDLE_BITS, MEMORY_BIT, READ, REFUSED, WORD_BYTES, WRITE

WORDS = Signature(
    {
        "valid": Out(1), "write": Out(1), "addr": Out(29), "w_data": Out(32), "ready": In(1), "r_data": In(32),
    }
)  # fmt: skip
"""Words of 32 bits one at a time: `addr` counts words; taken in the cycle in which `ready` is 1. What is read is at
`r_data` in the second cycle after that, and stays until the next one is taken."""


class Bridge(wiring.Component):
    """Carries out the requests of `accel.board`, one after the other, on `registers` or `memory`.

    `tick`: 1 in a cycle of each bit of the line; IDLE_BITS of them without a byte are a pause.
    """

    def __init__(self) -> None:
        byte = stream.Signature(8)
        super().__init__({"tick": In(1), "i": In(byte), "o": Out(byte), "registers": Out(WORDS), "memory": Out(WORDS)})

    def elaborate(self, platform: object) -> Module:
        """A state for each part of a request and of its answer."""
        m = Module()
        byte, out = self.i.payload, self.o
        header = Signal(8 * HEADER_BYTES, name="header")
        place, words = Signal(30, name="place"), Signal(16, name="words")
        word, count = Signal(32, name="word"), Signal(range(HEADER_BYTES + 1), name="count")
        idle, stale = Signal(range(IDLE_BITS + 1), name="idle"), Signal(name="stale")
        m.submodules.check = check = catalog.CRC16_XMODEM(8).create()
        sound = Signal(name="sound")  # of a request that was taken in
        m.d.comb += [stale.eq(idle == IDLE_BITS), sound.eq(check.match_detected)]
        m.d.sync += idle.eq(Mux(self.i.valid, 0, idle + (self.tick & ~stale)))
        to_memory = place[-1]
        served = Mux(to_memory, self.memory.ready, self.registers.ready)
        read = Mux(to_memory, self.memory.r_data, self.registers.r_data)
        wanted, writing = Signal(name="wanted"), Signal(name="writing")
        for port, chosen in ((self.registers, ~to_memory), (self.memory, to_memory)):
            m.d.comb += [
                port.valid.eq(wanted & chosen), port.write.eq(writing), port.addr.eq(place[:-1]), port.w_data.eq(word)
            ]  # fmt: skip
        next_place = [place.eq(Cat((place[:-1] + 1)[: len(place) - 1], to_memory)), words.eq(words - 1)]
        taken, ended = Signal(name="taken"), Signal(name="ended")
        reply = Signal(8, name="reply")
        m.d.comb += [taken.eq(self.i.valid & self.i.ready), out.payload.eq(reply), check.data.eq(byte)]
        with m.FSM(name="part"):
            with m.State("header"):
                m.d.comb += [
                    ended.eq(count == HEADER_BYTES),
                    self.i.ready.eq(~ended),
                    check.start.eq(count == 0),
                    check.valid.eq(taken),
                ]
                with m.If(taken):
                    m.d.sync += [header.eq(Cat(header[8:], byte)), count.eq(count + 1)]
                with m.Elif(ended):
                    m.next = "decide"
                with m.Elif(stale):
                    m.d.sync += count.eq(0)
            with m.State("decide"):
                operation, address = header[:8], header[8:40]
                m.d.sync += [place.eq(Cat(address[2:31], address[MEMORY_BIT])), words.eq(header[40:56]), count.eq(0)]
                m.d.comb += check.start.eq(1)
                with m.If(sound & (operation == READ)):
                    m.d.sync += reply.eq(ACCEPTED)
                    m.next = "accept"
                with m.Elif(sound & (operation == WRITE)):
                    m.next = "bytes in"
                with m.Else():
                    m.d.sync += reply.eq(REFUSED)
                    m.next = "refuse"
            with m.State("bytes in"):  # four, or the two of the check
                m.d.comb += [
                    ended.eq(count == Mux(words == 0, CHECK_BYTES, WORD_BYTES)),
                    self.i.ready.eq(~ended),
                    check.valid.eq(taken),
                ]
                with m.If(taken):
                    m.d.sync += [word.eq(Cat(word[8:], byte)), count.eq(count + 1)]
                with m.Elif(ended & (words != 0)):
                    m.next = "write"
                with m.Elif(ended):
                    m.d.sync += [count.eq(0), reply.eq(Mux(sound, ACCEPTED, REFUSED))]
                    m.next = "answer"
                with m.Elif(stale):
                    m.d.sync += count.eq(0)
                    m.next = "header"
            with m.State("write"):
                m.d.comb += [wanted.eq(1), writing.eq(1)]
                with m.If(served):
                    m.d.sync += [*next_place, count.eq(0)]
                    m.next = "bytes in"
            with m.State("answer"):
                m.d.comb += out.valid.eq(1)
                with m.If(out.ready):
                    m.next = "header"
            with m.State("accept"):
                m.d.comb += out.valid.eq(1)
                with m.If(out.ready):
                    m.next = "read"
            with m.State("read"):
                m.d.comb += wanted.eq(words != 0)
                with m.If(words == 0):
                    m.d.sync += word.eq(Cat(check.crc[8:], check.crc[:8]))
                    m.next = "check out"
                with m.Elif(served):
                    m.d.sync += next_place
                    m.next = "wait"
            with m.State("wait"):
                m.next = "came"
            with m.State("came"):
                m.d.sync += word.eq(read)
                m.next = "bytes out"
            with m.State("bytes out"):
                m.d.comb += [check.data.eq(word[:8]), check.valid.eq(out.ready)]
                self._send(m, word, count, WORD_BYTES, "read")
            with m.State("check out"):
                self._send(m, word, count, CHECK_BYTES, "header")
            with m.State("refuse"):
                m.d.comb += out.valid.eq(1)
                with m.If(out.ready):
                    m.next = "drop"
            with m.State("drop"):
                m.d.comb += self.i.ready.eq(1)
                with m.If(stale):
                    m.next = "header"
        return m

    def _send(self, m: Module, word: Signal, count: Signal, size: int, then: str) -> None:
        """The low `size` bytes of the word, lowest first."""
        m.d.comb += [self.o.valid.eq(1), self.o.payload.eq(word[:8])]
        with m.If(self.o.ready):
            m.d.sync += [word.eq(word[8:]), count.eq(count + 1)]
            with m.If(count == size - 1):
                m.d.sync += count.eq(0)
                m.next = then
