"""Who evaluates points: this process, processes of this machine, or the workers of a Dask scheduler.

Each takes points in any order and gives lists of outcomes as they are there. A worker that dies costs nothing but
time: what it was at is evaluated again.
"""

from __future__ import annotations

import importlib.util
import itertools
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any

from accel.flow.explore.evaluate import Job, Outcome
from accel.models.errors import InputError

Outcomes = Callable[[Iterable[int]], Iterator[list[Outcome]]]
"""What a pool is: from numbers of points to lists of outcomes."""

ALONE = 48  # fewer points than this are not worth the start of a process
CHUNK_SECONDS = 0.5  # of a chunk, so that an interruption costs little and messages are few
LONGEST_CHUNK = 128
DEATHS = 3  # of processes without an outcome between them
DASK_SECONDS = 10  # until a scheduler must have answered


class Chunks:
    """Numbers in lists, as long as a worker needs CHUNK_SECONDS for."""

    def __init__(self, numbers: Iterable[int]) -> None:
        self.numbers, self.length = iter(numbers), 4

    def next(self) -> list[int]:
        """The next one, empty at the end."""
        return list(itertools.islice(self.numbers, self.length))

    def took(self, seconds: float, points: int) -> None:
        """A chunk is done: the next ones are as long as that says."""
        wanted = int(CHUNK_SECONDS * points / max(seconds, 1e-6))
        self.length = max(1, min(LONGEST_CHUNK, wanted, 2 * self.length))


def _work_of(job: Job, numbers: list[int]) -> tuple[list[Outcome], float]:
    """Outcomes and the seconds that they took. A worker keeps the job, and the programs that it remembers."""
    began = time.perf_counter()
    return job.evaluate(numbers), time.perf_counter() - began


def alone(job: Job) -> Outcomes:
    """This process."""

    def outcomes(numbers: Iterable[int]) -> Iterator[list[Outcome]]:
        chunks = Chunks(numbers)
        while chunk := chunks.next():
            found, seconds = _work_of(job, chunk)
            chunks.took(seconds, len(chunk))
            yield found

    return outcomes


_job: Job | None = None  # of a process of a pool


def _begin(job: Job) -> None:
    """A process of the pool begins. An interruption is its parent's to see."""
    global _job
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _job = job


def _work(numbers: list[int]) -> tuple[list[Outcome], float]:
    assert _job is not None
    return _work_of(_job, numbers)


@contextmanager
def processes(job: Job, count: int) -> Iterator[Outcomes]:
    """`count` processes of this machine. Raises InputError when they die again and again."""
    pool = _Pool(job, count)
    try:
        yield pool.outcomes
    finally:
        pool.stop()


