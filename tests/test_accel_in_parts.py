"""What no command can hold runs in parts: kernels of a whole map, and poolings over one; each equals the reference."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.commands import Compute, ConfigPost, Post, most
from accel.compile import compile_network, time_network
from accel.compiler.in_parts import in_parts, windows
from accel.design import Design, load
from accel.models.integers.network import IntegerNetwork, Requantise, TensorSpec, VectorLayer
from accel.models.reference.int8 import run
from accel.models.window import Window
from accel.program import Program
from accel.sim.execute import execute
from tests.benches.layers import SAME, Maker, design_of, matrix, max_pool, network_of


def average(height: int, width: int) -> Maker:
    """Makes an average over a whole map, which spreads the codes of the sums."""

    def make(name: str, source: TensorSpec) -> tuple[VectorLayer, TensorSpec]:
        shift = 15 + (height * width).bit_length() // 2
        record = Requantise(np.array([-99], np.int32), np.array([40000], np.uint16), np.array([shift], np.uint8), 3)
        layer = VectorLayer(name, source.name, f"{name}:out", "sum", Window((height, width)), record)
        return layer, TensorSpec(layer.output, (source.shape[0], 1, 1), 1.0, 3)

    return make


def exact(network: IntegerNetwork, design: Design) -> Program:
    """Its program, whose outputs are those of the reference for random codes and for equal ones."""
    program = compile_network(network, design)
    shape = network.tensors["x"].shape
    codes = np.random.default_rng(1).integers(-128, 128, (3, *shape)).astype(np.int8)
    codes[1] = 127
    np.testing.assert_array_equal(execute(program, codes), run(network, codes)[network.output])
    return program


@settings(max_examples=25, deadline=None)
@given(st.randoms(use_true_random=False))
def test_layers_on_a_map_whose_kernel_is_larger_than_the_weight_buffer(rng: Random) -> None:
    """The channels of a word may be fewer than its lanes; weights may be shared."""
    rows, height, width = rng.choice([4, 8]), rng.randint(5, 12), rng.randint(6, 12)
    design = design_of(rows, 4, 32, weight_bytes=rng.choice([1, 2]) * 4 * rows * 20, activation_bytes=1 << 15)
    design = Design.model_validate(design.model_dump() | {"post_lanes": 4})
    channels = rng.choice([rows, 2 * rows, rows // 4 * 4 - rng.choice([0, 1]), rows + 3 if rows == 4 else rows + 6])
    codebook = rng.choice([None, [0, 5, 9, -7]])
    makers = (SAME, matrix(rng.randint(1, 9), Window((height, width)), codebook))
    program = exact(network_of((channels, height, width), *makers), design)
    kernel_bytes = height * width * rows * design.cols * (2 if codebook else 8) // 8
    if kernel_bytes > design.buffers.weight_bytes:
        assert any(c.accumulate for c in program.commands if isinstance(c, Compute))


def test_a_kernel_longer_than_its_field() -> None:
    program = exact(network_of((8, 1, 140), SAME, matrix(5, Window((1, 140)))), design_of(8, 4, 64))
    assert sum(c.groups for c in program.commands if isinstance(c, Compute)) == 140 * 2  # two tiles of outputs


@pytest.mark.parametrize("pool", [average, lambda h, w: max_pool(Window((h, w)))], ids=["average", "maximum"])
@pytest.mark.parametrize("size", [(12, 20), (3, 131), (130, 2)], ids=str)
def test_poolings_over_a_map_that_is_larger_than_a_bank_or_a_window(
    size: tuple[int, int], pool: Callable[[int, int], Maker]
) -> None:
    design = design_of(4, 4, 32, activation_bytes=2 * 4 * 200)
    network = network_of((6, *size), SAME, pool(*size))
    assert in_parts(network, design) is not network
    exact(network, design)


@pytest.mark.parametrize("name", ["nano", "edge"])
def test_global_pooling_of_130_pixels_square_on_the_designs_that_ship(name: str) -> None:
    for pool in (average(130, 130), max_pool(Window((130, 130)))):
        assert time_network(network_of((16, 130, 130), SAME, pool), load(name)).cycles < 200_000


def test_what_fits_stays_as_it_is() -> None:
    network = network_of((6, 10, 20), SAME, average(10, 20))
    assert in_parts(network, design_of(4, 4, 32, activation_bytes=2 * 4 * 200)) is network


@given(st.integers(1, 2000))
def test_windows_are_all_of_a_row_together(size: int) -> None:
    kernel, stride = windows(size)
    count = (size - kernel) // stride + 1
    assert {k for w in range(count) for k in range(w * stride, w * stride + kernel)} == set(range(size))
    assert kernel <= most(ConfigPost, "win_h")
    assert stride <= most(ConfigPost, "stride_x")


def test_a_maximum_in_parts_moves_nothing_but_maxima() -> None:
    """Each part is a window of POST over activations; the last one alone has the layer's own scales."""
    network = network_of((4, 130, 130), SAME, max_pool(Window((130, 130))))
    program = compile_network(network, load("nano"))
    assert len(program.layers) == 4
    posts = [c for c in program.commands if isinstance(c, Post)]
    assert not any(c.reduce_sum for c in posts)
