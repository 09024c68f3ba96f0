"""A segment of the weight path: its part of the weight buffer, unpacked and looked up, to its rows of the array."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from accel.commands import Compute, field_bits
from accel.datapath import flag_bits, pe_lanes
from accel.design import Design
from accel.latency import cycles, until, weight_pipeline
from accel.memories import CODE_BITS, CODEBOOK, WEIGHT
from accel.rtl.buffers import Codebook
from accel.rtl.pipeline import later
from accel.rtl.ports import write_port
from accel.rtl.ram import Ram
from accel.structured import INDEX_BITS


def issue_layout(design: Design) -> data.StructLayout:
    """What is issued in a cycle: a weight row (`go`), the `first` of a tile, and whether and where it is looked up.

    Its codes have `bits` bits, and `cols` of its columns exist. A column's code begins `shift` + 1 bits behind the
    lowest of two words, the one before and the last one, which with `read` is that at `address`. 2:4: the index is the
    two highest bits of a `structured` code, else `half` and whether the row is `odd`.
    """
    pairs = {"structured": 1, "half": 1, "odd": 1} if design.two_of_four else {}
    return data.StructLayout(
        {
            "go": 1, "first": 1, "read": 1, "address": WEIGHT.address_bits,
            "shift": (WEIGHT.lane_bits(design) - 1).bit_length(), "bits": 4, "look_up": 1,
            "bank": 1, "cols": field_bits(Compute, "cols_last"), **pairs,
        }
    )  # fmt: skip


class WeightSegment(wiring.Component):
    """C columns of weights, a row a cycle, at the array's edge `feed_cycles` after their `issue`, with `capture`.

    `flags`: whether each is 0, and with 2:4 its index. `row`: a row was at the edge in the cycle before, with `others`
    weights of existing columns that are not 0, with 2:4 of each index. `number` of the segment.
    """

    def __init__(self, design: Design, number: int) -> None:
        self.design, self.number = design, number
        self.width = WEIGHT.width_bits(design) // WEIGHT.parts(design)
        super().__init__(
            {
                "issue": In(issue_layout(design)),
                "w_en": In(1),
                "w_addr": In(WEIGHT.address_bits),
                "w_data": In(self.width),
                "w_codebook": In(write_port(CODEBOOK, design)),
                "weights": Out(CODE_BITS * design.cols),
                "flags": Out(flag_bits(design) * design.cols),
                "capture": Out(1),
                "row": Out(1),
                "others": Out(range(design.cols + 1)).array(pe_lanes(design)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        cols, issue = self.design.cols, self.issue
        m.submodules.cells = cells = Ram(self.width, WEIGHT.words(self.design))
        m.d.comb += [
            cells.w_en.eq(self.w_en),
            cells.w_addr.eq(self.w_addr),
            cells.w_data.eq(self.w_data),
            cells.r_en.eq(issue.read),
            cells.r_addr.eq(issue.address),
        ]

        pipeline = weight_pipeline(self.design)

        def after(stage: str, value: Value, name: str) -> Value:
            """`value` of the cycle of the issue when the row leaves a stage of `accel.latency.weight_pipeline`."""
            return later(m, value, until(pipeline, stage), name)

        # "read": the word is there, and the one before it; take b bits a column.
        lane, pairs = WEIGHT.lane_bits(self.design), self.design.two_of_four
        whole = not self.design.codebooks and not pairs  # a word has a code a column
        at, shift = after("read", issue.go, "at"), after("read", issue.shift, "shift")
        bits = after("read", issue.bits, "bits")
        word = later(m, cells.r_data, self.design.memory_stages - 1, "word", reset_less=True)
        before = Signal.like(word, name="before", reset_less=True)
        with m.If(at):
            m.d.sync += before.eq(word)
        codes = Signal(8 * cols, name="codes")
        indices = Signal(INDEX_BITS * cols, name="indices") if pairs else None
        mask, value_bits = Signal(8, name="mask"), Signal(4, name="value_bits")
        m.d.comb += [value_bits.eq(bits), mask.eq((1 << value_bits) - 1)]
        if pairs:
            structured, half = after("read", issue.structured, "structured"), after("read", issue.half, "half")
            odd = after("read", issue.odd, "odd") ^ (self.number * self.design.fill_cycles % 2)
            with m.If(structured):
                m.d.comb += value_bits.eq(bits - INDEX_BITS)
        for c in range(cols):
            # Bit 0 of the word before is used up whenever anything of it is left.
            both, code = Cat(*(x.word_select(c, lane) for x in (before, word)))[1:], Signal(lane, name=f"code_{c}")
            m.d.comb += code.eq(word.word_select(c, lane) if whole else both >> shift)
            with m.If(at):
                m.d.sync += codes.word_select(c, 8).eq(code & mask)
                if indices is not None:
                    index = Mux(structured, (code >> value_bits)[:INDEX_BITS], Cat(odd, half))
                    m.d.sync += indices.word_select(c, INDEX_BITS).eq(index)
        # "unpack": the codes are there, and looked up.
        # "decode": at the array's edge. `capture` is the last of its registers.
        behind = self.design.memory_stages - 1
        plain = Signal(8 * cols, reset_less=True, name="plain")
        m.d.sync += [
            plain.eq(codes),
            self.capture.eq(later(m, issue.first, cycles(pipeline) - 1, "start")),
        ]
        weights: Value = later(m, plain, behind, "plain", reset_less=True)
        if self.design.codebooks:
            m.submodules.codebook = codebook = Codebook(self.design)
            wiring.connect(m, wiring.flipped(self.w_codebook), codebook.w)
            m.d.comb += [
                codebook.en.eq(after("unpack", issue.look_up, "look_up")),
                codebook.bank.eq(after("unpack", issue.bank, "bank")),
                codebook.codes.eq(codes),
            ]
            # Entries come out of the memory's own registers: far from here, they leave little time but for a choice.
            weights = Mux(after("decode", issue.look_up, "decoded"), codebook.entries, weights)
        zeros = [~weights.word_select(c, 8).any() for c in range(cols)]
        m.d.comb += self.weights.eq(weights)
        # A cycle behind the edge: what is counted, in front of the counting, since entries come late.
        exist, others = after("decode", issue.cols, "exist"), Signal(cols, name="other", reset_less=True)
        m.d.sync += [
            self.row.eq(after("decode", issue.go, "row")),
            others.eq(Cat(~zero & (exist > c) for c, zero in enumerate(zeros))),
        ]
        if indices is None:
            m.d.comb += [self.flags.eq(Cat(*zeros)), self.others[0].eq(sum(others))]
        else:
            index = later(m, indices, behind + 1, "index", reset_less=True)
            places = [index.word_select(c, INDEX_BITS) for c in range(cols)]
            m.d.comb += self.flags.eq(Cat(Cat(zero, place) for zero, place in zip(zeros, places, strict=True)))
            behind_edge = later(m, index, 1, "behind_edge", reset_less=True)
            for k, count in enumerate(self.others):
                ours = (other & (behind_edge.word_select(c, INDEX_BITS) == k) for c, other in enumerate(others))
                m.d.comb += count.eq(sum(ours))
        return m
