"""The compiler as a whole: the program is right on cramped designs, fits its buffers, and says what does not fit."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from accel.commands import COMMAND_BYTES, Compute, End, Load, Nop, Post, Store, Target, decode
from accel.compile import compile_network
from accel.design import Design, Widths, load
from accel.gemm import gemm_network
from accel.layout import RowTensor
from accel.models.errors import InputError
from accel.models.integers.network import (
    IntegerNetwork,
    MatrixLayer,
    Requantise,
    Residual,
    Shared,
    TensorSpec,
    VectorLayer,
    Window,
)
from accel.models.reference.int8 import run
from accel.program import Program
from accel.sim.execute import execute
from accel.timing.recurrence import time_program
from tests.benches.counted import accepted, counted
from tests.benches.draw import draw_design, draw_input, draw_network
from tests.benches.wide import draws

SEEDS = st.integers(0, 1 << 32)


def resized(design: Design, **buffers: int) -> Design:
    """The design with other buffers."""
    return design.model_copy(update={"buffers": design.buffers.model_copy(update=buffers)})


def draw_cramped(rng: Random, fractions: tuple[float, ...]) -> tuple[Design, IntegerNetwork]:
    """A network whose largest tensor takes one of `fractions` of an activation bank."""
    design = draw_design(rng, largest=rng.choice([4, 8, 12]))
    network = draw_network(rng, layers=5, size=rng.choice([8, 14]), channels=rng.choice([12, 30]))
    words = max(int(np.prod(t.shape[1:])) * -(-t.shape[0] // design.word_lanes) for t in network.tensors.values())
    bank = max(2, int(words * rng.choice(fractions)))
    return resized(
        design.model_copy(update={"widths": Widths(), "operand_products": 1}),  # so that buffers alone are too small
        activation_bytes=max(64, 2 * design.word_lanes * bank),
        parameter_bytes=8 * design.buffers.parameter_bytes,
    ), network


def random_codes(network: IntegerNetwork, seed: int = 0) -> np.ndarray:
    shape = network.tensors[network.input].shape
    return np.random.default_rng(seed).integers(-128, 128, (1, *shape)).astype(np.int8)


def assert_exact(network: IntegerNetwork, design: Design) -> Program:
    """Compile, run, compare with the reference; the program."""
    program = compile_network(network, design)
    codes = random_codes(network)
    np.testing.assert_array_equal(execute(program, codes), run(network, codes)[network.output])
    time_program(program)  # raises if the program cannot end
    return program


def shortage(network: IntegerNetwork, design: Design) -> str:
    """What the compiler refuses the network with, "" if it does not."""
    try:
        compile_network(network, design)
    except InputError as error:
        return str(error)
    return ""


def requantise(channels: int, zero_point: int = 0, shift: int = 24) -> Requantise:
    generator = np.random.default_rng(channels)
    return Requantise(
        generator.integers(-999, 999, channels).astype(np.int32),
        generator.integers(32768, 65536, channels).astype(np.uint16),
        np.full(channels, shift, np.uint8),
        zero_point,
    )


def conv(
    name: str, source: TensorSpec, out: int, kernel: int, stride: int = 1, pad: int = 0, groups: int = 1,
    zero_point: int = 0, residual: TensorSpec | None = None,
) -> tuple[MatrixLayer, TensorSpec]:  # fmt: skip
    window = Window((kernel, kernel), (stride, stride), (pad,) * 4)
    shape = (out, source.shape[0] // groups, kernel, kernel)
    weights = np.random.default_rng(len(name)).integers(-128, 128, shape).astype(np.int8)
    other = Residual(residual.name, 20000, 15, residual.zero_point) if residual else None
    layer = MatrixLayer(name, source.name, f"{name}:out", weights, window, requantise(out, zero_point), groups, other)
    return layer, TensorSpec(layer.output, (out, *window.output_size(*source.shape[1:])), 1.0, zero_point)


def network_of(*parts: tuple[MatrixLayer | VectorLayer, TensorSpec], source: TensorSpec) -> IntegerNetwork:
    tensors = {source.name: source} | {spec.name: spec for _, spec in parts}
    return IntegerNetwork("test", source.name, parts[-1][1].name, tensors, tuple(layer for layer, _ in parts))


def max_pool(name: str, source: TensorSpec, kernel: int, stride: int) -> tuple[VectorLayer, TensorSpec]:
    window = Window((kernel, kernel), (stride, stride))
    identity = Requantise(
        np.array([-source.zero_point], np.int32), np.array([32768], np.uint16), np.array([15], np.uint8),
        source.zero_point,
    )  # fmt: skip
    layer = VectorLayer(name, source.name, f"{name}:out", "max", window, identity)
    shape = (source.shape[0], *window.output_size(*source.shape[1:]))
    return layer, TensorSpec(layer.output, shape, 1.0, source.zero_point)


def spilled(program: Program) -> bool:
    """Whether something but the output is stored to DRAM."""
    return any(c.dram_addr < program.output.offset for c in program.commands if isinstance(c, Store))


@counted(draws(100))
@settings(max_examples=draws(120), deadline=None)
@given(SEEDS)
@example(16863)  # every second word of rows that lie one behind the other, an odd number of words each
@example(117972502)  # a filter behind the array fills up words that the array does not
def test_cramped_programs_equal_the_reference(seed: int) -> None:
    rng = Random(seed)
    design, network = draw_cramped(rng, (0.3, 0.5, 0.7, 1.0))
    program = accepted(compile_network, network, design)
    codes = draw_input(rng, network, batch=2)
    np.testing.assert_array_equal(execute(program, codes), run(network, codes)[network.output])


def test_cramped_programs_do_spill() -> None:
    """The drawn designs of the test above reach what it is for."""
    count = 0
    for seed in range(60):
        design, network = draw_cramped(Random(seed), (0.3, 0.5))
        with suppress(InputError):
            count += spilled(compile_network(network, design))
        if count == 5:
            return
    raise AssertionError(f"only {count} of 60 spill")


@settings(max_examples=draws(80), deadline=None)
@given(SEEDS)
def test_a_shortage_says_how_many_bytes(seed: int) -> None:
    """The buffer enlarged by what the message says, that layer has enough of it."""
    rng = Random(seed)
    design, network = draw_cramped(rng, (0.1, 0.3, 0.5))
    design = resized(design, weight_bytes=rng.choice([64, 200, 1000]) * design.cols)
    seen: set[tuple[str, str]] = set()
    for _ in range(30):
        message = shortage(network, design)
        if not message:
            return
        match = re.fullmatch(
            r"random: layer '(\S+)' \([\w ]+\): one tile needs ([\d,]+) bytes of (\w+), "
            r"the design has ([\d,]+): short by ([\d,]+)",
            message,
        )
        assert match, message
        needs, has, short = (int(match[i].replace(",", "")) for i in (2, 4, 5))
        assert has == getattr(design.buffers, match[3])
        assert short == needs - has > 0
        assert (match[1], match[3]) not in seen, message
        seen.add((match[1], match[3]))
        design = resized(design, **{match[3]: needs})
    raise AssertionError("no end of shortages")


@counted(draws(50))
@settings(max_examples=draws(60), deadline=None)
@given(SEEDS)
def test_the_program_buffer_never_overflows_nor_starves(seed: int) -> None:
    rng = Random(seed)
    design, network = draw_cramped(rng, (0.5, 1.0, 3.0))
    program = accepted(compile_network, network, design)
    held, capacity, address = program.first_fetch, design.buffers.program_commands, program.program_offset
    assert held * COMMAND_BYTES % design.beat_bytes == 0
    address += held * COMMAND_BYTES
    for command in program.commands:
        assert held > 0
        held -= 1
        if isinstance(command, Load) and command.target == Target.PROGRAM:
            assert command.dram_addr == address
            assert command.rows == 1
            address += command.row_beats * design.beat_bytes
            held += command.row_beats * design.beat_bytes // COMMAND_BYTES
        assert held <= capacity
    assert held == 0
    real = [c for c in program.commands if not isinstance(c, Nop)]
    assert isinstance(real[-1], End)


@counted(draws(25))
@settings(max_examples=draws(30), deadline=None)
@given(SEEDS)
def test_the_image_holds_the_commands_and_addresses_stay_inside(seed: int) -> None:
    rng = Random(seed)
    design, network = draw_cramped(rng, (0.5, 1.0, 3.0))
    program = accepted(compile_network, network, design)
    raw = program.image[program.program_offset :].tobytes()
    for index, command in enumerate(program.commands):
        assert decode(raw[index * COMMAND_BYTES : (index + 1) * COMMAND_BYTES]) == command
    for command in program.commands:
        if isinstance(command, (Load, Store)):
            assert command.dram_addr % design.beat_bytes == 0
            assert command.dram_pitch % design.beat_bytes == 0
    assert program.input.offset % 64 == program.output.offset % 64 == 0
    assert len(program.image) <= program.input.offset
    assert len(program.layer_of) == len(program.commands)
    for owner, command in zip(program.layer_of, program.commands, strict=True):
        fetch = isinstance(command, Load) and command.target == Target.PROGRAM
        assert (owner == -1) == (fetch or isinstance(command, (Nop, End)))
        assert owner < len(program.layers)


def test_compiling_twice_gives_the_same_program() -> None:
    first, second = (compile_network(gemm_network(20, 33, 47), load("nano")) for _ in range(2))
    assert first.commands == second.commands
    np.testing.assert_array_equal(first.image, second.image)


# What the issue asks for, in cycles from start to done.


def test_gemm_reaches_90_percent_of_peak() -> None:
    assert time_program(assert_exact(gemm_network(128, 128, 128), load("nano"))).cycles <= 128**3 / 64 / 0.9


def test_one_row_of_a_gemm_waits_for_little_but_its_weights() -> None:
    assert time_program(assert_exact(gemm_network(1, 128, 128), load("nano"))).cycles <= 2400


def test_convolution_reaches_95_percent_of_peak() -> None:
    source = TensorSpec("x", (64, 56, 56), 1.0, 0)
    network = network_of(conv("conv", source, 64, 3, pad=1), source=source)
    macs = 56 * 56 * 64 * 64 * 9
    assert time_program(assert_exact(network, load("edge"))).cycles <= macs / 256 / 0.95


def test_fully_connected_reaches_90_percent_of_the_bandwidth() -> None:
    program = assert_exact(gemm_network(1, 1024, 1024), load("edge"))
    assert time_program(program).cycles <= 1024 * 1024 / 16 / 0.9


def test_a_big_gemm_has_few_commands() -> None:
    program = compile_network(gemm_network(1024, 1024, 1024), load("large"))
    assert len(program.commands) < 1500
    assert time_program(program).cycles <= 1024**3 / 1024 / 0.97


# Decisions of the compiler.


def test_max_pooling_is_fused() -> None:
    source = TensorSpec("x", (16, 12, 12), 1.0, 3)
    first, made = conv("conv", source, 16, 3, zero_point=-7)
    network = network_of((first, made), max_pool("pool", made, 2, 2), source=source)
    program = assert_exact(network, load("edge"))
    assert [layer.kind for layer in program.layers] == ["conv+maxpool"]
    assert not any(c.from_activation for c in program.commands if isinstance(c, Post))


def test_pooling_with_limits_of_its_own_is_fused_with_both() -> None:
    source = TensorSpec("x", (16, 12, 12), 1.0, 3)
    first, made = conv("conv", source, 16, 3, zero_point=-7)
    first = replace(first, requantise=replace(first.requantise, low=-60, high=90))
    pool, pooled = max_pool("pool", made, 2, 2)
    pool = replace(pool, requantise=replace(pool.requantise, low=-20, high=100))
    assert len(assert_exact(network_of((first, made), (pool, pooled), source=source), load("edge")).layers) == 1


def test_pooling_is_not_fused_when_the_map_is_read_elsewhere() -> None:
    source = TensorSpec("x", (16, 12, 12), 1.0, 3)
    first, made = conv("conv", source, 16, 3, zero_point=-7)
    pool, pooled = max_pool("pool", made, 2, 1)
    other, last = conv("other", made, 16, 2, residual=pooled)
    network = network_of((first, made), (pool, pooled), (other, last), source=source)
    assert [layer.kind for layer in assert_exact(network, load("edge")).layers] == ["conv", "maxpool", "conv"]


def test_what_fits_stays_on_chip() -> None:
    source = TensorSpec("x", (16, 20, 20), 1.0, 3)
    first, a = conv("a", source, 32, 3, pad=1)
    second, b = conv("bb", a, 32, 3, pad=1, residual=a)
    third, c = conv("ccc", b, 32, 3, pad=1, residual=a)
    program = assert_exact(network_of((first, a), (second, b), (third, c), source=source), load("edge"))
    assert not spilled(program)
    words = sum(s.rows * s.row_words for s in program.commands if isinstance(s, Store))
    assert words == 2 * 20 * 20


@pytest.mark.parametrize("bank_words", [330, 420, 820, 1200])
def test_residuals_spill_with_what_they_are_added_to(bank_words: int) -> None:
    source = TensorSpec("x", (16, 20, 20), 1.0, 3)
    first, a = conv("a", source, 32, 3, pad=1)
    second, b = conv("bb", a, 32, 3, pad=1, residual=a)
    third, c = conv("ccc", b, 32, 3, pad=1, residual=a)
    design = resized(load("edge"), activation_bytes=2 * 16 * bank_words)
    program = assert_exact(network_of((first, a), (second, b), (third, c), source=source), design)
    assert spilled(program) == (
        bank_words < 800
    )  # a bank for each of two tensors; the third is written over its operand


def test_the_input_may_be_added_and_read_twice() -> None:
    source = TensorSpec("x", (8, 10, 10), 1.0, 3)
    first, a = conv("a", source, 8, 3, pad=1, residual=source)
    second, b = conv("bb", source, 8, 1, residual=a)
    for words in (4000, 250, 130):
        design = resized(load("nano"), activation_bytes=2 * 8 * words)
        assert_exact(network_of((first, a), (second, b), source=source), design)


def test_first_layer_fills_the_lanes() -> None:
    """5 x 5 kernels on one channel: the 16 rows of the array hold 15 of the 25 weights at a time, not one."""
    source = TensorSpec("x", (1, 28, 28), 1.0, -128)
    program = assert_exact(network_of(conv("conv", source, 20, 5), source=source), load("edge"))
    assert isinstance(program.input.layout, RowTensor)
    computes = [c for c in program.commands if isinstance(c, Compute)]
    assert max(c.rows_last for c in computes) == 15


def test_fully_connected_first_layers_read_contiguous_words() -> None:
    for shape in ((784, 1, 1), (1, 28, 28), (3, 9, 7)):
        source = TensorSpec("x", shape, 1.0, 5)
        weights = np.random.default_rng(1).integers(-128, 128, (30, *shape)).astype(np.int8)
        layer = MatrixLayer("fc", "x", "y", weights, Window(shape[1:]), requantise(30))
        network = network_of((layer, TensorSpec("y", (30, 1, 1), 1.0, 0)), source=source)
        for name in ("nano", "edge", "large"):
            design = load(name)
            program = assert_exact(network, design)
            loads = [c for c in program.commands if isinstance(c, Load) and c.target == Target.ACTIVATION]
            size = sum(c.rows * c.row_beats for c in loads) * design.beat_bytes
            assert size <= int(np.prod(shape)) + design.word_lanes + design.beat_bytes
            groups = -(-int(np.prod(shape)) // design.word_lanes)
            stored = program.layers[0].weight_bytes
            assert stored == groups * design.word_lanes * -(-30 // design.cols) * design.cols + 8 * 30


def test_grouped_layers_take_only_their_own_channels() -> None:
    source = TensorSpec("x", (64, 9, 9), 1.0, 3)
    depthwise = conv("dw", source, 64, 3, pad=1, groups=64)
    program = assert_exact(network_of(depthwise, source=source), load("edge"))
    assert all(c.groups == 1 for c in program.commands if isinstance(c, Compute))


def test_a_shared_grouped_layer_without_a_zero_falls_back_to_dense() -> None:
    source = TensorSpec("x", (8, 5, 5), 1.0, 3)
    layer, made = conv("dw", source, 8, 3, groups=8)
    for codebook, expected in (([-3, 5], "dense"), ([0, 5], "shared1")):
        entries = np.array(codebook, np.int8)
        indices = np.random.default_rng(0).integers(0, 2, layer.weights.shape).astype(np.uint8)
        shared = replace(layer, weights=entries[indices], shared=Shared(1, entries, indices))
        program = assert_exact(network_of((shared, made), source=source), load("nano"))
        assert program.layers[0].weight_format.startswith(expected)


def test_shared_weights_take_their_bits() -> None:
    source = TensorSpec("x", (64, 1, 1), 1.0, 3)
    layer, made = conv("fc", source, 64, 1)
    codebook = np.arange(-8, 8).astype(np.int8)
    indices = np.random.default_rng(0).integers(0, 16, layer.weights.shape).astype(np.uint8)
    shared = replace(layer, weights=codebook[indices], shared=Shared(4, codebook, indices))
    program = assert_exact(network_of((shared, made), source=source), load("edge"))
    loads = [c for c in program.commands if isinstance(c, Load) and c.target == Target.WEIGHT]
    assert sum(c.row_beats for c in loads) * 16 == 64 * 64 // 2


def test_a_network_that_cannot_fit_is_refused_in_one_line() -> None:
    source = TensorSpec("x", (64, 12, 12), 1.0, 3)
    network = network_of(conv("conv1", source, 64, 9), source=source)
    expected = (
        r"test: layer 'conv1' \(Conv or Gemm\): one tile needs 20,736 bytes of weight_bytes, the design has 2,048: "
        "short by 18,688"
    )
    with pytest.raises(InputError, match=f"^{expected}$"):
        compile_network(network, resized(load("edge"), weight_bytes=2048))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"window": Window((1, 1), (16, 1))}, "stride must be at most 15, not 16"),
        ({"window": Window((1, 1), dilation=(64, 1))}, "dilation must be at most 63, not 64"),
    ],
)
def test_what_no_command_can_express(change: dict[str, object], message: str) -> None:
    source = TensorSpec("x", (8, 40, 40), 1.0, 3)
    layer, made = conv("conv1", source, 16, 1)
    layer = replace(layer, **change)
    made = replace(made, shape=(16, *layer.window.output_size(40, 40)))
    with pytest.raises(InputError, match=rf"^test: layer 'conv1' \(Conv or Gemm\): {re.escape(message)}"):
        compile_network(network_of((layer, made), source=source), load("nano"))


def test_a_product_of_activations_needs_a_design_that_has_it() -> None:
    spec = TensorSpec("x", (8, 3, 3), 1.0, 3)
    record = Requantise(np.array([0], np.int32), np.array([32768], np.uint16), np.array([15], np.uint8), 3, -128, 127)
    layer = VectorLayer("gate", "x", "y", "max", Window((1, 1)), record, Residual("x", 1, 0, 3, "multiply"))
    network = network_of((layer, replace(spec, name="y")), source=spec)
    assert_exact(network, load("nano"))
    message = r"^test: layer 'gate' \(Mul\): a product of two activations must have a design with operand_products"
    with pytest.raises(InputError, match=message):
        compile_network(network, load("nano").model_copy(update={"operand_products": 0}))


def test_a_function_needs_a_design_with_tables() -> None:
    spec = TensorSpec("x", (8, 3, 3), 1.0, 3)
    layer, made = conv("conv1", spec, 8, 1)
    layer = replace(layer, requantise=replace(layer.requantise, table=np.arange(-128, 128).astype(np.int8)[::-1]))
    network = network_of((layer, made), source=spec)
    assert_exact(network, load("nano"))
    message = r"^test: layer 'conv1': a function of one activation must have a design with tables, and nano has none"
    with pytest.raises(InputError, match=message):
        compile_network(network, load("nano").model_copy(update={"tables": 0}))


def test_shared_weights_run_as_dense_ones_without_codebooks() -> None:
    spec = TensorSpec("x", (8, 3, 3), 1.0, 3)
    layer, made = conv("conv1", spec, 8, 1)
    indices = np.arange(layer.weights.size, dtype=np.uint8).reshape(layer.weights.shape) % 2
    entries = np.array([-3, 5], np.int8)
    layer = replace(layer, weights=entries[indices], shared=Shared(1, entries, indices))
    network = network_of((layer, made), source=spec)
    for codebooks in (0, 1):
        design = load("nano").model_copy(update={"codebooks": codebooks})
        program = assert_exact(network, design)
        targets = {command.target for command in program.commands if isinstance(command, Load)}
        assert (Target.CODEBOOK in targets) == bool(codebooks)
        assert [info.weight_format for info in program.layers] == [["dense"], ["shared1"]][codebooks]


def test_sums_must_fit_the_accumulators() -> None:
    source = TensorSpec("x", (64, 4, 4), 1.0, 3)
    design = load("nano").model_copy(update={"widths": load("nano").widths.model_copy(update={"accumulator": 20})})
    with pytest.raises(InputError, match="accumulators of 20 bits hold 524,287"):
        compile_network(network_of(conv("conv1", source, 16, 3), source=source), design)


def test_large_padded_inputs_are_refused() -> None:
    source = TensorSpec("x", (8, 1, 5000), 1.0, 3)
    with pytest.raises(
        InputError, match=r"'conv1' \(Conv or Gemm\): a padded input must be at most 4095 x 4095, not 1 x 5000"
    ):
        compile_network(network_of(conv("conv1", source, 16, 3, pad=1), source=source), load("nano"))
    assert_exact(network_of(conv("conv1", source, 8, 1), source=source), load("nano"))


def test_a_network_without_layers_is_refused() -> None:
    spec = TensorSpec("x", (8, 1, 1), 1.0, 3)
    with pytest.raises(InputError, match=r"^empty: network must have a layer that"):
        compile_network(IntegerNetwork("empty", "x", "x", {"x": spec}, ()), load("nano"))
