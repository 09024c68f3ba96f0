"""The points that no other point is better than in everything."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

BLOCK = 1024


def front(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Rows of `values` (points, objectives; less is better) that no row dominates, in lexical order.

    Of equal rows the first one stands for all.
    """
    if not len(values):
        return np.zeros(0, np.int64)
    order = np.lexsort((np.arange(len(values)), *values.T[::-1]))
    kept: list[NDArray[np.int64]] = []
    best = np.zeros((0, values.shape[1]))
    # In lexical order nothing is dominated by what comes later.
    for start in range(0, len(order), BLOCK):
        block = order[start : start + BLOCK]
        alive = block[~_dominated(values[block], best)]
        found: list[int] = []
        for index in alive.tolist():
            if not _dominated(values[index][None], values[found])[0]:
                found.append(index)
        kept.append(np.array(found, np.int64))
        best = np.concatenate([best, values[found]])
    return np.concatenate(kept)


def _dominated(values: NDArray[np.float64], by: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which of `values` have a row of `by` that is as good in everything."""
    if not len(by):
        return np.zeros(len(values), bool)
    return np.asarray(np.any(np.all(by[None] <= values[:, None], axis=2), axis=1))


def hypervolume(values: NDArray[np.float64], reference: Sequence[float]) -> float:
    """The volume of what lies between the points (less is better) and the worst corner `reference`."""
    inside = values[(values < np.asarray(reference)).all(1)]
    return _volume(inside[front(inside)], np.asarray(reference, float))


def _volume(values: NDArray[np.float64], reference: NDArray[np.float64]) -> float:
    """By slices along the first objective; `values` are in lexical order."""
    if not len(values):
        return 0.0
    if values.shape[1] == 1:
        return float(reference[0] - values[:, 0].min())
    ends = np.append(values[1:, 0], reference[0])
    total = 0.0
    for k, (begin, end) in enumerate(zip(values[:, 0], ends, strict=True)):
        if end > begin:
            rest = values[: k + 1, 1:]
            total += (end - begin) * _volume(rest[front(rest)], reference[1:])
    return total
