"""One cross-check: a network on a design, in the integer reference, the simulator and the emitted Verilog.

`python -m tests.benches.cross FILE` runs again what a failing test has saved.
"""

from __future__ import annotations

import pickle
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from accel.compile import compile_network, compile_series
from accel.compiler.choose import Formats
from accel.design import Design
from accel.dram import row_activations
from accel.events import Event
from accel.models.integers.network import IntegerNetwork
from accel.models.reference.int8 import run
from accel.program import Program
from accel.series import Series
from accel.sim.execute import execute_memory
from accel.sim.execute.facts import count_executed, run_series
from accel.timing.recurrence import time_program
from accel.timing.state import PUSHED
from tests.benches.verilator import Built, Case, Outcome, case_of, case_of_series

FAILURES = Path("accel-out") / "failures"


@dataclass(frozen=True)
class Trial:
    """All that a failure depends on. `design` is the hardware with the memory in front of it.

    Of several images in a run, `codes` has a further dimension in front.
    """

    design: Design
    network: IntegerNetwork
    codes: NDArray[np.int8]
    stall_seed: int
    formats: Formats = "auto"
    images: int = 1
    tries: int = 0

    def save(self) -> Path:
        """Keep the trial for `python -m tests.benches.cross`."""
        FAILURES.mkdir(parents=True, exist_ok=True)
        path = FAILURES / f"{self.design.name}.trial"
        path.write_bytes(pickle.dumps(self))
        return path


def check(built: Built, trial: Trial, program: Program) -> None:
    """Outputs, cycles and events equal; a stalling memory changes neither bytes nor the machine for the next run.

    Raises AssertionError that says how to see it again.
    """
    try:
        # Behind the slowest memories that are drawn, a right run is longer than the limit of the bench itself.
        limit = max(Case.max_cycles, 8 * time_program(program).cycles)
        steady = replace(case_of(program, trial.codes), max_cycles=limit)
        cases = [steady, replace(steady, stall_seed=1 + trial.stall_seed), steady]
        compare(program, trial, built.run(cases))
    except (AssertionError, RuntimeError) as error:
        raise AssertionError(f"{error}\nrun it again: python -m tests.benches.cross {trial.save()}") from error


def check_series(built: Built, trial: Trial, series: Series) -> None:
    """As `check`, of several images in a run. An input in memory is overwritten by no other image."""
    try:
        layout = series.layout(trial.images)
        limit = max(Case.max_cycles, 8 * trial.images * time_program(series.first).cycles)
        steady = replace(case_of_series(series, layout, trial.codes), max_cycles=limit)
        outcomes = built.run([steady, replace(steady, stall_seed=1 + trial.stall_seed), steady])
        machine, timings = run_series(series, layout, trial.codes)
        expected = run(trial.network, trial.codes)
        ran = np.concatenate([timing.rows[timing.history.out[:, PUSHED] > 0] for timing, _ in timings])
        opened = int(row_activations(trial.design, ran).sum())
        cycles = sum(timing.cycles for timing, _ in timings)
        events = sum((Counter(timing.events) for timing, _ in timings), Counter())
        events[Event.MACS_ZERO] = sum(zeros for _, zeros in timings)
        for outcome in outcomes:
            stalled = outcome is outcomes[1]
            assert (outcome.done, outcome.error, outcome.images) == (True, 0, trial.images), outcome
            for number, program in enumerate(series.programs(layout)):
                for place in program.outputs:
                    found = program.unpack_output(outcome.memory, place=place)
                    np.testing.assert_array_equal(found.reshape(place.shape), expected[place.name][number], f"{number}")
            np.testing.assert_array_equal(outcome.memory, machine.whole[0], "what DRAM holds")
            assert outcome.row_activations == opened, "rows of DRAM opened"
            if not stalled:
                assert outcome.cycles == cycles, f"{outcome.cycles} cycles, simulated {cycles}"
                wrong = {e.name: (outcome.events[e], n) for e, n in events.items() if outcome.events[e] != n}
                assert not wrong, f"counters (hardware, simulator) {wrong}"
    except (AssertionError, RuntimeError) as error:
        raise AssertionError(f"{error}\nrun it again: python -m tests.benches.cross {trial.save()}") from error


def compare(program: Program, trial: Trial, outcomes: list[Outcome]) -> None:
    """The outcomes against reference and simulator; the second one had stalls."""
    expected = run(trial.network, trial.codes[None])
    memory = execute_memory(program, trial.codes)
    timing, zero = count_executed(program, trial.codes)
    events = timing.events | {Event.MACS_ZERO: int(zero.sum())}
    for index, outcome in enumerate(outcomes):
        where = ("first run", "run with stalls", "run after that")[index]
        assert outcome.done, f"{where}: not done"
        assert outcome.error == 0, f"{where}: error {outcome.error}"
        for place in program.outputs:
            found = program.unpack_output(outcome.memory, place=place)
            np.testing.assert_array_equal(found.reshape(place.shape), expected[place.name][0], where)
        np.testing.assert_array_equal(outcome.memory, memory, f"{where}: what DRAM holds")
        opened = outcome.row_activations, timing.row_activations
        assert opened[0] == opened[1], f"{where}: rows of DRAM opened (bench, simulator) {opened}"
        if index == 1:
            continue
        assert outcome.cycles == timing.cycles, f"{where}: {outcome.cycles} cycles, simulated {timing.cycles}"
        wrong = {e.name: (outcome.events[e], n) for e, n in events.items() if outcome.events[e] != n}
        assert not wrong, f"{where}: counters (hardware, simulator) {wrong}"


def main() -> None:
    """Run a saved trial on freshly built hardware."""
    trial: Trial = pickle.loads(Path(sys.argv[1]).read_bytes())
    print(trial.design.to_yaml())
    for layer in trial.network.layers:
        print(layer)
    with tempfile.TemporaryDirectory() as folder:
        built = Built(trial.design, Path(folder))
        if trial.images > 1:
            check_series(built, trial, compile_series(trial.network, trial.design, trial.formats, tries=trial.tries))
        else:
            check(built, trial, compile_network(trial.network, trial.design, trial.formats, trial.tries))
    print("equal")


if __name__ == "__main__":
    main()
