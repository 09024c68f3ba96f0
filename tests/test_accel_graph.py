"""Steps of a network as text: which poolings are fused, and which stay apart."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from accel.compiler.graph import described, steps
from accel.compiler.prepare import prepare
from accel.models.errors import InputError
from accel.models.integers.network import IntegerNetwork
from accel.models.window import Window
from tests.benches.layers import SAME, Maker, add, design_of, matrix, max_pool, network_of

CONV = matrix(8, Window((3, 3), pads=(1, 1, 1, 1)), low=-50)
POOL = max_pool(Window((2, 2), (2, 2)))
OVERLAPPING = max_pool(Window((3, 3), (2, 2)))
DESIGN = design_of(4, 4, accumulator_bytes=2 * 16 * 200)  # 200 words


def text(network: IntegerNetwork, *apart: str) -> str:
    return "\n".join(map(str, steps(network, DESIGN, apart)))


FUSED = """\
0 matrix layer0 + layer1: x -> layer1:out; 4 x 12 x 12 -> 12 x 12, kernel 3 x 3, pads 1, 1, max 2 x 2 -> 6 x 6
1 matrix layer2: layer1:out -> layer2:out; 8 x 6 x 6 -> 4 x 4, kernel 3 x 3"""

APART = """\
0 matrix layer0: x -> layer0:out; 4 x 12 x 12 -> 12 x 12, kernel 3 x 3, pads 1, 1
1 vector layer1: layer0:out -> layer1:out; 8 x 12 x 12 -> 6 x 6, kernel 2 x 2, stride 2 x 2
2 matrix layer2: layer1:out -> layer2:out; 8 x 6 x 6 -> 4 x 4, kernel 3 x 3"""


def test_a_pooling_is_fused_unless_it_must_stay_apart() -> None:
    network = network_of((4, 12, 12), CONV, POOL, matrix(5, Window((3, 3))))
    assert text(network) == FUSED
    assert text(network, "layer0") == APART


IN_PARTS = """\
0 matrix layer0[0,0]: x -> layer0:out (rows 0 + 2k, columns 0 + 2k); 4 x 5 x 4 -> 5 x 4, kernel 1 x 1
1 matrix layer0[0,1]: x -> layer0:out (rows 0 + 2k, columns 1 + 2k); 4 x 5 x 4 -> 5 x 4, kernel 1 x 2, pads 0, 0
2 matrix layer0[1,0]: x -> layer0:out (rows 1 + 2k, columns 0 + 2k); 4 x 5 x 4 -> 4 x 4, kernel 2 x 1
3 matrix layer0[1,1]: x -> layer0:out (rows 1 + 2k, columns 1 + 2k); 4 x 5 x 4 -> 4 x 4, kernel 2 x 2, pads 0, 0
4 vector layer1: layer0:out -> layer1:out; 8 x 9 x 8 -> 4 x 4, kernel 2 x 2, stride 2 x 2"""


def test_a_transposed_convolution_is_a_step_for_each_phase_and_no_pooling_goes_with_it() -> None:
    """The kernels of the phases have as many positions together as the layer's."""
    up = matrix(8, Window((3, 3), pads=(1, 1, 1, 2), base_dilation=(2, 2)))
    network = network_of((4, 5, 4), up, POOL)
    assert text(network) == IN_PARTS
    made = steps(network, DESIGN)
    assert sum(step.geometry.taps for step in made[:-1]) == 9
    assert [step.completes for step in made] == [False, False, False, True, True]
    names = network_of((4, 5, 4), matrix(4, Window((1, 1))), up)
    first = replace(names.layers[0], name="layer1[0,1]")
    assert steps(replace(names, layers=(first, names.layers[1])), DESIGN)[2].name == "layer1[0,1]'"
    wide = network_of((4, 5, 4), matrix(8, Window((64, 2), base_dilation=(64, 1))))
    with pytest.raises(InputError, match="stride of a transposed convolution must be at most 63, not 64"):
        steps(wide, DESIGN)


def test_an_addition_reads_two_tensors() -> None:
    network = network_of((8, 12, 12), CONV, add("x"))
    assert text(network) == (
        "0 matrix layer0: x -> layer0:out; 8 x 12 x 12 -> 12 x 12, kernel 3 x 3, pads 1, 1\n"
        "1 vector layer1: layer0:out + x -> layer1:out; 8 x 12 x 12 -> 12 x 12, kernel 1 x 1"
    )
    assert steps(network, DESIGN)[1].reads == ("layer0:out", "x")


@pytest.mark.parametrize(
    ("makers", "fused"),
    [
        ([CONV, POOL, CONV], True),
        ([CONV, OVERLAPPING, CONV], True),  # all of it fits the accumulators
        ([CONV, max_pool(Window((1, 1))), CONV], False),  # not a pooling
        ([POOL, CONV, CONV], False),  # before a convolution
    ],
)
def test_which_poolings_are_fused(makers: list[Maker], fused: bool) -> None:
    network = network_of((8, 14, 14), *makers)
    assert any(step.pool for step in steps(network, DESIGN)) == fused


