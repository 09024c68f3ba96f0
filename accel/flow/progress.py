"""Progress on standard error: a bar on a terminal; elsewhere (a log, a pipe) a line now and then.

A job that is done within SECONDS_BETWEEN_LINES writes no line, so that scripts of short commands stay silent.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

Advance = Callable[[str], None]
SECONDS_BETWEEN_LINES = 10.0


def silent(_: str) -> None:
    """An Advance that shows nothing."""


@contextmanager
def progress(total: int, clock: Callable[[], float] = time.monotonic) -> Iterator[Advance]:
    """Progress through `total` steps; call what it yields with a few words whenever a step begins."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _lines(total, clock)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=total)
        begun = 0

        def advance(words: str) -> None:
            nonlocal begun
            bar.update(task, description=words, completed=begun)
            begun += 1

        yield advance


def _lines(total: int, clock: Callable[[], float]) -> Advance:
    """An Advance that writes a line now and then."""
    write, begun = _now_and_then(clock), 0

    def advance(words: str) -> None:
        nonlocal begun
        begun += 1
        write(lambda seconds: f"step {begun} of {total}, after {seconds:.0f} s: {words}")

    return advance


def _now_and_then(clock: Callable[[], float]) -> Callable[[Callable[[float], str]], None]:
    """Writes a line, made from the seconds since the beginning, if the last one is long enough ago."""
    start = last = clock()

    def write(line: Callable[[float], str]) -> None:
        nonlocal last
        now = clock()
        if now - last >= SECONDS_BETWEEN_LINES:
            print(f"accel: {line(now - start)}", file=sys.stderr, flush=True)
            last = now

    return write


Rate = Callable[[int], None]
"""Call it with how many more are done."""


@contextmanager
def rated(total: int, what: str, clock: Callable[[], float] = time.monotonic) -> Iterator[Rate]:
    """Progress through very many steps of one kind (`what`, "points"): how many a second, and the time left."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _rate_lines(total, what, clock)
        return
    columns = (
        TextColumn(what), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=total, rate="")
        start, done = clock(), 0

        def step(more: int) -> None:
            nonlocal done
            done += more
            bar.update(task, completed=done, rate=f"{done / max(clock() - start, 1e-3):,.0f} a second")

        yield step


def _rate_lines(total: int, what: str, clock: Callable[[], float]) -> Rate:
    """A Rate that writes a line now and then."""
    write, done = _now_and_then(clock), 0

    def line(seconds: float) -> str:
        rate = done / seconds
        left = max(0, total - done) / rate
        return f"{done:,} of {total:,} {what}, {rate:,.0f} a second, {left:,.0f} s left"

    def step(more: int) -> None:
        nonlocal done
        done += more
        write(line)

    return step
