"""Progress where standard error is no terminal: lines, not too many of them, and none of a short job."""

from __future__ import annotations

import pytest

from accel.flow.progress import SECONDS_BETWEEN_LINES, progress, rated


def lines(capsys: pytest.CaptureFixture[str], begins: list[float]) -> list[str]:
    """What is written about a job whose steps begin at these seconds."""
    times = iter([0.0, *begins])
    with progress(len(begins), lambda: next(times)) as advance:
        for k in range(len(begins)):
            advance(f"part {k}")
    printed = capsys.readouterr()
    assert printed.out == ""
    return printed.err.splitlines()


def test_a_long_job_writes_a_line_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    assert SECONDS_BETWEEN_LINES == 10
    assert lines(capsys, [0, 5, 12, 13, 21, 22, 100]) == [
        "accel: step 3 of 7, after 12 s: part 2",
        "accel: step 6 of 7, after 22 s: part 5",
        "accel: step 7 of 7, after 100 s: part 6",
    ]


def test_a_short_job_writes_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert lines(capsys, [k / 100 for k in range(900)]) == []


def test_many_steps_say_how_fast_they_are_and_how_long_they_take(capsys: pytest.CaptureFixture[str]) -> None:
    """Points done so far over the seconds so far, and the rest at that rate."""
    times = iter([0.0, 5.0, 15.0, 20.0, 40.0])
    with rated(1000, "points", lambda: next(times)) as step:
        for more in (100, 200, 100, 600):
            step(more)
    assert capsys.readouterr().err.splitlines() == [
        "accel: 300 of 1,000 points, 20 a second, 35 s left",
        "accel: 1,000 of 1,000 points, 25 a second, 0 s left",
    ]
