"""Sums to codes in one pass, compiled: what `accel.models.reference.int8` does in eight by numpy, with the same codes.

It is used only where somebody keeps compiled forms on disk (`accel.models.compiled`), and where that pays.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel.models import compiled
from accel.models.compiled import Keep, Kept
from accel.models.integers.network import Requantise
from accel.models.window import Window

Array = NDArray[Any]
# In sums, of some 4 ns each by numpy and less than 1 compiled: so many are worth loading what an earlier process
# compiled (0.1 s, or 0.4 s where numba has to be imported), or compiling it (2 s).
LOAD_AFTER, COMPILE_AFTER = 1 << 27, 1 << 29

_spent = 0  # sums that were recoded by numpy


def recode(
    sums: Array, height: int, width: int, batch: int, taps: Array, rows: int, columns: int, row_step: int,
    column_step: int, factors: Array, offsets: Array, zero_point: float, low: float, high: float, best: Array,
    codes: Array,
) -> int:  # fmt: skip
    """Codes (channels, rows, columns, batch) from the largest of `sums` (channels, height, width, batch) in a window.

    All arrays are flat. `taps`: how far behind a window's first position its positions are, in sums. A sum becomes
    floor(sum * factor + offset) + zero_point, no less than `low` and no more than `high`, by channel. `best`: room for
    a batch.
    """
    at = 0
    for channel in range(len(factors)):
        factor, offset = factors[channel], offsets[channel]
        for row in range(rows):
            for column in range(columns):
                first = ((channel * height + row * row_step) * width + column * column_step) * batch
                seen, made = sums[first : first + batch], codes[at : at + batch]
                for image in range(batch):
                    best[image] = seen[image]
                for tap in range(1, len(taps)):
                    seen = sums[first + taps[tap] : first + taps[tap] + batch]
                    for image in range(batch):
                        best[image] = seen[image] if seen[image] > best[image] else best[image]
                for image in range(batch):
                    code = np.floor(best[image] * factor + offset) + zero_point
                    code = code if code > low else low
                    made[image] = np.int32(code if code < high else high)
                at += batch
    return 0


@cache
def _compiled(keep: Keep) -> Kept:
    return keep(recode)


def _form(count: int) -> Kept | None:
    """The compiled form, if it is worth its time for `count` sums more."""
    global _spent
    keep = compiled.keeper()
    if keep is None or compiled.is_wanted("ACCEL_PURE_PYTHON"):
        return None
    _spent += count
    if _spent >= COMPILE_AFTER or compiled.is_wanted("ACCEL_COMPILED"):
        return _compiled(keep)
    return _compiled(keep) if _spent >= compiled.sooner(LOAD_AFTER) and _compiled(keep).is_compiled else None


def codes(sums: Array, to: Requantise) -> NDArray[np.int8] | None:
    """`sums` (channels, height, width, n) requantised, but for `to.table`; None where numpy is to do it."""
    return largest(sums, Window((1, 1)), to)


def largest(sums: Array, window: Window, to: Requantise) -> NDArray[np.int8] | None:
    """As `codes`, of the largest sums in windows, which have no padding and are not spread."""
    if sums.dtype.kind != "f" or (form := _form(sums.size)) is None:
        return None
    channels, height, width, batch = sums.shape
    rows, columns = window.output_size(height, width)
    of_rows, of_columns = (np.arange(n) * d for n, d in zip(window.kernel, window.dilation, strict=True))
    taps = (of_rows[:, None] * width + of_columns).ravel() * batch
    factors = to.multiplier * np.exp2(-to.shift.astype(np.float64))
    offsets = to.bias * factors + 0.5 * (to.shift > 0)
    found = np.empty((channels, rows, columns, batch), np.int8)
    form(
        np.ascontiguousarray(sums).reshape(-1), height, width, batch, taps.astype(np.int64), rows, columns,
        *window.stride, *(np.broadcast_to(each, channels).copy() for each in (factors, offsets)),
        float(to.zero_point), float(to.low), float(to.high), np.empty(batch, sums.dtype), found.reshape(-1),
    )  # fmt: skip
    return found
