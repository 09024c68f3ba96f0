"""Depthwise layers on the filter of the post-process unit: which run there, how pieces are cut, what runs beside."""

from __future__ import annotations

from math import prod

import numpy as np
import pytest

from accel.commands import Compute, Post
from accel.compile import compile_network
from accel.compiler.lower.filter import is_filter
from accel.design import Design, load
from accel.models.integers.network import IntegerNetwork, MatrixLayer
from accel.models.reference.int8 import run
from accel.models.window import Window
from accel.program import Program
from accel.sim.execute import execute
from accel.timing.recurrence import time_program
from tests.benches.layers import matrix, network_of

PADDED = (1, 1, 1, 1)
EDGE = load("edge")


def without(design: Design = EDGE) -> Design:
    return design.model_copy(update={"filter_multipliers": 0})


def depthwise(channels: int, height: int, width: int, window: Window, more: int = 1) -> IntegerNetwork:
    return network_of((channels, height, width), matrix(more * channels, window, groups=channels))


def agrees(program: Program, network: IntegerNetwork) -> bool:
    shape = network.tensors[network.input].shape
    codes = np.random.default_rng(3).integers(-128, 128, (1, *shape)).astype(np.int8)
    return np.array_equal(execute(program, codes), run(network, codes)[network.output])


@pytest.mark.parametrize(
    ("window", "more", "filtered"),
    [
        (Window((3, 3), (1, 1), PADDED), 1, True),
        (Window((3, 3), (2, 2), (0, 0, 1, 1)), 1, True),
        (Window((3, 3), (1, 2), (2, 2, 2, 2)), 1, True),
        (Window((1, 3), (3, 1), (0, 2, 0, 0)), 1, True),
        (Window((2, 1)), 1, True),
        (Window((1, 1)), 1, True),
        (Window((1, 3), dilation=(4, 1)), 1, True),
        (Window((3, 3), dilation=(2, 2)), 1, False),
        (Window((5, 5), (1, 1), (2, 2, 2, 2)), 1, False),
        (Window((3, 3), (1, 1), (3, 1, 1, 1)), 1, False),
        (Window((3, 3), (1, 1), PADDED), 2, False),
    ],
    ids=str,
)
def test_what_is_filtered_and_that_all_of_it_is_right(window: Window, more: int, filtered: bool) -> None:
    """Line buffers of 8 columns, so that the 21 are cut; with and without room for the tensor on chip."""
    network = depthwise(40, 13, 21, window, more)
    for kib in (512, 6):
        buffers = EDGE.buffers.model_copy(update={"activation_bytes": kib << 10})
        design = EDGE.model_copy(update={"filter_line": 8, "buffers": buffers})
        program = compile_network(network, design)
        assert is_filter(network.layers[0], design) == filtered
        assert any(isinstance(c, Post) and c.filter for c in program.commands) == filtered
        assert all(not isinstance(c, Post) or c.stream_w <= 8 for c in program.commands)
        assert agrees(program, network)


