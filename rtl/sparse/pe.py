"""The PE of the sparse engine: a queue, the entries of a column one a cycle, R multipliers, R sums."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from accel.commands import Compute, field_bits
from accel.datapath import OFFSET_BITS, PRODUCT_BITS
from accel.design import Design
from accel.latency import ACC_READ, cycles
from accel.memories import CODE_BITS, WEIGHT
from accel.rtl.multiplier import product
from accel.rtl.pipeline import later
from accel.rtl.sparse.ports import (
    INDEX_BITS,
    N_TILES_BITS,
    broadcast_layout,
    entry_address_bits,
    entry_layout,
    sum_bits,
)
from accel.rtl.sparse.queue import Queue


class PE(wiring.Component):
    """Takes a broadcast from its queue in cycle u and reads an entry of its column in u, u + 1, ... to the last.

    What follows an entry's address is `accel.latency.entry_pipeline`: the entry is there (its place in the column is
    that of the one before, plus its run) | its value, or the codebook's entry, is there | products | sums are added to
    those of the word, which is read meanwhile, and written. The sums of the last three entries are taken from the
    registers on their way. An activation or a weight of 0 leaves its multiplier's inputs alone.

    `low` .. `high`: the words of the block's entries; an entry outside, or a place from `n_tiles` on, is `wrong` and
    adds nothing. `flush`: forgets everything (a shared module: no reset from outside reaches into it).
    """

    def __init__(self, design: Design) -> None:
        self.design = design
        self.sum_width = design.rows * design.widths.accumulator
        count = design.rows.bit_length()
        super().__init__(
            {
                "flush": In(1), "halt": In(1), "use_codebook": In(1), "n_tiles": In(N_TILES_BITS),
                "acc_shift": In(field_bits(Compute, "acc_shift")),
                "low": In(WEIGHT.address_bits), "high": In(WEIGHT.address_bits + 1),
                "push": In(1), "broadcast": In(broadcast_layout(design).size), "room": Out(1), "quiet": Out(1),
                "r_entry_en": Out(1), "r_entry_addr": Out(entry_address_bits(design)),
                "r_entry_data": In(entry_layout(design).size),
                "code_en": Out(1), "code": Out(CODE_BITS), "code_data": In(CODE_BITS),
                "r_sum_en": Out(1), "r_sum_addr": Out(sum_bits(design)), "r_sum_data": In(self.sum_width),
                "w_sum_en": Out(1), "w_sum_addr": Out(sum_bits(design)), "w_sum_data": Out(self.sum_width),
                "wrong": Out(1), "event_entry": Out(1), "event_pixels": Out(count), "event_zeros": Out(count),
            }
        )  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        design = self.design
        m.submodules.queue = queue = Queue(len(self.broadcast), design.engine.queue_depth)  # type: ignore[union-attr]
        head = data.View(broadcast_layout(design), queue.o)
        entry = data.View(entry_layout(design), self.r_entry_data)
        reading, fresh = Signal(name="reading"), Signal(name="fresh")  # an entry is there; it is a column's first
        address = Signal(entry_address_bits(design) + 1, name="address")
        acts = Signal.like(head.acts, name="acts", reset_less=True)
        block = Signal.like(head.block, name="block")
        pixels, zeros = Signal.like(head.pixels, name="pixels"), Signal.like(head.zeros, name="zeros")
        more, stopped = Signal(name="more"), Signal(name="stopped")
        m.d.comb += [
            # A start ends the halt in the cycle in which the queue still has what an aborted run has left.
            stopped.eq(self.halt | self.flush),
            queue.flush.eq(self.flush), queue.push.eq(self.push), queue.i.eq(self.broadcast), self.room.eq(queue.room),
            more.eq(reading & ~entry.last & ~stopped),
            queue.take.eq(queue.valid & ~more & ~stopped),
            self.r_entry_en.eq(more | queue.take),
            self.r_entry_addr.eq(Mux(more, address + 1, head.start)),
            self.quiet.eq(~queue.valid & ~self.r_entry_en),
        ]  # fmt: skip
        m.d.sync += [reading.eq(self.r_entry_en), fresh.eq(queue.take)]
        with m.If(self.r_entry_en):
            m.d.sync += address.eq(Mux(more, address + 1, head.start))
        with m.If(queue.take):
            m.d.sync += [acts.eq(head.acts), block.eq(head.block), pixels.eq(head.pixels), zeros.eq(head.zeros)]
        # "read": the entry is there.
        place, following = Signal(INDEX_BITS, name="place"), Signal(INDEX_BITS, name="following")
        outside = (address < self.low) | (address >= self.high)
        m.d.comb += [
            place.eq(Mux(fresh, 0, following) + entry.run),
            self.code_en.eq(reading & self.use_codebook), self.code.eq(entry.value),
            self.event_entry.eq(reading), self.event_pixels.eq(Mux(reading, pixels, 0)),
        ]  # fmt: skip
        m.d.sync += following.eq(place + 1)
        # "decode": the weight is there.
        reading2, outside2 = later(m, reading, 1, "reading"), later(m, outside, 1, "outside")
        value2, acts2 = later(m, entry.value, 1, "value", True), later(m, acts, 1, "acts", True)
        place2, block2 = later(m, place, 1, "place", True), later(m, block, 1, "block", True)
        pixels2, zeros2 = later(m, pixels, 1, "pixels"), later(m, zeros, 1, "zeros")
        valid = Signal(name="valid")
        word = Signal(sum_bits(design), name="word")
        m.d.comb += [
            self.wrong.eq(reading2 & (outside2 | (place2 >= self.n_tiles))),
            valid.eq(reading2 & ~self.wrong & ~self.flush),
            word.eq(block2 + (place2 << self.acc_shift)),
        ]
        behind = design.memory_stages - 1
        weight = Signal(signed(CODE_BITS), name="weight")
        found = Mux(self.use_codebook & design.codebooks, self.code_data, value2)
        m.d.comb += weight.eq(later(m, found, behind, "found", True))
        # What is counted, in the next cycle.
        zero = later(m, weight == 0, 1, "zero_weight")
        reading3, pixels3, zeros3 = (
            later(m, value, behind + 1, f"{name}_counted")
            for value, name in ((reading2, "reading"), (pixels2, "pixels"), (zeros2, "zeros"))
        )
        m.d.comb += self.event_zeros.eq(Mux(reading3, Mux(zero, pixels3, zeros3), 0))
        valid, word = later(m, valid, behind, "valid"), later(m, word, behind, "word", True)
        self._sums(m, later(m, acts2, behind, "acts_then", True), weight, word, valid)
        return m

    def _sums(self, m: Module, acts: Signal, weight: Signal, word: Signal, valid: Signal) -> None:
        """Products and sums of the R pixels of an entry, whose weight is there if `valid`."""
        design = self.design
        bits, stages = design.widths.accumulator, design.engine.multiplier_stages
        used = weight != 0
        products = []
        for r in range(design.rows):
            act = Signal(signed(OFFSET_BITS), name=f"act_{r}")
            m.d.comb += act.eq(acts.word_select(r, OFFSET_BITS))
            enable = Signal(name=f"enable_{r}")
            m.d.comb += enable.eq(valid & used & (act != 0))
            products.append(product(m, design, act, weight, signed(PRODUCT_BITS + 1), f"product_{r}", enable))
        # Sums are read so that they and their products meet; a product with one register waits for a cycle.
        ahead = cycles(ACC_READ)
        to_read = max(stages, ahead) - ahead
        products = [later(m, each, max(0, ahead - stages), f"waiting_{r}", True) for r, each in enumerate(products)]
        m.d.comb += [
            self.r_sum_en.eq(later(m, valid, to_read, "multiplied")),
            self.r_sum_addr.eq(later(m, word, to_read, "word_multiplied", True)),
        ]
        total, earlier = (Signal(self.sum_width, name=name, reset_less=True) for name in ("total", "earlier"))
        # Of the read and the cycles after it: the word is there, is in a register, is written.
        ways = [(self.r_sum_en, self.r_sum_addr)]
        for name in ("there", "adding", "written"):
            flag, address = ways[-1]
            ways.append((later(m, flag, 1, name), later(m, address, 1, f"{name}_word", True)))
        written = ways[-1]
        # The sums of the last three entries are taken on their way; which, is known when the word is read.
        same = [way[0] & ways[0][0] & (way[1] == ways[0][1]) for way in ways[1:]]
        last, second, third = (later(m, each, 1, f"same_{k}") for k, each in enumerate(same))
        selected, old = Signal(self.sum_width, name="selected", reset_less=True), Signal(self.sum_width, name="old")
        m.d.sync += selected.eq(Mux(second, total, Mux(third, earlier, self.r_sum_data)))
        m.d.comb += old.eq(Mux(later(m, last, 1, "again"), total, selected))
        sums = []
        for r, found in enumerate(products):
            one = Signal(signed(bits), name=f"old_{r}")
            m.d.comb += one.eq(old.word_select(r, bits))
            sums.append((one + found)[:bits])
        m.d.sync += [total.eq(Cat(*sums)), earlier.eq(total)]
        m.d.comb += [
            self.w_sum_en.eq(written[0] & ~self.halt & ~self.flush),
            self.w_sum_addr.eq(written[1]), self.w_sum_data.eq(total),
        ]  # fmt: skip
