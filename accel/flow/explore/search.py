"""Which points are tried: all of them, or those that a sampler of Optuna proposes.

A search is a function of its seed and of what the points that it asked for cost. So one that was interrupted is not
resumed: it is played again from the beginning, with the costs that are recorded, until it asks for a point that is not.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np

from accel.flow.explore.evaluate import Outcome
from accel.flow.explore.front import front
from accel.flow.explore.space import Space
from accel.models.errors import InputError

BATCH = 50  # points that are asked for at once, and a generation of NSGA-II
REFINED = 2  # of so many batches one goes to the neighbours of the front
Score = Callable[[Outcome], Sequence[float]]
"""Of an outcome what is to be small, one number an objective; those that may not be are larger than all others."""
Evaluate = Callable[[list[int]], Mapping[int, Outcome]]


def check(space: Space) -> None:
    """Raise InputError if Optuna is needed and is not there."""
    if not space.is_exhaustive and not importlib.util.find_spec("optuna"):
        raise InputError(
            f"a search of {space.size:,} points needs the package optuna: pip install 'accel[explore]', "
            "or take --sampler exhaustive"
        )


def search(space: Space, evaluate: Evaluate, score: Score) -> None:
    """Evaluate `space.search.points` points, or all if there are no more."""
    wanted = min(space.search.points, space.size)
    known: dict[int, Outcome] = {}
    proposals = _Proposals(space, score)
    batch = 0
    while len(known) < wanted:
        batch += 1
        room = wanted - len(known)
        if batch % REFINED:
            asked = proposals.ask()
            new = [number for number in dict.fromkeys(asked.values()) if number not in known]
            known |= evaluate(new[:room])
            proposals.tell(asked, known)
        else:
            new = list(islice(neighbours(space, known, score), min(BATCH, room)))
            known |= evaluate(new)
            proposals.add(new, known)
        if not new:
            new = list(islice(proposals.unseen(known), min(BATCH, room)))
            known |= evaluate(new)
            proposals.add(new, known)


def neighbours(space: Space, known: Mapping[int, Outcome], score: Score) -> Iterator[int]:
    """Points that are not known and differ in one value from a point of the front, those of next values first."""
    numbers = [number for number, outcome in known.items() if outcome.metrics]
    if not numbers:
        return
    best = [numbers[k] for k in front(np.array([score(known[number]) for number in numbers])).tolist()]
    seen = set(known)
    furthest = max(len(one.values) for one in space.axes)
    for distance in range(1, furthest):
        for number in best:
            digits = space.digits(number)
            for k, one in enumerate(space.axes):
                for digit in (digits[k] - distance, digits[k] + distance):
                    if not 0 <= digit < len(one.values):
                        continue
                    found = space.number((*digits[:k], digit, *digits[k + 1 :]))
                    if found not in seen:
                        seen.add(found)
                        yield found


class _Proposals:
    """A study of Optuna in memory; values are indices of an axis's values, ordered where these are."""

    def __init__(self, space: Space, score: Score) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.optuna, self.space, self.score = optuna, space, score
        seed = space.search.seed
        if space.search.sampler == "tpe":
            sampler: Any = optuna.samplers.TPESampler(seed=seed)
        else:
            sampler = optuna.samplers.NSGAIISampler(population_size=BATCH, seed=seed)
        self.study = optuna.create_study(directions=["minimize"] * len(space.objectives), sampler=sampler)
        self.random = np.random.default_rng(seed)
        self.axes: Any = {
            one.name: optuna.distributions.IntDistribution(0, len(one.values) - 1)
            if one.is_ordered or len(one.values) == 1
            else optuna.distributions.CategoricalDistribution(range(len(one.values)))
            for one in space.axes
        }

    def ask(self) -> dict[Any, int]:
        """Trials and their points."""
        trials = [self.study.ask(self.axes) for _ in range(BATCH)]
        return {trial: self.space.number(tuple(trial.params[one.name] for one in self.space.axes)) for trial in trials}

    def tell(self, asked: Mapping[Any, int], known: Mapping[int, Outcome]) -> None:
        """What they cost; those that were not evaluated any more have failed."""
        for trial, number in asked.items():
            if number in known:
                self.study.tell(trial, list(self.score(known[number])))
            else:
                self.study.tell(trial, state=self.optuna.trial.TrialState.FAIL)

    def add(self, numbers: Sequence[int], known: Mapping[int, Outcome]) -> None:
        """Points that somebody else has proposed."""
        for number in numbers:
            params = {one.name: digit for one, digit in zip(self.space.axes, self.space.digits(number), strict=True)}
            values = list(self.score(known[number]))
            self.study.add_trial(self.optuna.trial.create_trial(params=params, distributions=self.axes, values=values))

    def unseen(self, known: Mapping[int, Outcome]) -> Iterator[int]:
        """Points that are not known, at random; all of them in the end."""
        seen = set(known)
        for _ in range(20 * BATCH):
            number = int(self.random.integers(self.space.size))
            if number not in seen:
                seen.add(number)
                yield number
        yield from (number for number in range(self.space.size) if number not in seen)
