"""Area and power against published chips: `python -m tests.benchmarks.chips`. Status 1 if a figure is out of reach.

EIE (Han et al., arXiv 1602.01528, section VI and table II; 64 PEs, placed and routed in TSMC 45 nm GP, SRAM by CACTI):
our sparse engine with its memories, PEs, queues and clock, on AlexNet FC7 with the paper's densities. Gemmini (Genc et
al., DAC 2021, figure 6; 16 x 16 int8 weight-stationary, Intel 22FFL, area only): our array with its memories. Beside
them an order of magnitude: ResNet-8 of MLPerf Tiny, which takes GreenWaves' GAP9 (22 nm) 27.7 uJ (measured for the
benchmark, quoted without a copy at hand); ours is a design of 45 nm, with and without its DRAM.

A figure is in reach if it is within twice or half of what was published, or `REASONS` says why it is not.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

import numpy as np

from accel.design import Design, load
from accel.events import Event
from accel.flow.simulate import run
from accel.models import zoo
from accel.models.quantisation.quantise import quantise
from accel.sim.cost import Cost, Range, cost_of
from accel.sim.cost.constants import HIGH, LOW, NOMINAL
from accel.sim.cost.sram import memory
from accel.timing.machine import BROADCASTS, DURATION, ENTRIES, PRODUCTS, SKIPPED
from tests.benchmarks.eie import eie, facts_of_layer, layers

EIE_PES, EIE_PE_MM2, EIE_PE_MW = 64, 0.638024, 9.157
EIE_PARTS_MM2 = {"weights": 0.469412, "pointers": 0.121849}  # SpmatRead and PtrRead of a PE, memories in the main
GEMMINI_MM2 = {"array": 0.116, "scratchpad": 0.544, "accumulator": 0.146}
GAP9_UJ = 27.7
REACH = 2.0
REASONS = {
    "EIE power, mW": "EIE reads 8 entries with an access of 64 bits, our PEs one: as it would be, in the next line"
}


@dataclass(frozen=True)
class Counted:
    """The counts of one COMPUTE."""

    cycles: int
    events: dict[Event, int]
    row_activations: int = 0


def eie_design() -> Design:
    """EIE's sizes: 128 KB of weights, 32 KB of pointers and 2 KB of activations a PE; results go through few lanes."""
    values = eie().model_dump()
    values |= {"post_lanes": 4}
    values["buffers"] |= {"activation_bytes": 1 << 17, "accumulator_bytes": 1 << 15}
    return Design.model_validate(values)


def eie_layer(design: Design, name: str = "Alex-7", seed: int = 0) -> Counted:
    """One layer of the paper's, as `tests.benchmarks.eie` has it."""
    (layer,) = (layer for layer in layers() if layer["layer"] == name)
    facts = facts_of_layer(design, layer, seed)
    entries = facts[ENTRIES]
    events = {
        Event.CYCLES: facts[DURATION], Event.MACS: facts[PRODUCTS], Event.MACS_ZERO: 0,
        Event.WEIGHT_READS: entries, Event.CODEBOOK_READS: entries, Event.ACC_READS: entries, Event.ACC_WRITES: entries,
        Event.BROADCASTS: facts[BROADCASTS], Event.BROADCASTS_SKIPPED: facts[SKIPPED],
        Event.ACT_READS: int(layer["inputs"]) // design.word_lanes,
    }  # fmt: skip
    return Counted(facts[DURATION], events)


def eight_at_once(design: Design, cost: Cost, counted: Counted) -> Range:
    """Power in mW if an access brought 8 entries of 8 bits, as EIE's does."""
    one = memory(design.technology.sram_cell, design.technology.node_nm, 1 << 14, 64)
    wide = counted.events[Event.WEIGHT_READS] / 8 * one.read_pj
    ours = cost.energy.parts_pj["weight"]
    ends = ((LOW, ours.low, cost.chip_mw.low), (NOMINAL, ours.nominal, cost.chip_mw.nominal),
            (HIGH, ours.high, cost.chip_mw.high))  # fmt: skip
    nanojoules = [1e-3 * (wide * v["SRAM_ACCESS"] * v["TWO_PORT_ACCESS"] - pj) for v, pj, _ in ends]
    return Range(*(mw + nj / cost.latency_us for nj, (_, _, mw) in zip(nanojoules, ends, strict=True)))


