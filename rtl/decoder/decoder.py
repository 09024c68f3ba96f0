"""The decoders: a coded LOAD's beats to words of the weight buffer, or to entries of a sparse engine's PEs."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from accel.commands import COMMAND_BYTES, Load, field_bits
from accel.design import Design
from accel.entropy.stream import CHUNK_BITS
from accel.entropy.tables import RUN_SYMBOLS, VALUE_SYMBOLS
from accel.latency import DECODE, cycles
from accel.memories import CODE_BITS, RUN_TABLE, VALUE_TABLE, WEIGHT, Memory
from accel.rtl.decoder.entry_lane import EntryLane
from accel.rtl.decoder.lane import TABLE_PORTS, Lane
from accel.rtl.decoder.packer import Packer
from accel.rtl.decoder.table import WORD_SHIFT, CodeTable
from accel.rtl.decoder.window import Window
from accel.rtl.layouts import layout
from accel.rtl.modules import shared
from accel.rtl.pipeline import later
from accel.rtl.ports import write_port
from accel.rtl.ram import Ram
from accel.rtl.sparse.ports import entry_layout

MEMORIES: dict[str, Memory] = {"run": RUN_TABLE, "value": VALUE_TABLE}
PLACES = {"run": RUN_SYMBOLS, "value": VALUE_SYMBOLS}


class Turns(wiring.Component):
    """What decoders have in common: they work in *turns*, one that fills the readers and then the steps.

    `take` with `command` (the raw LOAD) when no other is under way. `want`: the next beat is to come, which may be in
    this cycle (`beat`, `data`); `left`: beats are to come. `done` comes DECODE_CYCLES after the last step, `damaged` at
    once. `turn`: one ends. `w_run`, `w_value`: bytes of the code tables. `lane`: the component of a lane.
    """

    def __init__(self, design: Design, lane: Callable[[], Any], ports: dict) -> None:
        self.design, self.lane = design, lane
        super().__init__(
            {
                "take": In(1), "command": In(8 * COMMAND_BYTES),
                "want": Out(1), "left": In(1), "beat": In(1), "data": In(design.memory.axi_bits),
                "turn": Out(1),
                "w_run": In(write_port(RUN_TABLE, design)), "w_value": In(write_port(VALUE_TABLE, design)),
                "damaged": Out(1), "done": Out(1),
                "event_run_reads": Out(range(design.decoder_lanes + 1)),
                "event_value_reads": Out(range(design.decoder_lanes + 1)),
            }
            | ports
        )  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        head = data.View(layout(Load), self.command)
        command = data.View(layout(Load), Signal(8 * COMMAND_BYTES, name="running", reset_less=True))
        begun = Signal(name="begun")  # since the last reset, which does not reach into the lanes
        start = Signal(name="start")
        m.d.comb += start.eq(self.take & ~(head.continues & begun))
        active, fill, first = (Signal(name=name) for name in ("active", "fill", "first"))
        m.submodules.window = window = Window(self.design)
        lanes = [shared(m, self.lane, f"lane_{k}", "decoder_lane") for k in range(self.design.decoder_lanes)]
        good = self._tables(m, lanes)
        # A turn, or a part of one, in every cycle in which its chunks are there and a beat that is wanted is as well.
        turn, last = Signal(name="turn"), Signal(name="last")
        m.d.comb += [
            self.want.eq(active & self.left & (~window.enough | first | window.low)),
            window.go.eq(active & window.enough & (~self.want | self.beat)),
            window.beat.eq(self.beat),
            window.data.eq(self.data),
            window.clear.eq(start),
            turn.eq(window.go & ~window.more),
            self.turn.eq(turn),
        ]
        with m.If(self.beat):
            m.d.sync += first.eq(0)
        with m.If(turn):
            m.d.sync += fill.eq(0)
            with m.If(last):
                m.d.sync += active.eq(0)
        with m.If(self.take):
            m.d.sync += [command.eq(head), active.eq(1), fill.eq(1), first.eq(1), begun.eq(1)]
        for k, lane in enumerate(lanes):
            m.d.comb += [lane.clear.eq(start), lane.step.eq(turn & ~fill), lane.fill.eq(fill)]
            m.d.comb += [lane.literal.eq(command.literal)]
            for number, kind in ((2 * k, "run"), (2 * k + 1, "value")):
                m.d.comb += [
                    window.wants[number].eq(getattr(lane, f"{kind}_want") & ~last),
                    getattr(lane, f"{kind}_take").eq(window.takes[number]),
                    getattr(lane, f"{kind}_chunk").eq(window.chunks.word_select(number, CHUNK_BITS)),
                ]
        values = [Mux(lane.is_value, read, 0) for lane, read in zip(lanes, self._value_data, strict=True)]
        wide = Cat((value >> command.code_bits) != 0 for value in values).any()
        self._steps(m, command, lanes, turn, fill, last)
        m.d.sync += self.done.eq(later(m, turn & last, cycles(DECODE) - 1, "finished"))
        over = Signal(name="over")
        m.d.sync += over.eq(turn & last)
        m.d.comb += [
            self.damaged.eq(
                (active & ~good) | (active & ~window.enough & ~self.left) | (over & self.left) | wide
                | (first & active & window.full) | Cat(lane.empty for lane in lanes).any()
            ),
            self.event_run_reads.eq(sum(lane.run_read for lane in lanes)),
            self.event_value_reads.eq(sum(lane.value_read for lane in lanes)),
        ]  # fmt: skip
        return m

    def _steps(self, m: Module, command: data.View, lanes: list, turn: Value, fill: Value, last: Signal) -> None:
        """What lanes say in a turn goes where it belongs; drives `last`: no other turn comes behind this one."""
        raise NotImplementedError

    def _tables(self, m: Module, lanes: list) -> Value:
        """Both code tables: what the readers compare with, and the symbols, a memory a lane. Whether they are good."""
        good: Value | None = None
        self._value_data: list[Signal] = []
        for kind, memory in MEMORIES.items():
            port = getattr(self, f"w_{kind}")
            table = CodeTable(PLACES[kind])
            m.submodules[f"{kind}_table"] = table
            m.d.comb += [table.en.eq(port.en), table.addr.eq(port.addr), table.data.eq(port.data)]
            good = table.good if good is None else good & table.good
            for k, lane in enumerate(lanes):
                m.submodules[f"{kind}_symbols_{k}"] = cells = Ram(
                    memory.width_bits(self.design), memory.words(self.design)
                )
                address, read = getattr(lane, f"{kind}_addr"), getattr(lane, f"{kind}_read")
                which, symbol = Signal(WORD_SHIFT, name=f"{kind}_byte_{k}"), Signal(8, name=f"{kind}_symbol_{k}")
                with m.If(read):
                    m.d.sync += which.eq(address)
                m.d.comb += [
                    *(getattr(lane, f"{kind}_{name}").eq(getattr(table, name)) for name in TABLE_PORTS),
                    cells.w_en.eq(port.en), cells.w_addr.eq(port.addr), cells.w_data.eq(port.data),
                    cells.r_en.eq(read), cells.r_addr.eq(address >> WORD_SHIFT),
                    symbol.eq(cells.r_data.word_select(which, 8)),
                ]  # fmt: skip
                if kind == "run":
                    m.d.comb += lane.run_data.eq(symbol)
                else:
                    self._value_data.append(symbol)
        assert good is not None
        return good


class Decoder(Turns):
    """The decoder of a systolic engine: codes to words of the weight buffer. If the stream begins, the codes of one
    turn are dropped.

    `outside`: a word has no place. `enable`: words are written.
    """

    def __init__(self, design: Design) -> None:
        weight = write_port(WEIGHT, design)
        super().__init__(design, Lane, {"enable": In(1), "w_weight": Out(weight), "outside": Out(1)})

    def _steps(self, m: Module, command: data.View, lanes: list, turn: Value, fill: Value, last: Signal) -> None:
        parts = self.design.weight_codes // self.design.decoder_lanes  # steps of a row
        head = data.View(layout(Load), self.command)
        drop, ends = Signal(name="drop"), Signal(name="ends")
        rows, part = Signal(field_bits(Load, "dst_pitch"), name="rows"), Signal(range(max(2, parts)), name="part")
        emitted = turn & ~fill & ~drop
        m.d.comb += [ends.eq(part == parts - 1), last.eq(~fill & ~drop & (rows == 1) & ends)]
        with m.If(turn & ~fill):
            m.d.sync += drop.eq(0)
        with m.If(emitted):
            m.d.sync += part.eq(Mux(ends, 0, part + 1))
            with m.If(ends):
                m.d.sync += rows.eq(rows - 1)
        with m.If(self.take):
            m.d.sync += [drop.eq(~head.continues), part.eq(0), rows.eq(head.dst_pitch)]
        m.submodules.packer = packer = Packer(self.design)
        codes = []
        for k, (lane, read) in enumerate(zip(lanes, self._value_data, strict=True)):
            code = Signal(CODE_BITS, name=f"code_{k}")
            m.d.comb += code.eq(Mux(lane.is_value, read, command.zero_code))
            codes.append(code)
        m.d.comb += [
            packer.start.eq(self.take),
            packer.first.eq(head.dst_addr),
            packer.bits.eq(command.code_bits),
            packer.valid.eq(later(m, emitted, 1, "valid")),
            packer.place.eq(later(m, part, 1, "place")),
            packer.ends.eq(later(m, ends, 1, "row_ends")),
            packer.last.eq(later(m, last, 1, "block_ends")),
            packer.codes.eq(Cat(codes)),
            self.w_weight.addr.eq(packer.addr),
            self.w_weight.data.eq(packer.data),
            self.w_weight.mask.eq(-1),
            self.outside.eq(packer.en & (packer.addr >= self.design.weight_words)),
            self.w_weight.en.eq(packer.en & ~self.outside & self.enable),
        ]


class ListDecoder(Turns):
    """The decoder of a sparse engine: entries to the lists of its PEs.

    `en`: of each PE, an entry in `entries` is the next of its list.
    """

    def __init__(self, design: Design) -> None:
        entry = entry_layout(design)
        lane, ports = partial(EntryLane, design), {"en": Out(design.cols), "entries": Out(design.cols * entry.size)}
        super().__init__(design, lane, ports)

    def _steps(self, m: Module, command: data.View, lanes: list, turn: Value, fill: Value, last: Signal) -> None:
        head = data.View(layout(Load), self.command)
        size = entry_layout(self.design).size
        # An entry leaves a lane a cycle after its step, unless a reset came between, which does not reach the lanes.
        stepped = Signal(name="stepped")
        m.d.sync += stepped.eq(turn & ~fill)
        m.d.comb += last.eq(~fill & Cat(lane.finishes for lane in lanes).all())
        for k, (lane, read) in enumerate(zip(lanes, self._value_data, strict=True)):
            m.d.comb += [
                lane.starts.eq(self.take), lane.first_tiles.eq(head.step), lane.first_columns.eq(head.row_words),
                lane.tiles.eq(command.step), lane.run_bits.eq(command.run), lane.zero_code.eq(command.zero_code),
                lane.value_data.eq(read),
            ]  # fmt: skip
            for number, pe in enumerate(range(k, self.design.cols, self.design.decoder_lanes)):
                m.d.comb += [
                    self.en[pe].eq(lane.en & stepped & (lane.which == number)),
                    self.entries.word_select(pe, size).eq(lane.entry)
                ]  # fmt: skip
