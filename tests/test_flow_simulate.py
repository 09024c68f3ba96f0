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
from accel.models.integers.network import IntegerNetwork, MatrixLayer
from accel.models.quantisation.quantise import quantise
from accel.models.reference import int8
from accel.sim import cost
from accel.sim.causes import CAUSES
from accel.sim.result import simulate as time_program
from tests.benches.flow_networks import write_network

CASES = [("lenet-300-100", 8, "edge"), ("lenet-300-100", 3, "nano"), ("lenet-5", 0, "edge"), ("lenet-5", 2, "large")]
SIZES = {
    "lenet-300-100": ((784 * 300, 300 * 100, 100 * 10), 3, 410),
    "lenet-5": ((25 * 20, 25 * 20 * 50, 800 * 500, 5000), 4, 580),
}
MACS = {"lenet-300-100": 784 * 300 + 300 * 100 + 100 * 10, "lenet-5": 25 * 20 * 576 + 500 * 50 * 64 + 405_000}


IMAGES = zoo.preprocess(zoo.mnist_calibration()[:64])


def integer(name: str, bits: int) -> IntegerNetwork:
    images = IMAGES
    return share(zoo.load(name), images, bits) if bits else quantise(zoo.load(name), images)


@pytest.fixture(scope="module", params=CASES, ids=lambda case: "-".join(map(str, case)))
def case(request: pytest.FixtureRequest) -> tuple[IntegerNetwork, str, simulate.Simulation]:
    """A network, the name of a design, and what `simulate.run` says of them."""
    name, bits, design = request.param
    network = integer(name, bits)
    return network, design, simulate.run(network, load(design), IMAGES)


Case = tuple[IntegerNetwork, str, simulate.Simulation]


SUMS = (
    "macs", "array_macs", "zero_macs", "cycles", "dram_bytes", "dram_read_bytes", "dram_write_bytes", "weights_bytes",
    "compulsory_bytes", "compulsory_read_bytes", "compulsory_write_bytes",
)  # fmt: skip


def test_layers_sum_to_the_whole(case: Case) -> None:
    """Cycles, every event, every cause and all bytes exactly; each part of the energy but for rounding of floats."""
    found = case[2]
    events: Counter[Event] = Counter()
    for layer in found.result.layers:
        events.update(layer.events)
    assert {event: events[event] for event in Event} == found.result.events  # those that depend on data, too
    total, layers = simulate.part_record(found.total), [simulate.part_record(layer) for layer in found.layers]
    for field in SUMS:
        assert sum(layer[field] for layer in layers) == total[field], field
    for field in ("limit_cycles", "memory_bytes"):
        for key, value in total[field].items():
            assert sum(layer[field].get(key, 0) for layer in layers) == value, (field, key)
    fields = simulate.energy_record(found.total.energy).keys() - {"dram_share"}
    for field in (*fields, "sram_at_5_pj_per_32_bits_uj"):
        assert sum(layer[field] for layer in layers) == pytest.approx(total[field], rel=1e-12), field


def test_every_cycle_has_one_cause(case: Case) -> None:
    found = case[2]
    for part in (found.total, *found.layers):
        assert sum(part.work.limits.values()) == part.work.cycles
        assert part.work.limits[part.work.limited_by] == max(part.work.limits.values())
    assert found.total.work.limits.keys() <= CAUSES.keys()


def test_numbers_are_those_of_simulator_and_cost_model(case: Case) -> None:
    network, name, found = case
    design = load(name)
    result = time_program(compile_network(network, design), int8.quantise_input(network, IMAGES[:4]))
    beat, w = design.memory.axi_bits // 8, design.weight_rows
    parts = [(found.total, result.events, result.row_activations)]
    parts += [(p, r.events, r.row_activations) for p, r in zip(found.layers, result.layers, strict=True)]
    for part, events, opened in parts:
        assert part.work.cycles == events[Event.CYCLES]
        assert part.energy == cost.energy(events, design, opened)
        assert part.work.dram_read_bytes == events[Event.READ_BEATS] * beat
        assert part.work.dram_write_bytes == events[Event.WRITE_BEATS] * beat
        assert part.work.array_macs == events[Event.MACS] + events[Event.MACS_GATED]
        assert part.memory_bytes == {
            "activation": (events[Event.ACT_READS] + events[Event.ACT_WRITES]) * design.rows,
            "weight": (events[Event.WEIGHT_READS] + events[Event.WEIGHT_WRITES]) * w * design.cols,
            "accumulator": (events[Event.ACC_READS] + events[Event.ACC_WRITES]) * design.cols * 4,
            "parameter": (events[Event.PARAM_READS] + events[Event.PARAM_WRITES]) * design.lanes * 8,
            "codebook": events[Event.CODEBOOK_READS] + events[Event.CODEBOOK_WRITES] * w * design.cols,
            "program": events[Event.COMMANDS] * 2 * 32,
            "table": 4 * (events[Event.TABLE_READS] + events[Event.TABLE_WRITES] * design.lanes),
            **({"line": 0} if design.filter_multipliers else {}),
        }


