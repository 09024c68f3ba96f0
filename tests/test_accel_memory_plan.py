"""Plans as text, and what holds of every plan: tensors and rings that live at the same time share no word."""

from __future__ import annotations

from itertools import combinations
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.commands import Target
from accel.compiler.memory_plan import TooSmallError
from accel.compiler.placement import Spot
from accel.compiler.plan import Region
from accel.compiler.prepare import Prepared, prepare
from accel.compiler.residency import Residency
from accel.compiler.step import one_pixel
from accel.design import load
from accel.layout import WordTensor, stride_bytes, words_per_beat
from accel.models.integers.network import IntegerNetwork
from accel.models.window import Window
from tests.benches.counted import accepted, counted
from tests.benches.draw import draw_design, draw_network
from tests.benches.layers import SAME, add, design_of, matrix, max_pool, network_of
from tests.benches.wide import draws

SAME_SIZE = matrix(8, Window((3, 3), pads=(1, 1, 1, 1)))


def branches() -> IntegerNetwork:
    """Two convolutions, and an addition of the first layer's output to the last's."""
    return network_of((8, 6, 6), SAME, SAME_SIZE, SAME_SIZE, add("layer0:out"))


def text(network: IntegerNetwork, words: int) -> str:
    """The plan with banks of so many words of 8 bytes."""
    return str(prepare(network, design_of(8, 8, 64, activation_bytes=2 * 8 * words)).plan)


RESIDENT = """\
x: bank 0 words 0..35, DRAM +0
layer0:out: bank 1 words 0..35
layer1:out: bank 0 words 0..35
layer2:out: bank 1 words 36..71
layer3:out: bank 0 words 0..35, DRAM +320
0 layer0: 1 groups x 1 x 36 pixels, about 60 cycles; flat
1 layer1: strips > tiles: strip 2 x 6, block 2 x 6 x 1 tiles, chunk 1 tiles x 1 groups, about 403 cycles
2 layer2: strips > tiles: strip 2 x 6, block 2 x 6 x 1 tiles, chunk 1 tiles x 1 groups, about 403 cycles
3 layer3: 1 groups x 1 x 36 pixels, about 60 cycles; flat
data segment: 640 bytes"""

# Banks of 50 words hold one tensor each, and three live during layer 2: the one that is added at the end goes.
ONE_SPILLED = """\
x: bank 0 words 0..35, DRAM +0
layer0:out: not on chip, DRAM +320
layer1:out: bank 1 words 0..35
layer2:out: bank 0 words 0..35
layer3:out: bank 1 words 0..35, DRAM +640
0 layer0: 1 groups x 1 x 36 pixels, about 60 cycles; flat
  output through bank 1 words 0..49
1 layer1: strips > tiles: strip 3 x 3, block 3 x 3 x 1 tiles, chunk 1 tiles x 1 groups, about 531 cycles
  input through bank 0 words 0..49
2 layer2: strips > tiles: strip 2 x 6, block 2 x 6 x 1 tiles, chunk 1 tiles x 1 groups, about 403 cycles
3 layer3: 1 groups x 1 x 36 pixels, about 60 cycles; flat
data segment: 960 bytes"""

ALL_SPILLED = """\
x: not on chip, DRAM +0
layer0:out: not on chip, DRAM +320
layer1:out: not on chip, DRAM +640
layer2:out: not on chip, DRAM +960
layer3:out: not on chip, DRAM +1280
0 layer0: 1 groups x 1 x 9 pixels, about 168 cycles; flat
  input through bank 0 words 0..29
  output through bank 1 words 0..29
1 layer1: strips > tiles: strip 2 x 6, block 2 x 6 x 1 tiles, chunk 1 tiles x 1 groups, about 644 cycles
  input through bank 0 words 0..29
  output through bank 1 words 0..29
2 layer2: strips > tiles: strip 2 x 6, block 2 x 6 x 1 tiles, chunk 1 tiles x 1 groups, about 644 cycles
  input through bank 0 words 0..29
  output through bank 1 words 0..29
3 layer3: 1 groups x 1 x 9 pixels, about 168 cycles; flat
  input through bank 0 words 0..29
  output through bank 1 words 0..29
data segment: 1,600 bytes"""


