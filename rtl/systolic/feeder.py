"""The feeder: activation addresses of a COMPUTE on the fly (implicit im2col), and the words to the array's edge."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from accel.commands import COMMAND_BYTES, Compute, ConfigCompute, Opcode, field_bits
from accel.design import Design
from accel.latency import MIN_TILE_CYCLES, cycles, feed_pipeline, until
from accel.memories import ACCUMULATOR, ACTIVATION
from accel.rtl.count import Count, ends_next
from accel.rtl.layouts import layout
from accel.rtl.multiplier import hold
from accel.rtl.pipeline import delayed, in_luts, later
from accel.rtl.ports import bank_of, read_port, word_of
from accel.rtl.walk import POSITION_BITS

TAG = data.StructLayout({"valid": 1, "address": ACCUMULATOR.address_bits, "overwrite": 1, "last": 1})
"""Travels with a pixel: where its sums go, whether they replace what is there, and whether it ends the command."""


def tags(m: Module, design: Design, tag: data.View, cycles: int) -> Value:
    """A tag so many cycles later; none that was under way at a reset."""
    valid, rest = Value.cast(tag)[0], Value.cast(tag)[1:]
    assert TAG["valid"].offset == 0
    return Cat(later(m, valid, cycles, "tags_valid"), delayed(m, design, rest, cycles, "tags"))


class Feeder(wiring.Component):
    """Streams one activation word a cycle, tile after tile, without a bubble when the weights are there.

    `slot_valid`, `slot`: the next command of the unit (CONFIG_COMPUTE or COMPUTE); `slot_taken` in the cycle in which
    it is taken: when the feeder is idle, or with the last pixel of the running command. `last_kx`, `last_ky`: the last
    kernel position of the CONFIG_COMPUTE in force. A tile starts (`tile_start`) a cycle after `loads`, and at the
    earliest MIN_TILE_CYCLES after the one before.

    Whether a pixel goes, and whether a command may be taken, are registers (`go`, `free`): all counters ask for them.

    `acts`, `exist`, `valid`, `existing_cols`, `swap` and `tag` are at the array's edge `feed_cycles` after the pixel's
    address. `exist`: rows that are not gated; `valid`: of these, those whose activation is not 0. The activation of a
    row that is not valid is the one before it, so that nothing behind it changes, or 0 if multipliers do not gate.
    `outside`: a word beyond the bank was read in the cycle before, or the pixel's sum is beyond all addresses.
    """

    def __init__(self, design: Design) -> None:
        self.design = design
        rows, cols = design.rows, design.cols
        super().__init__(
            {
                "slot_valid": In(1),
                "slot": In(8 * COMMAND_BYTES),
                "slot_taken": Out(1),
                "last_kx": Out(field_bits(ConfigCompute, "kernel_w")),
                "last_ky": Out(field_bits(ConfigCompute, "kernel_h")),
                "loads": In(1),
                "tile_start": Out(1),
                "halt": In(1),
                "r_act": Out(read_port(ACTIVATION, design)),
                "acts": Out(8 * design.word_lanes),
                "exist": Out(rows),
                "valid": Out(design.word_lanes),
                "existing_cols": Out(range(cols + 1)),
                "swap": Out(1),
                "tag": Out(TAG),
                "outside": Out(1),
                "event_act_reads": Out(1),
                "event_macs": Out(range(rows * cols + 1)),
                "event_macs_gated": Out(range(rows * cols + 1)),
                "event_stream_cycles": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        config_bits = Signal(8 * COMMAND_BYTES, reset_less=True, name="config_bits")
        config = data.View(layout(ConfigCompute), config_bits)
        command = data.View(layout(Compute), Signal(8 * COMMAND_BYTES, name="running", reset_less=True))
        head = data.View(layout(Compute), self.slot)
        active, in_tile = Signal(name="active"), Signal(name="in_tile")
        gap = Signal(range(MIN_TILE_CYCLES), name="gap")
        rested, rests = Signal(init=1, name="rested"), Signal(name="rests")  # no gap is left, now and in the next cycle
        go, finishing, take, free = (
            Signal(init=name == "free", name=name) for name in ("go", "finishing", "take", "free")
        )
        next_active, next_in_tile, next_go, next_final = (
            Signal(name=f"next_{name}") for name in ("active", "in_tile", "go", "final")
        )
        is_compute = self.slot[:4] == Opcode.COMPUTE
        m.d.comb += [
            self.tile_start.eq(go & ~in_tile),
            rests.eq(Mux(self.tile_start, 0, rested | (gap == 1))),
            take.eq(self.slot_valid & free & ~self.halt),
            self.slot_taken.eq(take),
            next_active.eq(Mux(free, take & is_compute, active)),
            next_go.eq(next_active & (next_in_tile | (self.loads & rests & ~self.halt))),
        ]
        m.d.sync += [
            active.eq(next_active),
            in_tile.eq(next_in_tile),
            go.eq(next_go),
            free.eq(~next_active | (next_go & next_final)),
            rested.eq(rests),
        ]
        with m.If(self.tile_start):
            m.d.sync += gap.eq(MIN_TILE_CYCLES - 1)
        with m.Elif(gap != 0):
            m.d.sync += gap.eq(gap - 1)
        last_kx, last_ky = Signal.like(self.last_kx, name="end_of_kx"), Signal.like(self.last_ky, name="end_of_ky")
        m.d.comb += [self.last_kx.eq(last_kx), self.last_ky.eq(last_ky)]
        self._walk(m, config, command, head, go, finishing, in_tile, free, next_in_tile, next_final)
        # What a command begins with is loaded while it may come: that it is taken changes little, since it comes late.
        with m.If(free):
            m.d.sync += command.eq(head)
        with m.If(take & ~is_compute):
            taken = data.View(layout(ConfigCompute), self.slot)
            m.d.sync += [config_bits.eq(self.slot), last_kx.eq(taken.kernel_w - 1), last_ky.eq(taken.kernel_h - 1)]
        return m

    def _walk(
        self,
        m: Module,
        config: data.View,
        command: data.View,
        head: data.View,
        go: Signal,
        finishing: Signal,
        in_tile: Signal,
        free: Value,
        next_in_tile: Signal,
        next_final: Signal,
    ) -> None:
        """The nested counters, their addresses, and the pipeline behind them."""
        x, y, group, tile = (
            Count(m, name, field_bits(Compute, field))
            for name, field in (("ox", "out_w"), ("oy", "out_h"), ("group", "groups"), ("tile", "n_tiles"))
        )
        kx, ky = (Count(m, f"k{side}", len(last)) for side, last in (("x", self.last_kx), ("y", self.last_ky)))
        word_bits, sum_bits = ACTIVATION.word_bits, ACCUMULATOR.word_bits
        # Words within the bank, modulo its addresses: of this pixel, and where its row, tap, kernel row, group began.
        pixel, line, at_tap, at_ky, at_group = (
            Signal(word_bits, name=n) for n in ("pixel", "line", "at_tap", "at_ky", "at_group")
        )
        iy, ix, iy_ky, ix_kx = (Signal(signed(POSITION_BITS), name=n) for n in ("iy", "ix", "iy_ky", "ix_kx"))
        # One bit more than a word has: it does not wrap around.
        acc, acc_tile = Signal(sum_bits + 1, name="acc"), Signal(sum_bits + 1, name="acc_tile")
        # With two kernel columns side by side, the first word of each row waits for the next one.
        beside: Value = config.beside if self.design.takes_beside else Const(0)
        waits = beside & x.first
        end_tile = x.end & y.end
        # With 2:4, weights that are not take a tile for each half of the lanes.
        pairs, half = self.design.two_of_four, Signal(name="half")
        last_half: Value = half | command.structured if pairs else Const(1)
        # Whether this pixel is the command's last: who waits for that must not wait for all counters.
        final = Signal(name="final")
        # Whether all kernel positions, and groups, end with this tile: they stay MIN_TILE_CYCLES; a register knows it.
        ends_taps, ends_groups = Signal(name="ends_taps"), Signal(name="ends_groups")
        assert MIN_TILE_CYCLES > 2
        m.d.sync += [ends_taps.eq(kx.end & ky.end), ends_groups.eq(kx.end & ky.end & group.end)]
        levels = [(c.end, c.single, c.left == 1) for c in (x, y, kx, ky, group, tile)]
        if pairs:
            levels.insert(2, (last_half, command.structured, Const(1)))
        m.d.comb += [finishing.eq(go & final), next_final.eq(final), next_in_tile.eq(in_tile & ~free)]
        m.d.sync += final.eq(next_final)
        next_tap, next_iy, next_ix = (
            Signal(word_bits, name="next_tap"),
            Signal(signed(POSITION_BITS), name="next_iy"),
            Signal(signed(POSITION_BITS), name="next_ix"),
        )
        with m.If(go):
            m.d.sync += [
                acc.eq(acc + ~waits), ix.eq(ix + config.stride_x), pixel.eq(pixel + config.stride_x),
            ]  # fmt: skip
            m.d.comb += [next_final.eq(ends_next(levels)), next_in_tile.eq(~end_tile & ~free)]
            x.step()
            with m.If(x.end):
                y.step()
            with m.If(end_tile):
                m.d.sync += [
                    pixel.eq(next_tap), line.eq(next_tap), at_tap.eq(next_tap),
                    iy.eq(next_iy), iy_ky.eq(next_iy), ix.eq(next_ix), ix_kx.eq(next_ix),
                    acc.eq(acc_tile),
                ]  # fmt: skip
                with m.If(last_half):
                    kx.step()
                m.d.comb += [
                    next_tap.eq(at_tap + Mux(last_half, config.dilation_x, 0)),
                    next_iy.eq(iy_ky),
                    next_ix.eq(ix_kx + Mux(last_half, config.dilation_x, 0)),
                ]
                if pairs:
                    m.d.sync += half.eq(~last_half)
                with m.If(last_half & kx.end):
                    ky.step()
                    m.d.sync += at_ky.eq(next_tap)
                    m.d.comb += [
                        next_tap.eq(at_ky + config.tap_row_step),
                        next_iy.eq(iy_ky + config.dilation_y),
                        next_ix.eq(command.ix0),
                    ]
                with m.If(last_half & ends_taps):
                    group.step()
                    m.d.sync += at_group.eq(next_tap)
                    m.d.comb += [next_tap.eq(at_group + config.plane), next_iy.eq(command.iy0)]
                with m.If(last_half & ends_groups):
                    tile.step()
                    m.d.sync += [acc_tile.eq(acc + 1), acc.eq(acc + 1)]
                    m.d.comb += next_tap.eq(command.act_addr)
            with m.Elif(x.end):
                next_line = word_of(ACTIVATION, line + config.row_step)
                m.d.sync += [
                    pixel.eq(next_line), line.eq(next_line), ix.eq(ix_kx), iy.eq(iy + config.stride_y),
                ]  # fmt: skip
        with m.If(free):
            m.d.sync += [signal.eq(head.act_addr) for signal in (pixel, line, at_group, at_ky, at_tap)]
            single_x, single_kx, single_ky = (head.out_w == 1) & ~beside, self.last_kx == 0, self.last_ky == 0
            x.begin(head.out_w - ~beside, single_x)
            kx.begin(self.last_kx, single_kx)
            ky.begin(self.last_ky, single_ky)
            singles = [single_x, single_kx, single_ky, *([head.structured] if pairs else [])]
            for count, steps in ((y, head.out_h), (group, head.groups), (tile, head.n_tiles)):
                count.begin(steps - 1, steps == 1)
                singles.append(steps == 1)
            m.d.comb += next_final.eq(Cat(*singles).all())
            m.d.sync += [
                ends_taps.eq(single_kx & single_ky),
                ends_groups.eq(single_kx & single_ky & (head.groups == 1)),
            ]  # fmt: skip
            m.d.sync += [
                half.eq(0),
                iy.eq(head.iy0), iy_ky.eq(head.iy0), ix.eq(head.ix0), ix_kx.eq(head.ix0),
                acc.eq(word_of(ACCUMULATOR, head.acc_addr)), acc_tile.eq(word_of(ACCUMULATOR, head.acc_addr)),
            ]  # fmt: skip
        inside = (iy >= 0) & (iy < config.in_h) & (ix >= 0) & (ix < config.in_w)
        first = group.first & ky.first & kx.first & ~half
        self._stream(m, config, command, go, waits, inside, pixel, acc, first, finishing, group.end, tile.end, half)

    def _stream(
        self,
        m: Module,
        config: data.View,
        command: data.View,
        go: Signal,
        waits: Value,
        inside: Value,
        pixel: Signal,
        acc: Signal,
        first: Value,
        finishing: Signal,
        last_group: Value,
        last_tile: Value,
        half: Signal,
    ) -> None:
        """The pipeline `accel.latency.feed_pipeline`: to the memory, read, pad, and the array's edge."""
        rows, cols, lanes = self.design.rows, self.design.cols, self.design.word_lanes
        pipeline = feed_pipeline(self.design)
        walked, read, padded = (until(pipeline, stage) for stage in ("walk", "read", "pad"))
        streams = Signal(name="streams")
        address = Cat(pixel, bank_of(ACTIVATION, command.act_addr))
        m.d.comb += [
            self.r_act.en.eq(later(m, go & inside, walked, "reads")),
            self.r_act.addr.eq(later(m, address, walked, "read_address", reset_less=True)),
            self.event_act_reads.eq(self.r_act.en),
            streams.eq(go & ~waits),
            self.event_stream_cycles.eq(streams),
        ]
        lanes_valid, rows_valid = (
            Signal(range(lanes + 1), name="lanes_valid"),
            Signal(range(rows + 1), name="rows_valid"),
        )
        cols_valid = Signal(range(cols + 1), name="cols_valid")
        m.d.comb += [
            lanes_valid.eq(Mux(last_group, command.rows_last, lanes)),
            rows_valid.eq(self._rows(lanes_valid, half)),
            cols_valid.eq(Mux(last_tile, command.cols_last, cols)),
        ]
        products = (
            later(m, streams, 1, "counted"),
            later(m, rows_valid, 1, "rows_counted"),
            later(m, cols_valid, 1, "cols_counted"),
        )
        macs = Signal(range(rows * cols + 1), name="macs", reset_less=True)
        m.d.sync += macs.eq(products[1] * products[2])
        with m.If(later(m, products[0], 1, "counts")):
            m.d.comb += [self.event_macs.eq(macs), self.event_macs_gated.eq(rows * cols - macs)]
        # Every port is the last of the registers.
        edge = cycles(pipeline) - 1
        there, gated, tag = Signal(lanes, name="there"), Signal(rows, name="gated"), Signal(TAG, name="tag_now")
        if self.design.two_of_four:  # row 2j + i has lane 4j + 2h + i
            places = [Mux(half, there[4 * (r // 2) + 2 + r % 2], there[4 * (r // 2) + r % 2]) for r in range(rows)]
        else:
            places = list(there)
        word = Signal(8 * lanes, reset_less=True, name="word")
        m.d.comb += [
            there.eq(Mux(streams, Cat(lanes_valid > r for r in range(lanes)), 0)),
            gated.eq(Cat(*places)),
            tag.valid.eq(streams),
            tag.address.eq(Cat(word_of(ACCUMULATOR, acc), bank_of(ACCUMULATOR, command.acc_addr))),
            tag.overwrite.eq(first & ~command.accumulate),
            tag.last.eq(finishing),
        ]
        inside_then, pad = later(m, inside, read, "inside"), later(m, config.pad_value, read, "pad")
        last, exist = later(m, word, edge - padded, "word"), later(m, there, edge, "there")
        found = Signal(8 * lanes, name="found")
        m.d.comb += found.eq(Mux(inside_then, self.r_act.data, Cat(pad for _ in range(lanes))))
        m.d.sync += [
            word.eq(self._beside(m, config, later(m, go, read, "read_then"), found, read)),
            self.exist.eq(later(m, gated, edge, "exist")),
            self.existing_cols.eq(later(m, cols_valid, edge, "cols")),
            self.swap.eq(later(m, self.tile_start, edge, "swap")),
            self.tag.eq(
                tags(m, self.design, tag, edge)
                if in_luts(self.design, edge)
                else later(m, Value.cast(tag), edge, "tag")
            ),
            self.outside.eq(go & ((inside & (pixel >= self.design.activation_words)) | acc[-1])),
        ]
        for r in range(lanes):
            lane = last.word_select(r, 8)
            valid = exist[r] & lane.any()
            m.d.sync += self.valid[r].eq(valid)
            hold(m, self.design, self.acts.word_select(r, 8), lane, valid, exist[r])

    def _beside(self, m: Module, config: data.View, go: Value, found: Signal, read: int) -> Value:
        """The word, or its lower half behind that of the one before."""
        if not self.design.takes_beside:
            return found
        half = len(found) // 2
        before = Signal(half, reset_less=True, name="before")
        with m.If(go):
            m.d.sync += before.eq(found[:half])
        return Mux(later(m, config.beside, read, "beside"), Cat(before, found[:half]), found)

    def _rows(self, lanes: Signal, half: Signal) -> Value:
        """How many rows of the array have an existing input, if so many lanes exist."""
        if not self.design.two_of_four:
            return lanes
        pairs, rest = lanes[2:], lanes[:2]
        return Cat(Const(0, 1), pairs) + Mux(half, rest == 3, Mux(rest[1], 2, rest[0]))
