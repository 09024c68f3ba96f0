"""Compiled forms of the loops of this package: somebody above it keeps them on disk, if anybody does."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any, Protocol

SOONER = 4  # times, where numba has been imported for something else


class Kept(Protocol):
    """A compiled form that is kept on disk: whether this process or an earlier one has compiled it."""

    @property
    def is_compiled(self) -> bool: ...  # noqa: D102
    def __call__(self, *arguments: Any) -> int: ...  # noqa: D102


Keep = Callable[..., Kept]
"""From a function, and those that it calls, to its compiled form."""

_keep: Keep | None = None


def keep_with(keep: Keep) -> None:
    """From now on compile by `keep`, whose results outlive the process."""
    global _keep
    _keep = keep


def keeper() -> Keep | None:
    """What compiles so that it outlives the process; None: nobody does."""
    return _keep


def is_wanted(name: str) -> bool:
    """Whether an environment variable, ACCEL_PURE_PYTHON or ACCEL_COMPILED, is set."""
    return os.environ.get(name, "0") not in ("", "0")


def sooner(work: int) -> int:
    """After how much work to load what is kept, if it is `work` where numba must be imported as well."""
    return work // SOONER if "numba" in sys.modules else work
