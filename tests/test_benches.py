"""The benches themselves, where a mistake would make other tests pass."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.models.errors import InputError
from tests.benches.counted import accepted, counted


def even(number: int) -> int:
    if number % 2:
        raise InputError("number must be even")
    return number


def test_cases_that_are_refused_do_not_count() -> None:
    seen = []

    @counted(20)
    @settings(max_examples=20, database=None)
    @given(st.integers())
    def enough(number: int) -> None:
        seen.append(accepted(even, number))

    enough()
    assert len(seen) == 20
    assert not any(number % 2 for number in seen)


def test_too_few_accepted_cases_fail() -> None:
    @counted(21)
    @settings(max_examples=20, database=None)
    @given(st.integers())
    def too_few(number: int) -> None:
        accepted(even, number)

    with pytest.raises(AssertionError, match="20 drawn cases are accepted, 21 must be"):
        too_few()


def test_another_error_is_no_refusal() -> None:
    @counted(0)
    @settings(database=None)
    @given(st.integers())
    def wrong(number: int) -> None:
        accepted(lambda: {}[number])

    with pytest.raises(KeyError):
        wrong()


@counted(10)
@settings(max_examples=10, database=None)
@given(st.integers())
def test_pytest_runs_a_counted_test(number: int) -> None:
    accepted(even, 2 * number)
