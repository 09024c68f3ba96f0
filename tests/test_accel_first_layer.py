"""First layers on window loads: any unfolding gives the convolution's sums, and few channels fill the lanes."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from accel.commands import Load, Target
from accel.compile import compile_network
from accel.compiler.first_layer import readings, unfold
from accel.compiler.geometry import matrix_geometry
from accel.compiler.prepare import prepare
from accel.design import Design, load
from accel.layout import RowTensor
from accel.models.errors import InputError
from accel.models.integers.network import IntegerNetwork, MatrixLayer, Requantise, Shared, TensorSpec
from accel.models.reference.int8 import run
from accel.models.window import Window
from accel.sim.execute import execute
from tests.benches.counted import accepted, counted
from tests.benches.cross import Trial, check
from tests.benches.draw import draw_design
from tests.benches.layers import design_of, matrix, max_pool, network_of
from tests.benches.verilator import Built
from tests.benches.wide import draws


def draw_first_layer(rng: Random, channels: tuple[int, int] = (1, 4)) -> IntegerNetwork:
    """A convolution of few channels with stride, padding and dilation; half of them shared, often without a zero."""
    kernel = (rng.randint(1, 5), rng.randint(1, 5))
    dilation = (rng.choice([1, 1, 2]), rng.choice([1, 1, 1, 2]))
    window = Window(
        kernel,
        (rng.randint(1, 4), rng.randint(1, 4)),
        tuple(rng.randint(0, 2) for _ in range(4)),  # type: ignore[arg-type]
        dilation,
    )
    source = TensorSpec(
        "x", (rng.randint(*channels), rng.randint(9, 24), rng.randint(9, 24)), 1.0, rng.randint(-99, 99)
    )
    out = rng.randint(1, 20)
    generator = np.random.default_rng(rng.getrandbits(32))
    shape = (out, source.shape[0], *kernel)
    weights = generator.integers(-128, 128, shape).astype(np.int8)
    record = Requantise(
        generator.integers(-999, 999, out).astype(np.int32),
        np.full(out, 40000, np.uint16),
        np.full(out, 23, np.uint8),
        3,
    )
    layer = MatrixLayer("conv", "x", "y", weights, window, record)
    if rng.random() < 0.5:
        bits = rng.randint(1, 4)
        codebook = generator.integers(-128, 128, 1 << bits).astype(np.int8)
        indices = generator.integers(0, 1 << bits, shape).astype(np.uint8)
        layer = replace(layer, weights=codebook[indices], shared=Shared(bits, codebook, indices))
    made = TensorSpec("y", (out, *window.output_size(*source.shape[1:])), 1.0, 3)
    return IntegerNetwork("first", "x", "y", {"x": source, "y": made}, (layer,))


def run_first_layer(seed: int, channels: tuple[int, int] = (1, 4)) -> tuple[bool, bool]:
    """Compile and run; whether the input was unfolded, and that into several channel groups."""
    rng = Random(seed)
    design = draw_design(rng, largest=40)
    buffers = {"parameter_bytes": 1 << 14, "weight_bytes": 1 << 16, "activation_bytes": rng.choice([1 << 13, 1 << 17])}
    design = design.model_copy(update={"buffers": design.buffers.model_copy(update=buffers)})
    network = draw_first_layer(rng, channels)
    program = compile_network(network, design)
    spec = network.tensors["x"]
    codes = np.random.default_rng(seed).integers(-128, 128, (2, *spec.shape)).astype(np.int8)
    np.testing.assert_array_equal(execute(program, codes), run(network, codes)["y"])
    way = prepare(network, design).reading.unfolded
    return isinstance(program.input.layout, RowTensor), bool(way) and way.geometry.channels > design.word_lanes


@counted(draws(125))
@settings(max_examples=draws(150), deadline=None)
@given(st.integers(0, 1 << 32))
def test_first_layers_equal_the_reference(seed: int) -> None:
    accepted(run_first_layer, seed)


def test_most_first_layers_are_unfolded() -> None:
    """The drawn layers of the test above reach what it is for."""
    count = 0
    for seed in range(40):
        with suppress(InputError):
            count += run_first_layer(seed)[0]
    assert count > 12


@counted(draws(40))
@settings(max_examples=draws(50), deadline=None)
@given(st.integers(0, 1 << 32))
def test_first_layers_of_more_channels_equal_the_reference(seed: int) -> None:
    """Bytes of a row that are more than two words: a LOAD for each channel group."""
    accepted(lambda seed: run_first_layer(seed, (5, 48)), seed)


def test_many_of_them_take_several_groups() -> None:
    """As `test_most_first_layers_are_unfolded`."""
    count = 0
    for seed in range(60):
        with suppress(InputError):
            count += run_first_layer(seed, (5, 48))[1]
    assert count > 5


def unfolded(channels: int, kernel: int, stride: int, rows: int, outputs: int = 64) -> tuple[tuple[int, int], int, int]:
    """Kernel, channels and channel groups that an array of `rows` rows sees of a 3 x 3, 5 x 5, ... first layer."""
    edge = load("edge")
    design = edge.model_copy(update={"array": edge.array.model_copy(update={"rows": rows})})
    weights = np.ones((outputs, channels, kernel, kernel), np.int8)
    record = Requantise(np.zeros(1, np.int32), np.ones(1, np.uint16), np.zeros(1, np.uint8), 0)
    layer = MatrixLayer("conv", "x", "y", weights, Window((kernel, kernel), (stride, stride)), record)
    made = unfold(layer, matrix_geometry(layer, (channels, 64, 64), None), Design.model_validate(design), 0, True)
    assert made
    groups = -(-made.geometry.channels // rows)
    return made.geometry.kernel, made.geometry.channels, groups


def test_lanes_of_known_networks() -> None:
    assert unfolded(1, 5, 1, 16) == ((2, 1), 15, 1)  # LeNet-5: three rows of five
    assert unfolded(3, 3, 1, 32) == ((1, 1), 27, 1)  # VGG: the whole window
    assert unfolded(8, 3, 1, 16, 16) == ((3, 2), 16, 1)  # two columns of a row; windows share words
    assert unfolded(3, 7, 2, 32) == ((1, 1), 4 * 32 + 30, 5)  # ResNet: 147 bytes, words of one, two and six rows
    assert unfolded(3, 7, 2, 16) == ((4, 3), 14, 1)  # thirds of two rows
    assert unfolded(3, 11, 4, 32, 96) == ((3, 5), 28, 1)  # AlexNet: fifths of four rows, 15 words for 363 bytes
    assert unfolded(16, 3, 1, 32, 16) == ((3, 2), 32, 1)  # two columns of a row; windows share words
    assert unfolded(16, 3, 1, 32, 64) == ((1, 1), 4 * 32 + 16, 5)  # 32 bytes of each row, 16 of two rows and of one
    assert unfolded(24, 5, 1, 32, 64) == ((5, 2), 64, 2)  # GoogLeNet's 4b: 120 bytes in four words, of two LOADs
    assert unfolded(48, 3, 1, 32, 192) == ((3, 1), 144, 5)  # SqueezeNet's fire6: 4.5 words of a row


@pytest.mark.rtl
def test_words_of_several_rows_and_columns_through_the_verilog(tmp_path: Path) -> None:
    """Planes of words that windows share, on chip as a whole and strip by strip: bytes, cycles and counters."""
    for activation_bytes in (1 << 14, 1200):
        design, rings = design_of(8, 8, 128, activation_bytes=activation_bytes), set[bool]()
        built = Built(design, tmp_path / str(activation_bytes))
        for channels, kernel, stride, size, outputs, codebook, pool in (
            (4, 3, 1, 9, 20, None, []),
            (4, 3, 1, 12, 40, [0, 5, -70, 9], [max_pool(Window((2, 2), (2, 2)))]),
            (2, 5, 1, 12, 33, None, [max_pool(Window((2, 2), (2, 2)))]),
        ):
            window = Window((kernel, kernel), (stride, stride), (kernel // 2,) * 4)
            network = network_of((channels, size, size), matrix(outputs, window, codebook), *pool)
            step = prepare(network, design).plan.steps[0]
            assert step.geometry.places
            rings.add(step.in_ring is not None)
            for tries in (0, 60):
                codes = np.random.default_rng(size).integers(-128, 128, (channels, size, size)).astype(np.int8)
                check(built, Trial(design, network, codes, size), compile_network(network, design, tries=tries))
        assert rings == {activation_bytes == 1200}


@settings(max_examples=draws(40), deadline=None)
@given(st.integers(0, 1 << 32))
def test_words_of_several_rows_and_columns(seed: int) -> None:
    """Any kernel, stride, pooling and room: the convolution's sums."""
    rng = Random(seed)
    size, kernel = rng.randint(9, 20), rng.randint(2, 7)
    window = Window((kernel, rng.randint(2, 7)), (rng.randint(1, 3), rng.randint(1, 3)), (rng.randint(0, 1),) * 4)
    pools = [[], [max_pool(Window((3, 3), (2, 2), (1, 1, 1, 1)))]]
    if min(window.output_size(size, size)) > 1:
        pools.append([max_pool(Window((2, 2), (2, 2)))])
    pool = rng.choice(pools)
    maker = matrix(rng.randint(1, 30), window, rng.choice([None, [0, 3, 9, -50], [0, 99], [3, 9]]))
    network = network_of((rng.randint(1, 7), size, size), maker, *pool)
    design = design_of(8, 8, rng.choice([32, 64, 256]), activation_bytes=rng.choice([1 << 11, 1 << 12, 1 << 16]))
    try:
        program = compile_network(network, design, tries=rng.choice([0, 0, 60]))
    except InputError:
        reject()
    codes = np.random.default_rng(seed).integers(-128, 128, (2, *network.tensors[network.input].shape)).astype(np.int8)
    np.testing.assert_array_equal(execute(program, codes), run(network, codes)[network.output])


