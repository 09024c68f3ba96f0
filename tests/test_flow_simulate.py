"""`accel simulate`: its numbers are the simulator's and the cost model's, and the layers sum to the whole."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from accel.compile import compile_network
from accel.design import load
from accel.events import Event
from accel.flow import simulate
from accel.flow.cli import run as accel
from accel.models import zoo
from accel.models.compress.share import share
from accel.models.integers.network import IntegerNetwork
from accel.models.quantisation.quantise import quantise
from accel.sim import cost
from accel.sim.result import simulate as time_program
from tests.benches.flow_networks import write_network

CASES = [("lenet-300-100", 8, "edge"), ("lenet-300-100", 3, "nano"), ("lenet-5", 0, "edge"), ("lenet-5", 2, "large")]
MACS = {"lenet-300-100": 784 * 300 + 300 * 100 + 100 * 10, "lenet-5": 25 * 20 * 576 + 500 * 50 * 64 + 405_000}


def integer(name: str, bits: int) -> IntegerNetwork:
    images = zoo.preprocess(zoo.mnist_calibration()[:64])
    return share(zoo.load(name), images, bits) if bits else quantise(zoo.load(name), images)


@pytest.fixture(scope="module", params=CASES, ids=lambda case: "-".join(map(str, case)))
def case(request: pytest.FixtureRequest) -> tuple[IntegerNetwork, str, simulate.Simulation]:
    """A network, the name of a design, and what `simulate.run` says of them."""
    name, bits, design = request.param
    network = integer(name, bits)
    return network, design, simulate.run(network, load(design))


Case = tuple[IntegerNetwork, str, simulate.Simulation]


def test_layers_sum_to_the_whole(case: Case) -> None:
    """Cycles, every event and every stall exactly; so do bytes and, up to rounding, each part of the energy."""
    found = case[2]
    events: Counter[Event] = Counter()
    for layer in found.result.layers:
        events.update(layer.events)
    assert {event: events[event] for event in Event} == found.result.events
    total, layers = found.total, found.layers
    for field in ("macs", "cycles", "dram_read_bytes", "dram_write_bytes", "weights_bytes"):
        assert sum(getattr(layer, field) for layer in layers) == getattr(total, field), field
    for field in ("stall_cycles", "memory_bytes"):
        for key, value in getattr(total, field).items():
            assert sum(getattr(layer, field)[key] for layer in layers) == value, (field, key)
    for field in ("dram_pj", "sram_total_pj", "compute_low_pj", "compute_high_pj", "static_pj"):
        assert sum(getattr(layer.energy, field) for layer in layers) == pytest.approx(getattr(total.energy, field))


def test_every_cycle_is_streaming_or_a_stall(case: Case) -> None:
    found = case[2]
    stalled = sum(found.total.stall_cycles.values())
    assert stalled + found.result.events[Event.STREAM_CYCLES] == found.total.cycles


def test_numbers_are_those_of_simulator_and_cost_model(case: Case) -> None:
    network, name, found = case
    design = load(name)
    result = time_program(compile_network(network, design))
    beat = design.memory.axi_bits // 8
    parts = [(found.total, result.events, result.cycles)]
    parts += [(p, r.events, r.cycles) for p, r in zip(found.layers, result.layers, strict=True)]
    for part, events, cycles in parts:
        assert part.cycles == events[Event.CYCLES] == cycles
        assert part.energy == cost.energy(events, design)
        assert part.dram_read_bytes == events[Event.READ_BEATS] * beat
        assert part.dram_write_bytes == events[Event.WRITE_BEATS] * beat
        assert part.memory_bytes == {
            "activation": (events[Event.ACT_READS] + events[Event.ACT_WRITES]) * design.rows,
            "weight": (events[Event.WEIGHT_READS] + events[Event.WEIGHT_WRITES]) * design.cols,
            "accumulator": (events[Event.ACC_READS] + events[Event.ACC_WRITES]) * design.cols * 4,
            "parameter": (events[Event.PARAM_READS] + events[Event.PARAM_WRITES]) * design.lanes * 8,
            "program": events[Event.COMMANDS] * 2 * 32,
        }
    assert found.total.macs == MACS[network.name]
    assert found.total.efficiency == found.total.bound_cycles / found.total.cycles
    assert found.total.bound_cycles == max(
        -(-MACS[network.name] // (design.rows * design.cols)),
        -(-max(found.total.dram_read_bytes, found.total.dram_write_bytes) // int(design.bytes_per_cycle)),
    )


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    """Standard output is one JSON value; its energies are microjoules that add up."""
    assert accel(["simulate", "lenet-300-100", "--design", "nano", "--technique", "shared-3", "--json"]) == 0
    printed = capsys.readouterr()
    record = json.loads(printed.out)
    assert [line for line in printed.err.splitlines() if not line.startswith("accel: step ")] == []  # of a slow machine
    design = load("nano")
    network = share(zoo.load("lenet-300-100"), zoo.preprocess(zoo.mnist_calibration()), 3)
    result = time_program(compile_network(network, design))
    assert record["events"] == {event.name: count for event, count in result.events.items()}
    assert (record["network"], record["technique"]) == ("lenet-300-100", "shared-3")
    assert record["cycles"] == record["total"]["cycles"] == result.cycles
    assert record["latency_us"] == pytest.approx(result.cycles / design.clock_mhz)
    assert record["design"] == design.model_dump()
    assert [layer["name"] for layer in record["layers"]] == [layer.name for layer in network.layers]
    priced = [(record["total"], result.events)]
    priced += [(layer, r.events) for layer, r in zip(record["layers"], result.layers, strict=True)]
    for part, events in priced:
        energy = cost.energy(events, design)
        assert part["dram_uj"] * 1e6 == pytest.approx(energy.dram_pj)
        assert part["static_uj"] * 1e6 == pytest.approx(energy.static_pj)
        assert sum(part["sram_uj_by_memory"].values()) == pytest.approx(part["sram_uj"])
        assert part["sram_at_5_pj_per_32_bits_uj"] == pytest.approx(sum(part["memory_bytes"].values()) / 4 * 5 / 1e6)
        for figure in ("low", "high"):
            parts = [part[f"{name}_uj"] for name in ("dram", "sram", f"compute_{figure}", "static")]
            assert part[f"total_{figure}_uj"] == pytest.approx(sum(parts))
            assert part[f"compute_{figure}_uj"] * 1e6 == pytest.approx(getattr(energy, f"compute_{figure}_pj"))


def test_host_layers_are_listed_with_their_bytes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_network(tmp_path / "soft.onnx", softmax=True)
    assert accel(["simulate", str(path), "--json"]) == 0
    printed = capsys.readouterr()
    record = json.loads(printed.out)
    (host,) = record["host_layers"]
    assert (host["name"], host["kind"], host["bytes"]) == ("soft", "softmax", 4)
    (warning,) = record["warnings"]
    assert "random inputs" in warning
    assert warning in printed.err
    assert accel(["simulate", str(path)]) == 0
    assert "host: softmax 'soft' is not priced; 4 bytes cross to the host" in capsys.readouterr().out


def test_data_of_a_simulation_claims_no_accuracy(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is measured, so only the calibration is named."""
    assert accel(["simulate", "lenet-300-100", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["data"] == "calibrated on 512 MNIST training images"
