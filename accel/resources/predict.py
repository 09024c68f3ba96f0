"""What a design takes of an FPGA, from the Design alone, in microseconds.

Multipliers and block RAMs are counted; LUTs, registers and the clock come from a fit on synthesis runs
(docs/synthesis.md). For an ECP5: a 4-input LUT, an 18 x 18 multiplier, a block of 18 Kb.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache
from operator import mul

from accel.commands import Target
from accel.datapath import FILTER_PRODUCT_LUTS, filter_area
from accel.design import Design, OnChip
from accel.layout import beats_per_word
from accel.resources.coefficients import fit
from accel.resources.features import FEATURES, Features, Sizes, engine_of, rams
from accel.resources.fmax import fmax_mhz
from accel.resources.memory import SMALL_WORDS, blocks_and_registers, rows_of

FAMILY = "ecp5"
REQUANTISE_DSP = 3  # of a lane: a product of 33 x 16 bits, and one of 9 x 17


@dataclass(frozen=True)
class Resources:
    """`lut` with those of carry chains and small memories, `bram` in blocks of 18 Kb, `components` by name."""

    lut: int
    ff: int
    dsp: int
    bram: int
    fmax_mhz: float
    components: Mapping[str, Resources] = field(default_factory=dict, repr=False)


def predict(design: Design) -> Resources:
    """The resources of a design on an ECP5. A core without DRAM is taken to fill its memory."""
    sizes = Sizes(design)
    found: dict[str, list[float]] = {}
    for component, features, lut, ff in _plan(engine_of(design), design.decoder_lanes > 0):
        values = features(sizes)
        row = found.setdefault(component, [0.0, 0.0])
        row[0] += sum(map(mul, lut, values))
        row[1] += sum(map(mul, ff, values))
    if design.filter_multipliers:
        luts, registers = filter_area(design)
        products = 0 if design.filter_blocks else design.filter_multipliers * FILTER_PRODUCT_LUTS
        found["filter"] = [luts + design.lanes * products, registers]
    memories = _memories(design, fit()["ram"])
    clock = fmax_mhz(design)
    components = {name: Resources(round(lut), round(ff), 0, 0, clock) for name, (lut, ff) in found.items()}
    components["memories"] = Resources(*memories, clock)
    for name, dsp in dsps(design).items():
        old = components.get(name, Resources(0, 0, 0, 0, clock))
        components[name] = Resources(old.lut, old.ff, dsp, 0, clock)
    lut, ff, dsp, bram = (
        sum(getattr(each, name) for each in components.values()) for name in ("lut", "ff", "dsp", "bram")
    )
    return Resources(lut, ff, dsp, bram, clock, components)


def dsps(design: Design) -> dict[str, int]:
    """Multipliers by component: products of one bit, and by a power of two, need none."""
    found = {"array": design.rows * design.cols, "post": REQUANTISE_DSP * design.lanes}
    if design.filter_multipliers and design.filter_blocks:
        found["filter"] = design.filter_multipliers * design.lanes
    engine, counts = engine_of(design), int(design.rows > 1 and design.cols > 1)
    if engine == "ws":
        found["feeder"] = counts  # rows times columns of a tile, for the counter of MACs
    if engine == "os":
        found |= {"feeder": 1, "columns": counts, "compute": 2 * counts}  # pixels of a map; products, those with a zero
    beats = beats_per_word(design, Target.ACTIVATION)
    if beats & (beats - 1):
        found["store"] = 1  # words times beats
    return found


def _memories(design: Design, ram: list[float]) -> tuple[int, int, int, int]:
    """LUTs, registers, multipliers (none) and blocks of all memories."""
    lut, ff, bram = 0.0, 0, 0
    shapes = rams(design)
    if isinstance(design.memory, OnChip):
        shapes.append((1, design.memory.bits, 8 * design.memory.bytes // design.memory.bits, 1))
    for count, bits, words, lanes in shapes:
        blocks, registers, small = blocks_and_registers(bits, words, lanes)
        ff += count * registers
        bram += count * blocks
        lut += count * (small + sum(map(mul, ram, ram_features(bits, words, lanes))))
    return round(lut), ff, 0, bram


@lru_cache(maxsize=4096)
def ram_features(bits: int, words: int, lanes: int) -> tuple[float, ...]:
    """What the LUTs of a memory follow from, but those that hold bits: words are chosen from rows of blocks or LUTs."""
    if not blocks_and_registers(bits, words, lanes)[0]:
        return 0, 0, 0, (-(-words // SMALL_WORDS) - 1) * bits
    rows = rows_of(bits, words, lanes)
    return (rows - 1) * bits, (rows - 1) * lanes, rows - 1, 0


@cache
def _plan(engine: str, decodes: bool) -> list[tuple[str, Features, list[float], list[float]]]:
    """Component, features and coefficients of the pieces that a design with this engine has."""
    return [
        (component, FEATURES[piece], lut, ff)
        for piece, (component, lut, ff) in fit()["pieces"].items()
        if (" " not in piece or piece.startswith(f"{engine} ")) and (decodes or not piece.startswith("load/decoder"))
    ]
