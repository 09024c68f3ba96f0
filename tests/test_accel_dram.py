"""Rows of the DRAM that a program opens: against one access after the other."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from accel.commands import Load, Nop, Store, Target
from accel.compile import compile_network, time_network
from accel.design import Design, load
from accel.dram import DEVICES, Rank, alike, opened, rank_of, row_activations
from accel.models import zoo
from accel.rows import rows_of
from accel.sim.result import simulate
from accel.timing.recurrence import time_program


def test_ranks_by_hand() -> None:
    """edge asks for 6.4 GB/s, large for 25.6, nano for 0.6."""
    assert rank_of(load("edge")) == Rank(1, 4096, 8)
    assert rank_of(load("large")) == Rank(4, 16384, 8)
    assert rank_of(load("nano")) == Rank(1, 4096, 8)
    assert rank_of(load("core")) is None
    for dram, rank in (("ddr3", Rank(2, 4096, 8)), ("ddr4", Rank(4, 4096, 16)), ("flat", None)):
        edge = load("edge").model_dump() | {"technology": {"dram": dram}}
        assert rank_of(Design.model_validate(edge)) == rank
    assert all(device.row_bytes & device.row_bytes - 1 == 0 for device in DEVICES.values())


@given(st.randoms(use_true_random=False))
def test_opened_is_one_access_after_the_other(rng: Random) -> None:
    rank = Rank(1, rng.choice([64, 256]), rng.choice([1, 2, 8]))
    accesses = [(rng.randrange(4000), rng.randint(1, 600), rng.randint(1, 4), rng.randrange(2000))
                for _ in range(rng.randint(1, 6))]  # fmt: skip
    open_rows: dict[int, int] = {}
    counts = []
    for first, size, rows, pitch in accesses:
        count = 0
        for y in range(rows):
            for address in range(first + y * pitch, first + y * pitch + size):
                row = address // rank.row_bytes
                count += open_rows.get(row % rank.banks) != row
                open_rows[row % rank.banks] = row
        counts.append(count)
    places = [-1] * rank.banks
    assert [opened(rank, *access, places, 0) for access in accesses] == counts


def test_reads_and_writes_have_rows_of_their_own() -> None:
    edge = load("edge")
    commands = [
        Load(dram_addr=0, target=Target.WEIGHT, row_beats=256), Store(dram_addr=4096 * 8, row_words=4),
        Load(dram_addr=0, target=Target.WEIGHT, row_beats=257), Nop(),
        Load(dram_addr=0, target=Target.WEIGHT, row_beats=1, rows=3, dram_pitch=4096),
    ]  # fmt: skip
    assert row_activations(edge, rows_of(commands)).tolist() == [1, 1, 1, 0, 1]


def test_layers_sum_and_timings_agree() -> None:
    network, edge = zoo.integer_network("lenet-5"), load("edge")
    program = compile_network(network, edge)
    timing, result = time_program(program), simulate(program)
    assert timing.row_activations == time_network(network, edge).row_activations == result.row_activations
    assert result.row_activations == sum(layer.row_activations for layer in result.layers)
    assert result.total.dram_bytes // 4096 <= result.row_activations <= result.total.dram_bytes // 1024


@given(st.randoms(use_true_random=False))
def test_designs_that_are_alike_open_the_same_rows(rng: Random) -> None:
    """Whatever the clock and the technology, but for the rank that they ask for."""
    nano = load("nano").model_dump() | {"clock_mhz": rng.choice([1.0, 75.0, 300.0, 799.9, 800.0, 800.1, 5000.0])}
    nano["memory"] |= {"axi_bits": rng.choice([32, 64, 512]), "beat_interval_cycles": rng.choice([1, 3, 16])}
    nano["technology"] = {"dram": rng.choice(["lpddr3", "ddr3", "ddr4", "flat"]), "node_nm": 22}
    design = Design.model_validate(nano)
    assert rank_of(alike(design)) == rank_of(design)
    assert alike(alike(design)) == alike(design)
    rows = rows_of([Load(dram_addr=rng.randrange(1 << 20) * 64, target=Target.WEIGHT, row_beats=900, rows=2)])
    assert row_activations(alike(design), rows).tolist() == row_activations(design, rows).tolist()