@pytest.mark.parametrize(("words", "expected"), [(80, RESIDENT), (50, ONE_SPILLED), (30, ALL_SPILLED)])
def test_plans(words: int, expected: str) -> None:
    assert text(branches(), words) == expected


def overlap(a: Region, b: Region) -> bool:
    return a.bank == b.bank and a.word < b.word + b.words and b.word < a.word + a.words


def check(prepared: Prepared) -> None:
    """Words, rings and DRAM of tensors that live at the same time are apart."""
    network, design, plan = prepared.network, prepared.design, prepared.plan
    channels = network.tensors[network.input].shape[0]
    spots = {network.input: Spot(network.input, 0, channels, channels)}
    for step in prepared.steps:
        spots |= step.spots
    home = {name: spot.storage for name, spot in spots.items()}
    first_step, last_step = {network.input: -1}, {network.input: -1}
    for step in prepared.steps:
        first_step.setdefault(home[step.output], step.index)
        for name in (*step.reads, step.output):
            last_step[home[name]] = step.index
    born, last = ({name: of[home[name]] for name in home} for of in (first_step, last_step))
    places = plan.places
    for name, place in places.items():
        layout, spec = place.layout, network.tensors[name]
        assert place.region or place.dram is not None
        if name != network.input or prepared.reading.unfolded is None:
            assert (layout.height, layout.width) == spec.shape[1:]
            if list(home.values()).count(home[name]) == 1 and spots[name].lanes is None:
                assert (layout.channels - spec.shape[0]) in range(design.word_lanes)
            assert layout.row_pitch >= layout.width
            assert layout.plane == layout.height * layout.row_pitch
        if place.region:
            assert layout.words(design.word_lanes) <= place.region.words
            assert place.region.word >= 0
            assert place.region.word + place.region.words <= design.activation_words
    over = {(home[s.output], home[s.residual]) for s in prepared.steps if s.residual and last[s.residual] == s.index}
    over -= {(home[s.output], home[s.input]) for s in prepared.steps}  # what a step reads otherwise stays
    for a, b in combinations(places, 2):
        first, second = places[a].region, places[b].region
        together = max(born[a], born[b], 0) <= min(last[a], last[b])
        whole = [places[home[name]].region for name in (a, b)]  # a slice lies where its storage does
        if {(home[a], home[b]), (home[b], home[a])} & over and whole[0] == whole[1]:
            continue
        if first and second and together and (home[a] != home[b] or _apart(spots[a], spots[b], design.word_lanes)):
            assert not overlap(first, second), (a, b)
    for step in plan.steps:
        rings = [ring for ring in (step.in_ring, step.out_ring) if ring]
        assert (step.in_ring is None) == (places[step.step.input].region is not None)
        assert (step.out_ring is None) == (places[step.step.output].region is not None)
        assert len(rings) < 2 or not overlap(*rings)
        for name, place in places.items():
            if place.region and max(born[name], 0) <= step.step.index <= last[name]:
                assert not any(overlap(ring, place.region) for ring in rings)
    stride = stride_bytes(design.word_lanes, design.beat_bytes)
    spans = []
    for name, place in places.items():
        if place.dram is not None:
            unfolded = prepared.reading.unfolded if name == network.input else None
            size = unfolded.layout.bytes if unfolded else place.layout.words(design.word_lanes) * stride
            spans.append((place.dram, place.dram + size, name))
    for (a0, a1, a), (b0, b1, b) in combinations(spans, 2):
        inside = home[a] == home[b] and not _apart(spots[a], spots[b], design.word_lanes)
        assert inside or a1 <= b0 or b1 <= a0
    assert all(0 <= first <= last <= plan.data_bytes for first, last, _ in spans)


