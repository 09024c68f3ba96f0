"""What the benchmarks must not exceed."""

from __future__ import annotations

from collections.abc import Mapping


def report_missed(found: Mapping[str, float], limits: Mapping[str, float]) -> int:
    """Print a line for each figure above its limit; 1 if there is one, else 0."""
    missed = [name for name, limit in limits.items() if found[name] > limit]
    for name in missed:
        print(f"MISSED {name}: {found[name]:.4g}, limit {limits[name]:g}")
    return int(bool(missed))
