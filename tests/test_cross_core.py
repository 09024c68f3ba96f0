"""Cores without DRAM: the three invariants on random designs and networks, images streamed in a row.

Each design is built once, with its program as a file; the text that `accel emit` writes, where the program stands in
the Verilog, is run by tests/test_flow_emit_core.py. More of them: `--cores 50 --layer-cases 100`.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import Phase, event, given, note, reject, settings
from hypothesis import strategies as st

from accel.compile import compile_network
from accel.design import OnChip, load
from accel.events import Event
from accel.models import zoo
from accel.models.errors import InputError
from accel.models.integers.network import IntegerNetwork
from accel.models.quantisation.shared import quantise_compressed
from accel.models.reference.int8 import quantise_input, run
from accel.models.window import Window
from accel.on_chip import codes_of_result, regions_of, result_beats
from accel.program import Program
from accel.rtl.on_chip import Depths
from accel.sim.execute import execute_memory, written
from accel.sim.execute.facts import count_executed
from accel.timing.recurrence import Timing, time_program
from tests.benches.draw import draw_core, draw_input, draw_network
from tests.benches.layers import design_of, matrix, network_of
from tests.benches.verilator_core import BuiltCore, Job

IMAGES = 3


@pytest.mark.rtl
def test_images_in_a_row(core_seed: int, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    rng = Random(7760 + core_seed)
    design = draw_core(rng, f"core-{core_seed}", largest=rng.choice([4, 8]))
    beats = design.memory.bytes // design.beat_bytes  # room for all that compiles: of images and results there are two
    built = BuiltCore(design, tmp_path, Depths(beats, beats // 2, beats // 2, beats))
    wanted, done = request.config.getoption("--layer-cases"), 0

    @settings(
        max_examples=wanted,
        deadline=None,
        database=None,
        phases=[Phase.generate],  # shrinking takes minutes: each case is five jobs on the hardware
    )
    @given(st.randoms(use_true_random=False))
    def cases(drawn: Random) -> None:
        nonlocal done
        network = draw_network(drawn)
        try:
            program = compile_network(network, design)
        except InputError:
            reject()
        codes, seed = draw_input(drawn, network, IMAGES), drawn.getrandbits(16)
        note(f"{design!r}\n{network!r}\n{seed=}")
        check(built, program, network, jobs_of(codes, seed))
        done += 1
        event(f"spilled: {regions_of(program).spill.beats > 0}")

    cases()
    assert done >= wanted, f"only {done} of {wanted} networks fit the design"


def jobs_of(codes: np.ndarray, seed: int) -> list[Job]:
    """One image; all in a row; peers that pause and packets of a wrong length; runs that are stopped and repeated."""
    return [
        Job(codes[:1], counters=True),
        Job(codes),
        Job(codes, 1 + seed, 2 + seed, 3 + seed),
        Job(codes[::-1], 0, 4 + seed),
        Job(codes[1:], counters=True, abort_after=1 + seed % 300),
    ]


@pytest.mark.rtl
def test_a_result_that_is_read_again(tmp_path: Path) -> None:
    """A network whose output feeds further layers, and is read back from where it was spilled."""
    size = {"activation_bytes": 480, "weight_bytes": 1024, "accumulator_bytes": 1024, "parameter_bytes": 512}
    design = design_of(4, 4, lanes=2, **size).model_copy(update={"memory": OnChip(bits=64, bytes=1 << 15)})
    layers = matrix(8, Window((3, 3), (1, 1), (1, 1, 1, 1))), matrix(5, Window((3, 3)))
    network = replace(network_of((4, 9, 9), *layers), output="layer0:out")
    program = compile_network(network, design)
    found = regions_of(program)
    assert found.spill.holds(found.result.first)
    built = BuiltCore(design, tmp_path, Depths.of(found))
    check(built, program, network, jobs_of(draw_input(Random(1), network, IMAGES), 1))


def check(built: BuiltCore, program: Program, network: IntegerNetwork, jobs: list[Job]) -> None:
    """Results are the reference's whatever the peers do; cycles and counters the simulator's, for every image."""
    assert built.fits(program)
    found, filled = regions_of(program), written(program)
    limit = 20 * time_program(program).cycles + 20_000

    @cache  # the jobs have the same images
    def simulated(image: bytes) -> tuple[Timing, np.ndarray, dict[Event, int]]:
        codes = np.frombuffer(image, np.int8).reshape(jobs[0].codes.shape[1:])
        timing, zero = count_executed(program, codes)
        events = timing.events | {Event.MACS_ZERO: int(zero.sum())}
        return timing, result_beats(program, execute_memory(program, codes), filled), events

    for job, runs in zip(jobs, built.run(program, jobs, limit), strict=True):
        wanted = [simulated(image.tobytes()) for image in job.codes]
        expected = run(network, job.codes)[network.output]
        assert len(runs) == len(job.codes)
        for codes, (_, beats, events), got in zip(expected, wanted, runs, strict=True):
            np.testing.assert_array_equal(got.beats, beats)
            np.testing.assert_array_equal(codes_of_result(program, got.beats).reshape(codes.shape), codes)
            if job.counters:
                wrong = {e.name: (got.events[e], n) for e, n in events.items() if got.events[e] != n}
                assert not wrong, f"counters (hardware, simulator) {wrong}"
        steady = not (job.counters or job.in_seed or job.out_seed)
        cycles = [timing.cycles for timing, *_ in wanted]
        if steady and min(cycles) > found.image.beats + found.result.beats + 4:
            ends = [one.done for one in runs]
            gaps = [b - a for a, b in pairwise(ends)]
            assert gaps == [each + 1 for each in cycles[1:]], "a run starts in the cycle after the last"


@pytest.mark.rtl
def test_lenet_5_on_the_core_that_ships(tmp_path: Path) -> None:
    """Real digits in a row through the whole network, its coded weights in the core's own memory."""
    images = zoo.preprocess(zoo.mnist_calibration())
    network = quantise_compressed(zoo.load("lenet-5-deep"), images)
    program = compile_network(network, load("core"))
    codes = quantise_input(network, images[:3])
    built = BuiltCore(program.design, tmp_path, Depths.of(regions_of(program)))
    stopped = Job(codes[:1], counters=True, abort_after=9999)
    jobs = [Job(codes[:1], counters=True), Job(codes), Job(codes, 1, 2, 3), stopped]
    check(built, program, network, jobs)
