"""Energy, leakage and area of on-chip memories from CACTI's table, interpolated in logarithms.

The table has 1 KiB to 4 MiB and 32 to 256 bits a word, and nothing is extrapolated. What lies outside is composed of
memories that lie inside: a wider word of several equal macros side by side, a larger memory of several banks of which
one is accessed, narrower words several to a row of 32 bits, all of which is read or written (too high). A memory
smaller than the smallest macro is priced as that one.
"""

from __future__ import annotations

import csv
from bisect import bisect_right
from functools import cache
from importlib.resources import files
from math import ceil, exp, log
from typing import NamedTuple

from accel.sim.cost.constants import SRAM_TABLE

WIDEST_BITS, NARROWEST_BITS = 256, 32
LARGEST_BYTES, SMALLEST_BYTES = 1 << 22, 1 << 10


class Sram(NamedTuple):
    """One word read, one word written, and leakage and area of the whole memory."""

    read_pj: float
    write_pj: float
    leakage_mw: float
    area_mm2: float


@cache
def _table(cell: str, node_nm: int) -> dict[tuple[int, int], Sram]:
    """The rows of one cell and node, by size in bytes and width in bits."""
    text = files("accel.sim").joinpath("data", SRAM_TABLE).read_text(encoding="utf-8")
    return {
        (int(row["size_bytes"]), int(row["width_bits"])): Sram(
            read_pj=1000 * float(row["read_energy_nJ"]),
            write_pj=1000 * float(row["write_energy_nJ"]),
            leakage_mw=float(row["leakage_mW"]),
            area_mm2=float(row["area_mm2"]),
        )
        for row in csv.DictReader(text.splitlines())
        if row["cell"] == cell and int(row["node_nm"]) == node_nm
    }


def macro(cell: str, node_nm: int, size_bytes: float, width_bits: float) -> Sram:
    """One macro, bilinear in the logarithms of size, width and value.

    Raises ValueError outside the table, and KeyError for a cell and node that it does not have.
    """
    table = _table(cell, node_nm)
    if not table:
        raise KeyError(f"no memory of cell {cell} at {node_nm} nm in {SRAM_TABLE}")
    sizes, widths = sorted({s for s, _ in table}), sorted({w for _, w in table})
    (s0, s1, fs), (w0, w1, fw) = _between(sizes, size_bytes, "bytes"), _between(widths, width_bits, "bits a word")
    weights = (1 - fs) * (1 - fw), fs * (1 - fw), (1 - fs) * fw, fs * fw
    corners = zip(table[s0, w0], table[s1, w0], table[s0, w1], table[s1, w1], strict=True)
    return Sram(*(exp(sum(w * log(value) for w, value in zip(weights, values, strict=True))) for values in corners))


def _between(points: list[int], value: float, unit: str) -> tuple[int, int, float]:
    """The points on both sides of `value`, and how far it is from the first to the second in logarithms."""
    if not points[0] <= value <= points[-1]:
        raise ValueError(f"a memory macro must have {points[0]}..{points[-1]} {unit}, not {value}")
    high = min(bisect_right(points, value), len(points) - 1)
    low = high - 1
    return points[low], points[high], log(value / points[low]) / log(points[high] / points[low])


@cache
def memory(cell: str, node_nm: int, words: int, width_bits: int) -> Sram:
    """A memory of any size: `words` words of `width_bits`, composed of macros as the module says."""
    across = ceil(width_bits / WIDEST_BITS)
    width = max(NARROWEST_BITS, width_bits / across)
    size = max(float(SMALLEST_BYTES), words * width_bits / 8 / across)
    banks = ceil(size / LARGEST_BYTES)
    one = macro(cell, node_nm, size / banks, width)
    macros = across * banks
    return Sram(across * one.read_pj, across * one.write_pj, macros * one.leakage_mw, macros * one.area_mm2)