def test_bound_is_of_the_bytes_that_must_move(case: Case) -> None:
    """Counted from the shapes: weights in their format, a record a channel, 784 bytes in and 10 out."""
    network, name, found = case
    design, work = load(name), found.total.work
    bits = next((layer.shared.bits for layer in network.layers if isinstance(layer, MatrixLayer) and layer.shared), 8)
    weights, layers, channels = SIZES[network.name]
    if {layer.info.weight_format for layer in found.result.layers} == {f"shared{bits}" if bits < 8 else "dense"}:
        read = sum(-(-n * bits // 8) for n in weights) + (layers << bits if bits < 8 else 0) + 8 * channels + 784
        assert (work.info.must.read_bytes, work.info.must.write_bytes) == (read, 10)
    assert work.info.must.macs == MACS[network.name]
    beats = -(-work.info.must.read_bytes // (design.memory.axi_bits // 8))
    assert design.memory.beat_interval_cycles == 1
    assert work.bound_cycles == max(-(-MACS[network.name] // (design.rows * design.cols)), beats)
    assert work.efficiency == work.bound_cycles / work.cycles
    assert work.moved_ratio == work.dram_bytes / (work.info.must.read_bytes + 10)
    assert work.utilisation == MACS[network.name] / (work.cycles * design.rows * design.cols)
    assert work.array_utilisation == found.result.events[Event.STREAM_CYCLES] / work.cycles


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    """Standard output is one JSON value; its energies are microjoules that add up."""
    assert accel(["simulate", "lenet-300-100", "--design", "nano", "--technique", "shared-3", "--json"]) == 0
    printed = capsys.readouterr()
    record = json.loads(printed.out)
    assert [line for line in printed.err.splitlines() if not line.startswith("accel: step ")] == []  # of a slow machine
    design = load("nano")
    network = share(zoo.load("lenet-300-100"), zoo.preprocess(zoo.mnist_calibration()), 3)
    codes = int8.quantise_input(network, zoo.preprocess(zoo.mnist_calibration())[:4])
    result = time_program(compile_network(network, design), codes)
    assert record["events"] == {event.name: count for event, count in result.events.items()}
    assert (record["network"], record["technique"]) == ("lenet-300-100", "shared-3")
    assert record["cycles"] == record["total"]["cycles"] == result.cycles
    assert record["latency_us"] == pytest.approx(result.cycles / design.clock_mhz)
    assert record["design"] == design.model_dump()
    assert [layer["name"] for layer in record["layers"]] == [layer.name for layer in network.layers]
    whole, ranges = cost.cost_of(design, result, record["total"]["macs"]), record["cost"]
    assert record["area_mm2"] == ranges["area_mm2"]["nominal"] == whole.area.total_mm2.nominal
    assert sum(c["high"] for c in ranges["area_mm2_by_component"].values()) == pytest.approx(ranges["area_mm2"]["high"])
    assert record["gops"] == whole.gops
    assert [bar["constant"] for bar in ranges["tornado"]] == [s.constant for s in cost.sensitivity(design, result)]
    priced = [(record["total"], result)]
    priced += list(zip(record["layers"], result.layers, strict=True))
    for part, of in priced:
        energy = cost.energy(of.events, design, of.row_activations)
        assert part["row_activations"] == of.row_activations
        for name in ("dram", "sram", "compute", "clock", "static", "total"):
            assert part[f"{name}_uj"] * 1e6 == pytest.approx(getattr(energy, f"{name}_pj").nominal)
        for end in ("low", "nominal", "high"):
            total = part["total_uj" if end == "nominal" else f"total_{end}_uj"]
            assert sum(found[end] for found in part["energy_uj_by_part"].values()) == pytest.approx(total)
        assert part["sram_at_5_pj_per_32_bits_uj"] == pytest.approx(sum(part["memory_bytes"].values()) / 4 * 5 / 1e6)


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