def _apart(a: Spot, b: Spot, word_lanes: int) -> bool:
    """Whether two tensors of one storage are different words of it."""
    ends = [spot.group + -(-spot.written // word_lanes) for spot in (a, b)]
    return ends[0] <= b.group or ends[1] <= a.group


@counted(draws(100))
@settings(max_examples=draws(150), deadline=None)
@given(st.randoms(use_true_random=False))
def test_nothing_alive_is_overwritten(rng: Random) -> None:
    design = draw_design(rng, largest=8)
    words = rng.choice([30, 60, 120, 400])
    sizes = design.buffers.model_copy(update={"activation_bytes": max(64, 2 * words * design.word_lanes)})
    network = draw_network(rng, layers=6, size=9, channels=14)
    check(accepted(prepare, network, design.model_copy(update={"buffers": sizes})))


@counted(draws(40))
@settings(max_examples=draws(60), deadline=None)
@given(st.randoms(use_true_random=False))
def test_what_is_added_has_the_layout_of_the_sum(rng: Random) -> None:
    design = draw_design(rng, largest=6)
    prepared = accepted(prepare, draw_network(rng, layers=6, size=8, channels=8), design)
    align = words_per_beat(design, Target.ACTIVATION)
    for step in prepared.steps:
        if step.residual and prepared.reading.unfolded is None:
            places = prepared.plan.places
            theirs, ours = places[step.residual].layout, places[step.output].layout
            if one_pixel(step, prepared.network):  # which stays on chip, and is as it is
                assert places[step.residual].region is not None
                continue
            assert (theirs.row_pitch, theirs.plane) == (ours.row_pitch, ours.plane)
            assert step.added
            assert (step.added.lanes is None) == (step.target.lanes is None)
            if places[step.output].region is None:
                assert places[step.residual].region is None
    for name, place in prepared.plan.places.items():
        if name == prepared.network.input and prepared.reading.unfolded:
            continue  # it lies as bytes
        if place.region is None and isinstance(place.layout, WordTensor):
            assert place.layout.row_pitch % align == 0


def test_what_does_not_fit_says_by_how_much() -> None:
    with pytest.raises(
        TooSmallError, match=r"layer 'layer1' \(Conv or Gemm\): one tile needs 144 bytes of activation_"
    ):
        text(branches(), 4)


def test_a_lack_of_pointers_is_none_of_bytes() -> None:
    """The columns of a channel group under a 6 x 9 kernel: no weight buffer is large enough."""
    sparse = load("edge-sparse")
    few = sparse.model_copy(update={"engine": sparse.engine.model_copy(update={"pointers": 200})})
    network = network_of((8, 6, 9), matrix(16, Window((1, 1))), matrix(8, Window((6, 9), pads=(1, 1, 1, 1))))
    with pytest.raises(TooSmallError, match=r"one tile needs 864 pointers, the design has 200: short by 664"):
        prepare(network, few)


def test_a_pooling_whose_block_does_not_fit_runs_apart() -> None:
    network = network_of((8, 12, 12), SAME_SIZE, max_pool(Window((4, 4), (4, 4))), SAME_SIZE)
    small = design_of(8, 8, 64, accumulator_bytes=2 * 32 * 16)
    assert [bool(s.pool) for s in prepare(network, small).steps] == [True, False]
    smaller = design_of(8, 8, 64, accumulator_bytes=2 * 32 * 15)
    assert [bool(s.pool) for s in prepare(network, smaller).steps] == [False, False, False]


def test_the_data_segment_is_as_large_as_what_crosses() -> None:
    network = branches()
    resident = prepare(network, design_of(8, 8, 64)).plan
    assert resident.data_bytes == 2 * 36 * 8 + 64  # input and output, each in whole blocks of 64 bytes


def test_gaps_are_what_no_living_tensor_holds() -> None:
    """Layer 1 reads tensor 0 in bank 1 and writes bank 0; the input is dead by then."""
    network = branches()
    design = design_of(8, 8, 64, activation_bytes=2 * 8 * 72)
    steps = prepare(network, design).steps
    residency = Residency(network, design, steps, None, 1)
    regions = residency.place()
    assert {name: str(region) for name, region in regions.items()} == {
        "x": "bank 0 words 0..35",
        "layer0:out": "bank 1 words 0..35",
        "layer1:out": "bank 0 words 0..35",
        "layer2:out": "bank 1 words 36..71",
        "layer3:out": "bank 0 words 0..35",
    }
    assert [residency.largest_gap(0, step, regions) for step in range(4)] == [Region(0, 36, 36)] * 4
    assert [residency.largest_gap(1, step, regions).words for step in range(4)] == [36, 36, 0, 0]
    assert residency.live(2) == ["layer0:out", "layer1:out", "layer2:out"]
    residency.spill(2)
    assert residency.spilled == {"layer0:out"}  # read again by layer 3; layer1:out not any more, layer2:out is made now
