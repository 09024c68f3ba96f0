"""Bounds that nothing beats, parts that sum to totals: over random designs, memories and networks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.commands import Load, Target
from accel.compile import compile_network
from accel.design import Design, load, parse
from accel.events import DATA_EVENTS, Event
from accel.models import zoo
from accel.models.errors import InputError
from accel.models.integers.network import IntegerNetwork, MatrixLayer, Requantise, TensorSpec
from accel.models.window import Window
from accel.program import Compulsory, Program
from accel.sim.bound import bound_cycles, channel_cycles
from accel.sim.cost import energy
from accel.sim.execute import zero_macs
from accel.sim.result import Result, simulate, work_cycles
from accel.timing.recurrence import Step, Timed, time_program
from tests.benches.counted import accepted, counted
from tests.benches.draw import (
    draw_core,
    draw_design,
    draw_input,
    draw_memory,
    draw_network,
    draw_sparse_design,
    with_memory,
)
from tests.benches.wide import draws

FLAT = ("dram_flat_pj", "sram_flat_pj")


@counted(draws(75))
@settings(max_examples=draws(100), deadline=None)
@given(st.randoms(use_true_random=False))
def test_nothing_beats_its_bound_and_parts_sum(rng: Random) -> None:
    """What is compulsory is moved; what the network multiplies, the array does; and every sum is exact."""
    design = with_memory(draw_design(rng), *draw_memory(rng))
    check(simulate(accepted(compile_network, draw_network(rng), design)))


@pytest.mark.parametrize("draw", [draw_sparse_design, draw_core])
def test_neither_do_sparse_engines_and_cores(draw: Callable[[Random], Design]) -> None:
    """The same of designs whose time depends on the input, and of those that have the network in block RAM."""

    @counted(draws(20))
    @settings(max_examples=draws(40), deadline=None)
    @given(st.randoms(use_true_random=False))
    def holds(rng: Random) -> None:
        network = draw_network(rng)
        program = accepted(compile_network, network, draw(rng))
        check(simulate(program, draw_input(rng, network) if program.design.is_sparse else None))

    holds()


def check(result: Result) -> None:
    """Every layer and the network at no more than 100 %, and the layers sum to the network."""
    total, layers = result.total, result.layers
    assert total.work_cycles == total.cycles
    for part in (total, *layers):
        assert 0 <= part.efficiency <= 1
        assert part.bound_cycles <= part.work_cycles <= total.cycles
        assert part.info.must.read_bytes <= part.dram_read_bytes
        assert part.info.must.write_bytes <= part.dram_write_bytes
        each = 2 if part.design.two_of_four else 1  # products of the network that one of the array may stand for
        filtered = part.info.must.filter_macs
        assert filtered <= part.events[Event.FILTER_MACS]
        assert part.useful_macs - filtered <= each * part.events[Event.MACS] <= each * part.array_macs
        assert filtered or part.utilisation <= each * part.array_utilisation
        assert part.array_utilisation <= 1
        assert sum(part.limits.values()) == part.cycles
        # A fused pooling may read a sum twice, or never. The PEs of a sparse engine first write zeros, in words of R
        # pixels, and the post-process reads them by the pixel.
        if part.info.kind in ("conv", "fc") and not part.design.is_sparse:
            read, written = part.events[Event.ACC_READS], part.events[Event.ACC_WRITES]
            assert read == written if part.design.lanes == part.design.cols else read >= written
        assert all(cycles > 0 for cycles in part.limits.values())
    assert set(Event) - DATA_EVENTS <= total.events.keys()
    for event in total.events:
        assert sum(layer.events[event] for layer in layers) == total.events[event], event
    limits = sum((Counter(layer.limits) for layer in layers), Counter())
    assert limits == total.limits
    for field in ("macs", "read_bytes", "write_bytes"):
        assert sum(getattr(layer.info.must, field) for layer in layers) == getattr(total.info.must, field)
    assert sum(layer.info.weight_bytes for layer in layers) == total.info.weight_bytes
    assert sum(layer.row_activations for layer in layers) == total.row_activations
    prices = [energy(layer.events, layer.design, layer.row_activations) for layer in layers]
    whole = energy(total.events, total.design, total.row_activations)
    for field in FLAT:
        assert sum(getattr(price, field) for price in prices) == pytest.approx(getattr(whole, field), rel=1e-12), field
    for part, found in whole.parts_pj.items():
        for end in ("low", "nominal", "high"):
            parts = [getattr(price.parts_pj[part], end) for price in prices]
            assert min(parts) >= 0
            assert sum(parts) == pytest.approx(getattr(found, end), rel=1e-9), part


# What the efficiency was until now, and where it was beaten.

OVER_ALL = """
name: over-all
array: {rows: 2, cols: 4}
buffers: {activation_bytes: 1026, weight_bytes: 1024, accumulator_bytes: 131088, parameter_bytes: 2048,
          program_commands: 16}
