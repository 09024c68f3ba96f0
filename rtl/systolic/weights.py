"""Weight issue: rows of tiles from the weight buffer, unpacked and looked up, into the array's shadow registers."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from accel.commands import COMMAND_BYTES, Compute, ConfigCompute, field_bits
from accel.datapath import flag_bits, pe_lanes
from accel.design import Design
from accel.memories import CODE_BITS, CODEBOOK, WEIGHT
from accel.rtl.count import Count
from accel.rtl.layouts import field_signal, layout
from accel.rtl.pipeline import delayed, in_luts, later
from accel.rtl.ports import write_port
from accel.rtl.systolic.segment import WeightSegment, issue_layout
from accel.structured import INDEX_BITS


class WeightIssue(wiring.Component):
    """Issues the rows of each tile of a COMPUTE, w a cycle, a tile ahead of the feeder.

    `take` with `command` (the raw COMMAND) when `free`: with the last row of the command before, or later. `last_kx`
    and `last_ky` are the feeder's, which do not change while a COMPUTE is pending. Row 0 of a tile is issued when no
    other tile waits to be swapped in, at the earliest in the cycle in which the feeder starts the tile before
    (`tile_start`). `loads`: the feeder may start the tile in the next cycle (that behind the issue of its last row).

    A row of the weight buffer has a weight row of each of the w segments of the array; segment s reads its part s * R/w
    cycles after segment 0, for which what is issued is delayed, not what is read. What the segments give
    (`WeightSegment`) stands side by side, at the array's edge `feed_cycles` after that. `outside`: a word beyond the
    buffer was issued in the cycle before.
    """

    def __init__(self, design: Design) -> None:
        self.design = design
        super().__init__(
            {
                "take": In(1),
                "command": In(8 * COMMAND_BYTES),
                "last_kx": In(field_bits(ConfigCompute, "kernel_w")),
                "last_ky": In(field_bits(ConfigCompute, "kernel_h")),
                "free": Out(1),
                "tile_start": In(1),
                "loads": Out(1),
                "w_weight": In(write_port(WEIGHT, design)),
                "w_codebook": In(write_port(CODEBOOK, design)),
                "weights": Out(8 * WEIGHT.lanes(design)),
                "flags": Out(flag_bits(design) * WEIGHT.lanes(design)),
                "capture": Out(design.weight_rows),
                "row": Out(design.weight_rows),
                "others": Out(range(design.cols + 1)).array(pe_lanes(design)).array(design.weight_rows),
                "outside": Out(1),
                "event_weight_reads": Out(1),
                "event_codebook_reads": Out(range(WEIGHT.lanes(design) + 1)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        rows = self.design.fill_cycles
        command = data.View(layout(Compute), Signal(8 * COMMAND_BYTES, name="running", reset_less=True))
        busy, pending = Signal(name="busy"), Signal(name="pending")
        row = Signal(range(max(2, rows)), name="row")
        kx, ky = field_signal(ConfigCompute, "kernel_w", "kx"), field_signal(ConfigCompute, "kernel_h", "ky")
        group, tile = (
            Count(m, name, field_bits(Compute, field)) for name, field in (("group", "groups"), ("tile", "n_tiles"))
        )
        half = Signal(name="half")  # of a tile of weights that are not 2:4, on a design that is
        last_half: Value = half | command.structured if self.design.two_of_four else Const(1)
        go, last_row, end = Signal(name="go"), Signal(name="last_row"), Signal(name="end")
        kx_ends, ky_ends = kx == self.last_kx, ky == self.last_ky
        at_end = last_half & kx_ends & ky_ends & group.end & tile.end
        if rows > 1:  # the counters stay for so long that registers know it at the tile's last row
            at_end, kx_ends, ky_ends = (
                later(m, value, 1, name)
                for value, name in ((at_end, "at_end"), (kx_ends, "kx_ends"), (ky_ends, "ky_ends"))
            )
        m.d.comb += [
            end.eq(busy & last_row & at_end if rows > 1 else go & at_end),
            self.free.eq(~busy | end),
            go.eq(busy & ((row != 0) | ~pending | self.tile_start)),
            last_row.eq(row == rows - 1),
        ]
        loaded = Signal(name="loaded")
        m.d.comb += self.loads.eq((go & last_row) | (loaded & ~self.tile_start))
        m.d.sync += loaded.eq(self.loads)
        with m.If(self.tile_start):
            m.d.sync += pending.eq(0)
        with m.If(go):
            m.d.sync += [row.eq(Mux(last_row, 0, row + 1)), pending.eq(1)]
            if self.design.two_of_four:
                with m.If(last_row):
                    m.d.sync += half.eq(~last_half)
            with m.If(last_row & last_half):
                m.d.sync += kx.eq(kx + 1)
                with m.If(kx_ends):
                    m.d.sync += [kx.eq(0), ky.eq(ky + 1)]
                    with m.If(ky_ends):
                        m.d.sync += ky.eq(0)
                        group.step()
                        with m.If(group.end):
                            tile.step()
        # Does this row need another word of the weight buffer?
        available = Signal(range(16), name="available")  # bits a column that are unpacked from memory and not used
        address = Signal(
            WEIGHT.address_bits + 1, name="address"
        )  # one bit more than an address has: it does not wrap around
        code_bits = Signal(4, name="code_bits")
        m.d.comb += code_bits.eq(command.weight_bits)
        if self.design.two_of_four:
            with m.If(command.structured):
                m.d.comb += code_bits.eq(command.weight_bits + INDEX_BITS)
        needs = available < code_bits
        kind = issue_layout(self.design)
        issue = data.View(kind, Signal(kind, name="issue"))
        if self.design.two_of_four:
            m.d.comb += [issue.structured.eq(command.structured), issue.half.eq(half), issue.odd.eq(row[0])]
        m.d.comb += [
            issue.go.eq(go),
            issue.first.eq(go & (row == 0)),
            issue.read.eq(go & needs),
            issue.address.eq(address),
            issue.shift.eq(WEIGHT.lane_bits(self.design) - 1 - available),
            issue.bits.eq(code_bits),
            issue.look_up.eq(go & command.use_codebook),
            issue.bank.eq(command.codebook_bank),
            issue.cols.eq(Mux(tile.end, command.cols_last, self.design.cols)),
            self.event_weight_reads.eq(issue.read),
            self.event_codebook_reads.eq(Mux(issue.look_up, WEIGHT.lanes(self.design), 0)),
        ]
        m.d.sync += self.outside.eq(issue.read & (address >= self.design.weight_words))
        with m.If(go):
            m.d.sync += available.eq(available + Mux(needs, WEIGHT.lane_bits(self.design), 0) - code_bits)
            with m.If(needs):
                m.d.sync += address.eq(address + 1)
        with m.If(self.free):
            head = data.View(layout(Compute), self.command)
            m.d.sync += [
                command.eq(head), busy.eq(self.take), address.eq(head.weight_addr), available.eq(0),
            ]  # fmt: skip
            for count, steps in ((group, head.groups), (tile, head.n_tiles)):
                count.begin(steps - 1, steps == 1)
        self._segments(m, Value.cast(issue))
        return m

    def _segments(self, m: Module, issued: Value) -> None:
        """The segments, each R/w cycles after the one before; a write goes to all."""
        part, cols = len(self.w_weight.data) // self.design.weight_rows, self.design.cols
        flags, bits = flag_bits(self.design) * cols, CODE_BITS * cols
        for s in range(self.design.weight_rows):
            m.submodules[f"segment{s}"] = segment = WeightSegment(self.design, s)
            m.d.comb += [
                segment.issue.eq(issued),
                segment.w_en.eq(self.w_weight.en),
                segment.w_addr.eq(self.w_weight.addr),
                segment.w_data.eq(self.w_weight.data.word_select(s, part)),
                self.weights.word_select(s, bits).eq(segment.weights),
                self.flags.word_select(s, flags).eq(segment.flags),
                self.capture[s].eq(segment.capture),
                self.row[s].eq(segment.row),
            ]
            m.d.comb += [ours.eq(theirs) for ours, theirs in zip(self.others[s], segment.others, strict=True)]
            wiring.connect(m, wiring.flipped(self.w_codebook), segment.w_codebook)
            if s + 1 < self.design.weight_rows:
                issued = self._later(m, issued, f"issue_{s}")

    def _later(self, m: Module, issued: Value, name: str) -> Value:
        """What is issued as the next segment sees it; nothing is read or looked up that was under way at a reset."""
        kind, cycles = issue_layout(self.design), self.design.fill_cycles
        if not in_luts(self.design, cycles):
            return later(m, issued, cycles, name)
        parts = {field: issued[kind[field].offset :][: kind[field].width] for field, _ in kind}
        acts = {
            field: later(m, parts.pop(field), cycles, f"{name}_{field}") for field in ("go", "first", "read", "look_up")
        }
        rest = delayed(m, self.design, Cat(*parts.values()), cycles, name)
        for field in parts:
            acts[field], rest = rest[: kind[field].width], rest[kind[field].width :]
        return Cat(*(acts[field] for field, _ in kind))
