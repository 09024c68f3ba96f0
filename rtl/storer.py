"""The storer: STORE commands to AXI write bursts, from the activation banks."""

from __future__ import annotations

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from accel.commands import COMMAND_BYTES, ErrorCode, Store, Target
from accel.design import Design
from accel.latency import STORE_FIFO_BEATS
from accel.layout import beats_per_word, stride_bytes, words_per_beat
from rtl.axi import byte_address, write_master
from rtl.layouts import layout
from rtl.ports import read_port, unit_members


class Storer(wiring.Component):
    """One command at a time; one naturally aligned burst at a time: address, then data; responses are counted.

    A beat is made in slots of one cycle: a slot reads a word (several words a beat), or passes on one piece of a word
    (several beats a word). Beats wait in a FIFO of STORE_FIFO_BEATS. `done` comes when the last response is counted.
    """

    def __init__(self, design: Design) -> None:
        self.design = design
        super().__init__(
            {
                **unit_members(),
                "axi": Out(write_master(design.memory.axi_bits)),
                "dram_base": In(32),
                "dram_size": In(32),
                "r_act": Out(read_port(20, design.rows)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        design, axi = self.design, self.axi
        beat_shift = (design.beat_bytes - 1).bit_length()
        burst = design.memory.burst_beats
        per_beat = words_per_beat(design, Target.ACTIVATION)
        per_word = beats_per_word(design, Target.ACTIVATION)
        head = data.View(layout(Store), self.i.payload)
        waits = (
            (self.completed_load >= head.wait_load)
            & (self.completed_compute >= head.wait_compute)
            & (self.completed_post >= head.wait_post)
        )
        command = data.View(layout(Store), Signal(8 * COMMAND_BYTES, name="command", reset_less=True))
        row_beats = Signal(24)  # beats of a row
        row_start, beat = Signal(32 - beat_shift), Signal(32 - beat_shift)
        left, rows = Signal(24), Signal(12)
        src_row = Signal(20)
        room = burst - (beat & (burst - 1))
        length = Signal(range(burst + 1))
        outside, waiting = Signal(), Signal()
        pending = Signal(16)  # responses that are not in yet
        in_burst = Signal(range(burst + 1))  # beats of the burst still to be accepted
        taken = axi.wvalid & axi.wready
        sent = axi.awvalid & axi.awready
        responded = axi.bvalid & axi.bready
        begin_row, feed = Signal(), Signal()
        m.d.comb += [
            length.eq(Mux(left < room, left, room)),
            outside.eq(((beat + length) << beat_shift) > self.dram_size),
            axi.awaddr.eq(byte_address(self.dram_base, beat, design.beat_bytes)),
            axi.awlen.eq(length - 1),
            axi.awsize.eq(beat_shift),
            axi.awburst.eq(1),
            axi.wstrb.eq(-1),
            axi.wlast.eq(in_burst == 1),
            axi.bready.eq(1),
        ]
        m.d.sync += [waiting.eq(axi.awvalid & ~axi.awready), pending.eq(pending + sent - responded)]
        with m.FSM() as fsm:
            with m.State("IDLE"), m.If(self.i.valid & waits & ~self.halt):
                m.d.comb += [self.i.ready.eq(1), begin_row.eq(1)]
                m.d.sync += [
                    command.eq(head),
                    row_start.eq(head.dram_addr >> beat_shift),
                    beat.eq(head.dram_addr >> beat_shift),
                    rows.eq(head.rows),
                    src_row.eq(head.src_addr),
                ]
                beats = (head.row_words + (per_beat - 1)) // per_beat * per_word
                m.d.sync += [row_beats.eq(beats), left.eq(beats)]
                m.next = "ADDRESS"
            with m.State("ADDRESS"):
                m.d.comb += axi.awvalid.eq((~outside & ~self.halt) | waiting)
                with m.If(sent):
                    m.d.sync += in_burst.eq(length)
                    m.next = "DATA"
                with m.Elif(self.halt & ~waiting):
                    m.next = "RESPONSE"
                with m.Elif(outside & ~waiting):
                    m.d.comb += self.error.eq(ErrorCode.DRAM_RANGE)
            with m.State("DATA"):
                m.d.comb += feed.eq(1)
                with m.If(taken):
                    m.d.sync += in_burst.eq(in_burst - 1)
                    with m.If(in_burst == 1):
                        m.next = "ADDRESS"
                        m.d.sync += [beat.eq(beat + length), left.eq(left - length)]
                        with m.If(left == length):
                            m.d.comb += begin_row.eq(1)
                            m.d.sync += [
                                row_start.eq(row_start + (command.dram_pitch >> beat_shift)),
                                beat.eq(row_start + (command.dram_pitch >> beat_shift)),
                                left.eq(row_beats),
                                rows.eq(rows - 1),
                                src_row.eq(src_row + command.src_pitch),
                            ]
                            with m.If(rows == 1):
                                m.next = "RESPONSE"
            with m.State("RESPONSE"), m.If(pending == 0):
                m.d.comb += self.done.eq(~self.halt)
                m.next = "IDLE"
        m.d.comb += self.idle.eq(fsm.ongoing("IDLE"))
        with m.If(responded & (axi.bresp != 0)):
            m.d.comb += self.error.eq(ErrorCode.AXI_RESPONSE)
        first_src = Mux(fsm.ongoing("IDLE"), head.src_addr, src_row + command.src_pitch)
        words = Mux(fsm.ongoing("IDLE"), head.row_words, command.row_words)
        self._beats(m, feed, in_burst, taken, begin_row, first_src, words)
        return m

    def _beats(self, m: Module, feed: Signal, in_burst: Signal, taken, begin_row: Signal, first_src, words) -> None:
        """Reads words, makes beats, and offers them."""
        design, axi = self.design, self.axi
        bits = design.memory.axi_bits
        per_beat = words_per_beat(design, Target.ACTIVATION)
        per_word = beats_per_word(design, Target.ACTIVATION)
        stride = 8 * stride_bytes(design.rows, design.beat_bytes)
        slots = max(per_beat, per_word)
        fifo = Array(Signal(bits, name=f"beat_{k}", reset_less=True) for k in range(STORE_FIFO_BEATS))
        level, credit = Signal(range(STORE_FIFO_BEATS + 1)), Signal(range(STORE_FIFO_BEATS + 1), init=STORE_FIFO_BEATS)
        read, write = Signal(range(STORE_FIFO_BEATS)), Signal(range(STORE_FIFO_BEATS))
        to_read = Signal.like(in_burst)  # beats of the burst whose slots have not been started; set when the burst starts
        started = Signal()
        slot = Signal(range(slots + 1))
        address, words_left = Signal(20), Signal(16)
        remaining = Mux(started, to_read, in_burst)
        closes = Const(1) if per_beat == 1 else slot == per_beat - 1
        go = Signal()
        m.d.comb += go.eq(feed & (remaining != 0) & (~closes | (credit != 0)))
        reads = go & (words_left != 0) if per_word == 1 else go & (slot == 0)
        m.d.comb += [self.r_act.en.eq(reads), self.r_act.addr.eq(address)]
        m.d.sync += started.eq(feed & ~(taken & (in_burst == 1)))
        with m.If(feed):
            m.d.sync += to_read.eq(remaining - (go & closes))
        with m.If(go):
            m.d.sync += slot.eq(Mux(slot == slots - 1, 0, slot + 1))
        with m.If(reads):
            m.d.sync += [address.eq(address + 1), words_left.eq(words_left - 1)]
        with m.If(begin_row):
            m.d.sync += [address.eq(first_src), words_left.eq(words), slot.eq(0)]
        # One cycle later the word is there.
        came, came_slot, came_word, came_closes = Signal(), Signal.like(slot), Signal(), Signal()
        m.d.sync += [came.eq(go), came_slot.eq(slot), came_word.eq(reads), came_closes.eq(closes)]
        push = came & came_closes
        beat = Signal(bits)
        if per_word > 1:
            with m.Switch(came_slot):
                for k in range(per_word):
                    with m.Case(k):
                        m.d.comb += beat.eq(self.r_act.data[k * bits : (k + 1) * bits])
        elif per_beat == 1:
            m.d.comb += beat.eq(self.r_act.data)
        else:
            gathered = Signal((per_beat - 1) * stride, reset_less=True)
            word = Signal(stride)
            m.d.comb += [word.eq(Mux(came_word, self.r_act.data, 0)), beat.eq(Cat(gathered, word))]
            with m.If(came):
                m.d.sync += gathered.eq(Cat(gathered, word)[stride:])
        with m.If(push):
            m.d.sync += [fifo[write].eq(beat), write.eq(Mux(write == STORE_FIFO_BEATS - 1, 0, write + 1))]
        with m.If(taken):
            m.d.sync += read.eq(Mux(read == STORE_FIFO_BEATS - 1, 0, read + 1))
        m.d.sync += [level.eq(level + push - taken), credit.eq(credit - (go & closes) + taken)]
        m.d.comb += [axi.wvalid.eq(level != 0), axi.wdata.eq(fifo[read])]