def gemmini_design() -> Design:
    """Gemmini's default: 256 KB of scratchpad, here activations and weights, and 64 KB of accumulators."""
    values = load("edge").model_dump() | {"name": "gemmini", "technology": {"node_nm": 22}}
    values["array"] |= {"weight_rows": 1}
    values["buffers"] |= {"activation_bytes": 1 << 17, "weight_bytes": 1 << 17, "accumulator_bytes": 1 << 16}
    return Design.model_validate(values)


def resnet() -> Cost:
    """The zoo's ResNet-8 on `edge`, with its weights and one random image."""
    images = np.random.default_rng(0).uniform(0, 255, (1, 3, 32, 32)).astype(np.float32)
    return run(quantise(zoo.resolve("resnet-8"), images), load("edge"), images).cost


def compared() -> list[tuple[str, Range, float]]:
    """What it is, ours, and what was published."""
    design = eie_design()
    counted = eie_layer(design)
    cost = cost_of(design, counted)
    parts, gemmini = cost.area.components_mm2, cost_of(gemmini_design(), Counted(1, {})).area.components_mm2
    scratchpad = gemmini["activation"] + gemmini["weight"]
    return [
        ("EIE area, mm2", cost.area.total_mm2, EIE_PES * EIE_PE_MM2),
        ("EIE weights, mm2", parts["weight"], EIE_PES * EIE_PARTS_MM2["weights"]),
        ("EIE pointers, mm2", parts["pointer"], EIE_PES * EIE_PARTS_MM2["pointers"]),
        ("EIE power, mW", cost.chip_mw, EIE_PES * EIE_PE_MW),
        ("EIE, 8 entries at once, mW", eight_at_once(design, cost, counted), EIE_PES * EIE_PE_MW),
        ("Gemmini array, mm2", gemmini["array"], GEMMINI_MM2["array"]),
        ("Gemmini scratchpad, mm2", scratchpad, GEMMINI_MM2["scratchpad"]),
        ("Gemmini accumulator, mm2", gemmini["accumulator"], GEMMINI_MM2["accumulator"]),
        (
            "Gemmini, all three, mm2",
            scratchpad + gemmini["array"] + gemmini["accumulator"],
            sum(GEMMINI_MM2.values()),
        ),
    ]


def in_reach(name: str, ours: Range, published: float) -> bool:
    """Within twice or half of what was published, or not without a reason."""
    return 1 / REACH <= ours.nominal / published <= REACH or name in REASONS


def main() -> int:
    """Print the table; 1 if a figure is out of reach."""
    print(f"{'':28}{'low':>9}{'nominal':>9}{'high':>9}{'published':>11}{'ratio':>7}")
    rows = compared()
    for name, ours, published in rows:
        ratio = ours.nominal / published
        why = "" if 1 / REACH <= ratio <= REACH else f"  {REASONS.get(name, 'OUT OF REACH')}"
        print(f"{name:28}{ours.low:9.4g}{ours.nominal:9.4g}{ours.high:9.4g}{published:11.4g}{ratio:7.2f}{why}")
    cost = resnet()
    for name, energy in (("with DRAM", cost.energy.total_pj), ("the chip alone", cost.energy.chip_pj)):
        low, nominal, high = (pj / 1e6 for pj in (energy.low, energy.nominal, energy.high))
        print(f"ResNet-8 on edge, 45 nm, {name}: {nominal:.1f} uJ ({low:.1f} to {high:.1f}); GAP9, 22 nm: {GAP9_UJ} uJ")
    return int(not all(in_reach(*row) for row in rows))


if __name__ == "__main__":
    sys.exit(main())
