"""The sequencer: program buffer, dispatch to the four queues, and the checks of every command."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from accel.commands import COMMAND_BYTES, OPCODE_BITS, Command, ErrorCode, Load, Opcode, Target
from accel.design import Design
from accel.latency import SEQUENCER
from accel.legal import CONFIGURED_BY, RULES
from accel.registers import PROGRAM_COUNT_BITS
from accel.rtl.layouts import layout
from accel.rtl.ports import COMMAND_STREAM
from accel.rtl.ram import Ram
from accel.units import UNIT_NAMES, UNITS


class Sequencer(wiring.Component):
    """Program buffer (a FIFO of commands in memory) and dispatch, one command in SEQUENCER_INTERVAL cycles.

    Pushes the fetch of the first `program_count` commands at `program_offset` in the cycle of `start`; then a command
    written (`program_write`) in cycle m is read in m + 1 and pushed in m + 2, or when its queue has room. A command
    that is illegal (`accel.legal`) gives `error` and is not pushed. `pushed_<unit>`: pulse, a counted (not
    configuration) command was pushed. `all_complete`: these are all complete; END then pulses `finished`.

    Reset it before each start: it forgets what was configured. The configuration registers of the units keep what
    another run left there (after power-up, zeros, with which their counters would never end).
    """

    def __init__(self, design: Design) -> None:
        self.design = design
        super().__init__(
            {
                "start": In(1),
                "program_offset": In(32),
                "program_count": In(PROGRAM_COUNT_BITS),
                "halt": In(1),
                "program_write": In(1),
                "program_data": In(8 * COMMAND_BYTES),
                **{f"o_{unit}": Out(COMMAND_STREAM) for unit in UNIT_NAMES},
                **{f"pushed_{unit}": Out(1) for unit in UNIT_NAMES},
                "all_complete": In(1),
                "finished": Out(1),
                "error": Out(4),
                "event_commands": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        depth = self.design.buffers.program_commands
        m.submodules.program = program = Ram(8 * COMMAND_BYTES, depth)
        level = Signal(range(depth + 1), name="level")
        popped, pushed, overflow = Signal(name="popped"), Signal(name="pushed"), Signal(name="overflow")
        write_at, read_at = Signal(range(depth), name="write_at"), Signal(range(depth), name="read_at")
        m.d.comb += [
            overflow.eq(self.program_write & (level == depth)),
            pushed.eq(self.program_write & ~overflow),
            program.w_en.eq(pushed),
            program.w_addr.eq(write_at),
            program.r_addr.eq(read_at),
            program.w_data.eq(self.program_data),
        ]
        m.d.sync += level.eq(level + pushed - popped)
        for address, moved in ((write_at, pushed), (read_at, popped)):
            with m.If(moved):
                m.d.sync += address.eq(Mux(address == depth - 1, 0, address + 1))
        command = Signal(8 * COMMAND_BYTES, name="command")
        code, go = Signal(4, name="code"), Signal(name="go")
        configured = {config: Signal(name=f"has_{config.OPCODE.name.lower()}") for config in CONFIGURED_BY.values()}
        for config, seen in configured.items():
            with m.If(popped & (command[:OPCODE_BITS] == config.OPCODE)):
                m.d.sync += seen.eq(1)
        m.d.comb += [
            command.eq(Mux(self.start, self._first(), program.r_data)),
            code.eq(self._check(command, configured)),
        ]
        legal = go & (code == 0)
        for unit in UNITS:
            o = getattr(self, f"o_{unit.name}")
            mine = Cat(command[:OPCODE_BITS] == each.OPCODE for each in unit.commands).any()
            m.d.comb += [
                o.payload.eq(command),
                o.valid.eq(legal & mine),
                getattr(self, f"pushed_{unit.name}").eq(
                    o.valid & o.ready & (command[:OPCODE_BITS] == unit.counted.OPCODE)
                ),
            ]
        streams = [getattr(self, f"o_{unit}") for unit in UNIT_NAMES]
        accepted = Cat(o.valid & o.ready for o in streams).any()
        read, dispatch = (stage.name.upper() for stage in SEQUENCER)  # one cycle each
        with m.FSM():
            with m.State("START"), m.If(self.start):
                m.d.comb += go.eq(1)
                m.next = read
            with m.State(read):
                m.d.comb += program.r_en.eq(1)
                with m.If((level != 0) & ~self.halt):
                    m.next = dispatch
            with m.State(dispatch), m.If(~self.halt):
                m.d.comb += go.eq(1)
                with m.If(legal & self.all_complete & (command[:OPCODE_BITS] == Opcode.END)):
                    m.d.comb += self.finished.eq(1)
                    m.next = "START"
                with m.Elif(accepted | (legal & (command[:OPCODE_BITS] == Opcode.NOP))):
                    m.d.comb += popped.eq(1)
                    m.next = read
        m.d.comb += [
            self.error.eq(Mux(overflow, ErrorCode.PROGRAM_OVERFLOW, Mux(go, code, 0))),
            self.event_commands.eq(accepted),
        ]
        return m

    def _first(self) -> Value:
        """The hardware's own LOAD of the first commands."""
        beat = self.design.beat_bytes
        if beat >= COMMAND_BYTES:
            each = beat // COMMAND_BYTES
            beats = (self.program_count + (each - 1)) // each
        else:
            beats = self.program_count * (COMMAND_BYTES // beat)
        values = {
            "opcode": Const(Opcode.LOAD),
            "dram_addr": self.program_offset,
            "target": Const(Target.PROGRAM),
            "row_beats": beats,
            "rows": Const(1),
        }
        sized = [(Const(0, member.width) | values.get(name, Const(0)))[: member.width] for name, member in layout(Load)]
        return Cat(*sized)

    def _check(self, command: Value, configured: dict[type[Command], Signal]) -> Value:
        """0, or the ErrorCode of an illegal command."""
        known, bad = [], []
        for cls, rules in RULES.items():
            view = data.View(layout(cls), command)
            tests = [rule.broken(view, self.design) for rule in rules]
            wrong = [test for test in tests if test is not False]  # a rule of another engine
            if cls in CONFIGURED_BY:
                wrong.append(~configured[CONFIGURED_BY[cls]])
            if "unused" in dict(view.shape()):
                wrong.append(view.unused != 0)
            is_it = view.opcode == int(cls.OPCODE)
            known.append(is_it)
            bad.append(is_it & Cat(wrong).any())
        return Mux(Cat(known).any(), Mux(Cat(bad).any(), ErrorCode.FIELD, 0), ErrorCode.OPCODE)
