"""The critical path: it covers the run, and it says what the run would gain or lose by another memory.

If the beats of a path take no time any more, the rest of that path is still there: a run against a faster memory gains
at most what the path puts down to the memory. And a path whose beats take twice as long takes that much longer: a run
against a slower one loses at least that. Both are true whatever other paths there are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import accumulate
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.commands import Load
from accel.compile import compile_network
from accel.design import Design, load
from accel.entropy.program import coded_loads
from accel.events import Event
from accel.layout import words_per_beat
from accel.models.integers.network import (
    IntegerNetwork,
    Layer,
    MatrixLayer,
    Requantise,
    Shared,
    TensorSpec,
    VectorLayer,
)
from accel.models.window import Window
from accel.program import Program
from accel.sim.bursts import Burst, bursts
from accel.sim.causes import CAUSES
from accel.sim.critical import by_cause, critical_path
from accel.sim.history import History
from accel.sim.result import simulate
from accel.timing.coded import Stream
from accel.timing.machine import Machine
from accel.timing.recurrence import Timed, Timing, first_fetch, time_program
from accel.timing.state import CHECKED, FRONT, LASTS_RING, OFFERED, PENDING_RING
from tests.benches.counted import accepted, counted
from tests.benches.draw import draw_design, draw_memory, draw_network, with_memory
from tests.benches.timing import UnitTiming
from tests.benches.wide import draws

MEMORY = ("DRAM read", "DRAM write")
LATENT = (*MEMORY, "latency", "program")


def against(program: Program, latency: int, interval: int) -> int:
    """Cycles of the same commands with another memory."""
    return time_program(replace(program, design=with_memory(program.design, latency, interval))).cycles


def streams_of(program: Program, timing: Timing) -> Iterator[tuple[int, int, int]]:
    """Of each COMPUTE: tiles that the walk sees, pixels of one, and the cycles in which the array streams."""
    history = History(program, timing)
    for i in history.work["compute"]:
        pixels, period, first, last = history.tiles(i)
        yield (last - first) // period + 1, pixels, history.timed_at(i).step.busy


@counted(draws(75))
@settings(max_examples=draws(100), deadline=None)
@given(st.randoms(use_true_random=False))
def test_the_path_is_the_longest(rng: Random) -> None:
    design = with_memory(draw_design(rng), *draw_memory(rng))
    program = accepted(compile_network, draw_network(rng), design)
    timing = time_program(program)
    path = critical_path(program, timing)
    assert sum(cycles for _, _, cycles in path) == timing.cycles
    assert all(cycles > 0 and cause in CAUSES and -1 <= at < len(program.commands) for at, cause, cycles in path)
    limits = by_cause(path)
    memory = design.memory
    latency, interval = memory.latency_cycles, memory.beat_interval_cycles

    def share(*causes: str) -> int:
        return sum(limits.get(cause, 0) for cause in causes)

    assert all(tiles * pixels == busy for tiles, pixels, busy in streams_of(program, timing))
    assert timing.cycles - against(program, 1, interval) <= share("latency", "program")
    assert timing.cycles - against(program, latency, 1) <= share(*MEMORY, "program")
    assert timing.cycles - against(program, 1, 1) <= share(*LATENT)
    assert against(program, latency, 2 * interval) - timing.cycles >= share(*MEMORY)


@counted(draws(30))
@settings(max_examples=draws(40), deadline=None)
@given(st.randoms(use_true_random=False))
def test_bursts_end_where_the_timing_says(rng: Random) -> None:
    design = with_memory(draw_design(rng), *draw_memory(rng))
    program = accepted(compile_network, draw_network(rng), design, rng.choice(["auto", "plain"]))
    timing = time_program(program)
    fetch = first_fetch(design, program.program_offset, program.first_fetch)
    both = [(fetch, timing.first_fetch), *zip(program.commands, timing.commands, strict=True)]
    streams = {1 + index: stream for index, stream in coded_loads(program)}
    loads = [
        (command, timed, streams.get(at))
        for at, (command, timed) in enumerate(both)
        if isinstance(command, Load) and timed
    ]
    found = bursts(Machine.of(design), loads)
    assert len(found) == sum(timed.step.events[Event.READ_BURSTS] for _, timed, _ in loads)
    last = {burst.load: burst.last for burst in found}
    for number, (command, timed, stream) in enumerate(loads):
        after = stream.tail + 3 if stream else unpack_by_hand(design, command)
        assert last[number] + after == timed.step.complete
    if not streams:
        assert_same_bursts(design, loads, found)


class Kept(list[int]):
    """A state that keeps what is written to the ring of last beats."""

    def __init__(self, values: Iterable[int]) -> None:
        super().__init__(values)
        self.lasts: list[int] = []

    def __setitem__(self, place: Any, value: Any) -> None:
        super().__setitem__(place, value)
        if LASTS_RING <= place < PENDING_RING:
            self.lasts.append(value)


def assert_same_bursts(design: Design, loads: list[tuple[Load, Timed, Stream | None]], found: list[Burst]) -> None:
    """The last beat of each burst, and when the last one of each LOAD left every stage, are those of the recurrence."""
    unit = UnitTiming(design)
    unit.state = state = Kept(unit.state)
    for number, (command, timed, _) in enumerate(loads):
        state.lasts.clear()
        assert unit.step(command, timed.pushed, timed.ready) == timed.step
        own = [burst for burst in found if burst.load == number]
        assert state.lasts == [burst.last for burst in own]
        assert (state[FRONT], state[CHECKED], state[OFFERED]) == (own[-1].cut + 1, own[-1].checked, own[-1].address)


def unpack_by_hand(design: Design, load: Load) -> int:
    """Words of a beat, one if a word takes several; by window loads those that the last beat completes, or one."""
    if not load.window:
        return words_per_beat(design, load.target)
    parts, before = load.parts + 1, (load.row_beats - 1) * design.beat_bytes - load.skip_bytes
    ends = accumulate((i // parts * load.step + (i % parts + 1) * load.run for i in range(load.row_words)), max)
    return max(1, sum(end > before for end in ends))  # the last row is in the last window alone


# What the answer must be.


def record(channels: int = 1) -> Requantise:
    return Requantise(
        np.zeros(channels, np.int32), np.full(channels, 1 << 15, np.uint16), np.full(channels, 20, np.uint8), 0
    )


def chain(shape: tuple[int, int, int], *layers: Layer) -> IntegerNetwork:
    """Layers from "x" to "y", each from the one before."""
    tensors, spec = {"x": TensorSpec("x", shape, 1.0, 0)}, shape
    made = []
    for index, layer in enumerate(layers):
        source, target = f"t{index}" if index else "x", "y" if index == len(layers) - 1 else f"t{index + 1}"
        height, width = layer.window.output_size(*spec[1:])
        spec = (len(layer.weights) if isinstance(layer, MatrixLayer) else spec[0], height, width)
        tensors[target] = TensorSpec(target, spec, 1.0, 0)
        made.append(replace(layer, name=f"layer{index}", input=source, output=target))
    return IntegerNetwork("chain", "x", "y", tensors, tuple(made))


def wide(design: Design) -> Design:
    """The design in front of the memory of `large`."""
    return design.model_copy(update={"memory": load("large").memory})


def matrix(outputs: int, inputs: int, kernel: int = 1, stride: int = 1) -> MatrixLayer:
    weights = np.ones((outputs, inputs, kernel, kernel), np.int8)
    return MatrixLayer("", "", "", weights, Window((kernel, kernel), (stride, stride)), record())


def shared(outputs: int, inputs: int, bits: int) -> MatrixLayer:
    indices = np.arange(outputs * inputs, dtype=np.int64).reshape(outputs, inputs, 1, 1) % (1 << bits)
    codebook = np.arange(1 << bits, dtype=np.int8)
    sharing = Shared(bits, codebook, indices.astype(np.uint8))
    return replace(matrix(outputs, inputs), weights=codebook[indices], shared=sharing)


def pool(kernel: int, stride: int) -> VectorLayer:
    return VectorLayer("", "", "", "sum", Window((kernel, kernel), (stride, stride)), record())


def slower(design: Design, latency: int = 20, interval: int = 1) -> Design:
    return with_memory(design, latency, interval)


def small_program(design: Design) -> Design:
    """With a program buffer of 8 commands, so that each 8 wait for the memory."""
    return design.model_copy(update={"buffers": design.buffers.model_copy(update={"program_commands": 8})})


def one_row(design: Design) -> Design:
    """With weights that enter one row a cycle."""
    return design.model_copy(update={"array": design.array.model_copy(update={"weight_rows": 1})})


EDGE = load("edge")
KNOWN = {
    "array": (chain((64, 28, 28), matrix(64, 64, 3)), EDGE),
    "array, of halves": (chain((32, 28, 28), matrix(16, 32, 3)), load("edge-2of4")),  # weights that are not 2:4
    "weight fill": (chain((512, 1, 1), shared(512, 512, 4)), one_row(EDGE)),
    "DRAM read": (chain((512, 1, 1), matrix(512, 512)), slower(EDGE, interval=4)),
    "DRAM write": (chain((1, 64, 64), matrix(64, 1)), slower(EDGE, interval=8)),
    # In groups the input is read as words, four of them a beat.
    "load unit": (chain((8, 96, 96), replace(matrix(8, 1, stride=4), groups=8)), wide(load("nano"))),
    "post-process": (chain((16, 32, 32), pool(5, 1)), EDGE),
    "program": (chain((1, 2, 2), *[pool(1, 1) for _ in range(40)]), small_program(slower(EDGE, latency=200))),
    "latency": (chain((16, 1, 1), matrix(16, 16)), slower(EDGE, latency=1000)),
}


@pytest.mark.parametrize("cause", KNOWN)
def test_known_limits(cause: str) -> None:
    network, design = KNOWN[cause]
    total = simulate(compile_network(network, design)).total
    cause = cause.partition(",")[0]
    assert total.limited_by == cause, total.limits
    assert total.limits[cause] > total.cycles / 2


def test_halves_of_weights_are_the_arrays_work() -> None:
    """A kernel position of weights that are not 2:4 is two tiles on 2:4 hardware; both stream all the while."""
    network, design = KNOWN["array, of halves"]
    total = simulate(compile_network(network, design)).total
    assert total.events[Event.STREAM_CYCLES] == 2 * 9 * 26 * 26
    assert total.limits["array"] == total.events[Event.STREAM_CYCLES], total.limits


def test_one_pixel_costs_r_cycles_a_tile() -> None:
    """A fully connected layer of 32 x 32 tiles on 16 x 16 PEs: 1024 tiles of 16 cycles, one of which streams.

    Between commands that one hides behind the weights of the next tile.
    """
    network, design = KNOWN["weight fill"]
    limits = simulate(compile_network(network, design)).total.limits
    assert limits["array"] + limits["weight fill"] == pytest.approx(32 * 32 * 16, rel=0.05)
    assert limits["weight fill"] / limits["array"] == pytest.approx(15, rel=0.1)


def test_a_layer_that_is_hidden_takes_no_share() -> None:
    """The weights of the second layer come while the first one streams: its share is its own array time."""
    network = chain((64, 28, 28), matrix(64, 64, 3), matrix(16, 64))
    first, second = simulate(compile_network(network, EDGE)).layers
    assert second.limits.get("DRAM read", 0) == 0
    assert second.limits["array"] == pytest.approx(4 * 26 * 26, rel=0.02)
    assert first.limits["array"] == pytest.approx(4 * 4 * 9 * 26 * 26, rel=0.05)
