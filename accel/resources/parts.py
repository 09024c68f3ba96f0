"""Real FPGAs, and whether something fits them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from accel.models.errors import InputError


@dataclass(frozen=True)
class Part:
    """What an FPGA has. `bram` counts blocks of `bram_kbit`; `lut` have 4 inputs (`family` xc7: 6). `source`: of these
    numbers.
    """

    name: str
    family: str
    lut: int
    ff: int
    dsp: int
    bram: int
    bram_kbit: int
    source: str


class Amounts(Protocol):
    """What is needed."""

    @property
    def lut(self) -> int: ...  # noqa: D102
    @property
    def ff(self) -> int: ...  # noqa: D102
    @property
    def dsp(self) -> int: ...  # noqa: D102
    @property
    def bram(self) -> int: ...  # noqa: D102


_NEXTPNR = "nextpnr's database"
PARTS: Mapping[str, Part] = {
    part.name: part
    for part in (
        Part("ecp5-25f", "ecp5", 24_288, 24_288, 28, 56, 18, _NEXTPNR),
        Part("ecp5-85f", "ecp5", 83_640, 83_640, 156, 208, 18, _NEXTPNR),
        Part("up5k", "ice40", 5_280, 5_280, 8, 30, 4, _NEXTPNR),
        Part("xc7", "xc7", 63_400, 126_800, 240, 270, 18, "XC7A100T in Xilinx DS180 (unverified)"),
    )
}
NAMES = {"lut": "LUTs", "ff": "registers", "dsp": "multipliers", "bram": "block RAMs"}


def part(name: str) -> Part:
    """The part of that name. Raises InputError."""
    if name not in PARTS:
        raise InputError(f"part must be one of {', '.join(PARTS)}, not {name}")
    return PARTS[name]


def shortfalls(needed: Amounts, on: Part) -> tuple[str, ...]:
    """What a part has too little of, each with what is needed and what there is; empty: it fits.

    `needed` must be counted in the part's cells: `predict` for its family, or a netlist for it.
    """
    return tuple(
        f"{getattr(needed, field):,} {name} of {getattr(on, field):,}"
        for field, name in NAMES.items()
        if getattr(needed, field) > getattr(on, field)
    )
