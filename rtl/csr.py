"""Control and status registers on AXI4-Lite, and the performance counters."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from accel.design import Design
from accel.events import Event
from accel.memory_kinds import OnChip
from accel.registers import IMAGES_BITS, OFFSETS, Register, counter_offset, registers
from accel.rtl.axi import LITE_SLAVE
from accel.rtl.counters import Counters


class Csr(wiring.Component):
    """The registers of `accel.registers`. `start`: one-cycle pulse, its cycle is cycle 0; `busy`: from 1 to `done`.
    `abort`: one-cycle pulse while busy. `quiet`: nothing is in flight on AXI; without it no run is started. Of a
    register that is `latched` the output is what it held at the start of the run, from the cycle after `start` on.

    `done`: pulse from the control, with `error` valid from then on. `event_<name>`: by how much a counter grows for
    this cycle, `widths[event]` bits; events without width are none of the design, and read as 0. CYCLES counts `busy`,
    so that it ends as the number of the cycle of `done`. What units do after that (a run that was stopped leaves them
    in the middle of something) is not counted, nor is what they do before cycle 2: they are reset in 1.

    `next`: pulse in the cycle in which `done` would be, if another image of the run follows (`last` says that none
    does): what a run uses of the registers is then that image's. The next cycle is cycle 1 of its program.

    In a core without DRAM a run starts by itself when it may (`go`), or, after one that ended with an error, when
    CONTROL says so.

    A write is taken in the cycle after address and data are both offered, byte by byte as `wstrb` says, and answered in
    the next. A read is taken at once and answered in the next cycle too, but for a counter's, which waits for its turn
    (`Counters`). Offsets that are not in the map read as 0 and ignore writes. Every response is OKAY.
    """

    def __init__(self, design: Design, widths: dict[Event, int]) -> None:
        self.design, self.widths = design, widths
        self.inside = isinstance(design.memory, OnChip)
        self.registers = {register.name: register for register in registers(design)}
        self._used: dict[str, Signal] = {}  # what a run uses of each
        self.writable = [register for register in self.registers.values() if register.access == "rw"]
        super().__init__(
            {
                "lite": Out(LITE_SLAVE),
                **({"go": In(1)} if self.inside else {"next": In(1), "last": Out(1)}),
                "irq": Out(1),
                "start": Out(1),
                "abort": Out(1),
                "done": In(1),
                "error": In(4),
                "quiet": In(1),
                "busy": Out(1),
                **{register.name.lower(): Out(register.bits) for register in self.writable},
                **{f"event_{event.name.lower()}": In(width) for event, width in widths.items()},
            }
        )

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        # A start is known late and reaches far: what a run ended with goes a cycle behind it, in which nobody sees it.
        ended, begun, over = Signal(name="ended"), Signal(name="begun"), Signal(name="over")
        m.d.sync += begun.eq(self.start)
        m.d.comb += over.eq(ended & ~begun)
        with m.If(begun):
            m.d.sync += ended.eq(0)
        with m.If(self.done):
            m.d.sync += [self.busy.eq(0), ended.eq(1)]
        readable: dict[int, Value] = {
            OFFSETS["STATUS"]: Cat(self.busy, over, self.error != 0, ~self.busy & ~self.quiet),
            OFFSETS["ERROR"]: self.error,
            **{OFFSETS[name]: Const(self.registers[name].reset, 32) for name in ("VERSION", "ARRAY")},
            **self._writes(m, ended),
            **({} if self.inside else {OFFSETS["IMAGES_DONE"]: self._images(m)}),
        }
        self._reads(m, readable, self._counters(m, begun))
        with m.If(self.start):
            m.d.sync += self.busy.eq(1)
        m.d.comb += self.irq.eq(over & self.irq_enable[0])
        return m

    def _writes(self, m: Module, ended: Signal) -> dict[int, Value]:
        """The write channels. Returns what the registers hold, by offset."""
        lite = self.lite
        values: dict[int, Value] = {}
        write, told = Signal(name="write"), Signal(3, name="told")
        asked, stopped, seen = told
        offered = lite.awvalid & lite.wvalid & ~write & (~lite.bvalid | lite.bready)
        word = lite.awaddr[2:]
        first = offered & lite.wstrb[0]
        control, status = (first & (word == OFFSETS[name] // 4) for name in ("CONTROL", "STATUS"))
        # What is offered stays until it is taken: what starts and stops, which reaches far, comes from registers.
        m.d.sync += [
            write.eq(offered),
            told.eq(Cat(control, control, status) & Cat(lite.wdata[0], lite.wdata[1], lite.wdata[1])),
        ]
        m.d.comb += [lite.awready.eq(write), lite.wready.eq(write)]
        with m.If(lite.bready):
            m.d.sync += lite.bvalid.eq(0)
        with m.If(write):
            m.d.sync += lite.bvalid.eq(1)
        if self.inside:
            asked = self.go & (asked | (self.error == 0))
        # A cycle ago, so that a start, which reaches far, waits for nothing that is far away: once it is, it stays.
        was_quiet = Signal(init=1, name="was_quiet")
        m.d.sync += was_quiet.eq(self.quiet)
        m.d.comb += [
            self.start.eq(asked & ~self.busy & was_quiet),
            self.abort.eq(stopped & self.busy),
        ]
        with m.If(seen & ~self.done):
            m.d.sync += ended.eq(0)
        for register in self.writable:
            held = self._held(register, "reg")
            for bit in range(len(held)):
                at = bit + register.align
                with m.If(write & (word == register.offset // 4) & lite.wstrb[at // 8]):
                    m.d.sync += held[bit].eq(lite.wdata[at])
            values[register.offset] = Cat(Const(0, register.align), held)
            used = self._held(register, "run") if register.latched else held
            if register.latched:
                with m.If(self.start):
                    m.d.sync += used.eq(held)
            m.d.comb += getattr(self, register.name.lower()).eq(Cat(Const(0, register.align), used))
            self._used[register.name] = used
        return values

    def _images(self, m: Module) -> Value:
        """From one image of a run to the next. Returns how many are complete."""
        complete = Signal(IMAGES_BITS, name="images_done")
        used = self._used
        m.d.comb += self.last.eq(used["IMAGES"] <= 1)
        with m.If(self.next | (self.done & (self.error == 0))):
            m.d.sync += complete.eq(complete + 1)
        with m.If(self.start):
            m.d.sync += complete.eq(0)
        with m.If(self.next):
            m.d.sync += used["IMAGES"].eq(used["IMAGES"] - 1)
            for what in ("OFFSET", "COUNT"):
                m.d.sync += used[f"PROGRAM_{what}"].eq(used[f"NEXT_{what}"])
            for register in self.writable:
                if register.grows_by:
                    m.d.sync += used[register.name].eq(used[register.name] + used[register.grows_by])
        return complete

    @staticmethod
    def _held(register: Register, suffix: str) -> Signal:
        """What holds the bits of a register that can be written."""
        init, name = register.reset >> register.align, f"{register.name.lower()}_{suffix}"
        return Signal(register.bits - register.align, init=init, name=name)

    def _reads(self, m: Module, readable: dict[int, Value], counters: Counters) -> None:
        """The read channels."""
        lite = self.lite
        take = lite.arvalid & (~lite.rvalid | lite.rready) & ~counters.ask
        asks = Signal(name="asks")
        index, asking = Signal.like(counters.index, name="counter"), Signal(name="asking")
        m.d.comb += [lite.arready.eq(take), counters.ask.eq(asking), counters.index.eq(index)]
        with m.If(lite.rready):
            m.d.sync += lite.rvalid.eq(0)
        with m.Switch(lite.araddr[2:]):
            for k, event in enumerate(counters.events):
                with m.Case(counter_offset(event) // 4):
                    m.d.comb += asks.eq(1)
                    m.d.sync += index.eq(k)
        with m.If(take):
            m.d.sync += [asking.eq(asks), lite.rvalid.eq(~asks), lite.rdata.eq(0)]
            with m.Switch(lite.araddr[2:]):
                for offset, value in readable.items():
                    with m.Case(offset // 4):
                        m.d.sync += lite.rdata.eq(value)
        with m.If(counters.answered):
            m.d.sync += [asking.eq(0), lite.rvalid.eq(1), lite.rdata.eq(counters.value)]

    def _counters(self, m: Module, begun: Value) -> Counters:
        """What counts the events, a cycle after they were: sums over the whole design end in registers. `begun`: a
        start was in the cycle before.
        """
        m.submodules.counters = counters = Counters(self.widths)
        counting = Signal(name="counting")
        m.d.sync += counting.eq(self.busy)
        m.d.comb += [counters.counting.eq(counting), counters.clear.eq(self.start)]
        for event, width in self.widths.items():
            name = f"event_{event.name.lower()}"
            amount = Signal(width, name=f"{name}_reg", reset_less=True)
            m.d.sync += amount.eq(Mux(begun, 0, getattr(self, name)))  # units are reset in the cycle behind the start
            m.d.comb += getattr(counters, name).eq(amount)
        return counters
