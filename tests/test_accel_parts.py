"""Parts of layers over a spread input: which beats their columns lie in, their biases, what reports say of them."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.commands import Post, Store
from accel.compile import compile_network
from accel.compiler.parts import parts_of
from accel.compiler.tensors import part_beats
from accel.design import load
from accel.layout import WordTensor
from accel.models.errors import InputError
from accel.models.integers.network import MatrixLayer, Shared
from accel.models.reference import im2col
from accel.models.reference.int8 import matrix_sums
from accel.models.window import Window
from accel.sim.result import simulate
from tests.benches.draw import draw_spread
from tests.benches.layers import SAME, Maker, design_of, matrix, max_pool, network_of


@settings(max_examples=300, deadline=None)
@given(st.integers(1, 40), st.sampled_from([1, 2, 3, 4, 8]), st.integers(1, 6), st.data())
def test_the_columns_of_a_part_are_written_and_nothing_else(
    width: int, align: int, step: int, data: st.DataObject
) -> None:
    pitch = -(-width // align) * align
    first = data.draw(st.integers(0, width - 1))
    columns = range(first, data.draw(st.integers(first + 1, width)), step)
    written = []
    for beats in part_beats(WordTensor(1, 1, width, pitch, pitch), align, step, columns[0], columns[-1]):
        assert beats.begin % align == beats.end % align == 0
        written += [c for c in range(beats.begin, beats.end) if (c - beats.column) % beats.line == 0]
    expected = list(columns)
    if step == 1 and columns[-1] == width - 1 and (columns[0] % align == 0 or columns[0] // align < pitch // align - 1):
        expected += range(width, pitch)  # what is behind a row's last column has no strobes, as in every STORE
    assert sorted(written) == expected


@settings(max_examples=100, deadline=None)
@given(st.randoms(use_true_random=False))
def test_the_parts_of_a_convolution_make_its_sums(rng: Random) -> None:
    """Sums with bias, of each part on its own, where it writes: those of the input spread by its zero point."""
    size = rng.randint(1, 5), rng.randint(1, 5)
    window = draw_spread(rng, *size)
    network = network_of((4, *size), SAME, matrix(6, window, [0, 1, -1, 3], groups=rng.choice([1, 2])))
    layer = network.layers[1]
    assert isinstance(layer, MatrixLayer)
    if rng.random() < 0.5:
        bias = layer.requantise.bias[:1]
        record = replace(layer.requantise, bias=bias, multiplier=np.uint16([9]), shift=np.uint8([1]))
        layer = replace(layer, requantise=record)
    codes = np.random.default_rng(rng.getrandbits(32)).integers(-128, 128, (4, *size, 1)).astype(np.int8)
    zero_point = network.tensors[layer.input].zero_point
    plain = Window(window.kernel, dilation=window.dilation)
    spread = im2col.pad(codes, window, zero_point).astype(np.int64)
    whole = im2col.convolve(spread, layer.weights.astype(np.int64), plain, layer.groups)
    np.testing.assert_array_equal(matrix_sums(layer, codes, zero_point), whole)
    found = np.full(whole.shape, -1 << 40)
    for part, where in parts_of(layer, network):
        assert isinstance(part, MatrixLayer)
        assert where.of is layer
        assert where.of.window.edges != (0,) * 4 or not where.taps or part.shared
        assert part.shared is None or np.array_equal(part.shared.codebook[part.shared.indices], part.weights)
        sums = matrix_sums(part, codes, zero_point) + part.requantise.bias.reshape(-1, 1, 1, 1)
        assert len(part.requantise.bias) == len(part.requantise.multiplier) == len(part.requantise.shift)
        y, x = (a + s * np.arange(n) for a, s, n in zip(where.first, where.step, sums.shape[1:3], strict=True))
        assert (found[:, y[:, None], x] == -1 << 40).all()
        found[:, y[:, None], x] = sums
    np.testing.assert_array_equal(found, whole + layer.requantise.bias.reshape(-1, 1, 1, 1))


def test_no_cycle_for_an_inserted_zero() -> None:
    """A 4 x 4 kernel of stride 2 takes as many products as four of 2 x 2: a quarter of those over the spread map."""
    window = Window((4, 4), pads=(2, 2, 2, 2), base_dilation=(2, 2))
    network = network_of((64, 16, 16), SAME, matrix(64, window))
    program = compile_network(network, load("edge"))
    info = program.layers[1]
    assert (info.name, info.kind) == ("layer1", "transposed conv")
    result = simulate(program)
    layer = result.layers[1]
    array = 64 // 16 * (64 // 16) * 16 * 16 * 16
    assert array <= layer.cycles < 1.15 * array
    # Each pixel meets every tap, but those of the border.
    assert 0.9 * array * 256 < info.must.macs <= array * 256
    assert {c.dst_step for c in program.commands if isinstance(c, Post)} == {1, 2}


@pytest.mark.parametrize("axi_bits", [32, 128, 512])
def test_an_output_that_does_not_fit_is_stored_part_by_part(axi_bits: int) -> None:
    """What `tests.test_cross_rtl` runs; here that it happens, and that every byte of the tensor is stored once."""
    window = Window((2, 2), pads=(1, 1, 1, 1), base_dilation=(2, 2))
    design = design_of(4, 4, axi_bits=axi_bits, activation_bytes=2 * 4 * 200)
    program = compile_network(network_of((4, 9, 11), SAME, matrix(5, window)), design)
    stores = [c for c in program.commands if isinstance(c, Store)]
    assert any(c.gap_words for c in stores)
    assert isinstance(program.output.layout, WordTensor)
    written = np.zeros(program.dram_bytes, int)
    stride = 4
    for c in stores:
        for row in range(c.rows):
            for word in range(c.row_words):
                place = (c.line_at + word) % max(1, c.line_words)
                if not c.gap_words or place < c.line_words - c.gap_words:
                    written[c.dram_addr + row * c.dram_pitch + word * stride] += 1
    layout, first = program.output.layout, program.output.offset
    for group in range(2):
        for y in range(layout.height):
            at = first + (group * layout.plane + y * layout.row_pitch) * stride
            row = written[at : at + layout.row_pitch * stride : stride]
            assert (row[: layout.width] == 1).all()
            assert not row[layout.width :].any()


def test_a_part_keeps_its_codebook() -> None:
    network = network_of((4, 3, 3), SAME, matrix(4, Window((3, 3), base_dilation=(2, 2)), [0, 5]))
    shared = [part.shared for part, _ in parts_of(network.layers[1], network) if isinstance(part, MatrixLayer)]
    assert all(isinstance(s, Shared) and s.bits == 1 for s in shared)


@pytest.mark.parametrize(
    ("maker", "message"),
    [
        (max_pool(Window((2, 2), (2, 2), base_dilation=(2, 2))), "a window over a spread input must have stride 1"),
        (max_pool(Window((1, 1), base_dilation=(2, 1))), "every window over a spread input must meet a pixel"),
        (max_pool(Window((2, 2), edges=(0, 0, 1, 1))), "a pooling over repeated edges must be a copy"),
        (max_pool(Window((3, 3), base_dilation=(2, 2)), "x"), "a window over a spread input must have no residual"),
        (
            matrix(4, Window((3, 3), edges=(1, 1, 1, 1))),
            "weights that meet one pixel of a repeated edge must add up to 8",
        ),
    ],
)
def test_windows_that_have_no_parts_are_refused(maker: Maker, message: str) -> None:
    with pytest.raises(InputError, match=message):
        network_of((4, 3, 3), SAME, maker)
