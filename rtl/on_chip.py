"""The memory of a core without DRAM: block RAM that answers the bursts of loader and storer."""

from __future__ import annotations

from dataclasses import dataclass

from amaranth.hdl import ClockSignal, Instance, Module, Mux, Signal, Value
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out, Signature, connect, flipped

from accel.design import Design
from accel.on_chip import PLACES, Regions
from accel.rtl.axi import read_master, write_master
from accel.rtl.bursts import BEAT_BITS, BurstReader, BurstWriter
from accel.rtl.modules import is_collecting
from accel.rtl.ram import Ram

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

    def _offset(self, m: Module, beat: Value, part: str, name: str) -> tuple[Value, Signal]:
        """A beat's place in a part, and whether it lies there."""
        first, beats = getattr(self, f"{part}_first"), getattr(self, f"{part}_beats")
        offset, inside = Signal(BEAT_BITS, name=f"{name}_{part}"), Signal(name=f"{name}_in_{part}")
        m.d.comb += [offset.eq(beat - first), inside.eq(offset < beats)]
        return offset, inside

    def _reads(self, m: Module) -> None:
        """Asks the memory that holds the beat at the reader's cursor."""
        m.submodules.reader = reader = BurstReader(self.design.memory)
        connect(m, flipped(self.read), reader.axi)
        beat, issue = reader.r.beat, reader.r.en
        chosen, came_from = Signal(2, name="chosen"), Signal(2, name="came_from")
        m.submodules.constants = rom = Rom(self.design.memory.axi_bits, self.constants)
        image = self.rams["image"]
        offset, in_image = self._offset(m, beat, "image", "read")
        places = Mux(self.image_place, self.image_beats, 0)
        m.d.comb += [
            chosen.eq(Mux(in_image, IMAGE, CONSTANTS)),
            rom.r_addr.eq(beat),
            rom.r_en.eq(issue & (chosen == CONSTANTS)),
            image.r_addr.eq(offset + places),
            image.r_en.eq(issue & (chosen == IMAGE)),
        ]
        answers: dict[int, Value] = {CONSTANTS: rom.r_data, IMAGE: image.r_data}
        if spill := self.rams.get("spill"):
            offset, in_spill = self._offset(m, beat, "spill", "read")
            with m.If(in_spill):
                m.d.comb += chosen.eq(SPILL)
            m.d.comb += [spill.r_addr.eq(offset), spill.r_en.eq(issue & (chosen == SPILL))]
            answers[SPILL] = spill.r_data
        with m.If(issue):
            m.d.sync += came_from.eq(chosen)
        with m.Switch(came_from):
            for source, answer in answers.items():
                with m.Case(source):
                    m.d.comb += reader.r.data.eq(answer)

    def _writes(self, m: Module) -> None:
        """Beats go to the result's place, to what is spilled, or to both."""
        m.submodules.writer = writer = BurstWriter(self.design.memory)
        connect(m, flipped(self.write), writer.axi)
        w = writer.w
        result = self.rams["result"]
        offset, in_result = self._offset(m, w.beat, "result", "write")
        m.d.comb += [
            result.w_en.eq(Mux(w.en & in_result, w.strobes, 0)),
            result.w_addr.eq(offset + Mux(self.result_place, self.result_beats, 0)),
            result.w_data.eq(w.data),
        ]
        if spill := self.rams.get("spill"):
            offset, in_spill = self._offset(m, w.beat, "spill", "write")
            m.d.comb += [spill.w_addr.eq(offset), spill.w_data.eq(w.data)]
            with m.If(w.en & in_spill):
                m.d.comb += spill.w_en.eq(w.strobes)