@pytest.mark.parametrize(("multipliers", "lanes"), [(9, 16), (9, 4), (3, 16)])
@pytest.mark.parametrize(
    ("window", "number"),
    [
        (Window((5, 5), (1, 1), (2, 2, 2, 2)), 2),
        (Window((5, 5), (2, 2), (1, 1, 2, 2)), 2),
        (Window((5, 5), (3, 2), (4, 4, 4, 4)), 2),
        (Window((4, 4)), 2),
        (Window((5, 3), (1, 1), (2, 1, 2, 1)), 2),
        (Window((1, 5), (1, 1), (0, 3, 0, 1)), 2),
        (Window((4, 2), (2, 1), (0, 1, 3, 0)), 2),
        (Window((3, 3), (1, 1), PADDED), 1),
        (Window((1, 2)), 1),
        (Window((6, 1)), 0),
    ],
    ids=str,
)
def test_windows_above_3_x_3(window: Window, number: int, multipliers: int, lanes: int) -> None:
    """Lines of 8 columns; maps smaller than the kernel, and so large that they are cut. The array keeps what it takes
    fewer cycles for: one a position of the kernel for 16 channels.
    """
    if number == 2 and 27 // multipliers * (16 // lanes) > prod(window.kernel):
        number = 0
    design = EDGE.model_copy(
        update={"filter_side": 5, "filter_multipliers": multipliers, "filter_line": 8, "post_lanes": lanes}
    )
    for shape in ((48, 13, 21), (16, 2, 3), (32, 1, 9)):
        if min(window.output_size(*shape[1:])) < 1:
            continue
        network = depthwise(*shape, window)
        for kib in (512, 8):
            buffers = EDGE.buffers.model_copy(update={"activation_bytes": kib << 10})
            program = compile_network(network, design.model_copy(update={"buffers": buffers}))
            found = {c.filter for c in program.commands if isinstance(c, Post)}
            assert found == {number}
            assert agrees(program, network)


def test_a_window_of_5_x_5_takes_three_times_the_cycles_of_its_multipliers() -> None:
    """64 channels are four chunks of 16. A layer of 3 x 3 takes as many cycles as where there are no larger ones."""
    wide = EDGE.model_copy(update={"filter_side": 5})
    small, large = (depthwise(64, 20, 20, Window((k, k), (1, 1), (k // 2,) * 4)) for k in (3, 5))
    assert time_program(compile_network(small, wide)).cycles == time_program(compile_network(small, EDGE)).cycles
    program = compile_network(large, wide)
    cycles, pieces = time_program(program).cycles, [c for c in program.commands if isinstance(c, Post)]
    assert 3 * 4 * 400 <= cycles <= 3 * 4 * 400 + len(pieces) * 4 * 100 + 1200
    assert time_program(compile_network(large, EDGE)).cycles > 2 * cycles


def test_a_residual_operand_or_no_multipliers_keep_a_layer_on_the_array() -> None:
    network = depthwise(16, 5, 5, Window((3, 3), (1, 1), PADDED))
    layer = network.layers[0]
    assert isinstance(layer, MatrixLayer)
    assert is_filter(layer, EDGE)
    assert not is_filter(layer, without())
    program = compile_network(network, without())
    assert not any(isinstance(c, Post) and c.filter for c in program.commands)
    assert agrees(program, network)


def test_a_pixel_a_cycle() -> None:
    """64 channels are four chunks of 16: 4 x 400 pixels pass, and a row and a half until the first window."""
    network = depthwise(64, 20, 20, Window((3, 3), (1, 1), PADDED))
    program = compile_network(network, EDGE)
    pieces = [c for c in program.commands if isinstance(c, Post)]
    events = time_program(program).events
    passed = sum(events[e] for e in events if e.name == "FILTER_STEPS")
    assert 4 * 400 <= passed <= 4 * 400 + len(pieces) * (4 * 2 * 20 + 22)


def test_the_array_works_while_windows_are_weighed() -> None:
    """1 x 1, depthwise, 1 x 1: pieces of the second layer stand among the COMPUTEs of the first, so most is hidden."""
    pointwise, window = Window((1, 1)), Window((3, 3), (1, 1), PADDED)
    network = network_of(
        (64, 56, 24), matrix(64, pointwise), matrix(64, window, groups=64), matrix(64, pointwise)
    )  # fmt: skip
    program = compile_network(network, EDGE)
    first = [k for k, layer in enumerate(program.layer_of) if layer == 0 and isinstance(program.commands[k], Compute)]
    second = [k for k, layer in enumerate(program.layer_of) if layer == 1]
    assert min(second) < max(first)
    assert agrees(program, network)
    plain = network_of((64, 56, 24), matrix(64, pointwise), matrix(64, pointwise))
    alone = time_program(compile_network(plain, EDGE)).cycles
    assert time_program(program).cycles < alone + 0.35 * 4 * 56 * 24