def test_each_byte_of_the_input_is_read_once() -> None:
    """Where no row is in two windows, and all fit the buffer at once; the last row fills up the kernel's last pair."""
    network = network_of((3, 67, 67), matrix(16, Window((11, 11), (4, 4))))
    program = compile_network(network, load("large"))
    assert isinstance(program.input.layout, RowTensor)
    loads = [c for c in program.commands if isinstance(c, Load) and c.target == Target.ACTIVATION]
    assert {c.zero_code for c in loads} == {2}  # rows side by side
    assert sum(c.rows * c.row_beats for c in loads) == (67 + 1) * -(-67 * 3 // 32)


def test_layers_with_many_channels_are_not_unfolded() -> None:
    record = Requantise(np.zeros(1, np.int32), np.ones(1, np.uint16), np.zeros(1, np.uint8), 0)
    layer = MatrixLayer("conv", "x", "y", np.ones((16, 64, 3, 3), np.int8), Window((3, 3)), record)
    assert unfold(layer, matrix_geometry(layer, (64, 32, 32), None), load("edge"), 0, True) is None


def ways(codebook: list[int] | None, kernel: int, channels: int, groups: int = 1) -> list[str]:
    """The ways to read the input of a layer with 20 outputs on 28 x 28 pixels, on `edge`."""
    maker = matrix(20 if groups == 1 else channels, Window((kernel, kernel)), codebook, groups)
    layer = network_of((channels, 28, 28), maker).layers[0]
    assert isinstance(layer, MatrixLayer)
    geometry = matrix_geometry(layer, (channels, 28, 28), None)
    found = readings(layer, geometry, load("edge"), 0)
    return [f"{r.unfolded.geometry if r.unfolded else 'words'}{', dense' if r.as_dense else ''}" for r in found]


TWO_ROWS = "15 x 27 x 24 -> 24 x 24, kernel 2 x 1, dilation 3 x 1"  # three kernel rows of five columns, and two


def test_ways_to_read_the_input() -> None:
    """Lanes that a way leaves unused need weights of 0: without one the layer is written dense, if that pays."""
    assert ways(None, 5, 1) == ways([0, 9], 5, 1) == [TWO_ROWS, "words"]
    assert ways([3, 9], 5, 1) == [f"{TWO_ROWS}, dense", "5 x 28 x 24 -> 24 x 24, kernel 5 x 1", "words"]
    assert ways([3, 9], 7, 3) == [
        "14 x 28 x 66 -> 22 x 22, kernel 4 x 3, stride 1 x 3, dilation 2 x 1, dense",
        "7 x 28 x 66 -> 22 x 22, kernel 7 x 3, stride 1 x 3",
        "words",
    ]
    assert ways(None, 28, 1) == ["784 x 1 x 1 -> 1 x 1, kernel 1 x 1", "words"]
    assert ways(None, 3, 48) == ways(None, 3, 4, groups=4) == ["words"]
    assert ways(None, 3, 40) == ["64 x 28 x 52 -> 26 x 26, kernel 3 x 2, stride 1 x 2", "words"]  # 8 words for 9
