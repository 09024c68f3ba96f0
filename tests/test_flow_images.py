"""Many images in a run: where they lie, what stays on chip, and what `accel simulate --images` says of it."""

from __future__ import annotations

import json
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.commands import Load, Target
from accel.compile import compile_network, compile_series
from accel.compiler.ring import KeepingRing
from accel.design import load
from accel.events import Event
from accel.flow import images
from accel.flow.cli import run as accel
from accel.models import zoo
from accel.models.quantisation.quantise import quantise
from accel.models.reference import int8
from accel.models.window import Window
from accel.series import PAGE, Series
from accel.sim.execute.facts import run_series
from accel.timing.recurrence import time_program
from tests.benches.counted import accepted, counted
from tests.benches.draw import draw_design, draw_ends, draw_network, with_memory
from tests.benches.layers import matrix, network_of

INPUTS = zoo.preprocess(zoo.mnist_calibration()[:8])
LENET = quantise(zoo.load("lenet-300-100"), INPUTS)
CONSTANTS = {Target.WEIGHT, Target.PARAMETER, Target.CODEBOOK, Target.TABLE}


def weights_loaded(program) -> int:
    """Beats of weights."""
    return sum(c.row_beats * c.rows for c in program.commands if isinstance(c, Load) and c.target == Target.WEIGHT)


def test_for_one_image_the_first_program_is_the_only_one() -> None:
    """Cycles and counters; only addresses behind the commands differ."""
    for design in ("nano", "large", "edge-sparse"):
        alone, series = compile_network(LENET, load(design)), compile_series(LENET, load(design))
        assert time_program(series.first).events == time_program(alone).events
        assert time_program(series.following).cycles < time_program(alone).cycles


def test_an_image_waits_for_the_memory_of_the_one_before() -> None:
    """The last command comes with the last beat, 16 cycles before the next; what begins later ends as much later."""
    nano = load("nano")
    narrow = nano.model_copy(update={"memory": nano.memory.model_copy(update={"axi_bits": 32})})
    slow = with_memory(narrow, 1, 16)
    program = compile_network(network_of((3, 4, 4), matrix(4, Window((3, 3)))), slow)
    alone = time_program(program)
    assert 0 < alone.read_busy_cycles <= 16
    late = [time_program(program, busy).cycles - alone.cycles for busy in range(40)]
    first = late.index(1) - 1  # the cycle of the first beat
    assert first < alone.read_busy_cycles
    assert late == [max(0, busy - first) for busy in range(40)]


def test_what_fits_is_loaded_once() -> None:
    """All weights where the buffer holds them; otherwise as many as find room beside the ring of the others."""
    edge = load("edge")
    whole = edge.model_copy(update={"buffers": edge.buffers.model_copy(update={"weight_bytes": 1 << 19})})
    for count in (1, 64):
        following = compile_series(LENET, whole, images=count).following
        targets = {c.target for c in following.commands if isinstance(c, Load)}
        assert not targets & CONSTANTS
    plain, many = (compile_series(LENET, edge, images=count) for count in (1, 64))
    kept = weights_loaded(many.first) - weights_loaded(many.following)
    assert kept * edge.beat_bytes >= 0.7 * edge.buffers.weight_bytes
    assert time_program(many.following).cycles < 0.9 * time_program(plain.following).cycles


@pytest.mark.parametrize("design", ["edge", "edge-sparse"])
def test_a_run_is_the_sum_of_its_images(design: str) -> None:
    """As execution finds it with the memories that the image before left; outputs are the reference's."""
    found = images.run(LENET, load(design), 5, INPUTS)
    series = compile_series(LENET, load(design), images=5)
    layout, codes = series.layout(5), int8.quantise_input(LENET, INPUTS[:5])
    machine, timings = run_series(series, layout, codes)
    assert found.cycles == sum(timing.cycles for timing, _ in timings)
    assert (found.first_cycles, found.next_cycles) == (timings[0][0].cycles, timings[-1][0].cycles)
    for event, count in found.events.items():
        assert count == sum(timing.events[event] for timing, _ in timings), event
    expected = int8.run(LENET, codes)[LENET.output]
    for number, program in enumerate(series.programs(layout)):
        np.testing.assert_array_equal(program.unpack_output(machine.whole)[0], expected[number])
    beats = found.events[Event.READ_BEATS] + found.events[Event.WRITE_BEATS]
    assert found.dram_bytes == beats * load(design).beat_bytes


@counted(15)
@settings(max_examples=20, deadline=None)
@given(st.integers(0, 200), st.integers(1, 9))
def test_nothing_overlaps(seed: int, count: int) -> None:
    """Inputs and outputs of all images, and the image: no byte belongs to two of them, and none is beyond the end."""
    rng = Random(seed)
    design = draw_design(rng)
    series = accepted(compile_series, draw_ends(rng, draw_network(rng)), design)
    layout = series.layout(count)
    owners = np.zeros(layout.dram_bytes, np.int64)
    owners[: series.first.dram_bytes] += count > 1
    for program in series.programs(layout):
        for place in (*program.inputs, *program.outputs):
            assert place.offset + place.bytes(design) <= layout.dram_bytes
            owners[place.offset : place.offset + place.bytes(design)] += 1
    assert owners.max() == 1
    assert not any(n % PAGE for n in (layout.input_move, layout.input_step, layout.output_move, layout.output_step))


def test_images_that_cannot_be() -> None:
    series = compile_series(LENET, load("edge"))
    for count in (0, 65536):
        with pytest.raises(ValueError, match=f"images must be 1..65535, not {count}"):
            series.layout(count)
    apart = Series(*(p.__class__(**{**p.__dict__, "input_span": (0, 0)}) for p in (series.first, series.following)))
    with pytest.raises(ValueError, match="images must be 1 where"):
        apart.layout(2)
    assert apart.layout(1).images == 1


def test_a_ring_that_keeps() -> None:
    """What comes first stays, as far as there is room; what is taken without a key, or later, goes round."""
    ring = KeepingRing(8, 20, 2)
    assert [ring.take(5, key, key) for key in range(4)] == [8, 14, 0, 0]
    assert ring.take(3, None, 9) == 0
    assert [ring.find(key) for key in range(4)] == [(8, 0), (14, 1), None, None]


def test_simulate_says_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert accel(["simulate", "lenet-300-100", "--design", "large", "--images", "64", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["run"]
    assert told["images"] == 64
    assert told["cycles"] == told["first_cycles"] + 63 * told["next_cycles"] == told["events"]["CYCLES"]
    assert told["next_constant_bytes"] < told["first_constant_bytes"]
    assert accel(["simulate", "lenet-300-100", "--design", "core", "--technique", "deep", "--images", "3"]) == 0
    out = capsys.readouterr().out
    assert "3 images in a run" in out
    for wrong in ("0", "70000"):
        assert accel(["simulate", "lenet-300-100", "--images", wrong]) == 2
        assert f"not {wrong}" in capsys.readouterr().err
