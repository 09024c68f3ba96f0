"""What the benchmarks must not exceed, and a clock that other programs on the machine do not move."""

from __future__ import annotations

import os
from collections.abc import Mapping


def report_missed(found: Mapping[str, float], limits: Mapping[str, float]) -> int:
    """Print a line for each figure above its limit; 1 if there is one, else 0."""
    missed = [name for name, limit in limits.items() if found[name] > limit]
    for name in missed:
        print(f"MISSED {name}: {found[name]:.4g}, limit {limits[name]:g}")
    return int(bool(missed))


def processor_seconds() -> float:
    """User and system time until now, of this process and of all that it started and waited for."""
    return sum(os.times()[:4])
