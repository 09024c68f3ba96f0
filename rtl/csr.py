"""Control and status registers: the AXI4-Lite slave."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from accel.design import Design
from accel.events import Event
from accel.registers import BY_NAME, COUNTERS_OFFSET, PROGRAM_COUNT_BITS, REGISTERS, counter_offset
from rtl.axi import LITE_SLAVE

COUNTER_BITS = 64
COUNTED = tuple(event for event in Event if event is not Event.CYCLES)


class Csr(wiring.Component):
    """The registers of `accel.registers`, and a counter for each event.

    A write is taken when address and data are both offered, byte by byte as `wstrb` says, and answered in the next
    cycle; a read is answered in the next cycle. What is not in the map reads as 0 and ignores writes; every response is
    OKAY.

    `start`: pulse when CTRL.START is written and not `busy`. `event_<name>`: what happened in this cycle, a count of
    `widths[event]` bits (1 if not given); Event.CYCLES counts `busy`. `activity`: any of these events in this cycle.
    """

    def __init__(self, design: Design, widths: dict[Event, int] | None = None) -> None:
        self.design = design
        self.widths = {event: (widths or {}).get(event, 1) for event in COUNTED}
        super().__init__(
            {
                "axi": Out(LITE_SLAVE),
                "irq": Out(1),
                "start": Out(1),
                "busy": In(1),
                "done": In(1),
                "error": In(4),
                "dram_base": Out(32),
                "dram_size": Out(32),
                "program_offset": Out(32),
                "program_count": Out(PROGRAM_COUNT_BITS),
                "watchdog": Out(32),
                **{f"event_{event.name.lower()}": In(width) for event, width in self.widths.items()},
                "activity": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        axi = self.axi
        ended = Signal()
        words = self._counters(m)
        kept = {}  # what a register holds
        for register in REGISTERS:
            bits = register.bits - register.align
            if register.access == "rw":
                init = register.value(self.design) >> register.align
                kept[register.name] = Signal(bits, init=init, name=f"{register.name.lower()}_reg")
                words[register.offset] = Cat(Const(0, register.align), kept[register.name])
            else:
                words[register.offset] = Const(register.value(self.design), 32)
        words[BY_NAME["STATUS"].offset] = Cat(self.busy, ended, self.error != 0)
        words[BY_NAME["ERROR"].offset] = self.error

        write = Signal()
        m.d.comb += [
            write.eq(axi.awvalid & axi.wvalid & ~axi.bvalid),
            axi.awready.eq(write),
            axi.wready.eq(write),
            axi.arready.eq(~axi.rvalid),
        ]
        with m.If(axi.bready):
            m.d.sync += axi.bvalid.eq(0)
        with m.If(self.done):
            m.d.sync += ended.eq(1)
        with m.If(write):
            m.d.sync += axi.bvalid.eq(1)
            with m.Switch(axi.awaddr[2:]):
                for register in REGISTERS:
                    with m.Case(register.offset >> 2):
                        self._write(m, register.name, register.align, kept.get(register.name), ended)
        with m.If(self.start):
            m.d.sync += ended.eq(0)

        with m.If(axi.rready):
            m.d.sync += axi.rvalid.eq(0)
        with m.If(axi.arvalid & axi.arready):
            m.d.sync += [axi.rvalid.eq(1), axi.rdata.eq(0)]
            with m.Switch(axi.araddr[2:]):
                for offset, word in sorted(words.items()):
                    with m.Case(offset >> 2):
                        m.d.sync += axi.rdata.eq(word)

        m.d.comb += [
            self.irq.eq(ended & kept["IRQ_ENABLE"][0]),
            self.dram_base.eq(words[BY_NAME["DRAM_BASE"].offset]),
            self.dram_size.eq(kept["DRAM_SIZE"]),
            self.program_offset.eq(kept["PROGRAM_OFFSET"]),
            self.program_count.eq(kept["PROGRAM_COUNT"]),
            self.watchdog.eq(kept["WATCHDOG"]),
        ]
        return m

    def _write(self, m: Module, name: str, align: int, register: Signal | None, ended: Signal) -> None:
        """The effect of a write on one register."""
        axi = self.axi
        if name == "CTRL":
            m.d.comb += self.start.eq(axi.wdata[0] & axi.wstrb[0] & ~self.busy)
        elif name == "STATUS":
            with m.If(axi.wdata[1] & axi.wstrb[0]):
                m.d.sync += ended.eq(self.done)
        elif register is not None:
            for bit in range(len(register)):
                with m.If(axi.wstrb[(bit + align) // 8]):
                    m.d.sync += register[bit].eq(axi.wdata[bit + align])

    def _counters(self, m: Module) -> dict:
        """Counts events. Returns the words of the counters by offset."""
        words = {}
        happened = []
        for event in Event:
            count = Signal(COUNTER_BITS, name=f"count_{event.name.lower()}")
            step = self.busy if event is Event.CYCLES else getattr(self, f"event_{event.name.lower()}")
            m.d.sync += count.eq(count + step)
            with m.If(self.start):
                m.d.sync += count.eq(0)
            if event is not Event.CYCLES:
                happened.append(step != 0)
            words[counter_offset(event)] = count[:32]
            words[counter_offset(event) + 4] = count[32:]
        m.d.comb += self.activity.eq(Cat(happened).any())
        assert min(words) == COUNTERS_OFFSET
        return words
