"""A core without DRAM: the accelerator, its memory, and AXI-Stream in and out."""

from __future__ import annotations

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect

from accel.commands import Load, field_bits
from accel.design import Design
from accel.on_chip import Regions, constant_words, regions_of
from accel.program import Program
from accel.registers import PROGRAM_COUNT_BITS
from accel.rtl.axi_stream import ImageReceiver, ResultSender, stream_master
from accel.rtl.on_chip import PARTS, Depths, OnChipMemory
from accel.rtl.top import LITE_PORTS, Accelerator, members

SETTINGS = {
    "program_offset": In(field_bits(Load, "dram_addr")),
    "program_count": In(PROGRAM_COUNT_BITS),
    "dram_size": In(32),
    **PARTS,
}
"""What the hardware must know of a program."""


class Engine(wiring.Component):
    """Runs its program on each image that comes in, by itself, and sends the result.

    A run starts when an image is complete and a place for its result is free, in the cycle after the one before is
    done at the earliest; neither stream can delay it then. After an error nothing is started: the image stays, and
    CONTROL runs it again.
    """

    def __init__(self, design: Design, constants: list[int], depths: Depths) -> None:
        self.design, self.constants, self.depths = design, constants, depths
        bits = design.memory.axi_bits
        super().__init__(
            {
                **members("s_axis", stream_master(bits).flip()),
                **members("m_axis", stream_master(bits)),
                **LITE_PORTS,
                "irq": Out(1),
                "dropped": Out(1),
                **SETTINGS,
            }
        )

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        design = self.design
        bits = design.memory.axi_bits
        m.submodules.accelerator = accelerator = Accelerator(design)
        m.submodules.memory = memory = OnChipMemory(design, self.constants, self.depths)
        m.submodules.receiver = receiver = ImageReceiver(bits, len(memory.w_image.addr))
        m.submodules.sender = sender = ResultSender(bits, len(memory.r_result.addr))
        connect(m, receiver.w, memory.w_image)
        connect(m, sender.r, memory.r_result)
        for channel in (memory.read, memory.write):
            for name, member in channel.signature.flip().members.items():
                ours, theirs = getattr(channel, name), getattr(accelerator, f"m_axi_{name}")
                m.d.comb += ours.eq(theirs) if member.flow is Out else theirs.eq(ours)
        for stream, unit in (("s_axis", receiver.i), ("m_axis", sender.o)):
            for name in unit.signature.members:
                outer, port = getattr(self, f"{stream}_{name}"), getattr(unit, name)
                drives_us = self.signature.members[f"{stream}_{name}"].flow is Out
                m.d.comb += outer.eq(port) if drives_us else port.eq(outer)
        for name, member in LITE_PORTS.items():
            outer, port = getattr(self, name), getattr(accelerator, name)
            m.d.comb += outer.eq(port) if member.flow is Out else port.eq(outer)
        well = accelerator.done & (accelerator.error == 0)
        m.d.comb += [
            self.irq.eq(accelerator.irq),
            self.dropped.eq(receiver.dropped),
            accelerator.go.eq(receiver.ready & sender.room),
            accelerator.program_offset.eq(self.program_offset),
            accelerator.program_count.eq(self.program_count),
            accelerator.dram_size.eq(self.dram_size),
            receiver.release.eq(well),
            sender.commit.eq(well),
            receiver.beats.eq(self.image_beats),
            sender.beats.eq(self.result_beats),
            memory.image_place.eq(receiver.place),
            memory.result_place.eq(sender.place),
        ]
        m.d.comb += [getattr(memory, name).eq(getattr(self, name)) for name in PARTS]
        return m


class Core(wiring.Component):
    """The `Engine` of one program. Ports: `s_axis_*` and `m_axis_*` (AXI-Stream: images, results), `s_axil_*`, `irq`,
    `dropped`; clock, synchronous reset.
    """

    def __init__(self, program: Program) -> None:
        self.program, self.regions = program, regions_of(program)
        self.engine = Engine(program.design, constant_words(program), Depths.of(self.regions))
        ports = {name: member for name, member in self.engine.signature.members.items() if name not in SETTINGS}
        super().__init__(ports)

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        m.submodules.engine = engine = self.engine
        for name, member in self.signature.members.items():
            outer, port = getattr(self, name), getattr(engine, name)
            m.d.comb += outer.eq(port) if member.flow is Out else port.eq(outer)
        for name, value in settings_of(self.program, self.regions).items():
            m.d.comb += getattr(engine, name).eq(value)
        return m


def settings_of(program: Program, found: Regions) -> dict[str, int]:
    """The values of SETTINGS for a program, by name."""
    parts = {"image": found.image, "result": found.result, "spill": found.spill}
    return {
        "program_offset": program.program_offset,
        "program_count": program.first_fetch,
        "dram_size": program.dram_bytes,
        **{f"{name}_first": span.first for name, span in parts.items()},
        **{f"{name}_beats": span.beats for name, span in parts.items()},
    }
