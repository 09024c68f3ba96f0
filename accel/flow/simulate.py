"""One network on one design: where its cycles, bytes and energy go, layer by layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel.compile import compile_network
from accel.compiler.choose import Formats
from accel.design import Design
from accel.models.integers.network import HostLayer, IntegerNetwork
from accel.models.integers.stretches import stretches
from accel.models.reference import int8
from accel.models.tabular import Tabular, flat
from accel.one_layer import LayerShape
from accel.resources.clock import clock_notes
from accel.sim.cost import Cost, Energy, Range, Swing, cost_of, energy, memories, sensitivity
from accel.sim.result import LayerResult, Result, in_turn, simulate, together

EXECUTED = 4  # inputs whose products with a zero operand are counted


@dataclass(frozen=True)
class Part:
    """One layer, or all of them: what was counted, and what that costs."""

    work: LayerResult
    energy: Energy

    @property
    def name(self) -> str:
        """The layer's name, or "total"."""
        return self.work.info.name

    @property
    def memory_bytes(self) -> dict[str, int]:
        """By on-chip memory, words accessed times the width of their data."""
        events = self.work.events
        return {shape.name: shape.accesses(events) * shape.data_bits // 8 for shape in memories(self.work.design)}


@dataclass(frozen=True, repr=False)
class Simulation(Tabular):
    """The parts of one run, and what all of it costs; `host_layers` is what the accelerator leaves to the host.

    `programs` run one after another, a stretch each; what the host does between them is in no figure but the notes.
    """

    result: Result
    cost: Cost
    total: Part
    layers: tuple[Part, ...]
    host_layers: tuple[HostLayer, ...]
    programs: int = 1

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know about times and energies."""
        return (*clock_notes(self.result.design), *self.total.energy.notes)

    def title(self) -> str:
        """Network, design, time and energy."""
        return f"{self.result.title()}, {self.total.energy.total_pj.nominal / 1e6:,.4g} uJ"

    def records(self) -> list[dict[str, Any]]:
        """A row for each layer, and the total, with energies."""
        return [flat(part_record(part)) for part in (*self.layers, self.total)]

    def to_dict(self) -> dict[str, Any]:
        """The simulation as plain values for JSON."""
        return {
            **self.result.to_dict(),
            **cost_record(self.cost),
            "cost": cost_ranges(self),
            "total": part_record(self.total),
            "layers": [part_record(layer) for layer in self.layers],
            "programs": self.programs,
            "host_layers": [asdict(layer) for layer in self.host_layers],
            "notes": list(self.notes),
        }


def run(
    network: IntegerNetwork,
    design: Design,
    inputs: NDArray[np.float32] | None = None,
    formats: Formats = "auto",
    tries: int = 0,
) -> Simulation:
    """Compile, time and price `network` on `design`, a program a stretch. Raises InputError for what does not fit.

    `inputs` (n, *input shape): the first EXECUTED of them are executed, for the events that depend on data. `formats`
    and `tries` as `compile_network` takes them.
    """
    if inputs is None:
        parts: list[tuple[IntegerNetwork, NDArray[np.int8] | None]] = [(part, None) for part in stretches(network)]
    else:
        parts = [*int8.stretch_codes(network, int8.quantise_input(network, inputs[:EXECUTED]))]
    results = [simulate(compile_network(part, design, formats, tries), codes) for part, codes in parts]
    return _priced(in_turn(network.name, results), network.host_layers, len(results))


def run_each(
    name: str, layers: Sequence[LayerShape], design: Design, formats: Formats = "auto", tries: int = 0
) -> Simulation:
    """Layers that belong to no network, each alone, one after the other: input and output of each are in DRAM.

    Weights are random, nothing is executed. Raises InputError for what does not fit.
    """
    found = []
    for number, layer in enumerate(layers):
        total = simulate(compile_network(layer.network(number), design, formats, tries)).total
        found.append(replace(total, info=replace(total.info, name=layer.name, kind="alone")))
    return _priced(together(name, found))


def _priced(result: Result, host_layers: tuple[HostLayer, ...] = (), programs: int = 1) -> Simulation:
    """A result with what it costs."""
    cost = cost_of(result.design, result, result.total.info.must.macs)
    layers = (Part(work, energy(work.events, work.design, work.row_activations)) for work in result.layers)
    return Simulation(result, cost, Part(result.total, cost.energy), tuple(layers), host_layers, programs)


def energy_record(found: Energy) -> dict[str, float]:
    """The parts of an energy in microjoules, as JSON and CSV have them."""
    return {
        "dram_uj": found.dram_pj.nominal / 1e6,
        "sram_uj": found.sram_pj.nominal / 1e6,
        "compute_uj": found.compute_pj.nominal / 1e6,
        "clock_uj": found.clock_pj.nominal / 1e6,
        "static_uj": found.static_pj.nominal / 1e6,
        "total_low_uj": found.total_pj.low / 1e6,
        "total_uj": found.total_pj.nominal / 1e6,
        "total_high_uj": found.total_pj.high / 1e6,
        "dram_share": found.dram_share,
        "dram_flat_uj": found.dram_flat_pj / 1e6,
    }


def cost_record(cost: Cost) -> dict[str, float | None]:
    """Area, power and rates, as JSON and CSV have them: nominal figures."""
    return {
        "inferences_per_s": cost.inferences_per_s,
        "gops": cost.gops,
        "area_mm2": cost.area.total_mm2.nominal,
        "average_mw": cost.average_mw.nominal,
        "chip_mw": cost.chip_mw.nominal,
        "peak_mw": cost.peak_mw.nominal,
    }


def cost_ranges(simulation: Simulation) -> dict[str, Any]:
    """The same with low and high, area by component, and what each constant does to the energy: for JSON."""
    cost = simulation.cost
    return {
        "area_mm2": asdict(cost.area.total_mm2),
        "area_mm2_by_component": {name: asdict(found) for name, found in cost.area.components_mm2.items()},
        "average_mw": asdict(cost.average_mw),
        "chip_mw": asdict(cost.chip_mw),
        "peak_mw": asdict(cost.peak_mw),
        "tornado": [_bar(swing) for swing in sensitivity(simulation.result.design, simulation.result)],
    }


def _bar(swing: Swing) -> dict[str, Any]:
    low, high = swing.low_pj / 1e6, swing.high_pj / 1e6
    return {"constant": swing.constant, "what": swing.what, "low_uj": low, "high_uj": high}


def _in_uj(found: Range) -> dict[str, float]:
    return asdict(found * 1e-6)


def part_record(part: Part) -> dict[str, Any]:
    """A part as plain values for JSON."""
    work = part.work
    return {
        "name": part.name,
        "kind": work.info.kind,
        **work.to_dict(),
        "work_cycles": work.work_cycles,
        "limit_cycles": dict(work.limits),
        "dram_read_bytes": work.dram_read_bytes,
        "dram_write_bytes": work.dram_write_bytes,
        "compulsory_read_bytes": work.info.must.read_bytes,
        "compulsory_write_bytes": work.info.must.write_bytes,
        "memory_bytes": part.memory_bytes,
        **energy_record(part.energy),
        "energy_uj_by_part": {name: _in_uj(found) for name, found in part.energy.parts_pj.items()},
        "sram_at_5_pj_per_32_bits_uj": part.energy.sram_flat_pj / 1e6,
    }
