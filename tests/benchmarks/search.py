"""How much of the exhaustive front a search finds: `python -m tests.benchmarks.search STORAGE`. Status 1 if too little.

STORAGE is the explore.db of a space that was explored exhaustively, such as that of `tests/benchmarks/search.yaml`

    accel explore lenet-5 --space tests/benchmarks/search.yaml -o DIR

100,000 points of LeNet-5, of which it says the seconds as well. Its points are the oracle here: a search of 2,000 asks
for them, and nothing is evaluated. Volumes are between a front and the corner a tenth beyond its worst values, in
logarithms, since points are compared by ratios.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from accel.flow.explore import search as searches
from accel.flow.explore import space as spaces
from accel.flow.explore.evaluate import Outcome
from accel.flow.explore.front import front, hypervolume
from accel.flow.explore.metrics import METRICS
from accel.flow.explore.space import Space
from accel.flow.explore.storage import opened

SAMPLER, SEEDS, POINTS, LEAST = "nsga2", range(5), 2_000, 0.98
FILE = Path(__file__).parent / "search.yaml"


def found(space: Space, known: Mapping[int, Outcome], values: Mapping[int, list[float]], seed: int) -> set[int]:
    """The points that a search asks for."""
    asked: set[int] = set()

    def evaluate(numbers: list[int]) -> Mapping[int, Outcome]:
        asked.update(numbers)
        return {number: known[number] for number in numbers}

    chosen = replace(space, search=spaces.Search(SAMPLER, POINTS, seed))
    searches.search(chosen, evaluate, lambda outcome: values[outcome.number])
    return asked


def main() -> int:
    """Print a line for each seed; the status."""
    space = spaces.load(FILE)
    with opened(Path(sys.argv[1]), new=False) as storage:
        assert json.loads(storage.about()["space"]) == {one.name: list(one.values) for one in space.axes}
        known = {outcome.number: outcome for outcome in storage.outcomes()}
    assert len(known) == space.size, f"{len(known)} of {space.size} points are known"
    assert all(METRICS[name].least for name in space.objectives)
    values = {}
    for number, outcome in known.items():
        values[number] = [outcome.metrics.get(name, 1e30) for name in space.objectives]
    table = np.log(np.array(list(values.values())))
    best = table[front(table)]
    corner = best.max(0) + 0.1 * (best.max(0) - best.min(0))
    whole, missed = hypervolume(table, corner), False
    print(f"{space.size:,} points, {len(best):,} on the front of {', '.join(space.objectives)}")
    for seed in SEEDS:
        asked = found(space, known, values, seed)
        assert len(asked) == POINTS
        share = hypervolume(np.log(np.array([values[number] for number in asked])), corner) / whole
        missed |= share < LEAST
        print(f"{SAMPLER}, seed {seed}: {POINTS:,} points cover {100 * share:.2f} % of the hypervolume")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
