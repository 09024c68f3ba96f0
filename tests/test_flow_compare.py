"""`accel compare`: every number of a row is the simulator's, the cost model's or the reference's, counted again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from accel.compile import compile_network
from accel.design import Design, load
from accel.events import Event
from accel.flow.compare import Comparison, Row, compare, row_record, steps
from accel.flow.data import Data
from accel.flow.techniques import TECHNIQUES, find
from accel.models import zoo
from accel.models.compress.share import share
from accel.models.errors import InputError
from accel.models.exchange import onnx_read
from accel.models.integers.network import IntegerNetwork
from accel.models.quantisation.quantise import quantise
from accel.models.reference import float32, int8
from accel.sim import cost
from accel.sim.result import simulate
from tests.benches.flow_networks import calibration, comparison, inputs, write_network

BITS = {"dense": 0, "shared-8": 8, "shared-6": 6, "shared-4": 4, "shared-3": 3, "shared-2": 2}
DESIGNS = ("edge", "nano")
WEIGHTS = 784 * 300 + 300 * 100 + 100 * 10
CHANNELS = 300 + 100 + 10


@pytest.fixture(scope="module")
def found() -> Comparison:
    return comparison()


@pytest.fixture(scope="module")
def networks() -> dict[str, IntegerNetwork]:
    """LeNet-300-100 by technique, made without `accel.flow`."""
    network, images = zoo.load("lenet-300-100"), calibration()
    return {name: share(network, images, bits) if bits else quantise(network, images) for name, bits in BITS.items()}


def row_of(found: Comparison, design: str, technique: str) -> Row:
    (row,) = (r for r in found.rows if (r.design, r.technique) == (design, technique))
    return row


def test_rows_are_all_techniques_on_each_design(found: Comparison) -> None:
    assert [(row.design, row.technique) for row in found.rows] == [(d, t) for d in DESIGNS for t in BITS]
    assert [row.title for row in found.rows[:6]] == [
        "dense int8", "shared, 8 bits", "shared, 6 bits", "shared, 4 bits", "shared, 3 bits", "shared, 2 bits"
    ]  # fmt: skip
    assert (found.network, found.parameters) == ("lenet-300-100", WEIGHTS + CHANNELS)
    assert found.designs == tuple(map(load, DESIGNS))
    assert found.data_source == "a part of MNIST"


@pytest.mark.parametrize("technique", BITS)
@pytest.mark.parametrize("design", DESIGNS)
def test_a_row_is_what_simulator_and_cost_model_say(
    found: Comparison, networks: dict[str, IntegerNetwork], design: str, technique: str
) -> None:
    on, row = load(design), row_record(row_of(found, design, technique))
    codes = int8.quantise_input(networks[technique], calibration()[:4])
    result = simulate(compile_network(networks[technique], on), codes)
    assert 0 < row["zero_macs"] == result.events[Event.MACS_ZERO] < WEIGHTS
    events = result.events
    beats = events[Event.READ_BEATS] + events[Event.WRITE_BEATS]
    energy, whole = cost.energy(events, on, result.row_activations), cost.cost_of(on, result)
    assert (row["cycles"], row["bound_cycles"]) == (events[Event.CYCLES], result.total.bound_cycles)
    assert row["limited_by"] == result.total.limited_by
    assert row["latency_us"] == pytest.approx(events[Event.CYCLES] / on.clock_mhz)
    assert row["efficiency"] == pytest.approx(row["bound_cycles"] / row["cycles"])
    assert row["dram_bytes"] == beats * on.memory.axi_bits // 8
    assert row["dram_flat_uj"] == pytest.approx(row["dram_bytes"] * 8 / 32 * 640 / 1e6)
    for part in ("dram", "sram", "compute", "clock", "static", "total"):
        assert row[f"{part}_uj"] * 1e6 == pytest.approx(getattr(energy, f"{part}_pj").nominal)
    assert sum(row[f"{part}_uj"] for part in ("dram", "sram", "compute", "clock", "static")) == pytest.approx(
        row["total_uj"]
    )
    assert row["total_low_uj"] < row["total_uj"] < row["total_high_uj"]
    assert row["dram_share"] == pytest.approx(row["dram_uj"] / row["total_uj"])
    assert row["area_mm2"] == pytest.approx(whole.area.total_mm2.nominal)
    assert row["average_mw"] == pytest.approx(1e3 * row["total_uj"] / row["latency_us"])
    assert row["chip_mw"] == pytest.approx(1e3 * (row["total_uj"] - row["dram_uj"]) / row["latency_us"])
    assert row["chip_mw"] <= row["peak_mw"] == pytest.approx(whole.peak_mw.nominal)
    assert row["inferences_per_s"] == pytest.approx(1e6 / row["latency_us"])
    assert row["gops"] == pytest.approx(2 * row["macs"] / (1e3 * row["latency_us"]))
    # Weights of b bits, a record of 8 bytes a channel; the rest is padding to whole tiles, and codebooks.
    least = WEIGHTS * (BITS[technique] or 8) / 8 + 8 * CHANNELS
    assert least <= row["weights_bytes"] <= 1.05 * least + 3 * 256
    assert row["weights_bytes"] < row["dram_bytes"] < 1.1 * row["weights_bytes"] + 4096
    assert least + 784 + 10 <= row["compulsory_bytes"] <= row["weights_bytes"] + 784 + 10
    assert row["moved_ratio"] == row["dram_bytes"] / row["compulsory_bytes"] >= 1


def test_ratios_are_to_the_first_row_of_the_same_design(found: Comparison) -> None:
    for row in found.rows:
        first = row_of(found, row.design, "dense")
        assert row.latency_ratio == pytest.approx(row.work.cycles / first.work.cycles)
        assert row.energy_ratio == pytest.approx(row.energy.total_pj.nominal / first.energy.total_pj.nominal)
    assert row_of(found, "nano", "dense").work.cycles > 1.5 * row_of(found, "edge", "dense").work.cycles
    assert {row_of(found, design, "dense").energy_ratio for design in DESIGNS} == {1.0}
    assert row_of(found, "edge", "shared-2").energy_ratio < 0.5


def test_ratios_of_a_choice_are_to_its_own_first() -> None:
    network = zoo.load("lenet-300-100")
    ranges = Data(calibration(), None, None, "")
    two = compare(network, ranges, [load("edge")], [find("shared-2"), find("shared-8")])
    first, second = two.rows
    assert (first.technique, first.latency_ratio, first.energy_ratio) == ("shared-2", 1.0, 1.0)
    assert second.energy_ratio == pytest.approx(second.energy.total_pj.nominal / first.energy.total_pj.nominal)
    assert second.energy_ratio > 2
    assert {row.accuracy_percent for row in two.rows} == {two.float_accuracy_percent} == {None}


def test_accuracy_is_counted_on_the_references(found: Comparison, networks: dict[str, IntegerNetwork]) -> None:
    images, labels = zoo.mnist_test()
    inputs_, labels = zoo.preprocess(images[:300]), labels[:300]
    exact = float32.run(zoo.load("lenet-300-100"), inputs_).argmax(1)
    assert found.float_accuracy_percent == pytest.approx(100 * np.mean(exact == labels))
    assert np.mean(exact == labels) > 0.97
    for technique, network in networks.items():
        codes = int8.run(network, int8.quantise_input(network, inputs_))[network.output]
        expected = 100 * np.mean(codes[:, :, 0, 0].argmax(1) == labels)
        for design in DESIGNS:
            assert row_of(found, design, technique).accuracy_percent == pytest.approx(expected)


def test_networks_of_the_same_codes_are_judged_once(monkeypatch: pytest.MonkeyPatch) -> None:
    judged = list[IntegerNetwork]()

    def accuracy(network: IntegerNetwork, data: Data) -> float:
        judged.append(network)
        return float(len(judged))

    monkeypatch.setattr("accel.flow.data.accuracy_percent", accuracy)
    network, images = zoo.load("lenet-300-100"), zoo.preprocess(zoo.mnist_test()[0][:8])
    data = Data(calibration(), images, np.zeros(len(images), np.int64), "zeros")
    names = ("dense", "shared-8", "shared-6")
    rows = compare(network, data, (load("edge"),), [find(name) for name in names]).rows
    assert [row.accuracy_percent for row in rows] == [1, 1, 2]
    dense, six = judged
    assert dense.layers[0].weights.tobytes() != six.layers[0].weights.tobytes()  # type: ignore[union-attr]


def test_every_step_is_announced() -> None:
    words: list[str] = []
    rows = (find("dense"), find("shared-4"))
    designs = [load("edge"), load("nano")]
    ranges = Data(calibration(), None, None, "")
    compare(zoo.load("lenet-300-100"), ranges, designs, rows, words.append)
    assert len(words) == steps(designs, rows)
    assert steps(designs) == 1 + len(TECHNIQUES) * 4
    assert words[:4] == [
        "dense int8: compressing", "dense int8: simulating on edge", "dense int8: simulating on nano",
        "shared, 4 bits: compressing",
    ]  # fmt: skip


def test_own_network_with_its_notes(tmp_path: Path) -> None:
    """What the accelerator leaves to the host, what the data are, and where a constant does not fit are all said."""
    network = onnx_read.read(write_network(tmp_path / "own.onnx", softmax=True))
    edge = load("edge").model_dump()
    other = Design.model_validate(edge | {"name": "small", "technology": {"node_nm": 22, "sram_cell": "itrs-lop"}})
    own = compare(network, Data(inputs(8), None, None, "", "calibrated on nonsense"), [other], [find("dense")])
    (host,) = own.host_layers
    assert (host.name, host.bytes) == ("soft", 4)
    warning, note = own.notes
    assert warning == "calibrated on nonsense"
    assert "22 nm" in note
    assert own.parameters == 3 * 2 * 9 + 3 + 48 * 4 + 4


@pytest.mark.parametrize(
    ("designs", "techniques", "message"),
    [
        ([], TECHNIQUES, "at least one design and one technique"),
        ([load("edge")], [], "at least one design and one technique"),
        ([load("edge"), load("nano"), load("edge")], TECHNIQUES, "must have different names, not edge, nano, edge"),
    ],
)
def test_nothing_or_twice_the_same_to_compare(designs: list[Design], techniques: list, message: str) -> None:
    data = Data(np.zeros((1, 1, 28, 28), np.float32), None, None, "")
    with pytest.raises(InputError, match=message):
        compare(zoo.load("lenet-300-100"), data, designs, techniques)


def test_a_design_that_is_too_small_ends_the_run_before_any_accuracy(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError("the slow part must not start")

    monkeypatch.setattr("accel.flow.data.float_accuracy_percent", never)
    monkeypatch.setattr("accel.flow.data.accuracy_percent", never)
    edge = load("edge")
    small = Design.model_validate(
        edge.model_dump() | {"name": "s", "buffers": edge.buffers.model_dump() | {"activation_bytes": 64}}
    )
    data = Data(calibration(), None, None, "")
    with pytest.raises(InputError, match="activation"):
        compare(zoo.load("lenet-5"), data, [edge, small])
