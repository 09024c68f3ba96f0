"""The sequencer: program buffer, dispatch to the four queues, and the checks of every command."""

from __future__ import annotations

from collections.abc import Iterable

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from accel.commands import COMMAND_BYTES, OPCODE_BITS, Command, End, ErrorCode, Load, Nop, Opcode, Target
from accel.design import Design
from accel.latency import SEQUENCER
from accel.legal import CONFIGURED_BY
from accel.marks import in_luts
from accel.registers import PROGRAM_COUNT_BITS
from accel.rtl.layouts import layout
from accel.rtl.marks import Marks
from accel.rtl.ports import COMMAND_STREAM
from accel.rtl.ram import Ram, Store
from accel.units import UNIT_NAMES, UNITS


class Sequencer(wiring.Component):
    """Program buffer (a FIFO of commands in memory) and dispatch, one command in SEQUENCER_INTERVAL cycles.

    The stages of a command are `accel.latency.SEQUENCER`. The fetch of the first `program_count` commands at
    `program_offset` is checked in the cycle after `start` and pushed in the next one; then a command written
    (`program_write`) in cycle m is pushed in m + FETCHED_CYCLES, or when its queue has room. A command that is illegal
    (`accel.legal`) gives `error` and is not pushed; what its fields break is found while it is written (`accel.rtl.
    marks`) and lies beside it. `pushed_<unit>`: pulse, a counted (not configuration) command was
    pushed. `all_complete`: all that were pushed until two cycles ago are complete; END then pulses `finished`.

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
        marks = Marks(self.design)
        apart = in_luts(self.design)  # marks, from their command
        m.submodules.program = program = Ram(8 * COMMAND_BYTES + (0 if apart else marks.bits), depth)
        # Commands that have a place, until they are dispatched, and those of them that were not read.
        level, unread = Signal(range(depth + 1), name="level"), Signal(range(depth + 1), name="unread")
        popped, pushed, overflow = Signal(name="popped"), Signal(name="pushed"), Signal(name="overflow")
        write_at, read_at = Signal(range(depth), name="write_at"), Signal(range(depth), name="read_at")
        m.d.comb += [
            overflow.eq(self.program_write & (level == depth)),
            pushed.eq(self.program_write & ~overflow),
            program.w_en.eq(pushed),
            program.w_addr.eq(write_at),
            program.r_addr.eq(read_at),
            program.w_data.eq(Cat(self.program_data, () if apart else marks.of(self.program_data))),
        ]
        own = Signal(name="own")  # the hardware's own fetch has no place there
        m.d.sync += level.eq(level + pushed - (popped & ~own))
        with m.If(popped | self.start):
            m.d.sync += own.eq(self.start)
        for address, moved in ((write_at, pushed), (read_at, program.r_en)):
            with m.If(moved):
                m.d.sync += address.eq(Mux(address == depth - 1, 0, address + 1))
        assert [stage.name for stage in SEQUENCER] == ["read", "hold", "check", "dispatch"]
        held, valid, checked, ended = (Signal(name=name) for name in ("held", "valid", "checked", "ended"))
        hold, take, ready, go = (Signal(name=name) for name in ("hold", "take", "ready", "go"))
        command = Signal(8 * COMMAND_BYTES, name="command", reset_less=True)
        marked = Signal(marks.bits, name="marked", reset_less=True)
        own_load = self._first()
        read = program.r_data
        if apart:
            read = Cat(read, self._marks_apart(m, marks.of(self.program_data), pushed, write_at, program.r_en, read_at))
        m.d.comb += [
            hold.eq((unread != 0) & (~held | take) & ~self.halt),
            program.r_en.eq(hold),
            take.eq(held & (~valid | popped) & ~ended),
            ready.eq(valid & checked),
            go.eq(ready & ~self.halt),
        ]
        m.d.sync += [
            unread.eq(unread + pushed - hold),
            held.eq(hold | (held & ~take)),
            valid.eq(take | self.start | (valid & ~popped)),
            checked.eq(valid & ~popped & ~take),
        ]
        with m.If(take | self.start):
            m.d.sync += Cat(command, marked).eq(Mux(self.start, Cat(own_load, marks.of(own_load)), read))
        opcode = command[:OPCODE_BITS]
        configured = {config: Signal(name=f"has_{config.OPCODE.name.lower()}") for config in CONFIGURED_BY.values()}
        for config, seen in configured.items():
            with m.If(popped & (opcode == config.OPCODE)):
                m.d.sync += seen.eq(1)

        def found(value: Value, name: str) -> Signal:
            """What the check finds, in a register."""
            signal = Signal(len(value), name=name, reset_less=True)
            m.d.sync += signal.eq(value)
            return signal

        known, bad = self._check(opcode, marks.broken(marked), configured)
        right = {kind: ~bit for kind, bit in bad.items()}
        known, wrong = found(known, "known"), found(Cat(*bad.values()), "bad")
        code = Signal(4, name="code")
        m.d.comb += code.eq(Mux(known, Mux(wrong.any(), ErrorCode.FIELD, 0), ErrorCode.OPCODE))

        def legal(kinds: Iterable[type[Command]], name: str) -> Signal:
            """Whether it is a legal command of one of these kinds, in a register of its own: far from here it is
            waited for, and no command waits for the rules of others.
            """
            return found(Cat((opcode == kind.OPCODE) & right.get(kind, 1) for kind in kinds).any(), name)

        legals = {}
        for unit in UNITS:
            o = getattr(self, f"o_{unit.name}")
            legals[unit.name] = legal(unit.commands, f"legal_{unit.name}")
            counted = found(opcode == unit.counted.OPCODE, f"is_counted_{unit.name}")
            m.d.comb += [
                o.payload.eq(command),
                o.valid.eq(go & legals[unit.name]),
                getattr(self, f"pushed_{unit.name}").eq(o.valid & o.ready & counted),
            ]
        # What is dispatched waits for `halt`. What follows it here need not: all of this is reset before it ends.
        accepted, ends = Signal(name="accepted"), Signal(name="ends")
        m.d.comb += [
            accepted.eq(Cat(legals[unit] & getattr(self, f"o_{unit}").ready for unit in UNIT_NAMES).any()),
            ends.eq(legal([End], "legal_end") & self.all_complete),
            self.finished.eq(go & ends),
            popped.eq(ready & (accepted | legal([Nop], "legal_nop") | ends)),
            self.error.eq(Mux(overflow, ErrorCode.PROGRAM_OVERFLOW, Mux(go, code, 0))),
            self.event_commands.eq(go & accepted),
        ]
        with m.If(self.finished):
            m.d.sync += ended.eq(1)
        return m

    def _marks_apart(
        self, m: Module, marks: Value, written: Value, write_at: Value, asked: Value, read_at: Value
    ) -> Value:
        """The marks of the command that the program buffer gives, from a memory of their own that is read at once: so
        they may be written a cycle behind it.
        """
        m.submodules.marks = store = Store(len(marks), self.design.buffers.program_commands)
        found, given = (Signal(len(value), name=name, reset_less=True) for value, name in
                        ((marks, "marks_found"), (read_at, "given_at")))  # fmt: skip
        with m.If(asked):
            m.d.sync += given.eq(read_at)
        m.d.sync += [found.eq(marks), store.w_en.eq(written), store.w_addr.eq(write_at)]
        m.d.comb += [store.w_data.eq(found), store.r_addr.eq(given)]
        return store.r_data

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

    def _check(
        self, opcode: Value, broken: dict[type[Command], Value], configured: dict[type[Command], Signal]
    ) -> tuple[Value, dict[type[Command], Value]]:
        """Whether the opcode is one; and for each kind, whether it is that one and illegal."""
        known, bad = [], {}
        for cls, wrong in broken.items():
            is_it = opcode == int(cls.OPCODE)
            known.append(is_it)
            bad[cls] = is_it & (wrong | ~configured[CONFIGURED_BY[cls]] if cls in CONFIGURED_BY else wrong)
        return Cat(known).any(), bad
