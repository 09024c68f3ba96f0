"""The storer: STORE commands to AXI write bursts, from the activation banks."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from accel.commands import COMMAND_BYTES, ErrorCode, Store, Target, field_bits
from accel.design import Design
from accel.latency import STORE_PENDING, store_fifo_beats, store_pipeline, until
from accel.layout import beats_per_word, stride_bytes, words_per_beat
from accel.memories import ACTIVATION
from accel.memory_kinds import OnChip
from accel.rtl.axi import INCREMENTING, MOVE_BITS, first_beat, write_master
from accel.rtl.count import Left
from accel.rtl.cutter import Cutter
from accel.rtl.layouts import field_signal, layout
from accel.rtl.pipeline import later
from accel.rtl.ports import bank_of, read_port, unit_members, waits_hold, within, word_of
from accel.rtl.ram import Store as Words

SEQUENCE_BITS = 16  # bursts are numbered modulo 2**16


class Storer(wiring.Component):
    """Takes a command when the last beat of the one before is sent; its responses may still be out.

    Reader: a beat is made in slots of one cycle; a slot reads a word (several words a beat) or passes on a piece of a
    word (several beats a word). Beats wait in a FIFO of store_fifo_beats. Writer: one naturally aligned burst at a
    time; its beats follow its address by a cycle, whether that was taken or not (AXI4 allows a slave to wait for WVALID
    with AWREADY), and the next burst begins when address and beats are taken. `done` comes when the command's last
    response is in; STORE_PENDING commands can wait for that. No address is issued that leaves [0, dram_size). After
    `halt` the burst in progress is completed. Lanes without a channel and words without a pixel have no strobes
    (`accel.commands.Store`). A word beyond its bank is an error, and its beat and those behind it, whose addresses may
    be out by then, are sent without strobes: they write nothing.
    `accel/timing/store.py` gives the cycles.
    """

    def __init__(self, design: Design) -> None:
        self.design = design
        self.inside = isinstance(design.memory, OnChip)
        super().__init__(
            {
                **unit_members(),
                "axi": Out(write_master(design.memory)),
                "dram_base": In(design.memory.axi_address_bits),
                "dram_size": In(32),
                **({} if self.inside else {"output_move": In(MOVE_BITS)}),
                "r_act": Out(read_port(ACTIVATION, design)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        axi = self.axi
        head = data.View(layout(Store), self.i.payload)
        command = data.View(layout(Store), Signal(8 * COMMAND_BYTES, name="command", reset_less=True))
        active, full, abandon, crowded = (
            Signal(name="active"),
            Signal(name="full"),
            Signal(name="abandon"),
            Signal(name="crowded"),
        )
        waits = waits_hold(self, head)
        m.d.comb += self.i.ready.eq(~active & ~full & waits & ~self.halt)
        pop = self.i.valid & self.i.ready
        # What a command begins with is loaded while it may come: that it is popped changes little, since it comes late.
        free = ~active
        with m.If(free):
            m.d.sync += [active.eq(pop), command.eq(head)]

        bursting, opened, ended = self._writer(m, head, active, pop, abandon, crowded)
        quiet = self._responses(m, opened, ended, full, crowded)
        with m.If(ended | abandon):
            m.d.sync += active.eq(0)
        beat, strobes, beat_valid = self._reader(m, head, command, free, pop, abandon)
        m.d.comb += [
            axi.wdata.eq(beat),
            axi.wstrb.eq(strobes),
            axi.wvalid.eq(beat_valid & bursting),
            self.idle.eq(~active & quiet),
        ]
        return m

    def _writer(
        self,
        m: Module,
        head: data.View,
        active: Signal,
        pop: Value,
        abandon: Signal,
        crowded: Signal,
    ) -> tuple[Signal, Signal, Value]:
        """Addresses and the beats of each burst. Returns whether there are beats left in it, its beginning (the first
        cycle of its address), and the end of the command.
        """
        design, axi = self.design, self.axi
        per_beat, per_word = words_per_beat(design, Target.ACTIVATION), beats_per_word(design, Target.ACTIVATION)
        row_bits = field_bits(Store, "row_words") + 4  # a word takes at most 16 beats
        m.submodules.cutter = bursts = Cutter(design, Store, row_bits)
        moves = None if self.inside else Mux(head.of_output, self.output_move, 0)
        in_burst, bursting = Left(m, "in_burst", design.memory.burst_beats.bit_length()), Signal(name="bursting")
        waiting, opened, addressed_all = Signal(name="waiting"), Signal(name="opened"), Signal(name="addressed_all")
        may_open = Signal(init=1, name="may_open")  # no burst has beats or an address that were not taken
        taken, addressed = axi.wvalid & axi.wready, axi.awvalid & axi.awready
        m.d.comb += [
            bursts.begin.eq(pop),
            bursts.start.eq(first_beat(head.dram_addr, design.beat_bytes, moves)),
            bursts.row_beats.eq(((head.row_words + (per_beat - 1)) >> (per_beat.bit_length() - 1)) * per_word),
            bursts.rows.eq(head.rows),
            bursts.pitch.eq(head.dram_pitch >> bursts.shift),
            bursts.dram_base.eq(self.dram_base),
            bursts.dram_size.eq(self.dram_size),
            bursts.take.eq(addressed),
            bursts.flush.eq(abandon),
            axi.awaddr.eq(bursts.address),
            axi.awlen.eq(bursts.length),
            axi.awsize.eq(bursts.shift),
            axi.awburst.eq(INCREMENTING),
            axi.awprot.eq(design.memory.axi_prot),
            axi.awcache.eq(design.memory.axi_write_cache),
            opened.eq(may_open & bursts.good & ~self.halt & ~crowded),
            # An address that was offered stays until it is taken, whatever happens meanwhile.
            axi.awvalid.eq(opened | waiting),
            axi.wlast.eq(in_burst.one),
            abandon.eq(active & self.halt & ~bursting & ~waiting),
        ]
        m.d.sync += waiting.eq(axi.awvalid & ~axi.awready)
        m.d.sync += may_open.eq(~(opened | (bursting & ~(in_burst.one & taken)) | (waiting & ~axi.awready)))
        with m.If(may_open & bursts.valid & bursts.outside):
            m.d.comb += self.error.eq(ErrorCode.DRAM_RANGE)
        sent = Mux(bursting, in_burst.one & taken, waiting)
        ended = active & sent & (addressed_all | (addressed & bursts.last))
        with m.If(opened):
            in_burst.begin(bursts.length + 1)
            m.d.sync += bursting.eq(1)
        with m.Elif(taken):
            in_burst.step()
            m.d.sync += bursting.eq(~in_burst.one)
        with m.If(addressed):
            m.d.sync += addressed_all.eq(bursts.last)
        with m.If(~active):
            m.d.sync += addressed_all.eq(0)
        return bursting, opened, ended

    def _responses(self, m: Module, opened: Signal, ended: Value, full: Signal, crowded: Signal) -> Value:
        """Numbers the bursts; a command is done when the response of its last burst is in. Returns: none is awaited."""
        axi = self.axi
        responded = Signal(SEQUENCE_BITS, name="responded")
        # How many bursts were begun up to the end of each command that waits; that of the oldest one is in a register.
        m.submodules.marks = marks = Words(SEQUENCE_BITS, STORE_PENDING)
        oldest = Signal(SEQUENCE_BITS, name="oldest_mark", reset_less=True)
        level = Signal(range(STORE_PENDING + 1), name="marks_level")
        second, write = (
            Signal(range(STORE_PENDING), init=init, name=name)
            for name, init in (("marks_second", 1), ("marks_write", 0))
        )
        issued = Signal(SEQUENCE_BITS, name="issued")
        response = axi.bvalid & axi.bready
        m.d.comb += [
            axi.bready.eq(1),
            full.eq(level == STORE_PENDING),
            self.done.eq((level != 0) & (responded == oldest)),
            marks.w_en.eq(ended),
            marks.w_addr.eq(write),
            marks.w_data.eq(issued),
            marks.r_addr.eq(second),
        ]
        m.d.sync += [
            crowded.eq((issued - responded)[1:SEQUENCE_BITS].all()),  # hardly more can be told apart
            issued.eq(issued + opened),
            responded.eq(responded + response),
            level.eq(level + ended - self.done),
        ]
        for place, moved in ((write, ended), (second, self.done)):
            with m.If(moved):
                m.d.sync += place.eq(Mux(place == STORE_PENDING - 1, 0, place + 1))
        with m.If((level == 0) | self.done):
            m.d.sync += oldest.eq(Mux(level[1:].any(), marks.r_data, issued))
        with m.If(response & (axi.bresp != 0)):
            m.d.comb += self.error.eq(ErrorCode.AXI_RESPONSE)
        return (level == 0) & (issued == responded)

    def _reader(
        self, m: Module, head: data.View, command: data.View, free: Value, pop: Value, abandon: Signal
    ) -> tuple[Value, Value, Value]:
        """Reads words and makes beats. Returns the first beat that waits, its strobes, and whether there is one."""
        per_beat = words_per_beat(self.design, Target.ACTIVATION)
        per_word = beats_per_word(self.design, Target.ACTIVATION)
        slots = max(per_beat, per_word)
        reading, room = Signal(name="reading"), Signal(name="room")
        slot = Signal(range(max(2, slots)), name="slot")
        address, row_address = (
            field_signal(Store, "src_addr", "address"),
            field_signal(Store, "src_addr", "row_address"),
        )
        words, words_some = Left(m, "words_left", field_bits(Store, "row_words")), Signal(name="words_some")
        rows = Left(m, "rows_left", field_bits(Store, "rows"))
        closes = slot == per_beat - 1 if per_beat > 1 else Const(1)
        go = reading & (~closes | room)
        if per_word > 1:
            reads, row_ends = go & (slot == 0), go & (slot == per_word - 1) & ~words_some
        else:
            reads, row_ends = go & words_some, go & closes & (~words_some | words.one)
        m.d.comb += [self.r_act.en.eq(reads), self.r_act.addr.eq(address)]
        outside = Signal(name="beyond")
        # A row lies in the bank in which it begins.
        crossed = bank_of(ACTIVATION, address) != bank_of(ACTIVATION, row_address)
        with m.If(reads & (~within(word_of(ACTIVATION, address), self.design.activation_words) | crossed)):
            m.d.sync += outside.eq(1)
        with m.If(outside):
            m.d.comb += self.error.eq(ErrorCode.BUFFER_RANGE)
        with m.If(go):
            m.d.sync += slot.eq(Mux(slot == slots - 1, 0, slot + 1))
        with m.If(reads):
            words.step()
            m.d.sync += [address.eq(address + 1), words_some.eq(~words.one)]
        with m.If(row_ends):
            following = row_address + command.src_pitch
            words.begin(command.row_words)
            rows.step()
            m.d.sync += [
                row_address.eq(following),
                address.eq(following),
                words_some.eq(1),
                reading.eq(~rows.one),
            ]
        with m.If(abandon):
            m.d.sync += reading.eq(0)
        with m.If(free):
            words.begin(head.row_words)
            rows.begin(head.rows)
            m.d.sync += [
                reading.eq(pop),
                words_some.eq(1),
                row_address.eq(head.src_addr),
                address.eq(head.src_addr),
            ]
        keep = self._kept_lanes(m, head, command, free, reads, row_ends)
        return self._fifo(m, go, closes, slot, reads, room, outside, keep)

    def _kept_lanes(
        self, m: Module, head: data.View, command: data.View, free: Value, reads: Value, row_ends: Value
    ) -> Signal:
        """The lanes of the word that was read last which exist: of its channels, if it is a pixel's."""
        rows = self.design.word_lanes
        full_left = Signal.like(head.full_words, name="full_left")
        line_at = Signal.like(head.line_at, name="line_at")
        channels = Signal(rows, name="channels", reset_less=True)  # lanes of the last channel group that are written
        keep = Signal(rows, name="keep", reset_less=True)
        gap = (command.gap_words != 0) & (line_at + command.gap_words >= command.line_words)
        with m.If(reads):
            m.d.sync += [
                keep.eq(Mux(gap, 0, Mux(full_left == 0, channels, -1))),
                full_left.eq(full_left - (full_left != 0)),
                line_at.eq(Mux(line_at + 1 == command.line_words, 0, line_at + 1)),
            ]
        with m.If(row_ends):
            m.d.sync += line_at.eq(command.line_at)
        with m.If(free):
            first = Const(1)  # of a channel group that exists
            m.d.sync += [
                full_left.eq(head.full_words),
                line_at.eq(head.line_at),
                channels.eq(Cat(first, *(head.unused_lanes < rows - k for k in range(1, rows)))),
            ]
        return keep

    def _fifo(
        self,
        m: Module,
        go: Value,
        closes: Value,
        slot: Signal,
        reads: Value,
        room: Signal,
        outside: Signal,
        keep: Signal,
    ) -> tuple[Value, Value, Value]:
        """A stage of `accel.latency.store_pipeline` after a slot its word is there: makes the beat and queues it.

        Returns what `_reader` does.
        """
        axi, bits = self.axi, self.design.memory.axi_bits
        per_beat = words_per_beat(self.design, Target.ACTIVATION)
        per_word = beats_per_word(self.design, Target.ACTIVATION)
        stride = stride_bytes(self.design.word_lanes, self.design.beat_bytes)
        come = until(store_pipeline(self.design), "read")  # and one to be queued
        came, came_slot = Signal(name="came"), Signal.like(slot, name="came_slot")
        came_word = Signal(name="came_word")
        coming = Signal(come, name="coming")  # beats, the last one of which is there
        push = coming[-1]
        m.d.sync += coming.eq(Cat(go & closes, coming))
        for signal, value in ((came, go), (came_slot, slot), (came_word, reads)):
            m.d.sync += signal.eq(later(m, value, come - 1, signal.name))
        beat, strobes = Signal(bits, name="made_beat"), Signal(bits // 8, name="made_strobes")
        # The bytes behind a word's lanes are zeros, and written.
        behind = max(per_word * bits // 8, stride) - self.design.word_lanes
        found = self.r_act.data
        if per_word > 1 and come > 1:  # it is there for a cycle
            held = Signal(len(found), name="held", reset_less=True)
            with m.If(came_word):
                m.d.sync += held.eq(found)
            found = Mux(came_word, found, held)
        # What is known of a word when it is read travels with it.
        keep = later(m, keep, come - 1, "keep", reset_less=True)
        word, kept = Cat(found, Const(0, 8 * behind)), Cat(keep, Const((1 << behind) - 1, behind))
        if per_word > 1:
            m.d.comb += beat.eq(word.word_select(came_slot, bits))
            m.d.comb += strobes.eq(kept.word_select(came_slot, bits // 8))
        elif per_beat == 1:
            m.d.comb += [beat.eq(word), strobes.eq(kept)]
        else:
            gathered = Signal((per_beat - 1) * 8 * stride, reset_less=True, name="gathered")
            gathered_kept = Signal((per_beat - 1) * stride, reset_less=True, name="gathered_kept")
            sized, sized_kept = Signal(8 * stride, name="sized"), Signal(stride, name="sized_kept")
            # A row's last beat is filled with zeros.
            m.d.comb += [sized.eq(Mux(came_word, word, 0)), sized_kept.eq(Mux(came_word, kept, -1))]
            m.d.comb += [beat.eq(Cat(gathered, sized)), strobes.eq(Cat(gathered_kept, sized_kept))]
            with m.If(came):
                m.d.sync += gathered.eq(Cat(gathered, sized)[8 * stride :])
                m.d.sync += gathered_kept.eq(Cat(gathered_kept, sized_kept)[stride:])
        taken = axi.wvalid & axi.wready
        depth = store_fifo_beats(self.design)
        m.submodules.beats = beats = Words(bits + bits // 8, depth)
        level = Signal(range(depth + 1), name="fifo_level")
        credit = Signal(range(depth + 1), init=depth, name="credit")
        read, write = Signal(range(depth), name="fifo_read"), Signal(range(depth), name="fifo_write")
        m.d.comb += room.eq(credit != 0)
        m.d.sync += [level.eq(level + push - taken), credit.eq(credit - (go & closes) + taken)]
        m.d.comb += [
            beats.w_en.eq(push),
            beats.w_addr.eq(write),
            beats.w_data.eq(Cat(beat, Mux(outside, 0, strobes))),
            beats.r_addr.eq(read),
        ]
        with m.If(push):
            m.d.sync += write.eq(Mux(write == depth - 1, 0, write + 1))
        with m.If(taken):
            m.d.sync += read.eq(Mux(read == depth - 1, 0, read + 1))
        return beats.r_data[:bits], beats.r_data[bits:], level != 0