def test_a_pooling_that_adds_something_stays() -> None:
    larger = matrix(8, Window((1, 1), pads=(3, 3, 3, 3)))
    network = network_of((8, 12, 12), POOL, larger, max_pool(Window((2, 2), (2, 2)), "layer0:out"))
    assert not any(step.pool for step in steps(network, DESIGN))


def test_what_neighbouring_blocks_would_make_twice_is_weighed() -> None:
    """200 words hold 6 rows of 30 sums, two of pooled ones: every fifth row is made twice.

    Of a 1 x 1 layer that costs less than a pooling of its own, of 3 x 3 over 64 channels more; where the whole map of
    14 x 14 fits nothing is made twice.
    """
    cheap, dear = matrix(8, Window((1, 1))), matrix(8, Window((3, 3), pads=(1, 1, 1, 1)))
    for channels, size, layer, expected in ((8, 30, cheap, True), (64, 30, dear, False), (64, 14, dear, True)):
        network = network_of((channels, size, size), SAME, layer, OVERLAPPING, CONV)
        assert [step.pool is not None for step in prepare(network, DESIGN).steps][1] == expected
    assert steps(network_of((8, 30, 30), CONV, POOL, CONV), DESIGN)[0].pool is not None


def test_of_two_poolings_the_one_that_gains_is_fused() -> None:
    layers = matrix(64, Window((1, 1))), OVERLAPPING, SAME, matrix(8, Window((5, 5), pads=(2, 2, 2, 2))), OVERLAPPING
    made = prepare(network_of((8, 61, 61), SAME, *layers), DESIGN).steps
    assert [step.name for step in made if step.pool] == ["layer1"]
    assert [step.name for step in made if not step.pool] == ["layer0", "layer3", "layer4", "layer5"]


def test_a_pooling_that_changes_codes_or_has_a_second_reader_stays() -> None:
    network = network_of((4, 12, 12), CONV, POOL, matrix(5, Window((3, 3))))
    conv, pool, last = network.layers
    record = replace(pool.requantise, multiplier=pool.requantise.multiplier // 2)
    assert steps(replace(network, layers=(conv, replace(pool, requantise=record), last)), DESIGN)[0].pool is None  # type: ignore[arg-type]
    assert steps(replace(network, output=conv.output), DESIGN)[0].pool is None
    for rising in (True, False):
        codes = np.arange(-128, 128) if rising else np.abs(np.arange(-128, 128)) // 2
        tabled = replace(conv, requantise=replace(conv.requantise, table=codes.astype(np.int8)))
        assert (steps(replace(network, layers=(tabled, pool, last)), DESIGN)[0].pool is not None) == rising
    reader = replace(conv, name="again", input=conv.output, output="y", weights=conv.weights.repeat(2, 1))  # type: ignore[arg-type]
    tensors = network.tensors | {"y": replace(network.tensors[conv.output], name="y")}
    assert steps(replace(network, layers=(*network.layers, reader), tensors=tensors), DESIGN)[0].pool is None


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [((-50, 127), (-128, 127), (-50, 127)), ((-50, 90), (-10, 40), (-10, 40)), ((60, 90), (-10, 40), (40, 40))],
)
def test_a_fused_pooling_clips_after_the_layer(
    first: tuple[int, int], second: tuple[int, int], expected: tuple[int, int]
) -> None:
    network = network_of((4, 12, 12), CONV, POOL, CONV)
    conv, pool, last = network.layers
    conv = replace(conv, requantise=replace(conv.requantise, low=first[0], high=first[1]))
    pool = replace(pool, requantise=replace(pool.requantise, low=second[0], high=second[1]))
    made = steps(replace(network, layers=(conv, pool, last)), DESIGN)[0].requantise
    assert (made.low, made.high) == expected


def test_layers_are_named_with_their_operators() -> None:
    makers = [matrix(8, Window((1, 1))), POOL, max_pool(Window((1, 1))), add("layer1:out")]
    network = network_of((8, 12, 12), *makers)
    operators = ["Conv or Gemm", "MaxPool", "Relu or Clip", "Add"]
    found = [described(layer, DESIGN) for layer in network.layers]
    assert found == [f"layer 'layer{k}' ({operator})" for k, operator in enumerate(operators)]
    summing = replace(network.layers[1], reduce="sum")  # type: ignore[arg-type]
    assert described(summing, DESIGN) == "layer 'layer1' (AveragePool)"


def test_a_network_must_compute_something() -> None:
    network = network_of((4, 12, 12), CONV)
    with pytest.raises(InputError, match=r"^output 'x' must be made by a layer, and is not$"):
        steps(replace(network, output="x"), DESIGN)
    empty = replace(network, layers=(), output="x", tensors={"x": network.tensors["x"]})
    with pytest.raises(InputError, match=r"^network must have a layer that the accelerator runs, and has none$"):
        steps(empty, DESIGN)
