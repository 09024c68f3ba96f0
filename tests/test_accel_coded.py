"""Coded weights in programs: what the compiler says of them is what their bits say, and what it chooses pays."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.commands import Load, Target
from accel.compile import chosen_formats, compile_network, time_network
from accel.compiler.choose import Formats
from accel.design import Design, load
from accel.models import zoo
from accel.models.encode.bitstream import DamagedStream
from accel.models.errors import InputError
from accel.models.integers.formats import without_codebooks
from accel.models.integers.network import MatrixLayer
from accel.models.quantisation.shared import quantise_compressed
from accel.program import Program
from accel.sim.execute import execute
from accel.sim.result import simulate
from accel.timing.recurrence import time_program
from tests.benches.counted import accepted, counted
from tests.benches.draw import (
    draw_design,
    draw_input,
    draw_memory,
    draw_network,
    draw_sparse_design,
    with_memory,
)
from tests.benches.unit_designs import divisor
from tests.benches.wide import draws


def coding(rng: Random) -> Design:
    """A design with a decoder."""
    draw = rng.choice([draw_design, draw_design, draw_sparse_design])
    design = with_memory(draw(rng), *draw_memory(rng))
    return design.model_copy(update={"decoder_lanes": divisor(rng, design.weight_codes)})


@counted(draws(25))
@settings(max_examples=draws(35), deadline=None)
@given(st.randoms(use_true_random=False))
def test_the_compiler_knows_what_the_decoder_finds(rng: Random) -> None:
    """Cycles and counts from encoding are those from decoding the image; weights are those of the plain formats."""
    design, network = coding(rng), draw_network(rng)
    program = accepted(compile_network, network, design, "coded")
    known, found = time_network(network, design, "coded"), time_program(program)
    assert known.cycles == found.cycles
    assert known.events == found.events
    codes = draw_input(rng, network)
    np.testing.assert_array_equal(execute(program, codes), execute(compile_network(network, design, "plain"), codes))
    result = simulate(program)
    assert sum(result.total.limits.values()) == result.cycles
    assert all(layer.bound_cycles <= layer.work_cycles <= result.cycles for layer in result.layers)
    assert sum(layer.cycles for layer in result.layers) == result.cycles


@counted(draws(15))
@settings(max_examples=draws(20), deadline=None)
@given(st.randoms(use_true_random=False))
def test_the_choice_is_no_slower_than_plain_or_coded(rng: Random) -> None:
    design, network = coding(rng), draw_network(rng)
    formats: Formats = rng.choice(["plain", "coded"])

    def both() -> tuple[int, int]:
        return time_network(network, design).cycles, time_network(network, design, formats).cycles

    chosen, other = accepted(both)
    assert chosen <= other


@counted(draws(15))
@settings(max_examples=draws(20), deadline=None)
@given(st.randoms(use_true_random=False))
def test_dense_is_the_network_without_its_codebooks(rng: Random) -> None:
    """Of a layer that is asked for as dense the weights are the same bytes, and cost what unshared ones cost."""
    design, network = coding(rng), draw_network(rng)
    program = accepted(compile_network, network, design, "dense")
    codes = draw_input(rng, network)
    np.testing.assert_array_equal(execute(program, codes), execute(compile_network(network, design, "plain"), codes))
    names = {layer.name for layer in network.layers}
    without = without_codebooks(network, names)
    assert without_codebooks(without, names) is without  # nothing to leave out: no copy, which would be checked again
    plain = compile_network(without, design, "plain")
    np.testing.assert_array_equal(program.image, plain.image)
    assert program.commands == plain.commands


@counted(draws(10))
@settings(max_examples=draws(14), deadline=None)
@given(st.randoms(use_true_random=False))
def test_the_words_of_a_choice_give_its_program(rng: Random) -> None:
    design, network = coding(rng), draw_network(rng)
    asked: Formats = {}
    matrices = [layer.name for layer in network.layers if isinstance(layer, MatrixLayer)]
    if matrices:
        asked = {rng.choice(matrices): rng.choice(["dense", "plain", "coded", "dense-coded"])}
    program = accepted(compile_network, network, design, asked)
    again = compile_network(network, design, chosen_formats(network, design, asked))
    np.testing.assert_array_equal(program.image, again.image)
    assert program.commands == again.commands


def coded_loads_of(program: Program) -> list[int]:
    return [k for k, c in enumerate(program.commands) if isinstance(c, Load) and c.coded]


def test_a_user_fixes_formats() -> None:
    network = quantise_compressed(zoo.load("lenet-300-100-deep"), zoo.preprocess(zoo.mnist_calibration()))
    nano = load("nano").model_copy(update={"decoder_lanes": 16})
    names = [layer.name for layer in network.layers]
    for formats, wanted in (
        ("plain", []),
        ("coded", names),
        ({"ip2": "coded", "ip1": "plain", "ip3": "plain"}, ["ip2"]),
    ):
        program = compile_network(network, nano, formats)
        layers = {names[program.layer_of[k]] for k in coded_loads_of(program)}
        assert layers == set(wanted)
        assert [layer.weight_format.endswith("+huffman") for layer in program.layers] == [n in wanted for n in names]
    dense = compile_network(network, nano, {"ip1": "dense", "ip2": "dense-coded", "ip3": "plain"})
    assert dense.layers[0].weight_format == "dense"
    assert dense.layers[1].weight_format.endswith("+huffman")
    assert ["shared" in layer.weight_format for layer in dense.layers] == [False, False, True]
    for formats, message in (
        ("packed", "formats must be one of auto, plain, coded, dense, dense-coded, not 'packed'"),
        ({"ip9": "coded"}, "formats must name layers with weights"),
        ({"ip1": "shared"}, "the format of ip1 must be one of auto, plain, coded, dense, dense-coded, not 'shared'"),
    ):
        with pytest.raises(InputError, match=message):
            compile_network(network, nano, formats)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="coded weights need decoder_lanes in design nano"):
        compile_network(network, load("nano").model_copy(update={"decoder_lanes": 0}), "coded")


def test_damage_is_found_with_its_layer() -> None:
    network = quantise_compressed(zoo.load("lenet-300-100-deep"), zoo.preprocess(zoo.mnist_calibration()))
    program = compile_network(network, load("nano").model_copy(update={"decoder_lanes": 16}), "coded")
    tables = [c for c in program.commands if isinstance(c, Load) and c.target == Target.VALUE_TABLE]
    image = program.image.copy()
    image[tables[1].dram_addr + 1] += 1  # a code word too many
    for work in (time_program, lambda p: execute(p, np.zeros((1, 1, 28, 28), np.int8))):
        with pytest.raises(
            DamagedStream, match="layer 'ip2', lane 0, bit 0: the code table of values must be complete"
        ):
            work(replace(program, image=image))


# Weight bytes that LOADs read: streams, tables and codebooks. Lower is better; docs/architecture.md has the entropies.
LIMITS = {
    "lenet-5-deep": 34_000,
    "lenet-5-pruned": 42_500,
    "lenet-5-tucker-deep": 17_500,
    "lenet-300-100-deep": 20_500,
}


@pytest.mark.parametrize("name", LIMITS)
def test_weight_bytes_of_our_networks(name: str) -> None:
    network = quantise_compressed(zoo.load(name), zoo.preprocess(zoo.mnist_calibration()))
    program = compile_network(network, load("nano").model_copy(update={"decoder_lanes": 16}), "coded")
    targets = (Target.WEIGHT, Target.CODEBOOK, Target.RUN_TABLE, Target.VALUE_TABLE)
    loads = [c for c in program.commands if isinstance(c, Load) and c.target in targets]
    assert sum(c.row_beats * c.rows for c in loads) * program.design.beat_bytes <= LIMITS[name]
