"""Operations as text, and what holds of all of them: every output is written once, every sum is complete by then."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.commands import Compute, ConfigCompute, ConfigPost, Load, Post, Store, Target
from accel.compiler.ops import Log, Segment
from accel.compiler.prepare import Prepared, prepare
from accel.compiler.text import log_text
from accel.compiler.write import write
from accel.design import Design
from accel.layout import stride_bytes
from accel.memories import ACCUMULATOR, ACTIVATION
from accel.models.integers.network import IntegerNetwork
from accel.models.window import Window
from accel.rows import command_of
from tests.benches.counted import accepted, counted
from tests.benches.draw import draw_design, draw_network
from tests.benches.layers import SAME, add, design_of, matrix, network_of

CONV = matrix(8, Window((3, 3), pads=(1, 1, 1, 1)))


def lowered(network: IntegerNetwork, design: Design) -> tuple[Prepared, Log]:
    prepared = prepare(network, design)
    return prepared, write(prepared).finish()


RESIDENT = """\
0 item 0   Load dram_addr=data+0 ACTIVATION row_beats=9
0 -        ConfigPost src_plane=9 dst_plane=9 in_w=9 zero_point=5 res_zero_point=5 uniform_bias=-5 \
uniform_multiplier=32768 uniform_shift=15
0 after 0  Post from_activation=1 uniform=1 out_w=9 dst_addr=524288
1 item 1   Load dram_addr=constants+0 WEIGHT row_beats=16
1 -        ConfigCompute plane=9 row_step=3 tap_row_step=3 dilation_x=2 kernel_h=2 in_h=4095 in_w=4095 pad_value=5 \
beside=1
1 after 1  Compute act_addr=524288 out_h=2 out_w=2 acc_addr=16384 rows_last=8 cols_last=4
1 item 2   Load dram_addr=constants+128 PARAMETER row_beats=8
1 -        ConfigPost src_row_step=2 src_row_pitch=2 src_plane=4 dst_row_pitch=2 dst_plane=4 in_h=2 in_w=2 \
zero_point=3
1 after 2  Post src_addr=16384 out_h=2 out_w=2
1 -        Store dram_addr=data+128 row_words=4 unused_lanes=4"""

STREAMED = """\
0 item 0   Load dram_addr=data+0 ACTIVATION row_beats=6
0 -        ConfigPost src_plane=6 dst_plane=6 in_w=6 zero_point=5 res_zero_point=5 uniform_bias=-5 \
uniform_multiplier=32768 uniform_shift=15
0 after 0  Post from_activation=1 uniform=1 out_w=6 dst_addr=524288
0 -        Store dram_addr=data+128 src_addr=524288 row_words=6
0 item 1   Load dram_addr=data+48 ACTIVATION row_beats=6
0 after 1  Post from_activation=1 uniform=1 out_w=6 dst_addr=524288
0 -        Store dram_addr=data+176 src_addr=524288 row_words=6
1 item 2   Load dram_addr=constants+0 WEIGHT row_beats=72
1 item 3   Load dram_addr=data+128 ACTIVATION row_beats=6
1 -        ConfigCompute plane=9 row_step=3 tap_row_step=3 kernel_h=3 kernel_w=3 in_h=4 in_w=3 pad_value=5
1 after 3  Compute act_addr=524284 iy0=-1 ix0=-1 out_w=3 acc_addr=16384 rows_last=8 cols_last=8
1 item 4   Load dram_addr=constants+576 PARAMETER row_beats=8
1 -        ConfigPost src_row_step=3 src_row_pitch=3 src_plane=3 dst_row_pitch=3 dst_plane=3 in_w=3 zero_point=3
1 after 4  Post src_addr=16384 out_w=3 dst_addr=524288
1 -        Store dram_addr=data+256 src_addr=524288 row_words=3
1 item 5   Load dram_addr=data+128 ACTIVATION row_beats=9
1 after 5  Compute act_addr=524287 ix0=-1 out_w=3 rows_last=8 cols_last=8
1 after 4  Post out_w=3 dst_addr=524291
1 -        Store dram_addr=data+280 src_addr=524291 row_words=3
1 item 6   Load dram_addr=data+152 ACTIVATION row_beats=9
1 after 6  Compute act_addr=524287 iy0=1 ix0=-1 out_w=3 acc_addr=16384 rows_last=8 cols_last=8
1 after 4  Post src_addr=16384 out_w=3 dst_addr=524294
1 -        Store dram_addr=data+304 src_addr=524294 row_words=3
1 item 7   Load dram_addr=data+176 ACTIVATION row_beats=6
1 after 7  Compute act_addr=524287 iy0=2 ix0=-1 out_w=3 rows_last=8 cols_last=8
1 after 4  Post out_w=3 dst_addr=524288
1 -        Store dram_addr=data+328 src_addr=524288 row_words=3"""

UNFOLDED_AND_SHARED = """\
0 item 0   Load dram_addr=constants+0 CODEBOOK
0 item 1   Load dram_addr=constants+64 WEIGHT row_beats=3
0 item 2   Load dram_addr=data+0 ACTIVATION rows=4 dram_pitch=8 dst_pitch=4 window=1 run=3 step=1 row_words=4 \
zero_code=1 code_bits=1
0 -        ConfigCompute plane=24 row_step=4 tap_row_step=4 kernel_h=3 in_h=4095 in_w=4095 pad_value=5
0 after 2  Compute out_h=2 out_w=4 weight_bits=1 use_codebook=1 acc_addr=16384 rows_last=3 cols_last=2
0 item 3   Load dram_addr=constants+128 PARAMETER row_beats=8
0 -        ConfigPost src_row_step=4 src_row_pitch=4 src_plane=8 dst_row_pitch=4 dst_plane=16 in_h=2 in_w=4 \
zero_point=3 low=3
0 after 3  Post src_addr=16384 out_h=2 out_w=4 dst_addr=524288
0 -        Store dram_addr=data+192 src_addr=524288 row_words=8 unused_lanes=6
0 item 4   Load dram_addr=data+32 ACTIVATION dst_addr=16 rows=2 dram_pitch=8 dst_pitch=4 window=1 run=3 step=1 \
row_words=4 zero_code=1 code_bits=1
0 after 4  Compute act_addr=8 out_h=2 out_w=4 weight_bits=1 use_codebook=1 rows_last=3 cols_last=2
0 after 3  Post out_h=2 out_w=4 dst_addr=524296
0 -        Store dram_addr=data+256 src_addr=524296 row_words=8 unused_lanes=6"""

ADDED = """\
0 item 0   Load dram_addr=data+0 ACTIVATION row_beats=4
0 -        ConfigPost src_plane=4 dst_plane=4 in_w=4 zero_point=5 res_zero_point=5 uniform_bias=-5 \
uniform_multiplier=32768 uniform_shift=15
0 after 0  Post from_activation=1 uniform=1 out_w=4 dst_addr=524288
1 -        ConfigPost src_plane=4 dst_plane=4 in_w=4 zero_point=5 res_multiplier=30000 res_shift=15 \
res_zero_point=5 uniform_bias=-5 uniform_multiplier=32768 uniform_shift=15
1 -        Post from_activation=1 src_addr=524288 residual=1 uniform=1 out_w=4 dst_addr=4
1 -        Store dram_addr=data+64 src_addr=4 row_words=4"""


@pytest.mark.parametrize(
    ("network", "buffers", "expected"),
    [
        (network_of((4, 3, 3), SAME, matrix(4, Window((2, 2)))), {}, RESIDENT),
        (network_of((8, 4, 3), SAME, CONV), {"activation_bytes": 2 * 8 * 9}, STREAMED),
        (network_of((1, 6, 6), matrix(2, Window((3, 3)), [0, 5], low=3)), {}, UNFOLDED_AND_SHARED),
        (network_of((8, 2, 2), SAME, add("x")), {}, ADDED),
    ],
    ids=["resident", "streamed", "unfolded and shared", "added"],
)
def test_operations(network: IntegerNetwork, buffers: dict[str, int], expected: str) -> None:
    _, log = lowered(network, design_of(8, 8, 64, **buffers))
    assert log_text(log) == expected


def written_words(prepared: Prepared, log: Log) -> dict[int, dict[int, int]]:
    """Layer -> chunk of an activation word -> how often POSTs of the layer write it, from the docstring of POST."""
    per = prepared.design.word_lanes // prepared.design.lanes
    config = ConfigPost()
    found: dict[int, dict[int, int]] = {}
    for row, layer in zip(log.rows, log.layers, strict=True):
        command = command_of(row)
        if isinstance(command, ConfigPost):
            config = command
        if isinstance(command, Post):
            words = found.setdefault(int(layer), {})
            for q in range(command.chunks):
                d = command.dst_chunk + q
                for oy in range(command.out_h):
                    for ox in range(command.out_w):
                        at = command.dst_addr + d // per * config.dst_plane + oy * config.dst_row_pitch
                        at += ox * command.dst_step
                        key = at * per + d % per
                        words[key] = words.get(key, 0) + 1
    return found


@counted(60)
@settings(max_examples=100, deadline=None)
@given(st.randoms(use_true_random=False))
def test_tiles_cover_every_output_of_a_resident_tensor_exactly_once(rng: Random) -> None:
    design = draw_design(rng, largest=6)
    design = design.model_copy(update={"buffers": design.buffers.model_copy(update={"activation_bytes": 1 << 16})})
    prepared = accepted(prepare, draw_network(rng, layers=3, size=9, channels=12), design)
    log = write(prepared).finish()
    found = written_words(prepared, log)
    per = design.word_lanes // design.lanes
    for plan in prepared.plan.steps:
        place = prepared.plan.places[plan.step.output]
        if place.region is None or not plan.step.completes:
            continue
        parts = [found[step.index] for step in prepared.steps if step.output == plan.step.output]
        layout, first = place.layout, place.region.bank * ACTIVATION.bank_words + place.region.word
        chunks = -(-layout.channels // design.lanes)
        expected = {
            (first + q // per * layout.plane + y * layout.row_pitch + x) * per + q % per: 1
            for q in range(chunks)
            for y in range(layout.height)
            for x in range(layout.width)
        }
        assert {word: sum(part.get(word, 0) for part in parts) for word in set().union(*parts)} == expected


@counted(60)
@settings(max_examples=100, deadline=None)
@given(st.randoms(use_true_random=False))
def test_sums_are_complete_when_they_are_taken(rng: Random) -> None:
    """Each (output tile, pixel) of a block is overwritten by its first chunk, and gets all its channel groups once."""
    design = draw_design(rng, largest=6)
    prepared = accepted(prepare, draw_network(rng, layers=3, size=9, channels=14), design)
    log = write(prepared).finish()
    sums: dict[int, int] = {}  # accumulator word -> channel groups so far
    config, compute_config = ConfigPost(), ConfigCompute()
    for row, layer in zip(log.rows, log.layers, strict=True):
        command, weights = command_of(row), prepared.weights[prepared.steps[int(layer)].name]
        if isinstance(command, ConfigPost):
            config = command
        if isinstance(command, ConfigCompute):
            compute_config = command
        if isinstance(command, Compute):
            pixels = command.out_h * command.out_w
            assert weights
            assert compute_config.kernel_h * compute_config.kernel_w == weights.geometry.taps
            for word in range(command.acc_addr, command.acc_addr + command.n_tiles * pixels):
                sums[word] = command.groups + (sums[word] if command.accumulate else 0)
        if isinstance(command, Post) and not command.from_activation:
            assert weights
            bank = command.src_addr // ACCUMULATOR.bank_words
            tiles = -(-command.chunks * design.lanes // design.cols)
            words = [w for w in sums if w // ACCUMULATOR.bank_words == bank]
            size = config.src_plane
            taken = [bank * ACCUMULATOR.bank_words + n * size + k for n in range(tiles) for k in range(size)]
            assert set(taken) <= set(words)
            reach = {high - low for low, high in weights.reach}
            assert all(sums[word] in reach for word in taken)
            for word in words:
                del sums[word]


@counted(60)
@settings(max_examples=100, deadline=None)
@given(st.randoms(use_true_random=False))
def test_every_byte_of_the_output_is_stored_once(rng: Random) -> None:
    design = draw_design(rng, largest=6)
    words = rng.choice([40, 100, 2000])
    sizes = design.buffers.model_copy(update={"activation_bytes": max(64, 2 * words * design.word_lanes)})
    design = design.model_copy(update={"buffers": sizes})
    prepared = accepted(prepare, draw_network(rng, layers=3, size=9, channels=12), design)
    log = write(prepared).finish()
    stride = stride_bytes(design.word_lanes, design.beat_bytes)
    stored: dict[int, int] = {}
    for row, segment in zip(log.rows, log.segments, strict=True):
        command = command_of(row)
        if isinstance(command, Store):
            assert segment == Segment.DATA
            for k in range(command.rows):
                for word in range(command.row_words):
                    at = command.dram_addr + k * command.dram_pitch + word * stride
                    # The gap of a tensor's lines only fills up a beat; that of a part's lines is the other parts'.
                    of_part = command.line_words and command.gap_words == command.line_words - 1
                    if not of_part or (command.line_at + word) % command.line_words == 0:
                        stored[at] = stored.get(at, 0) + 1
    for plan in prepared.plan.steps:
        place = prepared.plan.places[plan.step.output]
        if place.dram is None or not plan.step.completes:
            continue
        layout = place.layout
        for g in range(layout.groups(design.word_lanes)):
            for y in range(layout.height):
                for x in range(layout.width):
                    at = place.dram + (g * layout.plane + y * layout.row_pitch + x) * stride
                    assert stored.pop(at) == 1, (plan.step.name, g, y, x)
    assert all(count == 1 for count in stored.values())  # what fills beats


@counted(60)
@settings(max_examples=100, deadline=None)
@given(st.randoms(use_true_random=False))
def test_items_are_declared_before_they_are_needed(rng: Random) -> None:
    design = draw_design(rng, largest=6)
    prepared = accepted(prepare, draw_network(rng, layers=3, size=9, channels=12), design)
    log = write(prepared).finish()
    known = 0
    for row, item in zip(log.rows, log.items, strict=True):
        if isinstance(command_of(row), Load):
            assert item in (known - 1, known)
            known = item + 1
        else:
            assert item <= known


def test_weights_that_fit_are_loaded_once() -> None:
    """Nine blocks of pixels, two tiles: two chunks of weights, however many blocks."""
    network = network_of((8, 12, 12), SAME, matrix(16, Window((3, 3)), low=1))
    _, log = lowered(network, design_of(8, 8, 64, accumulator_bytes=2 * 32 * 16))
    commands = [command_of(row) for row in log.rows]
    loads = [c for c in commands if isinstance(c, Load) and c.target == Target.WEIGHT]
    computes = [c for c in commands if isinstance(c, Compute)]
    assert sum(c.row_beats for c in loads) == 2 * 9 * 8
    assert len(computes) > len(loads)
