"""Drawn cases that may be refused, and how many must not be.

    @counted(100)
    @settings(max_examples=120, deadline=None)
    @given(st.randoms(use_true_random=False))
    def test_programs_equal_the_reference(rng: Random) -> None:
        network, design = ...
        program = accepted(compile_network, network, design)

A case that `accepted` sees refused is drawn again by Hypothesis; the test fails unless 100 cases were accepted. So a
compiler that refuses everything fails, which `except InputError: return` would not see.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from hypothesis import reject

from accel.models.errors import InputError

P = ParamSpec("P")
T = TypeVar("T")

_counts: list[int] = []  # accepted cases of the counted tests that run: more than one only where one runs another


def counted(least: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Decorator, outside of `given`: at least so many cases of the test are accepted."""

    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        @wraps(test)
        def run(*arguments: Any, **named: Any) -> None:
            _counts.append(0)
            try:
                test(*arguments, **named)
                count = _counts[-1]
            finally:
                _counts.pop()
            assert count >= least, f"{count} drawn cases are accepted, {least} must be"

        return run

    return decorate


def accepted(function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
    """What the function returns; if it refuses with InputError, the case ends and counts for nothing."""
    try:
        result = function(*arguments, **named)
    except InputError:
        reject()
    _counts[-1] += 1
    return result
