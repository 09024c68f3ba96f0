"""The sequencer: program buffer, dispatch to the four queues, and the checks of every command."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from accel.commands import (
    COMMAND_BYTES,
    Compute,
    ConfigCompute,
    ConfigPost,
    End,
    ErrorCode,
    Load,
    Nop,
    Opcode,
    Post,
    Store,
    Target,
)
from accel.design import Design
from rtl.layouts import layout
from rtl.ports import COMMAND_STREAM

UNIT_OPCODES = {
    "load": (Opcode.LOAD,),
    "compute": (Opcode.CONFIG_COMPUTE, Opcode.COMPUTE),
    "post": (Opcode.CONFIG_POST, Opcode.POST),
    "store": (Opcode.STORE,),
}
# Fields that count something and must not be zero.
NOT_ZERO = {
    Load: ("row_beats", "rows"),
    ConfigCompute: ("stride_x", "stride_y", "dilation_x", "dilation_y", "kernel_h", "kernel_w", "in_h", "in_w"),
    Compute: ("out_h", "out_w", "groups", "n_tiles"),
    ConfigPost: ("win_h", "win_w", "stride_y", "stride_x", "in_h", "in_w"),
    Post: ("out_h", "out_w", "chunks"),
    Store: ("row_words", "rows"),
    End: (),
    Nop: (),
}


class Sequencer(wiring.Component):
    """Pushes the first fetch in the cycle after `start`, then takes commands from the program buffer, in order.

    `program_write`/`program_data`: the loader appends a command. `o_<unit>`: command streams. `pushed_<unit>`: pulse, a counted
    (not configuration) command was pushed. `all_complete`: every pushed command is complete. `finished`: pulse, END was
    reached and everything is complete. `error`: an ErrorCode for one cycle. One command takes SEQUENCER_INTERVAL cycles.
    """

    def __init__(self, design: Design) -> None:
        self.design = design
        super().__init__(
            {
                "start": In(1),
                "program_offset": In(32),
                "program_count": In(16),
                "halt": In(1),
                "program_write": In(1),
                "program_data": In(8 * COMMAND_BYTES),
                **{f"o_{unit}": Out(COMMAND_STREAM) for unit in UNIT_OPCODES},
                **{f"pushed_{unit}": Out(1) for unit in UNIT_OPCODES},
                "all_complete": In(1),
                "finished": Out(1),
                "error": Out(4),
                "event_commands": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        design = self.design
        depth = design.buffers.program_commands
        m.submodules.program = program = memory.Memory(shape=8 * COMMAND_BYTES, depth=depth, init=[])
        write, read = program.write_port(), program.read_port()
        level = Signal(range(depth + 1))
        popped, pushed = Signal(), Signal()
        overflow = Signal()
        m.d.comb += [
            overflow.eq(self.program_write & (level == depth)),
            pushed.eq(self.program_write & ~overflow),
            write.en.eq(pushed),
            write.data.eq(self.program_data),
        ]
        m.d.sync += level.eq(level + pushed - popped)
        for address, moved in ((write.addr, pushed), (read.addr, popped)):
            with m.If(moved):
                m.d.sync += address.eq(Mux(address == depth - 1, 0, address + 1))
        command = Signal(8 * COMMAND_BYTES)
        opcode, code = Signal(4), Signal(4)
        m.d.comb += [command.eq(read.data), opcode.eq(command[:4]), code.eq(self._check(command))]
        accepted = Signal()
        for unit, opcodes in UNIT_OPCODES.items():
            stream = getattr(self, f"o_{unit}")
            counted = opcodes[-1]
            m.d.comb += [
                stream.payload.eq(command),
                getattr(self, f"pushed_{unit}").eq(stream.valid & stream.ready & (stream.payload[:4] == counted)),
            ]
        with m.FSM():
            with m.State("IDLE"), m.If(self.start):
                m.next = "FIRST"
            with m.State("FIRST"):
                m.d.comb += [self.o_load.valid.eq(1), self.o_load.payload.eq(self._first()), accepted.eq(1)]
                m.next = "READ"
            with m.State("READ"):
                m.d.comb += read.en.eq(1)
                with m.If((level != 0) & ~self.halt):
                    m.next = "DISPATCH"
            with m.State("DISPATCH"), m.If(~self.halt):
                with m.If(code != 0):
                    m.d.comb += self.error.eq(code)
                with m.Elif(opcode == Opcode.NOP):
                    m.d.comb += popped.eq(1)
                    m.next = "READ"
                with m.Elif(opcode == Opcode.END):
                    with m.If(self.all_complete):
                        m.d.comb += self.finished.eq(1)
                        m.next = "IDLE"
                for unit, opcodes in UNIT_OPCODES.items():
                    stream = getattr(self, f"o_{unit}")
                    with m.If((code == 0) & Cat(opcode == o for o in opcodes).any()):
                        m.d.comb += stream.valid.eq(1)
                        with m.If(stream.ready):
                            m.d.comb += [popped.eq(1), accepted.eq(1)]
                            m.next = "READ"
        with m.If(overflow):
            m.d.comb += self.error.eq(ErrorCode.PROGRAM_OVERFLOW)
        m.d.comb += self.event_commands.eq(accepted)
        return m

    def _first(self) -> Value:
        """The hardware's own LOAD of the first commands."""
        first = data.View(layout(Load), Signal(8 * COMMAND_BYTES))
        beat = self.design.beat_bytes
        if beat >= COMMAND_BYTES:
            each = beat // COMMAND_BYTES
            beats = (self.program_count + (each - 1)) // each
        else:
            beats = self.program_count * (COMMAND_BYTES // beat)
        values = {
            "opcode": Const(Opcode.LOAD, 4),
            "dram_addr": self.program_offset,
            "target": Const(Target.PROGRAM, 3),
            "row_beats": beats[:16],
            "rows": Const(1, 12),
        }
        parts = []
        for name, member in first.shape():
            value = values.get(name, Const(0))
            parts.append((Value.cast(value) | Const(0, member.width))[: member.width])
        return Cat(*parts)

    def _check(self, command: Value) -> Value:
        """0, or the ErrorCode of an illegal command."""
        design = self.design
        bad = Const(0)
        known = Const(0)
        opcode = command[:4]
        for cls, names in NOT_ZERO.items():
            view = data.View(layout(cls), command)
            wrong = view.unused != 0
            for name in names:
                wrong |= getattr(view, name) == 0
            wrong |= self._ranges(cls, view, design)
            known |= opcode == cls.OPCODE
            bad |= (opcode == cls.OPCODE) & wrong
        return Mux(known, Mux(bad, ErrorCode.FIELD, 0), ErrorCode.OPCODE)

    @staticmethod
    def _ranges(cls: type, view: data.View, design: Design) -> Value:
        """Fields with a legal set of their own."""
        per_word = design.rows // design.lanes
        if cls is Load:
            window = (
                (view.target != Target.ACTIVATION) | (view.run == 0) | (view.step == 0) | (view.row_words == 0)
                | (view.lane + view.run > design.rows)
            )  # fmt: skip
            return (view.target > Target.PROGRAM) | (view.window & window)
        if cls is Compute:
            return (
                (view.weight_bits == 0) | (view.weight_bits > 8) | (view.rows_last == 0)
                | (view.rows_last > design.rows) | (view.cols_last == 0) | (view.cols_last > design.cols)
            )  # fmt: skip
        if cls is Post:
            return (view.dst_chunk >= per_word) | (view.src_chunk >= per_word)
        return Const(0)
