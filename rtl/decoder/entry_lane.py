"""A lane of a sparse engine's decoder: in each step at most one entry of one of its PEs.

What runs say goes on from column to column; entries begin anew in each. So an entry waits until the next run tells
whether its column ends behind it.
"""

from __future__ import annotations

from amaranth.hdl import Const, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from accel.commands import Load, field_bits
from accel.design import Design
from accel.memories import CODE_BITS, run_bits
from accel.rtl.decoder.lane import COUNT_BITS, coming, lane_ports, readers
from accel.rtl.sparse.ports import COLUMN_BITS, entry_layout

TILE_BITS = field_bits(Load, "step")


class EntryLane(wiring.Component):
    """Two readers, the zeros and values to come, and the place in the columns of the lane's PEs.

    `starts`: a LOAD begins, with columns of `first_tiles` positions, `first_columns` of each PE; later `tiles` says the
    former. A run has `run_bits` bits. `value_data`: the value that was read last. `en`: `entry` belongs to the lane's
    PE `which`. `finishes`: after a step in this cycle the lane has no column left.
    """

    def __init__(self, design: Design) -> None:
        self.pes, self.most_run_bits, self.layout = (
            design.cols // design.decoder_lanes,
            run_bits(design),
            entry_layout(design),
        )
        super().__init__(
            lane_ports()
            | {
                "starts": In(1), "first_tiles": In(TILE_BITS), "first_columns": In(COLUMN_BITS), "tiles": In(TILE_BITS),
                "run_bits": In(range(self.most_run_bits + 1)), "zero_code": In(CODE_BITS), "value_data": In(CODE_BITS),
                "en": Out(1), "entry": Out(self.layout.size), "which": Out(range(max(2, self.pes))),
                "finishes": Out(1),
            }
        )  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        zeros, more = Signal(COUNT_BITS, name="zeros"), Signal(COUNT_BITS, name="more")
        zeros_now, more_now = coming(m, self, zeros, more)
        run, value = readers(m, self)
        rest, gap = Signal(TILE_BITS, name="rest"), Signal(TILE_BITS, name="gap")
        columns, pe = Signal(COLUMN_BITS, name="columns"), Signal(range(max(2, self.pes)), name="pe")
        finished = Signal(name="finished")
        waits, filler_waits = Signal(name="waits"), Signal(name="filler_waits")
        wait_run = Signal(self.most_run_bits, name="wait_run")
        # The column may end, and then a value or a filler be the first of the next.
        crosses, inside, ends_block = Signal(name="crosses"), Signal(name="inside"), Signal(name="ends_block")
        zeros_here, rest_here = Signal(COUNT_BITS, name="zeros_here"), Signal(TILE_BITS, name="rest_here")
        gap_here, total = Signal(TILE_BITS, name="gap_here"), Signal(TILE_BITS + 1, name="total")
        last_pe = pe == self.pes - 1 if self.pes > 1 else Const(1)
        m.d.comb += [
            crosses.eq(zeros_now >= rest),
            zeros_here.eq(Mux(crosses, zeros_now - rest, zeros_now)),
            rest_here.eq(Mux(crosses, self.tiles, rest)),
            gap_here.eq(Mux(crosses, 0, gap)),
            total.eq(gap_here + zeros_here),
            ends_block.eq(crosses & last_pe & (columns == 1)),
            inside.eq((zeros_here < rest_here) & ~ends_block),
        ]
        place, filler, reads, ends, go = (Signal(name=name) for name in ("place", "filler", "reads", "ends", "go"))
        size = Signal(range((1 << self.most_run_bits) + 1), name="size")  # zeros that a filler stands for
        m.d.comb += [
            size.eq(Const(1) << self.run_bits),
            place.eq(inside & (more_now != 0)),
            filler.eq(place & (total >= size)),
            reads.eq(place & ~filler),
            ends.eq(inside & ((more_now == 0) | (reads & (more_now == 1)))),
            go.eq(self.step & ~finished),
            self.finishes.eq(finished | ends_block),
            self.run_read.eq(go & ends),
            self.value_read.eq(go & reads),
            self.run_want.eq(~finished & Mux(self.fill, run.short, ~ends_block & Mux(ends, run.low, run.short))),
            self.value_want.eq(
                ~finished & Mux(self.fill, value.short, ~ends_block & Mux(reads, value.low, value.short))
            ),
        ]
        m.d.sync += [zeros.eq(zeros_now), more.eq(more_now)]
        with m.If(go):
            m.d.sync += [
                zeros.eq(Mux(inside, 0, zeros_here)), more.eq(more_now - reads),
                rest.eq(Mux(inside, rest_here - zeros_here - reads, rest_here)),
                gap.eq(Mux(filler, total - size, Mux(reads | ~inside, 0, total))),
                waits.eq(place | (waits & ~crosses)),
            ]  # fmt: skip
            with m.If(place):
                m.d.sync += [filler_waits.eq(filler), wait_run.eq(Mux(filler, size - 1, total))]
            with m.If(crosses):
                m.d.sync += [pe.eq(Mux(last_pe, 0, pe + 1)), columns.eq(columns - last_pe), finished.eq(ends_block)]
        self._emit(m, go & (crosses | (waits & place)), crosses, waits, filler_waits, wait_run, pe)
        with m.If(self.starts):
            m.d.sync += [
                finished.eq(0), rest.eq(self.first_tiles), gap.eq(0), waits.eq(0), columns.eq(self.first_columns),
                pe.eq(0),
            ]  # fmt: skip
        with m.If(self.clear):
            m.d.sync += [zeros.eq(0), more.eq(0)]
        return m

    def _emit(
        self, m: Module, emits: Signal, last: Signal, waits: Signal, filler: Signal, run: Signal, pe: Signal
    ) -> None:
        """The entry that waits, or that of a column without any, leaves in the next cycle."""
        entry = data.View(self.layout, self.entry)
        m.d.sync += [
            self.en.eq(emits), self.which.eq(pe), entry.last.eq(last), entry.run.eq(Mux(waits, run, 0)),
            entry.value.eq(Mux(waits & ~filler, self.value_data, self.zero_code)),
        ]  # fmt: skip
