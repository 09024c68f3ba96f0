"""The job of `accel explore`: evaluate what is not known of a space, keep it, and find the front of what is known."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np

from accel.flow.explore import candidates as networks
from accel.flow.explore import search, workers
from accel.flow.explore.candidates import DENSE, Candidate, Source
from accel.flow.explore.constraints import ACCURACY, Constraint
from accel.flow.explore.dashboard import Dashboard
from accel.flow.explore.evaluate import Job, Outcome
from accel.flow.explore.front import front
from accel.flow.explore.metrics import METRICS
from accel.flow.explore.space import Space
from accel.flow.explore.storage import Storage
from accel.flow.progress import Advance, Rate, silent
from accel.flow.sources import version
from accel.models.errors import InputError

INFEASIBLE = 1e18  # larger than every metric: a point that may not be is worse than each that may
FAILED = 1e30


@dataclass(frozen=True)
class Explored:
    """What is known of a space: `outcomes` with all metrics by number, `front` the best in order of the objectives."""

    network: str
    space: Space
    outcomes: Mapping[int, Outcome]
    front: tuple[int, ...]
    feasible: int
    new: int

    @property
    def refused(self) -> int:
        """Points that no design or program can be."""
        return sum(not one.metrics and not one.defect for one in self.outcomes.values())

    @property
    def defects(self) -> list[Outcome]:
        """Points at which this program failed."""
        return [one for one in self.outcomes.values() if one.defect]


@dataclass(frozen=True)
class Known:
    """What is the same for all points of a candidate, by its name: its metrics; and what constraints refer to."""

    metrics: Mapping[str, Mapping[str, float]]
    references: Mapping[str, float]


@dataclass(frozen=True)
class Judge:
    """Completes and judges outcomes."""

    job: Job
    known: Known

    def complete(self, outcome: Outcome) -> Outcome:
        """With the metrics that its network has on every design."""
        if not outcome.metrics:
            return outcome
        own = self.known.metrics[self.job.candidate(outcome.number).name]
        return outcome._replace(metrics=outcome.metrics | dict(own))

    def violations(self, outcome: Outcome) -> list[float]:
        """By constraint, of a complete outcome."""
        return [one.violation(outcome.metrics, self.known.references) for one in self.job.space.constraints]

    def keeps(self, outcome: Outcome) -> bool:
        """Whether a complete outcome has metrics, and they keep all constraints."""
        return bool(outcome.metrics) and not any(self.violations(outcome))

    def values(self, outcome: Outcome) -> list[float]:
        """The objectives, of which less is better."""
        return [outcome.metrics[name] * (1 if METRICS[name].least else -1) for name in self.job.space.objectives]

    def score(self, outcome: Outcome) -> list[float]:
        """As `values`, larger than all others for a point that may not be."""
        if not outcome.metrics:
            return [FAILED] * len(self.job.space.objectives)
        beyond = sum(self.violations(outcome))
        return [INFEASIBLE * (1 + beyond)] * len(self.job.space.objectives) if beyond else self.values(outcome)


Start = Callable[[Job], AbstractContextManager[workers.Outcomes]]


def workers_of(count: int, dask: str) -> Start:
    """Who evaluates: a Dask scheduler, `count` processes (0: as many as processors), or this process for one."""

    def start(job: Job) -> AbstractContextManager[workers.Outcomes]:
        if dask:
            return workers.dask(job, dask, version())
        processes = count or workers.cores()
        small = job.space.is_exhaustive and job.space.size < workers.ALONE
        if processes == 1 or (small and not count):
            return nullcontext(workers.alone(job))
        return workers.processes(job, processes)

    return start


@dataclass(frozen=True)
class Study:
    """A network and a space, ready to be explored with what `storage` knows."""

    source: Source
    job: Job
    judge: Judge
    storage: Storage


def steps(space: Space) -> int:
    """How often `prepare` calls `advance`, at most."""
    return 2 * len(networks.choices(space)) + 2


def prepare(
    source: Source, space: Space, storage: Storage, images: Path | None = None, advance: Advance = silent,
    say: Advance = silent,
) -> Study:  # fmt: skip
    """Compress the network, measure what no design changes, and see that the storage is of the same.

    Raises InputError for what cannot be, and for a storage of something else or that cannot be written.
    """
    search.check(space)
    made = networks.candidates(source, space, images, storage.path.with_suffix(".recipes"), advance, say)
    storage.begin(about(source, space, made))
    job = Job(space, made)
    return Study(source, job, Judge(job, _known(source, space, made, storage, advance)), storage)


def explore(
    study: Study, start: Start, rate: Callable[[int, str], AbstractContextManager[Rate]] | None = None
) -> Explored:
    """Evaluate the points that are not known, record them, and find the front.

    Raises InputError for constraints that nothing satisfies, a storage that cannot be written, and workers that do not
    answer; an interruption leaves what was recorded. `rate` shows progress.
    """
    space, storage, judge = study.job.space, study.storage, study.judge
    storage.forget_defects()
    found = {one.number: judge.complete(one) for one in storage.outcomes()}
    before = len(found)
    with ExitStack() as stack:
        dashboard = Dashboard(storage, study.source.name, space)
        if found and dashboard.is_empty:  # other objectives than those that the points were explored for
            with storage.transaction():
                dashboard.write(found.values(), [judge.keeps(one) for one in found.values()])
        record = _recorder(storage, dashboard, judge)
        run = _Lazy(stack, start, study.job)
        left = (space.size if space.is_exhaustive else min(space.size, space.search.points)) - len(found)
        step = stack.enter_context(rate(left, "points")) if rate and left > 0 else None

        def evaluate(numbers: Iterable[int]) -> None:
            for outcomes in run(number for number in numbers if number not in found):
                for one in record([one for one in outcomes if one.number not in found]):
                    found[one.number] = one
                if step:
                    step(len(outcomes))

        def evaluated(numbers: list[int]) -> Mapping[int, Outcome]:
            if any(number not in found for number in numbers):
                evaluate(numbers)
            return {number: found[number] for number in numbers}

        if not space.is_exhaustive:
            search.search(space, evaluated, judge.score)
        elif left:
            evaluate(space.numbers())
    found = {number: found[number] for number in sorted(found)}
    return _result(study.source.name, space, found, judge, len(found) - before)


class _Lazy:
    """Workers that are started when there is a point for them."""

    def __init__(self, stack: ExitStack, start: Start, job: Job) -> None:
        self.stack, self.start, self.job = stack, start, job
        self.outcomes: workers.Outcomes | None = None

    def __call__(self, numbers: Iterable[int]) -> Iterator[list[Outcome]]:
        if self.outcomes is None:
            self.outcomes = self.stack.enter_context(self.start(self.job))
        return self.outcomes(numbers)


Record = Callable[[list[Outcome]], list[Outcome]]


def _recorder(storage: Storage, dashboard: Dashboard, judge: Judge) -> Record:
    """Writes outcomes and gives them back complete."""

    def record(outcomes: list[Outcome]) -> list[Outcome]:
        complete = [judge.complete(one) for one in outcomes]
        keeps = [judge.keeps(one) for one in complete]
        storage.record(outcomes, lambda: dashboard.write(complete, keeps))
        return complete

    return record


def about(source: Source, space: Space, made: Mapping[str, Candidate]) -> dict[str, str]:
    """What must be the same for points to mean the same; objectives, constraints and search may change."""
    axes = {one.name: list(one.values) for one in space.axes}
    bases = {name: design.model_dump() for name, design in space.bases.items()}
    weights = {name: one.fingerprint for name, one in made.items()}
    inputs = sha256(b"".join(codes.tobytes() for one in made.values() for _, codes in one.parts)).hexdigest()[:16]
    return {
        "network": source.name,
        "version of accel": version(),
        "space": json.dumps(axes),
        "base design": json.dumps(bases),
        "weights": json.dumps(weights),
        "inputs": inputs,
    }


def _known(
    source: Source, space: Space, made: Mapping[str, Candidate], storage: Storage, advance: Advance
) -> Known:  # fmt: skip
    """Metrics of candidates and references, the accuracies among them out of the storage if they are there."""
    metrics = {name: {"stored_bytes": float(one.stored_bytes)} for name, one in made.items()}
    needed = {name for one in space.constraints for name in one.metrics} | set(space.objectives)
    references: dict[str, float] = {}
    if ACCURACY not in needed:
        return Known(metrics, references)
    if source.data.test is None:
        raise InputError(f"accuracy of {source.name} needs test data: give --test and --labels")
    digest = sha256(source.data.test.tobytes() + np.asarray(source.data.labels).tobytes()).hexdigest()[:16]

    def accuracy(what: str, name: str) -> float:
        key = f"accuracy {what} {digest}"
        kept = storage.remembered(key)
        if kept is None:
            advance(f"{name}: accuracy")
            network = None if name == "float" else made[name].network if name in made else networks.dense(source)
            kept = repr(networks.accuracy_percent(source, network))
            storage.remember(key, kept)
        return float(kept)

    for name, one in made.items():
        metrics[name][ACCURACY] = accuracy(one.fingerprint, name)
    for name in {one.reference for one in space.constraints if one.reference}:
        references[name] = metrics[DENSE][ACCURACY] if name in made else accuracy(name, name)
    return Known(metrics, references)


def _result(
    network: str, space: Space, found: dict[int, Outcome], judge: Judge, new: int
) -> Explored:  # fmt: skip
    """The front. Raises InputError if no point may be, with the constraint that excludes most."""
    done = [one for one in found.values() if one.metrics]
    if not done:
        reason = next(iter(found.values())).reason if found else ""
        raise InputError(f"none of {len(found):,} points can be built or run; the first: {reason}")
    allowed = [one for one in done if not any(judge.violations(one))]
    if not allowed:
        raise InputError(unsatisfied(space.constraints, done, judge))
    best = front(np.array([judge.values(one) for one in allowed]))
    return Explored(network, space, found, tuple(allowed[k].number for k in best.tolist()), len(allowed), new)


def unsatisfied(constraints: Iterable[Constraint], done: list[Outcome], judge: Judge) -> str:
    """Which constraint excludes most points, and how near the nearest comes."""
    table = np.array([judge.violations(one) for one in done])
    excluded = (table > 0).sum(0)
    worst = int(excluded.argmax())
    constraint = list(constraints)[worst]
    nearest = done[int(table[:, worst].argmin())]
    return (
        f"none of {len(done):,} points keeps all constraints: {constraint.text!r} excludes most, {excluded[worst]:,}; "
        f"point {nearest.number} comes nearest to it with {constraint.shown(nearest.metrics)}"
    )
