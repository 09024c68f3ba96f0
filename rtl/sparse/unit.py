"""The compute unit of the sparse engine: feeder, transposer, broadcasts, PEs, and their memories."""

from __future__ import annotations

from functools import partial

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from accel.commands import COMMAND_BYTES, Compute, ErrorCode, Opcode
from accel.datapath import OFFSET_BITS
from accel.design import Design
from accel.latency import BROADCAST, cycles, entry_pipeline, until
from accel.memories import ACCUMULATOR, ACTIVATION, CODE_BITS, CODEBOOK, POINTER, WEIGHT
from accel.rtl.buffers import Codebook
from accel.rtl.layouts import layout
from accel.rtl.modules import shared
from accel.rtl.pipeline import later
from accel.rtl.ports import bank_of, events_of, read_port, unit_members, waits_hold, word_of, write_port
from accel.rtl.sparse.accumulators import Accumulators
from accel.rtl.sparse.feeder import Feeder
from accel.rtl.sparse.pe import PE
from accel.rtl.sparse.ports import broadcast_layout, entry_address_bits, entry_layout, loaded_block, sum_bits
from accel.rtl.sparse.transposer import Transposer
from accel.rtl.sparse.unpack import Unpack
from accel.rtl.sparse.weights import Weights


class ComputeUnit(wiring.Component):
    """One COMPUTE at a time: taken when the one before is done and its waits hold.

    While the feeder begins, sums are cleared. Then columns of activations that are not zero are broadcast, one a cycle,
    as long as each PE's queue has room: all PEs look up where the column begins and get it a cycle later. When
    everything is broadcast and every PE has come to rest, the last sums are written; `done` comes with them.
    `accel.timing.sparse` has the cycles.

    Ports beside those of the systolic unit: what it sees of LOADs of entries (`loaded_block`).
    """

    def __init__(self, design: Design) -> None:
        self.design = design
        rows, cols = design.rows, design.cols
        super().__init__(
            {
                **unit_members(),
                "r_act": Out(read_port(ACTIVATION, design)),
                "w_weight": In(write_port(WEIGHT, design)),
                "w_codebook": In(write_port(CODEBOOK, design)),
                "r_acc": In(read_port(ACCUMULATOR, design)),
                **{name: member.flip() for name, member in loaded_block(design).items()},
                "event_act_reads": Out(1),
                "event_weight_reads": Out(range(cols + 1)),
                "event_weight_writes": Out(range(cols + 1)),
                "event_pointer_writes": Out(range(cols + 1)),
                "event_codebook_reads": Out(range(cols + 1)),
                "event_acc_reads": Out(range(cols + 1)),
                "event_acc_writes": Out(range(cols + 1)),
                "event_macs": Out(range(rows * cols + 1)),
                "event_macs_gated": Out(range(rows * cols + 1)),
                "event_macs_zero": Out(range(rows * cols + 1)),
                "event_stream_cycles": Out(1),
                "event_broadcasts": Out(1),
                "event_broadcasts_skipped": Out(range(design.word_lanes + 1)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        design = self.design
        m.submodules.unpack = unpack = Unpack(design)
        m.submodules.weights = weights = Weights(design)
        codebook = Codebook(design, apart=True) if design.codebooks else None
        m.submodules.feeder = feeder = Feeder(design)
        m.submodules.transposer = transposer = Transposer(design)
        m.submodules.accumulators = accumulators = Accumulators(design)
        for ours, theirs in (
            (self.r_act, feeder.r_act),
            (self.w_weight, unpack.w_weight),
            (self.r_acc, accumulators.r_post),
        ):
            connect(m, flipped(ours), theirs)
        if codebook:
            m.submodules.codebook = codebook
            connect(m, flipped(self.w_codebook), codebook.w)
        connect(m, unpack.o, weights.w) if not design.decoder_lanes else self._both(m, unpack, weights)
        config = Signal(8 * COMMAND_BYTES, reset_less=True, name="config")
        raw = Signal(8 * COMMAND_BYTES, reset_less=True, name="running")
        command, head = data.View(layout(Compute), raw), data.View(layout(Compute), self.i.payload)
        is_compute = head.opcode == Opcode.COMPUTE
        active, take = Signal(name="active"), Signal(name="take")
        waits = waits_hold(self, head)
        begin = Signal(name="begin")
        m.d.comb += [
            take.eq(self.i.valid & ~active & ~self.halt & (~is_compute | waits)), self.i.ready.eq(take),
            begin.eq(take & is_compute), self.idle.eq(~active),
            unpack.block.eq(self.block), unpack.command.eq(self.block_command), unpack.block_end.eq(self.block_end),
            weights.halt.eq(self.halt),
            feeder.begin.eq(begin), feeder.head.eq(self.i.payload), feeder.config.eq(config), feeder.command.eq(raw),
            feeder.halt.eq(self.halt), feeder.flush.eq(~active), transposer.flush.eq(~active),
            transposer.write.eq(feeder.write), transposer.row.eq(feeder.row), transposer.word.eq(feeder.word),
            transposer.complete.eq(feeder.complete), transposer.unit_i.eq(feeder.unit),
        ]  # fmt: skip
        with m.If(take):
            with m.If(is_compute):
                m.d.sync += [raw.eq(self.i.payload), active.eq(1)]
            with m.Else():
                m.d.sync += config.eq(self.i.payload)
        clearing = self._clear(m, accumulators, head, command, begin, active)
        push, broadcast, finished, too_many = self._broadcast(
            m, transposer, weights, feeder, command, begin, active & ~clearing
        )
        quiet, wrong = self._pes(m, weights, codebook, accumulators, command, active, push, broadcast)
        ended = Signal(name="ended")  # everything has come to rest
        m.d.comb += ended.eq(active & finished & ~push & quiet)
        ending = later(m, ended, 1, "resting")
        done = later(m, ended & ~ending, cycles(entry_pipeline(design)) - 1, "done")
        with m.If(done & active):
            m.d.sync += active.eq(0)
        too_high = Signal(name="too_high")
        m.d.sync += too_high.eq(begin & (head.weight_addr + head.entries > WEIGHT.words(design)))
        outside = feeder.outside | accumulators.outside | too_high | too_many
        m.d.comb += [
            self.done.eq(done & active),
            self.error.eq(Mux(outside, ErrorCode.BUFFER_RANGE, Mux(wrong, ErrorCode.WEIGHTS, weights.error))),
            *events_of(self, feeder, accumulators, weights),
        ]
        return m

    def _both(self, m: Module, unpack: Unpack, weights: Weights) -> None:
        """Entries from words, or from the decoder: a LOAD is of one kind."""
        for name in unpack.o.signature.members:
            if name not in ("en", "entries"):
                m.d.comb += getattr(weights.w, name).eq(getattr(unpack.o, name))
        m.d.comb += [
            weights.w.en.eq(unpack.o.en | self.listed),
            weights.w.entries.eq(Mux(unpack.o.en.any(), unpack.o.entries, self.entries)),
        ]

    def _clear(
        self, m: Module, accumulators: Accumulators, head: data.View, command: data.View, begin: Signal, active: Signal
    ) -> Signal:
        """Clears the sums of a COMPUTE that does not accumulate. Returns: not cleared yet."""
        lanes = (self.design.rows - 1).bit_length()
        left = Signal(len(command.n_tiles) + (1 << len(command.acc_shift)) - 1, name="clear_left")
        word = Signal(sum_bits(self.design), name="clear_word")
        clearing = Signal(name="clearing")
        m.d.comb += [
            clearing.eq(left != 0), accumulators.clear.eq(clearing & active), accumulators.clear_addr.eq(word),
            accumulators.bank.eq(bank_of(ACCUMULATOR, command.acc_addr)),
        ]  # fmt: skip
        with m.If(clearing):
            m.d.sync += [left.eq(left - 1), word.eq(word + 1)]
        with m.If(begin):
            m.d.sync += left.eq(Mux(head.accumulate, 0, head.n_tiles << head.acc_shift))
            m.d.sync += word.eq(word_of(ACCUMULATOR, head.acc_addr) >> lanes)
        with m.If(self.halt):
            m.d.sync += left.eq(0)
        return clearing

    def _broadcast(
        self, m: Module, transposer: Transposer, weights: Weights, feeder: Feeder, command: data.View, begin: Signal,
        enable: Value,
    ) -> tuple[Signal, Signal, Signal, Signal]:  # fmt: skip
        """Columns from the transposer to the queues.

        Returns: a broadcast is pushed; it, but for where its column begins; all are broadcast; a block of pixels has no
        word of sums.
        """
        design = self.design
        self.room = Signal(name="room")
        go, leave, finished = Signal(name="go"), Signal(name="leave"), Signal(name="finished")
        base = Signal(POINTER.address_bits + 1, name="base")  # column of the unit's first lane, in its block
        block = Signal(1 << len(command.acc_shift), name="block")  # of pixels
        unit = transposer.unit
        here = Signal.like(base, name="here")
        m.d.comb += [
            go.eq(enable & transposer.full & transposer.some & self.room & ~self.halt),
            leave.eq(enable & transposer.full & Mux(transposer.some, go & transposer.only, 1)),
            transposer.next.eq(go), transposer.leave.eq(leave), feeder.freed.eq(leave),
            here.eq(Mux(unit.begins, 0, base)),
            weights.r_pointer.eq(go), weights.column.eq(command.pointer_addr + here + transposer.lane),
            self.event_broadcasts.eq(go),
        ]  # fmt: skip
        lanes = (design.rows - 1).bit_length()
        number = Signal.like(block, name="number")
        m.d.comb += number.eq(block + unit.begins)
        with m.If(leave):
            m.d.sync += [base.eq(here + unit.lanes), block.eq(number), finished.eq(unit.ends)]
        with m.If(begin):
            m.d.sync += [finished.eq(0), block.eq(-1), base.eq(0)]
        # Skipped columns: those that exist, less those that are broadcast.
        sent = Signal(range(design.word_lanes + 1), name="sent")
        m.d.sync += sent.eq(Mux(leave, 0, sent + go))
        m.d.comb += self.event_broadcasts_skipped.eq(Mux(leave, unit.lanes - sent - go, 0))
        # "point": the pointers are there.
        looked_up = until(BROADCAST, "point")
        push = later(m, go, looked_up, "push")
        acts = later(m, transposer.acts, looked_up, "acts", True)
        pixels = later(m, unit.pixels, looked_up, "pixels", True)
        word = Signal(sum_bits(design), name="word")
        m.d.sync += word.eq((word_of(ACCUMULATOR, command.acc_addr) >> lanes) + number)
        zeros = Signal(range(design.rows + 1), name="zeros")
        m.d.comb += zeros.eq(
            sum(
                (((~acts.word_select(r, OFFSET_BITS).any()) & (pixels > r)) for r in range(design.rows)), start=Const(0)
            )
        )
        layout_ = broadcast_layout(design)
        made = data.View(layout_, Signal(layout_.size, name="broadcast"))
        m.d.comb += [made.acts.eq(acts), made.block.eq(word), made.pixels.eq(pixels), made.zeros.eq(zeros)]
        too_many = Signal(name="too_many")
        m.d.sync += too_many.eq(enable & transposer.full & ((number >> command.acc_shift) != 0))
        return push, made.as_value(), finished, too_many

    def _pes(
        self, m: Module, weights: Weights, codebook: Codebook | None, accumulators: Accumulators, command: data.View,
        active: Signal, push: Value, broadcast: Value,
    ) -> tuple[Signal, Signal]:  # fmt: skip
        """The PEs and their memories. Returns: all are at rest; one has found something wrong."""
        design = self.design
        address_bits, entry_bits, word_bits = entry_address_bits(design), entry_layout(design).size, sum_bits(design)
        width, cols = design.rows * design.widths.accumulator, design.cols
        pes = []
        for k in range(cols):
            pe = shared(m, partial(PE, design), f"pe_{k}", "sparse_pe")
            mine = Signal(len(broadcast), name=f"broadcast_{k}")
            view = data.View(broadcast_layout(design), mine)
            common = data.View(broadcast_layout(design), broadcast)
            m.d.comb += [
                *(getattr(view, name).eq(getattr(common, name)) for name in ("acts", "block", "pixels", "zeros")),
                view.start.eq(weights.pointers.word_select(k, address_bits)),
                pe.flush.eq(~active), pe.halt.eq(self.halt), pe.push.eq(push), pe.broadcast.eq(mine),
                pe.use_codebook.eq(command.use_codebook), pe.n_tiles.eq(command.n_tiles),
                pe.acc_shift.eq(command.acc_shift), pe.low.eq(command.weight_addr),
                pe.high.eq(command.weight_addr + command.entries),
                weights.r_en[k].eq(pe.r_entry_en), weights.r_addr.word_select(k, address_bits).eq(pe.r_entry_addr),
                pe.r_entry_data.eq(weights.entries.word_select(k, entry_bits)),
                accumulators.r_en[k].eq(pe.r_sum_en), accumulators.r_addr.word_select(k, word_bits).eq(pe.r_sum_addr),
                pe.r_sum_data.eq(accumulators.r_data.word_select(k, width)),
                accumulators.w_en[k].eq(pe.w_sum_en), accumulators.w_addr.word_select(k, word_bits).eq(pe.w_sum_addr),
                accumulators.w_data.word_select(k, width).eq(pe.w_sum_data),
            ]  # fmt: skip
            if codebook:
                m.d.comb += [
                    codebook.en[k].eq(pe.code_en), codebook.codes.word_select(k, CODE_BITS).eq(pe.code),
                    pe.code_data.eq(codebook.entries.word_select(k, CODE_BITS)),
                ]  # fmt: skip
            pes.append(pe)
        if codebook:
            m.d.comb += codebook.bank.eq(command.codebook_bank)
        quiet, wrong = Signal(name="quiet"), Signal(name="wrong")
        entries = Signal(range(cols + 1), name="entries")
        m.d.comb += [
            self.room.eq(Cat(pe.room for pe in pes).all()),
            quiet.eq(Cat(pe.quiet for pe in pes).all()), wrong.eq(active & Cat(pe.wrong for pe in pes).any()),
            entries.eq(sum((pe.event_entry for pe in pes), start=Const(0))),
            self.event_weight_reads.eq(entries), self.event_acc_reads.eq(entries),
            self.event_codebook_reads.eq(Mux(command.use_codebook, entries, 0)),
            self.event_macs.eq(sum((pe.event_pixels for pe in pes), start=Const(0))),
            self.event_macs_gated.eq(entries * design.rows - self.event_macs),
            self.event_macs_zero.eq(sum((pe.event_zeros for pe in pes), start=Const(0))),
        ]  # fmt: skip
        return quiet, wrong
