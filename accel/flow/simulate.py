"""One network on one design: where its cycles, bytes and energy go, layer by layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from accel.compile import compile_network
from accel.design import Design
from accel.events import Event
from accel.models.integers.network import HostLayer, IntegerNetwork
from accel.sim.cost import Energy, energy, memories
from accel.sim.result import Result, simulate

# In the order of the tables, why no pixel enters the array (`accel.sim.result.LayerResult`).
STALLS = {
    "program": "its next command has not been dispatched",
    "load": "it waits for weights, parameters or activations from DRAM",
    "fill": "in a command, weights shift in for longer than a tile streams, or its last sums come out",
    "post": "it waits for post-processing: an accumulator bank, or the layer before",
    "store": "it waits for results that must first be stored",
    "drain": "its last sum is made, and is still to be post-processed and stored",
}


@dataclass(frozen=True)
class Part:
    """What one layer, or all of them, cost. Bytes of an on-chip memory are words accessed times their width."""

    name: str
    kind: str
    macs: int
    cycles: int
    bound_cycles: int
    efficiency: float
    stall_cycles: dict[str, int]
    weights_format: str
    weights_bytes: int
    dram_read_bytes: int
    dram_write_bytes: int
    memory_bytes: dict[str, int]
    energy: Energy


@dataclass(frozen=True)
class Simulation:
    """The parts of one run; `host_layers` is what the accelerator leaves to the host."""

    result: Result
    total: Part
    layers: tuple[Part, ...]
    host_layers: tuple[HostLayer, ...]


def run(network: IntegerNetwork, design: Design) -> Simulation:
    """Compile, time and price `network` on `design`. Raises InputError for what does not fit."""
    result = simulate(compile_network(network, design))
    layers = tuple(
        _part(
            design, layer.name, layer.kind, layer.macs, layer.cycles, layer.bound_cycles, layer.efficiency,
            layer.stalls, layer.weight_format, layer.weight_bytes, layer.events,
        )
        for layer in result.layers
    )  # fmt: skip
    formats = {layer.weights_format.split(" ")[0] for layer in layers if layer.weights_bytes}
    total = _part(
        design, "total", "", sum(layer.macs for layer in layers), result.cycles, result.bound_cycles,
        result.efficiency, result.stalls, _together(formats), result.weights_stored_bytes, result.events,
    )  # fmt: skip
    return Simulation(result, total, layers, network.host_layers)


def _part(
    design: Design, name: str, kind: str, macs: int, cycles: int, bound_cycles: int, efficiency: float,
    stalls: Mapping[str, int], weights_format: str, weights_bytes: int, events: Mapping[Event, int],
) -> Part:  # fmt: skip
    return Part(
        name, kind, macs, cycles, bound_cycles, efficiency,
        {cause: stalls.get(cause, 0) for cause in sorted({*STALLS, *stalls}, key=_stall_order)},
        weights_format, weights_bytes,
        events.get(Event.READ_BEATS, 0) * design.beat_bytes,
        events.get(Event.WRITE_BEATS, 0) * design.beat_bytes,
        {
            shape.name: (events.get(shape.reads, 0) + events.get(shape.writes, 0)) * shape.width_bits // 8
            for shape in memories(design)
        },
        energy(events, design),
    )  # fmt: skip


def _together(formats: set[str]) -> str:
    """The formats of several layers: "dense", "shared4", "dense+shared4/5"."""
    bits = sorted(name.removeprefix("shared") for name in formats if name.startswith("shared"))
    others = sorted(name for name in formats if not name.startswith("shared"))
    return "+".join([*others, *(["shared" + "/".join(bits)] if bits else [])])


def _stall_order(cause: str) -> tuple[int, str]:
    return ([*STALLS, cause].index(cause), cause)


def energy_record(found: Energy) -> dict[str, Any]:
    """The parts of an energy in microjoules, as JSON and CSV have them."""
    return {
        "dram_uj": found.dram_pj / 1e6,
        "sram_uj": found.sram_total_pj / 1e6,
        "compute_low_uj": found.compute_low_pj / 1e6,
        "compute_high_uj": found.compute_high_pj / 1e6,
        "static_uj": found.static_pj / 1e6,
        "total_low_uj": found.total_low_pj / 1e6,
        "total_high_uj": found.total_high_pj / 1e6,
    }


def part_record(part: Part) -> dict[str, Any]:
    """A part as plain values for JSON."""
    fields = asdict(part)
    del fields["energy"]
    by_memory = {f"{name}_uj": pj / 1e6 for name, pj in part.energy.sram_pj.items()}
    flat = {"sram_at_5_pj_per_32_bits_uj": part.energy.sram_flat_pj / 1e6}
    return fields | energy_record(part.energy) | {"sram_uj_by_memory": by_memory} | flat


def record(simulation: Simulation) -> dict[str, Any]:
    """A simulation as plain values for JSON."""
    result = simulation.result
    return {
        "network": result.network,
        "design": result.design.model_dump(),
        "cycles": result.cycles,
        "latency_us": result.latency_us,
        "events": {event.name: count for event, count in result.events.items()},
        "total": part_record(simulation.total),
        "layers": [part_record(layer) for layer in simulation.layers],
        "host_layers": [asdict(layer) for layer in simulation.host_layers],
        "notes": list(simulation.total.energy.notes),
    }
