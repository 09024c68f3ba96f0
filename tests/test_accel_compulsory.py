"""What a network must move and multiply, against counting window by window."""

from __future__ import annotations

from math import ceil, floor, prod
from random import Random

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.commands import Load, Target
from accel.compile import compile_network
from accel.compiler.compulsory import Axis, axis, read
from accel.design import Array, Sparse, load
from accel.models import zoo
from accel.models.integers.network import IntegerNetwork, MatrixLayer, VectorLayer
from accel.models.quantisation.shared import quantise_compressed
from accel.models.window import Window
from accel.sim.result import simulate
from tests.benches.counted import accepted, counted
from tests.benches.draw import draw_design, draw_ends, draw_network
from tests.benches.layers import design_of, matrix, network_of

Pixel = tuple[int, int]


def windows(layer: MatrixLayer | VectorLayer, network: IntegerNetwork) -> dict[Pixel, dict[Pixel, Pixel]]:
    """For each output pixel, the input pixel under each kernel position that is not padding."""
    window = layer.window
    height, width = network.tensors[layer.input].shape[1:]
    found: dict[Pixel, dict[Pixel, Pixel]] = {}
    for oy, ox in np.ndindex(*window.output_size(height, width)):
        under = found.setdefault((oy, ox), {})
        for ky, kx in np.ndindex(*window.kernel):
            y = oy * window.stride[0] - window.pads[0] + ky * window.dilation[0]
            x = ox * window.stride[1] - window.pads[1] + kx * window.dilation[1]
            (y, off_y), (x, off_x) = divmod(y, window.base_dilation[0]), divmod(x, window.base_dilation[1])
            top, left, bottom, right = window.edges
            inside = 0 <= y < height + top + bottom and 0 <= x < width + left + right
            if inside and off_y == off_x == 0:
                under[ky, kx] = (min(max(y - top, 0), height - 1), min(max(x - left, 0), width - 1))
    return found


def in_parts(layer: MatrixLayer, under: dict[Pixel, dict[Pixel, Pixel]], zero_point: int) -> int:
    """Bytes of dense weights and records of a layer whose output has phases, each with its own."""
    window, found = layer.window, 0
    (by_y, by_x), outputs = window.base_dilation, len(layer.weights)
    pixels = sorted({(y % by_y, x % by_x) for y, x in under})
    for first_y, first_x in pixels:
        of_phase = [taps for (y, x), taps in under.items() if (y % by_y, x % by_x) == (first_y, first_x)]
        found += len({tap for taps in of_phase for tap in taps}) * prod(layer.weights.shape[:2])
        kept = [
            (ky, kx)
            for ky, kx in np.ndindex(*window.kernel)
            if (first_y + ky * window.dilation[0] - window.pads[0]) % by_y == 0
            and (first_x + kx * window.dilation[1] - window.pads[1]) % by_x == 0
        ]
        met = sum((layer.weights[:, :, ky, kx].astype(int).sum(1) for ky, kx in kept), np.zeros(outputs, int))
        missing = (layer.weights.astype(int).sum((1, 2, 3)) - met) * zero_point
        own = len(layer.requantise.bias) > 1 or len(set(missing.tolist())) > 1
        found += 8 * outputs if own else 0
    return found


