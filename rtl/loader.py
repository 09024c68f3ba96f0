"""The loader: LOAD commands to AXI read bursts, and read beats to words of the on-chip memories."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from accel.commands import COMMAND_BYTES, ErrorCode, Load, Target, field_bits
from accel.design import Design
from accel.latency import BACK
from accel.layout import beats_per_word, stride_bytes, word_bytes, words_per_beat
from accel.memories import ACTIVATION, BY_TARGET, CODEBOOK, PARAMETER, TABLE, WEIGHT
from accel.memory_kinds import OnChip
from accel.rtl.axi import INCREMENTING, MOVE_BITS, first_beat, read_master
from accel.rtl.count import Left
from accel.rtl.cutter import Cutter
from accel.rtl.decoder.decoder import Decoder, ListDecoder, Turns
from accel.rtl.fifo import CommandQueue
from accel.rtl.layouts import bits_of, field_signal, layout
from accel.rtl.ports import bank_of, unit_members, waits_hold, within, word_of, write_port, write_registered
from accel.rtl.sparse.ports import loaded_block
from accel.rtl.window import Window


class Loader(wiring.Component):
    """Two halves that work on different commands.

    Front: pops a command when its waits hold and one of `queue_commands` places behind it is free, then issues one
    naturally aligned burst a cycle while fewer than `outstanding_bursts` are in flight. Back: takes commands in the
    same order and cuts beats into words, one word a cycle; in window mode `accel.rtl.window` does. `done` comes with
    the write of the last word.

    Addresses of inputs and outputs (`accel.commands.Load`) are moved by `input_move` and `output_move` pages.
    No address is issued that leaves [0, dram_size), no word written outside its memory. After `halt` beats in flight
    are dropped. `accel/timing/load.py` gives the cycles.
    """

    def __init__(self, design: Design) -> None:
        self.design = design
        self.inside = isinstance(design.memory, OnChip)
        self.targets = [target for target in Target if BY_TARGET[target].exists(design)]
        super().__init__(
            {
                **unit_members(),
                "axi": Out(read_master(design.memory)),
                "dram_base": In(design.memory.axi_address_bits),
                "dram_size": In(32),
                **({} if self.inside else {"input_move": In(MOVE_BITS), "output_move": In(MOVE_BITS)}),
                "w_act": Out(write_port(ACTIVATION, design)),
                "w_weight": Out(write_port(WEIGHT, design)),
                "w_param": Out(write_port(PARAMETER, design)),
                "w_codebook": Out(write_port(CODEBOOK, design)),
                "w_table": Out(write_port(TABLE, design)),
                "turn": Out(1),
                "event_run_reads": Out(range(max(1, design.decoder_lanes) + 1)),
                "event_value_reads": Out(range(max(1, design.decoder_lanes) + 1)),
                "event_run_table_writes": Out(1),
                "event_value_table_writes": Out(1),
                "program_write": Out(1),
                "program_data": Out(8 * COMMAND_BYTES),
                **loaded_block(design),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        front = [name for name in dict(layout(Load)) if name.startswith("wait_")] + ["dram_addr"]
        if not self.design.is_sparse:  # else the pitch is a limit of entries
            front.append("dram_pitch")
        depth = self.design.buffers.queue_commands
        m.submodules.ahead = ahead = CommandQueue(depth, bits_of(Load, front))
        front_error, back_error, axi_error = (
            Signal(4, name="front_error"),
            Signal(4, name="back_error"),
            Signal(4, name="axi_error"),
        )
        front_idle, quiet = self._front(m, ahead, front_error)
        back_idle = self._back(m, ahead, back_error, axi_error)
        m.d.comb += [
            self.idle.eq(front_idle & quiet & (self.halt | (back_idle & ~ahead.o.valid))),
            self.error.eq(Mux(axi_error != 0, axi_error, Mux(front_error != 0, front_error, back_error))),
        ]
        return m

    def _front(self, m: Module, ahead: CommandQueue, error: Signal) -> tuple[Value, Value]:
        """Pops commands and issues addresses. Returns idle, and that no burst is in flight."""
        design, axi = self.design, self.axi
        m.submodules.cutter = bursts = Cutter(design, Load, field_bits(Load, "row_beats"))
        head = data.View(layout(Load), self.i.payload)
        waits = waits_hold(self, head)
        moves = None
        if not self.inside:
            by = Mux(head.continues, self.input_move, Mux(head.literal, self.output_move, 0))
            moves = Mux(head.coded, 0, by)
        waiting, offers = Signal(name="waiting"), Signal(name="offers")
        most = design.memory.outstanding_bursts
        in_flight, full = Signal(range(most + 1), name="in_flight"), Signal(name="full")  # as many as may be
        taken = axi.arvalid & axi.arready
        m.d.comb += [
            bursts.begin.eq(ahead.i.valid),
            bursts.start.eq(first_beat(head.dram_addr, design.beat_bytes, moves)),
            bursts.row_beats.eq(head.row_beats),
            bursts.rows.eq(head.rows),
            bursts.pitch.eq(head.dram_pitch >> bursts.shift),
            bursts.dram_base.eq(self.dram_base),
            bursts.dram_size.eq(self.dram_size),
            bursts.take.eq(taken),
            bursts.flush.eq(self.halt & ~waiting),
            axi.araddr.eq(bursts.address),
            axi.arlen.eq(bursts.length),
            axi.arsize.eq(bursts.shift),
            axi.arburst.eq(INCREMENTING),
            axi.arprot.eq(design.memory.axi_prot),
            axi.arcache.eq(design.memory.axi_read_cache),
            offers.eq(bursts.good & ~self.halt & ~full),
            # An address that was offered stays until it is taken, whatever happens meanwhile.
            axi.arvalid.eq(offers | waiting),
            ahead.i.payload.eq(self.i.payload),
            self.i.ready.eq(~bursts.busy & waits & ahead.i.ready & ~self.halt),
            ahead.i.valid.eq(self.i.valid & self.i.ready),
        ]
        m.d.sync += waiting.eq(axi.arvalid & ~axi.arready)
        answered = axi.rvalid & axi.rready & axi.rlast
        m.d.sync += in_flight.eq(in_flight + taken - answered)
        with m.If(taken & ~answered):
            m.d.sync += full.eq(in_flight == most - 1)
        with m.Elif(answered & ~taken):
            m.d.sync += full.eq(0)
        with m.If(bursts.valid & bursts.outside & ~self.halt):
            m.d.comb += error.eq(ErrorCode.DRAM_RANGE)
        return bursts.idle, in_flight == 0

    def _back(self, m: Module, ahead: CommandQueue, error: Signal, axi_error: Signal) -> Value:
        """Takes beats and writes words. Returns idle."""
        design, axi = self.design, self.axi
        bits = design.memory.axi_bits
        command = data.View(layout(Load), Signal(8 * COMMAND_BYTES, name="back_command", reset_less=True))
        following = data.View(layout(Load), ahead.o.payload)
        active, take, free = Signal(name="back_active"), Signal(name="take"), Signal(name="free")
        # Whether none is active, or the last word of one that is not coded is written: what begins asks for it.
        closing, ready, open_back = Signal(name="closing"), Signal(name="ready"), Signal(init=1, name="back_free")
        hold = Signal(bits, reset_less=True, name="hold")
        # Words still in `hold`, and whether there are any; 1 as long as a window load (`cutting`) works on it.
        slots, working, cutting = Left(m, "slots", 7), Signal(name="working"), Signal(name="cutting")
        beat_bits, row_bits = field_bits(Load, "row_beats"), field_bits(Load, "rows")
        beats, rows, asks = Left(m, "beats_left", beat_bits), Left(m, "rows_left", row_bits), Signal(name="asks")
        first = Signal(name="first_beat")
        # Beats of the row, and rows, whose words are still to be written.
        emit_beats, emit_rows = Left(m, "emitted", beat_bits), Left(m, "emit_rows", row_bits)
        row_addr, addr = field_signal(Load, "dst_addr", "row_addr"), field_signal(Load, "dst_addr", "addr")
        per_beat = Signal(range(65), name="per_beat")
        window = self._window(m, command, ahead, free, hold)
        with m.If(command.window):
            m.d.comb += per_beat.eq(1)
        with m.Else(), m.Switch(command.target):
            for target in self.targets:
                with m.Case(int(target)):
                    m.d.comb += per_beat.eq(words_per_beat(design, target))
        emit = working  # only while a command is active
        beat_done = emit & slots.one & ~window.more
        row_done = beat_done & emit_beats.one
        last = Signal(name="last")
        dropping = self.halt
        coded, decoded, wants = self._decoder(m, command, following, take, active, asks, error)
        m.d.comb += axi.rready.eq(dropping | Mux(coded, wants, ready))
        # A beat may still be taken in the first cycle of `halt`, which `ready` is one behind.
        accept = axi.rvalid & Mux(coded, wants & ~dropping, ready)
        # Whether a beat can be taken, and whether a command ends, are registers: what they are next is known for both
        # cases before a beat comes, which is the last to be known. One word is left behind a beat, or without one.
        one_behind = (per_beat == 1) & ~(command.window & window.more_behind_beat)
        one_then = working & Mux(window.more, slots.one & ~window.more_without, slots.left == 2)
        none_then = ~working | (~window.more & slots.one)
        row_last, rows_end = Signal(name="row_last"), Signal(name="rows_end")
        m.d.comb += [
            row_last.eq(Mux(beat_done, Mux(row_done, command.row_beats == 1, emit_beats.left == 2), emit_beats.one)),
            rows_end.eq(Mux(row_done, emit_rows.left == 2, emit_rows.one)),
        ]
        closes = row_last & rows_end & ~coded & Mux(accept, one_behind, one_then)
        m.d.sync += [
            ready.eq(Mux(accept, ~(beats.one & rows.one) & one_behind, asks & (none_then | one_then))),
            closing.eq(closes),
            open_back.eq(closes),
        ]
        with m.If(axi.rvalid & axi.rready & (axi.rresp != 0)):
            m.d.comb += axi_error.eq(ErrorCode.AXI_RESPONSE)
        with m.If(accept):
            slots.begin(Mux(coded, 0, per_beat))
            beats.step()
            m.d.sync += [hold.eq(axi.rdata), working.eq(~coded), cutting.eq(command.window), first.eq(beats.one)]
            with m.If(beats.one):
                beats.begin(command.row_beats)
                rows.step()
                m.d.sync += asks.eq(~rows.one)
        with m.Elif(emit & ~window.more):
            slots.step()
            m.d.sync += [working.eq(~slots.one), cutting.eq(cutting & ~slots.one)]
        m.d.comb += [
            window.slot.eq(cutting),
            window.beat.eq(accept & command.window),
            window.first.eq(first),
        ]
        words = self._words(m, command, hold, emit, row_done, window)
        with m.If(emit & ~accept):
            m.d.sync += hold.eq(words["rest"])
        # Of what memories there is a word at `addr`, in registers; activations have their own addresses.
        fits = {
            kind: Signal(name=f"fits_{kind.name.lower()}")
            for kind in self.targets
            if kind not in (Target.ACTIVATION, Target.PROGRAM) and not (kind == Target.WEIGHT and design.is_sparse)
        }

        def go_to(place: Value) -> list:
            place = place[: len(addr)]
            return [
                addr.eq(place),
                *(fit.eq(within(place, BY_TARGET[kind].words(design))) for kind, fit in fits.items()),
            ]

        with m.If(words["write"]):
            m.d.sync += go_to(addr + 1)
        with m.If(beat_done):
            emit_beats.step()
            with m.If(row_done):
                emit_beats.begin(command.row_beats)
                emit_rows.step()
                next_row = row_addr + command.dst_pitch
                m.d.sync += [row_addr.eq(next_row), *go_to(next_row)]
        m.d.comb += last.eq(closing | decoded)
        self._writes(m, command, words | {"fits": fits}, addr, row_addr, error)
        # What a window load begins with is computed while its command waits here.
        waited = Signal(name="waited")
        assert [stage.name for stage in BACK] == ["queue", "wait"]
        m.d.sync += waited.eq(ahead.o.valid & ~take)
        m.d.comb += [
            self.done.eq(last),
            free.eq(open_back | decoded),
            take.eq(ahead.o.valid & waited & free),
            ahead.o.ready.eq(take),
        ]
        if design.is_sparse:
            m.d.comb += [
                self.block.eq(take & (following.target == Target.WEIGHT)),
                self.block_command.eq(ahead.o.payload),
                self.block_end.eq(last & (command.target == Target.WEIGHT)),
            ]
        # What a command begins with is loaded while it may come: that it is taken changes little, since it comes late.
        with m.If(free):
            for count, amount in ((beats, following.row_beats), (emit_beats, following.row_beats),
                                  (rows, following.rows), (emit_rows, following.rows), (slots, Const(0))):  # fmt: skip
                count.begin(amount)
            m.d.sync += [
                active.eq(take),
                asks.eq(take),
                ready.eq(take),
                closing.eq(0),
                open_back.eq(~take),
                working.eq(0),
                cutting.eq(0),
                first.eq(1),
                command.eq(following),
                row_addr.eq(following.dst_addr),
                *go_to(following.dst_addr),
                words["complete"].eq(self._is_one_piece(following.target)),
                words["goes"].eq(Cat(following.target == int(target) for target in self.targets)),
            ]
        with m.If(dropping):
            m.d.sync += ready.eq(0)
        return ~active

    def _decoder(
        self, m: Module, command: data.View, following: data.View, take: Value, active: Value, left: Value,
        error: Signal,
    ) -> tuple[Value, Value, Value]:  # fmt: skip
        """Whether the command is coded, is done by the decoder in this cycle, and wants a beat."""
        self.decoder: Turns | None = None
        if not self.design.decoder_lanes:
            return Const(0), Const(0), Const(0)
        decoder: Any = ListDecoder(self.design) if self.design.is_sparse else Decoder(self.design)
        m.submodules.decoder = self.decoder = decoder
        coded = active & command.coded
        m.d.comb += [
            decoder.take.eq(take & following.coded),
            decoder.command.eq(following.as_value()),
            decoder.left.eq(left),
            decoder.beat.eq(self.axi.rvalid & self.axi.rready & ~self.halt & coded),
            decoder.data.eq(self.axi.rdata),
            self.turn.eq(decoder.turn),
            self.event_run_reads.eq(decoder.event_run_reads),
            self.event_value_reads.eq(decoder.event_value_reads),
        ]
        if self.design.is_sparse:
            m.d.comb += [self.listed.eq(decoder.en), self.entries.eq(decoder.entries)]
        else:
            m.d.comb += decoder.enable.eq(~self.halt)
            with m.If(coded & decoder.outside):
                m.d.comb += error.eq(ErrorCode.BUFFER_RANGE)
        with m.If(coded & decoder.damaged):
            m.d.comb += error.eq(ErrorCode.STREAM)
        return coded, coded & decoder.done, decoder.want

    def _window(self, m: Module, command: data.View, ahead: CommandQueue, free: Value, hold: Signal) -> Window:
        """What makes the words of window loads."""
        m.submodules.window = window = Window(self.design)
        m.d.comb += [
            window.following.eq(ahead.o.payload),
            window.command.eq(command.as_value()),
            window.take.eq(free),
            window.newest.eq(hold),
        ]
        return window

    def _is_one_piece(self, target: Value) -> Value:
        """Whether a word of a target comes with one beat."""
        return Cat(target == int(known) for known in self.targets if beats_per_word(self.design, known) == 1).any()

    def _words(self, m: Module, command: data.View, hold: Signal, emit: Value, row_done: Value, window: Window) -> dict:
        """The word of every target in this cycle, whether it is complete, and what is left of the beat."""
        design = self.design
        bits = design.memory.axi_bits
        pieces = {target: beats_per_word(design, target) for target in self.targets}
        gathered = Signal(max(1, (max(pieces.values()) - 1) * bits), reset_less=True, name="gathered")
        piece = Signal(range(max(pieces.values()) + 1), name="piece")
        rest, write = Signal(bits, name="rest"), Signal(name="write")
        # Whether this piece is a word's last, a register; and whether a word has one, or the next piece is the last.
        complete, one, two = Signal(name="complete"), Signal(name="one_piece"), Signal(name="two_pieces")
        goes = Signal(len(self.targets), name="goes")  # to which memory: `command.target`, a bit each
        found: dict = {"rest": rest, "write": write, "window": window, "complete": complete, "goes": goes}
        with m.Switch(command.target):
            for target in self.targets:
                size = 8 * word_bytes(design, target)
                count = pieces[target]
                word = Signal(size, name=f"word_{target.name.lower()}")
                if count > 1:
                    m.d.comb += word.eq(Cat(gathered[len(gathered) - (count - 1) * bits :], hold))
                else:
                    m.d.comb += word.eq(hold)
                found[target] = word
                with m.Case(int(target)):
                    stride = 8 * stride_bytes(word_bytes(design, target), design.beat_bytes)
                    m.d.comb += [rest.eq(hold >> min(stride, bits)), one.eq(count == 1), two.eq(piece == count - 2)]
        found["plain"] = emit & complete  # of any but a window load
        with m.If(command.window):
            m.d.comb += [rest.eq(hold), write.eq(window.write)]
        with m.Else():
            m.d.comb += write.eq(emit & complete)
            with m.If(emit):
                m.d.sync += [
                    piece.eq(Mux(complete | row_done, 0, piece + 1)),
                    complete.eq(Mux(complete | row_done, one, two)),
                    gathered.eq(Cat(gathered, hold) >> bits),
                ]
        return found

    def _writes(
        self, m: Module, command: data.View, words: dict, addr: Signal, row_addr: Signal, error: Signal
    ) -> None:
        """Routes the word to its memory, unless its address is outside: a row lies in the bank in which it begins.

        Only activations are loaded as windows, so that other memories do not wait for a window's word and address.
        """
        design, window = self.design, words["window"]
        act_addr = Mux(command.window, window.addr, addr), Mux(command.window, window.row, row_addr)
        act = write_registered(m, self.w_act, "act")
        ports = {
            Target.ACTIVATION: act,
            Target.WEIGHT: self.w_weight,
            Target.PARAMETER: self.w_param,
            Target.CODEBOOK: self.w_codebook,
            Target.TABLE: self.w_table,
        }
        if self.decoder:
            ports |= {Target.RUN_TABLE: self.decoder.w_run, Target.VALUE_TABLE: self.decoder.w_value}
        ports = {target: port for target, port in ports.items() if target in self.targets}
        addresses = {kind: act_addr[0] if kind == Target.ACTIVATION else addr for kind in ports}
        goes = dict(zip(self.targets, words["goes"], strict=True))
        for kind, port in ports.items():
            memory, place, crossed = BY_TARGET[kind], addresses[kind], Const(0)
            if memory.banks > 1:
                assert kind == Target.ACTIVATION
                place, crossed = word_of(memory, place), bank_of(memory, place) != bank_of(memory, act_addr[1])
            # Of a sparse engine's weights, only rows of entries have a word: the engine checks them.
            fits = (
                within(place, memory.words(design)) if kind == Target.ACTIVATION else words["fits"].get(kind, Const(1))
            )
            comes = words["write" if kind == Target.ACTIVATION else "plain"] & goes[kind]
            # What is left of a beat is written after `halt` too: nobody uses it.
            m.d.comb += port.en.eq(comes & fits & ~crossed)
            with m.If(comes & ~(fits & ~crossed)):
                m.d.comb += error.eq(ErrorCode.BUFFER_RANGE)
        m.d.comb += self.program_write.eq(words["plain"] & goes[Target.PROGRAM] & ~self.halt)
        for kind, port in ports.items():
            m.d.comb += [port.addr.eq(addresses[kind]), port.data.eq(words[kind]), port.mask.eq(-1)]
        if self.decoder:
            m.d.comb += [self.event_run_table_writes.eq(self.decoder.w_run.en)]
            m.d.comb += [self.event_value_table_writes.eq(self.decoder.w_value.en)]
        if isinstance(self.decoder, Decoder):
            decoded = self.decoder.w_weight
            with m.If(decoded.en):
                m.d.comb += [self.w_weight.en.eq(1), self.w_weight.addr.eq(decoded.addr)]
                m.d.comb += self.w_weight.data.eq(decoded.data)
        with m.If(window.write & design.windows):
            m.d.comb += [act.data.eq(window.data), act.mask.eq(window.mask)]
        m.d.comb += self.program_data.eq(words[Target.PROGRAM])
