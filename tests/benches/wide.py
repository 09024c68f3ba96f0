"""How much a run of the tests draws and builds: the default run a third of what a wide one (`--wide`) does.

`.ci/run` runs wide. Both kinds draw new cases in each run, so what one run leaves out another one meets.
"""

from __future__ import annotations

import pytest

NARROW = 3  # a default run's share of the cases is one in so many
LEAST = 6  # cases of a test in any run

# Marks builds and designs that only a wide run has.
wide = pytest.mark.wide

_wide = [False]


def set_wide(value: bool) -> None:
    """Say, before tests are collected, whether the run is a wide one."""
    _wide[0] = value


def is_wide() -> bool:
    """Whether it is."""
    return _wide[0]


def draws(count: int) -> int:
    """Cases to draw where a wide run draws `count`."""
    return count if is_wide() else min(count, max(LEAST, -(-count // NARROW)))