@counted(40)
@settings(max_examples=60, deadline=None)
@given(st.randoms(use_true_random=False))
def test_equals_counting(rng: Random) -> None:
    """MACs, weights that meet an activation, records, pixels of inputs that are reached, and outputs, once."""
    network, design = draw_ends(rng, draw_network(rng, joining=False)), draw_design(rng)
    program = accepted(compile_network, network, design, "plain")
    layers = {layer.name: layer for layer in network.layers}
    entered, tables = set[str](), set[bytes]()
    for info in program.layers:
        if info.name not in layers:  # a copy that the compiler makes, of an input perhaps
            entered.add(info.name.split(".copy")[0])
            continue
        layer = layers[info.name]
        under = windows(layer, network)
        if info.kind.endswith("+maxpool"):  # fused: only what its windows read
            (pool,) = (x for x in network.layers if x.input == layer.output)
            wanted = {pixel for reached in windows(pool, network).values() for pixel in reached.values()}
            under = {pixel: reached for pixel, reached in under.items() if pixel in wanted}
            made = pool.output
        else:
            made = layer.output
        expected = macs = 0
        if isinstance(layer, MatrixLayer):
            outputs, inputs = layer.weights.shape[:2]
            macs = outputs * inputs * sum(map(len, under.values()))
            taps = len({tap for reached in under.values() for tap in reached})
            bits = layer.shared.bits if layer.shared and info.weight_format.startswith("shared") else 8
            codebook = 1 << bits if info.weight_format.startswith("shared") else 0
            weights = outputs * inputs * taps
            if "-2:4" in info.weight_format:  # two of four, each with an index of two bits
                weights, bits = weights / 2, bits + 2
            expected += ceil(floor(weights * bits) / 8) + codebook
            if info.weight_format == "parameters" and taps == 9:
                expected -= outputs  # the ninth lies in the record
            expected += 8 * outputs if len(layer.requantise.bias) > 1 or info.weight_format == "parameters" else 0
            if layer.window.spread:
                expected = in_parts(layer, under, network.tensors[layer.input].zero_point)
        if layer.requantise.table is not None and layer.requantise.table.tobytes() not in tables:
            tables.add(layer.requantise.table.tobytes())
            expected += 256
        reads = [layer.input] + ([layer.residual.tensor] if layer.residual else [])
        for name in set(reads) & set(network.inputs) - entered:
            entered.add(name)
            channels, height, width = network.tensors[name].shape
            pixels = {pixel for reached in under.values() for pixel in reached.values()}
            added = layer.residual is not None and layer.residual.tensor == name
            expected += channels * (height * width if added else len(pixels))
        if any(layer.window.edges):
            # Weights that meet one pixel of an edge are added up; between those of a dilated kernel are zeros.
            assert info.must.macs <= macs or layer.window.dilation != (1, 1)
        elif isinstance(layer, MatrixLayer) and layer.window.spread and info.weight_format != "dense":
            assert info.must.macs == macs  # each part has a format of its own
        else:
            assert (info.must.macs, info.must.read_bytes) == (macs, expected), info
        out = int(np.prod(network.tensors[made].shape)) if made in network.outputs else 0
        assert info.must.write_bytes == out


def test_a_sparse_engine_must_read_what_is_not_zero() -> None:
    """An entry for each weight that is not zero, as wide as the LOADs say, and the codebook."""
    network = quantise_compressed(zoo.load("lenet-5-deep"), zoo.preprocess(zoo.mnist_calibration()))
    program = compile_network(
        network, load("edge").model_copy(update={"array": Array(rows=16, cols=16), "engine": Sparse()})
    )
    matrices = [layer for layer in network.layers if isinstance(layer, MatrixLayer)]
    for index, (info, layer) in enumerate(zip(program.layers, matrices, strict=True)):
        assert layer.shared
        (bits,) = {
            1 + command.run + command.step
            for owner, command in zip(program.layer_of, program.commands, strict=True)
            if owner == index and isinstance(command, Load) and command.target == Target.WEIGHT
        }
        weights = -(-int((layer.weights != 0).sum()) * max(8, bits) // 8) + (1 << layer.shared.bits)
        pixels = 28 * 28 if index == 0 else 0
        assert info.must.read_bytes == weights + 8 * len(layer.weights) + pixels


def test_a_filter_s_parameters_are_all_that_is_read() -> None:
    """With one lane nothing fills a word: what is loaded of a depthwise layer is what must be, 16 bytes a channel."""
    design = design_of(4, 4, axi_bits=64, lanes=1).model_copy(update={"filter_multipliers": 9})
    window = Window((3, 3), pads=(1, 1, 1, 1))
    program = compile_network(network_of((2, 5, 5), matrix(2, Window((1, 1))), matrix(2, window, groups=2)), design)
    layer = simulate(program).layers[1]
    assert layer.info.weight_format == "parameters"
    assert layer.info.must.read_bytes == layer.dram_read_bytes == 2 * 16


def test_an_axis_by_hand() -> None:
    """Five inputs, a pad of 1 on both sides, three taps, stride 2: windows at -1, 1 and 3."""
    assert axis(5, 1, 2, 1, 3, (0, 1, 2)) == Axis(pairs=7, taps=3, inputs=5)
    assert axis(5, 1, 2, 1, 3, (1,)) == Axis(pairs=3, taps=3, inputs=3)
    assert axis(1, 1, 1, 1, 3, (0,)) == Axis(pairs=1, taps=1, inputs=1)
    assert axis(7, 0, 3, 1, 1, (0, 1, 2)) == Axis(pairs=3, taps=1, inputs=3)


def test_positions_that_a_pooling_reads() -> None:
    assert read(5, 2, 0, 2, 2) == (0, 1, 2, 3)  # the last one is dropped
    assert read(7, 2, 0, 4, 2) == (0, 1, 4, 5)
    assert read(4, 3, 1, 2, 2) == (0, 1, 2, 3)
