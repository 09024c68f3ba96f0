"""What tiling knows of a design, by hand."""

from __future__ import annotations

import pytest

from accel.commands import Target
from accel.compiler.estimate import Machine, answer_cycles, beat_cycles, up, whole, word_cycles
from accel.design import Design
from tests.benches.layers import design_of


def with_memory(design: Design, **memory: int) -> Design:
    return design.model_copy(update={"memory": design.memory.model_copy(update=memory)})


def test_the_machine_of_a_design() -> None:
    """Words of 6 bytes lie 8 bytes apart, two of them in a beat; records of 3 lanes (24 bytes) take two beats."""
    machine = Machine.of(design_of(6, 3, 128, lanes=3, activation_bytes=1210, weight_bytes=100, parameter_bytes=200))
    assert (machine.rows, machine.cols, machine.lanes) == (6, 3, 3)
    assert (machine.chunks, machine.row_chunks) == (1, 2)
    assert (machine.activation_align, machine.weight_align, machine.parameter_align) == (2, 4, 1)
    assert machine.weights == 32  # of 33, whole beats
    assert machine.parameters == 8
    assert machine.accumulators == (1 << 16) // 2 // 12
    assert (machine.weight_cycles, machine.activation_cycles, machine.command_cycles) == (1.0, 1.0, 2.0)
    assert machine.latency == 20


def test_cycles_of_beats_and_words() -> None:
    """A beat of 16 bytes: two words of 8; or the memory's interval, if that is longer."""
    usual = Machine.of(design_of(8, 4, 128)).contract
    slow = Machine.of(with_memory(design_of(8, 4, 128), beat_interval_cycles=3)).contract
    assert [beat_cycles(m, Target.ACTIVATION) for m in (usual, slow)] == [2, 3]
    assert [word_cycles(m, Target.ACTIVATION) for m in (usual, slow)] == [1.0, 1.5]
    assert [word_cycles(m, Target.PROGRAM) for m in (usual, slow)] == [2.0, 6.0]  # two beats a command


def test_few_outstanding_bursts_wait_for_answers() -> None:
    """A burst of two beats at a time, answered after 22 cycles: eleven cycles a beat."""
    contract = Machine.of(with_memory(design_of(8, 4, 128), burst_beats=2, outstanding_bursts=1)).contract
    assert answer_cycles(contract) == 11.0
    assert word_cycles(contract, Target.ACTIVATION) == 5.5


@pytest.mark.parametrize(("pixels", "cycles"), [(1, 4), (3, 4), (4, 4), (5, 5), (90, 90)])
def test_a_tile_takes_its_pixels_but_never_less_than_the_array_needs(pixels: int, cycles: int) -> None:
    """Two rows of weights take two cycles, but an accumulator is read again after four at the earliest."""
    assert Machine.of(design_of(2, 2)).tile_cycles(pixels) == cycles
    assert Machine.of(design_of(7, 2)).tile_cycles(pixels) == max(7, cycles)


def test_sizes_of_chunks_and_outputs() -> None:
    machine = Machine.of(design_of(4, 6, 128))  # two words of 6 bytes in a beat
    assert machine.chunk_words(9, 8, 1, 1) == 36
    assert machine.chunk_words(9, 3, 1, 1) == 14  # 13.5 bytes of a column
    assert machine.chunk_words(1, 3, 1, 1) == 2  # whole beats
    assert [machine.out_groups(tiles, 20) for tiles in (1, 2, 3, 4)] == [2, 3, 5, 5]
    assert [(whole(n, 4), up(n, 4)) for n in (3, 4, 5)] == [(0, 4), (4, 4), (4, 8)]
