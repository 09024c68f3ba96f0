"""The memory of a core without DRAM: block RAM that answers the bursts of loader and storer."""

from __future__ import annotations

from dataclasses import dataclass

from amaranth.hdl import ClockSignal, Instance, Module, Mux, Signal, Value
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out, Signature

from accel.design import Design
from accel.latency import ON_CHIP, until
from accel.on_chip import PLACES, Regions
from accel.rtl.axi import read_master, write_master
from accel.rtl.modules import is_collecting
from accel.rtl.pipeline import later
from accel.rtl.ram import Ram

BEAT_BITS = 26  # of a beat's number: the largest memory in the narrowest beats, and what alignment adds
PARTS = {f"{part}_{name}": In(BEAT_BITS) for part in ("image", "result", "spill") for name in ("first", "beats")}
"""Where the data segment's parts lie (`accel.on_chip.Regions`): ports of whoever must know it."""


@dataclass(frozen=True)
class Depths:
    """Words of each memory. `image` and `result` of one place; `spill` may be 0."""

    constants: int
    image: int
    result: int
    spill: int

    @classmethod
    def of(cls, found: Regions) -> Depths:
        """What a program needs."""
        return cls(found.constants.beats, found.image.beats, found.result.beats, found.spill.beats)


CONSTANTS, IMAGE, SPILL = range(3)  # the memories that a beat may come from


class Rom(wiring.Component):
    """Words that are there from the start: `r_data` is the word at `r_addr` from the cycle after `r_en` on.

    In emitted Verilog it is an instance of the module `rom`, whose text `rom_verilog` gives.
    """

    def __init__(self, width: int, words: list[int]) -> None:
        self.width, self.words = width, words
        address = max(1, (len(words) - 1).bit_length())
        super().__init__({"r_en": In(1), "r_addr": In(address), "r_data": Out(width)})

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        if is_collecting():
            m.submodules.cells = Instance(
                "rom", i_clk=ClockSignal(), i_r_en=self.r_en, i_r_addr=self.r_addr, o_r_data=self.r_data
            )
            return m
        m.submodules.cells = cells = memory.Memory(shape=self.width, depth=len(self.words), init=self.words)
        read = cells.read_port()
        m.d.comb += [read.en.eq(self.r_en), read.addr.eq(self.r_addr), self.r_data.eq(read.data)]
        return m


def rom_verilog(width: int, words: list[int]) -> str:
    """The module `rom` with its contents."""
    lines = "\n".join(f"        words[{k}] = {width}'h{word:0{width // 4}x};" for k, word in enumerate(words))
    return f"""\
// Program, weights and records: block RAM with initial values.
module rom (
    input clk,
    input r_en,
    input [{max(1, (len(words) - 1).bit_length()) - 1}:0] r_addr,
    output reg [{width - 1}:0] r_data
);
    reg [{width - 1}:0] words [0:{len(words) - 1}];
    initial begin
{lines}
    end
    always @(posedge clk) if (r_en) r_data <= words[r_addr];
endmodule
"""


