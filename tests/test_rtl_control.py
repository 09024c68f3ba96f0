"""Run control: done, the first error, the watchdog."""

from __future__ import annotations

from functools import cache

import pytest

from accel.commands import ErrorCode
from accel.rtl.control import Control
from tests.benches.simulator import Bench


@cache
def bench() -> Bench:
    return Bench(Control())


def run(
    cycles: int, watchdog: int = 1000, starts: tuple[int, ...] = (0,), **events: dict[int, int]
) -> tuple[list[int], list[int], int]:
    """Starts in cycle 0, or in `starts`; `events`: an input's value from a cycle on (`last` is 1 if nothing else is
    said).

    Returns cycles of done, or of `next` as negative numbers, cycles of halt, and the error.
    """
    dones, halts, codes = [], [], []
    events = {"last": {0: 1}} | events

    async def body(ctx) -> None:
        unit = bench().unit
        ctx.set(unit.watchdog, watchdog)
        busy = 0
        for cycle in range(cycles):
            ctx.set(unit.start, cycle in starts)
            ctx.set(unit.starting, cycle - 1 in starts)
            ctx.set(unit.busy, busy)
            for name, changes in events.items():
                if cycle in changes:
                    ctx.set(getattr(unit, name), changes[cycle])
            done = ctx.get(unit.done)
            if done:
                dones.append(cycle)
            if ctx.get(unit.next):
                dones.append(-cycle)
            if ctx.get(unit.halt):
                halts.append(cycle)
            codes.append(ctx.get(unit.error))
            await ctx.tick()
            busy = int((busy or cycle in starts) and not done)

    bench().run(body)
    return dones, halts, codes[-1]


def test_done_comes_a_cycle_after_finished() -> None:
    assert run(20, finished={7: 1, 8: 0}, quiet={0: 1}) == ([8], [], 0)


def test_an_error_halts_and_done_waits_for_the_bus() -> None:
    dones, halts, code = run(20, errors={5: 3, 6: 5, 7: 0}, quiet={0: 0, 12: 1})
    assert (dones, halts[0], halts[-1], code) == ([12], 6, 19, 3)


def test_nothing_begins_before_what_was_stopped_is_reset() -> None:
    finished = {17: 1, 18: 0}
    assert run(20, starts=(0, 10), errors={5: 3, 6: 0}, finished=finished, quiet={0: 1}) == (
        [6, 18],
        [*range(6, 12)],
        0,
    )


def test_next_comes_instead_of_done_while_images_follow() -> None:
    finished = {7: 1, 8: 0, 20: 1, 21: 0}
    assert run(30, last={0: 0, 15: 1}, finished=finished, quiet={0: 1}) == ([-8, 21], [], 0)


@pytest.mark.parametrize("cycle", [6, 7, 8, 9])
def test_an_abort_between_two_images_is_not_lost(cycle: int) -> None:
    """While an image ends, or in the first cycles of the next one."""
    dones, halts, code = run(20, last={0: 0}, abort={cycle: 1, cycle + 1: 0}, finished={7: 1, 8: 0}, quiet={0: 1})
    assert code == ErrorCode.ABORTED
    assert halts[0] == cycle + 1
    assert dones == ([-8, cycle + 1] if cycle >= 8 else [cycle + 1])


def test_an_abort_is_an_error_like_others() -> None:
    dones, halts, code = run(20, abort={5: 1, 6: 0}, active={0: 1}, quiet={0: 0, 12: 1})
    assert (dones, halts[0], code) == ([12], 6, ErrorCode.ABORTED)


def test_an_abort_that_comes_too_late_changes_nothing() -> None:
    assert run(20, abort={7: 1, 9: 0}, finished={7: 1, 8: 0}, quiet={0: 1}) == ([8], [], 0)
    assert run(20, abort={5: 1, 8: 0}, errors={5: 3, 6: 0}, quiet={0: 1})[2] == 3


@pytest.mark.parametrize("watchdog", [1, 5, 6])
def test_the_watchdog_counts_cycles_without_activity(watchdog: int) -> None:
    dones, halts, code = run(40, watchdog, active={0: 1, 10: 0}, quiet={0: 1})
    assert (dones, halts[0], code) == ([10 + watchdog + 1], 10 + watchdog + 1, ErrorCode.TIMEOUT)


def test_a_watchdog_of_zero_never_barks() -> None:
    assert run(60, 0) == ([], [], 0)


def test_done_comes_even_when_the_bus_is_dead() -> None:
    dones, halts, code = run(60, 8, quiet={0: 0})
    assert (halts[0], code) == (10, ErrorCode.TIMEOUT)
    assert dones == [18]
