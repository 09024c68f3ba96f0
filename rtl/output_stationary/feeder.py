"""The feeder of the output-stationary array: words of R pixels, unit after unit, and what is known of each."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from accel.commands import COMMAND_BYTES, Compute, ConfigCompute, Opcode, field_bits
from accel.design import Design
from accel.latency import feed_pipeline, unit_cycles, until
from accel.memories import ACCUMULATOR, ACTIVATION, WEIGHT
from accel.rtl.layouts import layout
from accel.rtl.pipeline import later
from accel.rtl.ports import bank_of, read_port, word_of
from accel.rtl.walk import BlockWalk


def unit_layout(design: Design) -> data.StructLayout:
    """What is known of a unit, a block of up to R pixels under one kernel position and channel group.

    `pixels`, `lanes` and `cols` that exist; it is the `first` or `last` of its tile, the first of its block of pixels
    (`again`: weights begin anew), the last of its command (`ends`). `sum`: the word of the tile's first pixel, with a
    bit more than it has, `bank`, and whether sums `overwrite` what is there. The rest is about weights.
    """
    return data.StructLayout(
        {
            "pixels": design.rows.bit_length(), "lanes": design.word_lanes.bit_length(),
            "cols": design.cols.bit_length(), "first": 1, "last": 1, "again": 1, "ends": 1,
            "sum": ACCUMULATOR.word_bits + 1, "bank": 1, "overwrite": 1, "weight_addr": WEIGHT.address_bits,
            "weight_bits": field_bits(Compute, "weight_bits"), "use_codebook": 1, "codebook_bank": 1,
        }
    )  # fmt: skip


class Feeder(wiring.Component):
    """Reads units without a bubble, each in `accel.latency.unit_cycles`.

    `slot_valid`, `slot`: the next command of the unit (CONFIG_COMPUTE or COMPUTE); `slot_taken` in the cycle in which
    it is taken: when the feeder is idle, or in the last cycle of the running command.

    `push` with a `word`: of one of R pixels, or of none behind the last one of a block, or the pad value. `turn`: the
    last cycle of a unit; what is known of it is in `unit` in the next cycle. `outside`: a word beyond the bank was read
    in the cycle before.
    """

    def __init__(self, design: Design) -> None:
        self.design = design
        super().__init__(
            {
                "slot_valid": In(1), "slot": In(8 * COMMAND_BYTES), "slot_taken": Out(1), "halt": In(1),
                "r_act": Out(read_port(ACTIVATION, design)),
                "push": Out(1), "word": Out(ACTIVATION.width_bits(design)),
                "turn": Out(1), "unit": Out(unit_layout(design)), "outside": Out(1), "event_act_reads": Out(1),
            }
        )  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        design, last_place = self.design, unit_cycles(self.design) - 1
        config_bits = Signal(8 * COMMAND_BYTES, reset_less=True, name="config_bits")
        raw = Signal(8 * COMMAND_BYTES, reset_less=True, name="running")
        config, command = data.View(layout(ConfigCompute), config_bits), data.View(layout(Compute), raw)
        m.submodules.walk = walk = BlockWalk(design, tiles=True)
        is_compute = self.slot[:4] == Opcode.COMPUTE
        active, read, ended = Signal(name="active"), Signal(name="read"), Signal(name="ended")
        place = Signal(range(last_place + 1), name="place")
        go, step, end_unit, end_all, finishing, take = (
            Signal(name=name) for name in ("go", "step", "end_unit", "end_all", "finishing", "take")
        )
        m.d.comb += [
            go.eq(active & ~self.halt), step.eq(go & ~read), end_unit.eq(step & walk.end_unit),
            end_all.eq(walk.end_tile & walk.end_tiles & walk.end_pixels),
            self.turn.eq(go & (place == last_place)), finishing.eq(self.turn & (ended | (end_unit & end_all))),
            take.eq(self.slot_valid & (~active | finishing) & ~self.halt), self.slot_taken.eq(take),
            walk.begin.eq(take & is_compute), walk.head.eq(self.slot), walk.config.eq(config_bits),
            walk.command.eq(raw), walk.step.eq(step),
        ]  # fmt: skip
        with m.If(go):
            m.d.sync += [place.eq(Mux(self.turn, 0, place + 1)), read.eq((read | end_unit) & ~self.turn)]
        with m.If(end_unit & end_all):
            m.d.sync += ended.eq(1)
        with m.If(finishing):
            m.d.sync += [active.eq(0), ended.eq(0)]
        with m.If(take):
            with m.If(is_compute):
                m.d.sync += [raw.eq(self.slot), active.eq(1)]
            with m.Else():
                m.d.sync += config_bits.eq(self.slot)
        self._words(m, walk, config, command, step, go & (place < design.rows))
        self._unit(m, walk, command, end_unit, end_all, walk.begin)
        return m

    def _words(
        self, m: Module, walk: BlockWalk, config: data.View, command: data.View, step: Signal, go: Signal
    ) -> None:
        """The stages up to "pad" of `accel.latency.feed_pipeline`."""
        pipeline = feed_pipeline(self.design)
        walked, read = until(pipeline, "walk"), until(pipeline, "read")
        address = Cat(walk.address, bank_of(ACTIVATION, command.act_addr))
        m.d.comb += [
            self.r_act.en.eq(later(m, step & walk.inside, walked, "reads")),
            self.r_act.addr.eq(later(m, address, walked, "read_address", reset_less=True)),
            self.event_act_reads.eq(self.r_act.en), self.push.eq(later(m, go, until(pipeline, "pad"), "push")),
        ]  # fmt: skip
        inside, pad = later(m, walk.inside, read, "inside"), later(m, config.pad_value, read, "pad")
        word = Signal(len(self.word), reset_less=True, name="padded")
        m.d.sync += word.eq(Mux(inside, self.r_act.data, Cat(pad for _ in range(self.design.word_lanes))))
        m.d.sync += self.outside.eq(step & walk.inside & (walk.address >= self.design.activation_words))
        m.d.comb += self.word.eq(word)

    def _unit(
        self, m: Module, walk: BlockWalk, command: data.View, end_unit: Signal, end_all: Signal, begin: Signal
    ) -> None:
        """What is known of the unit whose last pixel is read."""
        design, bits = self.design, ACCUMULATOR.word_bits
        of_block, of_tile, plane = (Signal(bits + 1, name=f"sum_{n}") for n in ("block", "tile", "plane"))
        # The sums of a tile lie behind those of the tile before: so far, or beyond all addresses of a bank.
        head = data.View(layout(Compute), self.slot)
        pixels = Signal(len(head.out_h) + len(head.out_w), name="command_pixels")
        m.d.comb += pixels.eq(head.out_h * head.out_w)
        with m.If(end_unit & walk.end_tile):
            m.d.sync += of_tile.eq(of_tile + plane)
            with m.If(walk.end_tiles):
                m.d.sync += [signal.eq(of_block + design.rows) for signal in (of_tile, of_block)]
        with m.If(begin):
            m.d.sync += [signal.eq(word_of(ACCUMULATOR, head.acc_addr)) for signal in (of_tile, of_block)]
            m.d.sync += plane.eq(Mux(pixels[bits:].any(), 1 << bits, pixels))
        made = Signal(unit_layout(design), name="made")
        with m.If(end_unit):
            m.d.sync += [
                made.pixels.eq(walk.row + 1), made.first.eq(walk.start), made.last.eq(walk.end_tile),
                made.lanes.eq(Mux(walk.end_group, command.rows_last, design.word_lanes)),
                made.cols.eq(Mux(walk.end_tiles, command.cols_last, design.cols)),
                made.again.eq(walk.start & (walk.tile == 0)), made.ends.eq(end_all),
                made.sum.eq(of_tile), made.bank.eq(bank_of(ACCUMULATOR, command.acc_addr)),
                made.overwrite.eq(~command.accumulate),
                *(getattr(made, name).eq(getattr(command, name))
                  for name in ("weight_addr", "weight_bits", "use_codebook", "codebook_bank")),
            ]  # fmt: skip
        m.d.comb += self.unit.eq(made)