class _Pool:
    """Processes that are started when they are needed, and once more when one has died."""

    def __init__(self, job: Job, count: int) -> None:
        self.job, self.count = job, count
        self.executor: ProcessPoolExecutor | None = None

    def _started(self) -> ProcessPoolExecutor:
        if self.executor is None:
            # Not forked: this process may have threads, of numba and of BLAS.
            context = multiprocessing.get_context("spawn")
            self.executor = ProcessPoolExecutor(self.count, context, _begin, (self.job,))
        return self.executor

    def outcomes(self, numbers: Iterable[int]) -> Iterator[list[Outcome]]:
        """As `Outcomes`."""
        chunks, again, deaths = Chunks(numbers), list[list[int]](), 0
        running: dict[Future[tuple[list[Outcome], float]], list[int]] = {}
        while True:
            try:
                while len(running) < 2 * self.count and (chunk := again.pop() if again else chunks.next()):
                    running_future = self._submit(chunk, again)
                    running[running_future] = chunk
                if not running:
                    return
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    found, seconds = future.result()
                    chunks.took(seconds, len(running.pop(future)))
                    deaths = 0
                    yield found
            except BrokenProcessPool:
                again += running.values()
                running.clear()
                self.stop()
                deaths += 1
                if deaths == DEATHS:
                    raise InputError(
                        f"a process that evaluates points died {deaths} times (is there enough memory? try --workers 1)"
                    ) from None

    def _submit(self, chunk: list[int], again: list[list[int]]) -> Future[tuple[list[Outcome], float]]:
        try:
            return self._started().submit(_work, chunk)
        except BrokenProcessPool:
            again.append(chunk)
            raise

    def stop(self) -> None:
        """End all processes, whatever they are at."""
        if self.executor is None:
            return
        workers = list((self.executor._processes or {}).values())
        self.executor.shutdown(wait=False, cancel_futures=True)
        for worker in workers:
            worker.terminate()
        for worker in workers:
            worker.join()
        self.executor = None


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def dask(job: Job, address: str, version: str) -> Iterator[Outcomes]:
    """The workers of a Dask scheduler. Raises InputError if it does not answer, or they have another `accel`."""
    if not importlib.util.find_spec("distributed"):
        raise InputError("--dask needs the package distributed: pip install 'accel[explore]'")
    import distributed

    try:
        client = _client(address)
    except (OSError, TimeoutError, ValueError, ImportError) as error:
        raise InputError(f"--dask {address}: no scheduler answers within {DASK_SECONDS} s: {_line(error)}") from None
    try:
        if not client.scheduler_info(n_workers=-1)["workers"]:
            raise InputError(f"--dask {address}: the scheduler must have workers, and has none (dask worker {address})")
        others = {found for found in client.run(_version).values() if found != version}
        if others:
            raise InputError(f"--dask {address}: workers must have this accel ({version}), not {', '.join(others)}")
        shared = client.scatter(job, broadcast=True, hash=False)
        yield lambda numbers: _of_dask(client, shared, numbers)
    except (OSError, TimeoutError, distributed.comm.core.CommClosedError) as error:
        raise InputError(f"--dask {address}: the scheduler is lost: {_line(error)}") from None
    except (CancelledError, distributed.KilledWorker) as error:  # the job that was sent is lost with the last worker
        raise InputError(f"--dask {address}: the scheduler or all its workers are lost: {_line(error)}") from None
    finally:
        client.close(timeout=1)


def _client(address: str) -> Any:
    """A client of the scheduler. Raises TimeoutError for a silent one: Dask waits for its first words for ever."""
    import distributed

    found: list[Any] = []

    def connect() -> None:
        try:
            found.append(distributed.Client(address, timeout=DASK_SECONDS))
        except Exception as error:
            found.append(error)

    thread = threading.Thread(target=connect, daemon=True)  # which the end of this process does not wait for
    thread.start()
    thread.join(DASK_SECONDS + 1)
    if not found:
        raise TimeoutError("it accepts the connection and says nothing")
    if isinstance(found[0], Exception):
        raise found[0]
    return found[0]


def _of_dask(client: Any, shared: Any, numbers: Iterable[int]) -> Iterator[list[Outcome]]:
    """Outcomes of chunks; of a worker that is lost, Dask gives its chunks to others."""
    import distributed

    chunks, running = Chunks(numbers), distributed.as_completed()
    lengths: dict[str, int] = {}

    def submit() -> bool:
        chunk = chunks.next()
        if chunk:
            # A worker that dies under a chunk is not the chunk's fault, however often it happens.
            future = client.submit(_work_of, shared, chunk, pure=False, retries=DEATHS)
            lengths[future.key] = len(chunk)
            running.add(future)
        return bool(chunk)

    while running.count() < 2 * max(1, len(client.ncores())) and submit():
        pass
    for future in running:
        found, seconds = future.result()
        chunks.took(seconds, lengths.pop(future.key))
        while running.count() < 2 * max(1, len(client.ncores())) and submit():
            pass
        yield found


def _version() -> str:
    from accel.flow.sources import version

    return version()


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
