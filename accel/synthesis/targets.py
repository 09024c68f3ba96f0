"""What `accel synth` can synthesise for: Yosys' command, which cells count as what, and who places and routes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from accel.models.errors import InputError
from accel.resources.parts import PARTS, Part


@dataclass(frozen=True)
class Cells:
    """Cells of a netlist: `lut` with those of carry chains and small memories, `bram` blocks of the family's size."""

    lut: int = 0
    ff: int = 0
    dsp: int = 0
    bram: int = 0

    def __add__(self, other: Cells) -> Cells:
        return Cells(self.lut + other.lut, self.ff + other.ff, self.dsp + other.dsp, self.bram + other.bram)


@dataclass(frozen=True)
class Family:
    """FPGAs that share a netlist.

    `yosys`: the command for a flat design, `apart`: what it needs for a module by itself, `models`: its files of cells.
    `lut`, `bram`: how many of them a cell is; others count nothing.
    """

    yosys: str
    apart: str
    models: str
    lut: Mapping[str, int]
    ff: tuple[str, ...]
    dsp: tuple[str, ...]
    bram: Mapping[str, int]

    def count(self, cells: Mapping[str, int]) -> Cells:
        """Yosys' counts by type of cell, in our terms."""
        return Cells(
            sum(cells.get(name, 0) * each for name, each in self.lut.items()),
            sum(count for name, count in cells.items() if name.startswith(self.ff)),
            sum(cells.get(name, 0) for name in self.dsp),
            sum(cells.get(name, 0) * each for name, each in self.bram.items()),
        )


FAMILIES = {
    "ecp5": Family(
        "synth_ecp5", "-noflatten", "+/lattice/cells_sim_ecp5.v +/lattice/cells_bb_ecp5.v",
        {"LUT4": 1, "CCU2C": 2, "TRELLIS_DPR16X4": 4}, ("TRELLIS_FF",), ("MULT18X18D",),
        {"DP16KD": 1, "PDPW16KD": 1},
    ),
    "ice40": Family(
        "synth_ice40 -dsp -device u", "-noflatten", "+/ice40/cells_sim.v", {"SB_LUT4": 1}, ("SB_DFF",), ("SB_MAC16",),
        {"SB_RAM40_4K": 1},
    ),
    "xc7": Family(
        "synth_xilinx -family xc7 -noiopad", "", "+/xilinx/cells_sim.v",
        {
            **{f"LUT{k}": 1 for k in range(1, 7)}, "RAM32M": 4, "RAM64M": 4, "RAM32X1D": 2, "RAM64X1D": 2,
            "RAM128X1D": 4, "SRL16E": 1, "SRLC32E": 1,
        },
        ("FD",), ("DSP48E1",), {"RAMB18E1": 1, "RAMB36E1": 2},
    ),
}  # fmt: skip
"""Families by the name that `accel.resources.parts` has for them."""


@dataclass(frozen=True)
class Target:
    """A part, and the arguments that nextpnr takes for it; without them it is synthesised only."""

    part: Part
    nextpnr: tuple[str, ...] = ()
    tool: str = ""

    @property
    def family(self) -> Family:
        """Of the part."""
        return FAMILIES[self.part.family]


# ECP5: -25F and -12F are one die; speed grade 6 is the slowest. Ports are left unplaced: no package has so many pins.
TARGETS = {
    "ecp5-25f": Target(PARTS["ecp5-25f"], ("--25k", "--speed", "6", "--out-of-context"), "nextpnr-ecp5"),
    "ecp5-85f": Target(PARTS["ecp5-85f"], ("--85k", "--speed", "6", "--out-of-context"), "nextpnr-ecp5"),
    "up5k": Target(PARTS["up5k"], ("--up5k", "--package", "sg48", "--pcf-allow-unconstrained"), "nextpnr-ice40"),
    "xc7": Target(PARTS["xc7"]),
}


def target(name: str) -> Target:
    """The target of that name. Raises InputError."""
    if name not in TARGETS:
        raise InputError(f"--target must be one of {', '.join(TARGETS)}, not {name}")
    return TARGETS[name]