class OnChipMemory(wiring.Component):
    """Takes any address at once, and a beat each cycle; a burst's first beat is there ON_CHIP_CYCLES after its address.

    Read bursts: one is answered while one waits (`OnChip.outstanding_bursts`). The response to a write comes
    ON_CHIP_CYCLES after its last beat; `bready` is taken to be 1, as the storer's is. No response is an error: loader
    and storer stay below DRAM_SIZE, and what is read where nothing lies (behind an image, as rows of window loads do)
    is not used.

    Images come through `w_image` and results leave through `r_result`, in places that `image_place` and `result_place`
    choose for loader and storer. Several STOREs may share a beat of the result. Bytes that none of them writes are
    zeros from the start: they are no part of the tensor, and the stream has no others to send.
    """

    def __init__(self, design: Design, constants: list[int], depths: Depths) -> None:
        self.design, self.constants, self.depths = design, constants, depths
        bits = design.memory.axi_bits
        self.rams = {
            "image": Ram(bits, max(2, PLACES * depths.image)),
            "result": Ram(bits, max(2, PLACES * depths.result), bits // 8, zeros=True),
        }
        if depths.spill:
            self.rams["spill"] = Ram(bits, max(2, depths.spill), bits // 8)
        image, result = len(self.rams["image"].w_addr), len(self.rams["result"].r_addr)
        super().__init__(
            {
                "read": In(read_master(design.memory)),
                "write": In(write_master(design.memory)),
                **PARTS,
                "image_place": In(1),
                "result_place": In(1),
                "w_image": In(Signature({"en": Out(1), "addr": Out(image), "data": Out(bits)})),
                "r_result": In(Signature({"en": Out(1), "addr": Out(result), "data": In(bits)})),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        for name, ram in self.rams.items():
            m.submodules[name] = ram
        image, result = self.rams["image"], self.rams["result"]
        m.d.comb += [
            image.w_en.eq(self.w_image.en),
            image.w_addr.eq(self.w_image.addr),
            image.w_data.eq(self.w_image.data),
            result.r_en.eq(self.r_result.en),
            result.r_addr.eq(self.r_result.addr),
            self.r_result.data.eq(result.r_data),
        ]
        self._reads(m)
        self._writes(m)
        return m

    def _beat(self, address: Value) -> Value:
        shift = (self.design.beat_bytes - 1).bit_length()
        return address[shift : shift + BEAT_BITS]

    def _offset(self, m: Module, beat: Value, part: str, name: str) -> tuple[Value, Signal]:
        """A beat's place in a part, and whether it lies there."""
        first, beats = getattr(self, f"{part}_first"), getattr(self, f"{part}_beats")
        offset, inside = Signal(BEAT_BITS, name=f"{name}_{part}"), Signal(name=f"{name}_in_{part}")
        m.d.comb += [offset.eq(beat - first), inside.eq(offset < beats)]
        return offset, inside

    def _reads(self, m: Module) -> None:
        """A cursor goes through the beats of a burst; two registers behind it have what the memories answer."""
        axi, burst = self.read, self.design.memory.burst_beats
        cursor, left = Signal(BEAT_BITS, name="cursor"), Signal(range(burst + 1), name="left")
        waiting = Signal(name="waiting")
        next_cursor, next_left = Signal(BEAT_BITS, name="next_cursor"), Signal(range(burst + 1), name="next_left")
        issue, free, ended = Signal(name="issue"), Signal(name="free"), Signal(name="ended")
        came, came_last = Signal(name="came"), Signal(name="came_last")
        came_from, chosen = Signal(2, name="came_from"), Signal(2, name="chosen")
        data = Signal(self.design.memory.axi_bits, name="beat", reset_less=True)
        move = Signal(name="move")
        assert [stage.name for stage in ON_CHIP] == ["take", "read", "select"]  # cursor, memory, `data`
        new_beat, new_left = self._beat(axi.araddr), axi.arlen[: len(left)] + 1
        m.d.comb += [
            axi.arready.eq(~waiting),
            move.eq(~axi.rvalid | axi.rready),
            issue.eq((left != 0) & (~came | move)),
            ended.eq(issue & (left == 1)),
            free.eq((left == 0) | ended),
        ]
        taken = axi.arvalid & axi.arready
        with m.If(issue):
            m.d.sync += [cursor.eq(cursor + 1), left.eq(left - 1)]
        with m.If(free & waiting):
            m.d.sync += [cursor.eq(next_cursor), left.eq(next_left), waiting.eq(0)]
        with m.Elif(taken & free):
            m.d.sync += [cursor.eq(new_beat), left.eq(new_left)]
        with m.Elif(taken):
            m.d.sync += [next_cursor.eq(new_beat), next_left.eq(new_left), waiting.eq(1)]
        answers = self._answers(m, cursor, issue, chosen)
        with m.If(issue | move):
            m.d.sync += [came.eq(issue), came_last.eq(left == 1), came_from.eq(chosen)]
        with m.If(move):
            m.d.sync += [axi.rvalid.eq(came), axi.rlast.eq(came_last)]
            with m.Switch(came_from):
                for source, answer in answers.items():
                    with m.Case(source):
                        m.d.sync += data.eq(answer)
        m.d.comb += [axi.rdata.eq(data), axi.rresp.eq(0)]

    def _answers(self, m: Module, cursor: Signal, issue: Signal, chosen: Signal) -> dict[int, Value]:
        """Asks the memory that holds the beat at the cursor. Returns what each answers, a cycle later."""
        m.submodules.constants = rom = Rom(self.design.memory.axi_bits, self.constants)
        image = self.rams["image"]
        offset, in_image = self._offset(m, cursor, "image", "read")
        places = Mux(self.image_place, self.image_beats, 0)
        m.d.comb += [
            chosen.eq(Mux(in_image, IMAGE, CONSTANTS)),
            rom.r_addr.eq(cursor),
            rom.r_en.eq(issue & (chosen == CONSTANTS)),
            image.r_addr.eq(offset + places),
            image.r_en.eq(issue & (chosen == IMAGE)),
        ]
        answers = {CONSTANTS: rom.r_data, IMAGE: image.r_data}
        if spill := self.rams.get("spill"):
            offset, in_spill = self._offset(m, cursor, "spill", "read")
            with m.If(in_spill):
                m.d.comb += chosen.eq(SPILL)
            m.d.comb += [spill.r_addr.eq(offset), spill.r_en.eq(issue & (chosen == SPILL))]
            answers[SPILL] = spill.r_data
        return answers

    def _writes(self, m: Module) -> None:
        """Beats go to the result's place, to what is spilled, or to both."""
        axi = self.write
        cursor = Signal(BEAT_BITS, name="write_cursor")
        taken = axi.wvalid & axi.wready
        m.d.comb += [axi.awready.eq(1), axi.wready.eq(1), axi.bresp.eq(0)]
        with m.If(axi.awvalid):
            m.d.sync += cursor.eq(self._beat(axi.awaddr))
        with m.Elif(taken):
            m.d.sync += cursor.eq(cursor + 1)
        result = self.rams["result"]
        offset, in_result = self._offset(m, cursor, "result", "write")
        m.d.comb += [
            result.w_en.eq(Mux(taken & in_result, axi.wstrb, 0)),
            result.w_addr.eq(offset + Mux(self.result_place, self.result_beats, 0)),
            result.w_data.eq(axi.wdata),
        ]
        if spill := self.rams.get("spill"):
            offset, in_spill = self._offset(m, cursor, "spill", "write")
            m.d.comb += [spill.w_addr.eq(offset), spill.w_data.eq(axi.wdata)]
            with m.If(taken & in_spill):
                m.d.comb += spill.w_en.eq(axi.wstrb)
        m.d.comb += axi.bvalid.eq(later(m, taken & axi.wlast, until(ON_CHIP, "select"), "answered"))
