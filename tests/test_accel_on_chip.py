"""Cores without DRAM: what lies where, what does not fit, what streams carry, and what it costs."""

from __future__ import annotations

import re
from random import Random

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from accel.commands import Load, Target
from accel.compile import compile_network, time_network
from accel.design import Memory, OnChip
from accel.events import Event
from accel.models import zoo
from accel.models.errors import InputError
from accel.models.integers.network import IntegerNetwork
from accel.models.reference.int8 import run
from accel.on_chip import codes_of_result, constant_words, image_beats, regions_of, result_beats, stored_beats
from accel.program import Program
from accel.sim.cost import STORE, energy, memories
from accel.sim.execute import execute_memory, written
from accel.timing.recurrence import time_program
from tests.benches.draw import draw_core, draw_input, draw_network
from tests.benches.unit_designs import CORE
from tests.benches.wide import draws


def compiled(rng: Random) -> tuple[Program, IntegerNetwork]:
    """A network that fits a drawn core."""
    while True:
        design, network = draw_core(rng), draw_network(rng)
        try:
            return compile_network(network, design), network
        except InputError:
            continue


def read_beats(program: Program) -> set[int]:
    """Beats that LOADs read, fetches apart: command by command."""
    beat, found = program.design.beat_bytes, set()
    for c in program.commands:
        if isinstance(c, Load) and c.target != Target.PROGRAM:
            for row in range(c.rows):
                first = (c.dram_addr + row * c.dram_pitch) // beat
                found |= set(range(first, first + c.row_beats))
    return found


@settings(max_examples=draws(40), deadline=None, phases=[Phase.generate])
@given(st.randoms(use_true_random=False))
def test_every_beat_has_its_place(rng: Random) -> None:
    """What is read lies in the constants, the image or what is spilled; the whole result is written."""
    program, network = compiled(rng)
    found, beat = regions_of(program), program.design.beat_bytes
    behind = found.image.first + found.image.beats
    for number in read_beats(program):
        slack = behind <= number < behind + 128 // beat + 1  # rows of window loads end behind the image
        assert found.constants.holds(number) or found.image.holds(number) or found.spill.holds(number) or slack
    assert set(range(found.result.first, found.result.first + found.result.beats)) <= stored_beats(program)
    assert found.constants.beats <= min(found.image.first, found.result.first)
    codes = draw_input(rng, network)[0]
    beats = result_beats(program, execute_memory(program, codes), written(program))
    expected = run(network, codes[None])[network.output][0]
    assert np.array_equal(codes_of_result(program, beats).reshape(expected.shape), expected)
    packed = program.pack_input(codes)
    assert image_beats(program, codes).reshape(-1)[: len(packed)].tolist() == packed.tolist()


def test_some_are_spilled_and_some_are_not() -> None:
    rng = Random(2)
    spans = [regions_of(compiled(rng)[0]) for _ in range(60)]
    assert 2 < sum(found.spill.beats > 0 for found in spans) < 50


@settings(max_examples=10, deadline=None, phases=[Phase.generate])
@given(st.randoms(use_true_random=False))
def test_what_does_not_fit_is_short_by_so_many_bytes(rng: Random) -> None:
    program, network = compiled(rng)
    plain = program.design.model_copy(update={"decoder_lanes": 0})  # what does not fit would be coded
    program = compile_network(network, plain)
    needs = regions_of(program).bytes
    exact = program.design.model_copy(update={"memory": OnChip(bits=program.design.memory.axi_bits, bytes=needs)})
    assert compile_network(network, exact).commands == program.commands
    short = exact.model_copy(update={"memory": exact.memory.model_copy(update={"bytes": needs - 3})})
    for refuses in (compile_network, time_network):
        with pytest.raises(InputError) as caught:
            refuses(network, short)
        said = str(caught.value)
        assert re.match(
            rf"random: memory\.bytes must hold {needs:,} bytes \(.*\), the design has .*: short by 3$", said
        )
        parts = [int(number.replace(",", "")) for number in re.findall(r"[\d,]*\d(?=, |\))", said.split("(")[1])]
        assert sum(parts) == needs


def test_timed_as_a_memory_that_answers_at_once() -> None:
    """Cycles and events are those behind a DRAM of the same latency, bandwidth and bursts."""
    network = zoo.integer_network("lenet-5")
    memory = CORE.memory
    dram = Memory(axi_bits=64, latency_cycles=memory.latency_cycles, outstanding_bursts=memory.outstanding_bursts)
    behind = time_network(network, CORE.model_copy(update={"memory": dram}))
    inside = time_network(network, CORE)
    assert (inside.cycles, inside.events) == (behind.cycles, behind.events)


def test_no_energy_of_dram_but_of_a_memory() -> None:
    timing = time_program(compile_network(zoo.integer_network("lenet-300-100"), CORE))
    cost = energy(timing.events, CORE, timing.row_activations)
    assert cost.dram_pj.high == timing.row_activations == 0
    shape = next(shape for shape in memories(CORE) if shape.name == STORE)
    assert shape.words * shape.width_bits == 8 << 20
    assert shape.accesses(timing.events) == timing.events[Event.READ_BEATS] + timing.events[Event.WRITE_BEATS]
    assert cost.parts_pj[STORE].low > 0
    dram = CORE.model_copy(update={"memory": Memory(axi_bits=64, latency_cycles=3)})
    assert STORE not in energy(timing.events, dram, 0).parts_pj


def test_constants_are_the_image() -> None:
    program = compile_network(zoo.integer_network("lenet-300-100"), CORE)
    words, beat = constant_words(program), CORE.beat_bytes
    data = b"".join(word.to_bytes(beat, "little") for word in words)
    assert data == program.image[: len(data)].tobytes()
    assert not program.image[len(data) :].any()
    assert data[program.program_offset :] == b"".join(c.encode() for c in program.commands)
