"""A segment of the weight path: its part of the weight buffer, unpacked and looked up, to its rows of the array."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from accel.commands import Compute, field_bits
from accel.design import Design
from accel.latency import WEIGHT_FEED, cycles, until
from accel.memories import CODE_BITS, CODEBOOK, WEIGHT
from accel.rtl.buffers import Codebook
from accel.rtl.pipeline import later
from accel.rtl.ports import write_port
from accel.rtl.ram import Ram

ISSUE = data.StructLayout(
    {
        "go": 1, "first": 1, "read": 1, "address": WEIGHT.address_bits, "left": 4,
        "bits": field_bits(Compute, "weight_bits"), "look_up": 1, "bank": 1, "cols": field_bits(Compute, "cols_last"),
    }
)  # fmt: skip
"""What is issued in a cycle: a weight row (`go`), the `first` of a tile, of codes of `bits` bits, and whether and in
which codebook they are looked up; `cols` of its columns exist. It takes what `left` bits a column hold and, if `read`,
the word at `address`."""


class WeightSegment(wiring.Component):
    """C columns of weights, a row a cycle, at the array's edge FEED_CYCLES after their `issue`, with `capture`.

    `zeros`: which of them are 0. `row`: a row is at the edge, with `others` weights of existing columns that are not.
    """

    def __init__(self, design: Design) -> None:
        self.design = design
        self.width = WEIGHT.width_bits(design) // WEIGHT.parts(design)
        super().__init__(
            {
                "issue": In(ISSUE),
                "w_en": In(1),
                "w_addr": In(WEIGHT.address_bits),
                "w_data": In(self.width),
                "w_codebook": In(write_port(CODEBOOK, design)),
                "weights": Out(CODE_BITS * design.cols),
                "zeros": Out(design.cols),
                "capture": Out(1),
                "row": Out(1),
                "others": Out(range(design.cols + 1)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        cols, issue = self.design.cols, self.issue
        m.submodules.cells = cells = Ram(self.width, WEIGHT.words(self.design))
        m.submodules.codebook = codebook = Codebook(self.design)
        wiring.connect(m, wiring.flipped(self.w_codebook), codebook.w)
        m.d.comb += [
            cells.w_en.eq(self.w_en),
            cells.w_addr.eq(self.w_addr),
            cells.w_data.eq(self.w_data),
            cells.r_en.eq(issue.read),
            cells.r_addr.eq(issue.address),
        ]

        def after(stage: str, value: Value, name: str) -> Value:
            """`value` of the cycle of the issue when the row leaves a stage of `accel.latency.WEIGHT_FEED`."""
            return later(m, value, until(WEIGHT_FEED, stage), name)

        # "read": the word is there; take b bits a column.
        at1, needs1, left1 = (
            after("read", issue.go, "at"),
            after("read", issue.read, "needs"),
            after("read", issue.left, "left"),
        )
        bits1 = after("read", issue.bits, "bits")
        codes = Signal(8 * cols, name="codes")
        mask = Signal(8, name="mask")
        m.d.comb += mask.eq((1 << bits1) - 1)
        for c in range(cols):
            rest = Signal(8, name=f"rest_{c}", reset_less=True)
            joined = Signal(16, name=f"joined_{c}")
            # Bits above `left1` in `rest` are zero: every shift leaves exactly the unused ones.
            m.d.comb += joined.eq(Mux(left1 == 0, 0, rest) | (Mux(needs1, cells.r_data.word_select(c, 8), 0) << left1))
            with m.If(at1):
                m.d.sync += [rest.eq(joined >> bits1), codes.word_select(c, 8).eq(joined & mask)]
        # "unpack": the codes are there, and looked up.
        m.d.comb += [
            codebook.en.eq(after("unpack", issue.look_up, "look_up")),
            codebook.bank.eq(after("unpack", issue.bank, "bank")),
            codebook.codes.eq(codes),
        ]
        # "decode": at the array's edge. `capture` is the last of its registers.
        plain = Signal(8 * cols, reset_less=True, name="plain")
        m.d.sync += [
            plain.eq(codes),
            self.capture.eq(later(m, issue.first, cycles(WEIGHT_FEED) - 1, "start")),
        ]
        decoded = after("decode", issue.look_up, "decoded")
        weights = Mux(decoded, codebook.entries, plain)
        exist = after("decode", issue.cols, "exist")
        others = [weights.word_select(c, 8).any() & (exist > c) for c in range(cols)]
        m.d.comb += [
            self.weights.eq(weights),
            self.zeros.eq(Cat(~weights.word_select(c, 8).any() for c in range(cols))),
            self.row.eq(after("decode", issue.go, "row")),
            self.others.eq(sum(others)),
        ]
        return m