memory: {axi_bits: 128, latency_cycles: 1, beat_interval_cycles: 15, burst_beats: 2, outstanding_bursts: 1}
clock_mhz: 100
"""
OVER_LAYER = """
name: over-layer
array: {rows: 63, cols: 48}
buffers: {activation_bytes: 126001, weight_bytes: 12582911, accumulator_bytes: 960, parameter_bytes: 393216,
          program_commands: 9}
memory: {axi_bits: 64, latency_cycles: 1, beat_interval_cycles: 16, burst_beats: 64, outstanding_bursts: 8}
clock_mhz: 100
"""


def old_efficiency(design: Design, macs: int, events: Mapping[Event, int], cycles: int) -> float:
    """All bytes moved, an interval after the last beat, over the time since the layer before ended."""
    moved = max(events[Event.READ_BEATS], events[Event.WRITE_BEATS]) * design.beat_bytes
    bound = max(-(-macs // (design.rows * design.cols)), -(-moved // design.bytes_per_cycle))
    return bound / cycles if cycles else 0.0


def old_layers(program: Program) -> list[float]:
    """The layers by that formula."""
    timing, result = time_program(program), simulate(program)
    last = [0] * len(program.layers)
    for owner, timed in zip(program.layer_of, timing.commands, strict=True):
        if timed and owner >= 0:
            last[owner] = max(last[owner], timed.step.complete)
    ends = [max(last[: index + 1]) for index in range(len(last))]
    cycles = [end - begin for begin, end in zip([0, *ends], ends, strict=False)]
    return [
        old_efficiency(program.design, layer.info.must.macs, layer.events, spent)
        for layer, spent in zip(result.layers, cycles, strict=True)
    ]


def fully_connected(inputs: int, outputs: int) -> IntegerNetwork:
    weights = np.ones((outputs, inputs, 1, 1), np.int8)
    zeros = np.zeros(outputs, np.int32)
    record = Requantise(zeros, np.full(outputs, 1 << 15, np.uint16), np.full(outputs, 20, np.uint8), 0)
    layer = MatrixLayer("fc", "x", "y", weights, Window((1, 1)), record)
    shapes = {"x": TensorSpec("x", (inputs, 1, 1), 1.0, 0), "y": TensorSpec("y", (outputs, 1, 1), 1.0, 0)}
    return IntegerNetwork("fc", "x", "y", shapes, (layer,))


def test_products_with_a_zero_operand_are_counted_when_inputs_are_run() -> None:
    """A fully connected layer of known weights on known inputs: 5 x 6 products, in tiles of 2 x 4."""
    network = fully_connected(5, 6)
    (layer,) = network.layers
    weights = np.array([[0, 1, 0, 2, 3], [0] * 5, [4] * 5, [1, 0, 1, 0, 1], [5, 5, 5, 5, 0], [0, 0, 0, 0, 9]], np.int8)
    network = replace(network, layers=(replace(layer, weights=weights.reshape(6, 5, 1, 1)),))
    codes = np.array([[1, 2, 0, 4, 5], [0, 0, 0, 0, -1], [7, 7, 7, 7, 7]], np.int8)
    program = compile_network(network, parse(OVER_ALL))
    assert Event.MACS_ZERO not in simulate(program).events
    each = [int((row * weights == 0).sum()) for row in codes]
    for row, count in zip(codes, each, strict=True):
        result = simulate(program, row.reshape(1, 5, 1, 1))
        assert result.events[Event.MACS_ZERO] == count
        check(result)
    several = simulate(program, codes.reshape(3, 5, 1, 1))
    assert several.events[Event.MACS_ZERO] == round(sum(each) / 3)
    assert zero_macs(program, codes.reshape(3, 5, 1, 1)).sum() == sum(each)


def test_a_network_that_was_at_101_percent() -> None:
    result = simulate(compile_network(fully_connected(5, 6), parse(OVER_ALL)))
    total = result.total
    assert old_efficiency(result.design, 30, result.events, result.cycles) > 1
    assert total.info.must == Compulsory(30, 30 + 6 * 8 + 5, 6)
    assert (total.bound_cycles, total.efficiency) == (5 * 15 + 1, 76 / result.cycles)  # 83 bytes are 6 beats
    check(result)


def test_a_layer_that_was_at_9_569_percent() -> None:
    """Its weights came while another layer was at work."""
    program = compile_network(zoo.integer_network("lenet-5"), parse(OVER_LAYER))
    assert max(old_layers(program)) > 10
    check(simulate(program))


def test_a_layer_that_streams_behind_another_ones_loads() -> None:
    """The convolution's share of the run is less than its array time; energies sum to the network's all the same."""
    record = Requantise(np.zeros(1, np.int32), np.array([1 << 15], np.uint16), np.array([20], np.uint8), 0)
    conv = MatrixLayer("conv", "x", "c", np.ones((16, 16, 3, 3), np.int8), Window((3, 3)), record)
    fc = MatrixLayer("fc", "c", "y", np.ones((16, 16, 14, 14), np.int8), Window((14, 14)), record)
    shapes = {"x": (16, 16, 16), "c": (16, 14, 14), "y": (16, 1, 1)}
    tensors = {name: TensorSpec(name, shape, 1.0, 0) for name, shape in shapes.items()}
    result = simulate(compile_network(IntegerNetwork("hidden", "x", "y", tensors, (conv, fc)), load("edge")))
    first = result.layers[0]
    assert first.cycles < first.events[Event.STREAM_CYCLES] == 9 * 14 * 14 < first.work_cycles
    check(result)


def test_the_old_formula_is_beaten_by_drawn_networks() -> None:
    """So the check above would have been red."""
    beaten = Counter[str]()
    for seed in range(60):
        rng = Random(seed)
        design = with_memory(draw_design(rng), *draw_memory(rng))
        with suppress(InputError):
            program = compile_network(draw_network(rng), design)
            beaten["layers"] += max(old_layers(program)) > 1
    assert beaten["layers"] > 5


def test_a_beat_takes_its_interval() -> None:
    """Ten LOADs of a beat each, every one taken just before its beat comes: 15 cycles apart, and at work in between."""
    design = parse(OVER_ALL)
    load_ = Load(target=Target.WEIGHT)
    history = []
    for number in range(10):
        beat = 100 + 15 * number
        done = beat + max(1, design.beat_bytes // design.cols)
        history.append((0, load_, Timed("load", beat - 3, 0, "", Step(beat - 1, beat, done, 1))))
    assert work_cycles(design, 1, history, 300) == [10 * 15]
    assert work_cycles(design, 1, history, 100 + 15 * 9 + 4) == [9 * 15 + 1 + 4]
    assert work_cycles(design, 1, history, 10_000)[0] >= channel_cycles(design, 10 * 16)


def test_bytes_of_a_channel() -> None:
    """Beats, and an interval between two of them but not after the last."""
    design = parse(OVER_ALL)
    assert [channel_cycles(design, n) for n in (0, 1, 16, 17, 160)] == [0, 1, 1, 16, 136]
    assert bound_cycles(design, Compulsory(1000, 17, 160)) == 136
    assert bound_cycles(design, Compulsory(1000, 160, 17)) == 136
    assert bound_cycles(design, Compulsory(8 * 137 - 7, 160, 160)) == 137


def test_padding_is_the_arrays_work_not_the_networks() -> None:
    """A 3 x 3 depthwise convolution with pads of 1 over 16 channels of 4 x 4, one group each, on 16 x 16 PEs.

    Of 9 x 16 products a channel 100 meet a pixel; the array has 256 places in each of 9 x 16 cycles.
    """
    weights = np.ones((16, 1, 3, 3), np.int8)
    record = Requantise(np.zeros(1, np.int32), np.array([1 << 15], np.uint16), np.array([20], np.uint8), 0)
    layer = MatrixLayer("dw", "x", "y", weights, Window((3, 3), pads=(1, 1, 1, 1)), record, groups=16)
    shapes = {name: TensorSpec(name, (16, 4, 4), 1.0, 0) for name in "xy"}
    network, edge = IntegerNetwork("dw", "x", "y", shapes, (layer,)), load("edge")
    (found,) = simulate(compile_network(network, edge)).layers
    assert (found.info.must.macs, found.array_macs) == (16 * 100, 0)  # the post-process unit filters them
    (found,) = simulate(compile_network(network, edge.model_copy(update={"filter_multipliers": 0}))).layers
    assert (found.info.must.macs, found.array_macs) == (16 * 100, 9 * 16 * 256)
    assert found.array_utilisation / found.utilisation == pytest.approx(9 * 16 * 256 / 1600)
    assert found.info.must.read_bytes == 16 * 9 + 16 * 16
