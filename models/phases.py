"""A window over a spread input as ordinary windows: the phases of its output, none of which meets an empty position.

With base dilation b, output row y reads position y + k * dilation - top of the spread input through kernel row k, and
there is a pixel only at multiples of b. So the rows y = p, p + b, p + 2b, ... (a phase) have the same kernel rows,
every b / gcd(b, dilation)-th, over the input's own rows: a convolution of stride 1 whose pads may be below 0, when it
begins inside the input.

    3 x 3 kernel, base dilation 2, pads 1:  phase (0, 0): tap (1, 1); (0, 1): taps (1, 0) and (1, 2);
                                            (1, 0): taps (0, 1) and (2, 1); (1, 1): the four corners

A phase without a tap (the kernel is smaller than the base dilation) is the bias alone.

Where the input's edges are repeated around it (`Window.edges`), the rows of a phase that meet one of the repeated rows
are parts of their own, one each: the kernel rows that then meet the same row of the input become their sum. For maxima
that is the row itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain, groupby
from math import gcd
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel.models.window import Window

Taps = tuple[tuple[int, ...], ...]  # of each position of a part's kernel: those of the whole kernel that it sums


@dataclass(frozen=True)
class Phase:
    """The output pixels from `first` (y, x) on, `step` apart: `size` of them, made by `window` with the kernel `taps`.

    `window` is over the input as it is; its pads may be below 0. Without taps it is None.
    """

    first: tuple[int, int]
    step: tuple[int, int]
    size: tuple[int, int]
    taps: tuple[Taps, Taps]
    window: Window | None

    @property
    def rows(self) -> tuple[slice, slice]:
        """Its rows and columns of the output."""
        found = (slice(a, a + (n - 1) * s + 1, s) for a, n, s in zip(self.first, self.size, self.step, strict=True))
        return next(found), next(found)

    @property
    def single(self) -> bool:
        """Whether each position of its kernel is one of the whole kernel."""
        return all(len(taps) == 1 for taps in chain(*self.taps))

    def of(self, weights: NDArray[Any]) -> NDArray[Any]:
        """Its part of weights (outputs, inputs, kernel), in int64 where positions are summed and these are integers."""
        rows, columns = self.taps
        if self.single:
            return np.ascontiguousarray(weights[:, :, [k for (k,) in rows]][:, :, :, [k for (k,) in columns]])
        kind = weights.dtype if weights.dtype.kind == "f" else np.dtype(np.int64)
        out = np.zeros((*weights.shape[:2], len(rows), len(columns)), kind)
        for y, x in np.ndindex(len(rows), len(columns)):
            for k in rows[y]:
                for j in columns[x]:
                    out[:, :, y, x] += weights[:, :, k, j]
        return out


@dataclass(frozen=True)
class _Axis:
    first: int
    size: int
    taps: Taps
    dilation: int
    pads: tuple[int, int]


def phases(window: Window, height: int, width: int) -> tuple[Phase, ...]:
    """The parts of the output over an input of `height` x `width`, row by row; of edges those inside come last."""
    size = window.output_size(height, width)
    rows, columns = (
        [
            part
            for first in range(min(size[axis], base))
            for part in _axis(window, axis, (height, width)[axis], size[axis], first)
        ]
        for axis, base in enumerate(window.base_dilation)
    )
    found = []
    for y in rows:
        for x in columns:
            own = None
            if y.taps and x.taps:
                pads = (y.pads[0], x.pads[0], y.pads[1], x.pads[1])
                own = Window((len(y.taps), len(x.taps)), (1, 1), pads, (y.dilation, x.dilation))
            found.append(Phase((y.first, x.first), window.base_dilation, (y.size, x.size), (y.taps, x.taps), own))
    if any(window.edges):
        found.sort(key=lambda phase: phase.size[0] * phase.size[1])
    return tuple(found)


def _axis(window: Window, axis: int, pixels: int, outputs: int, first: int) -> list[_Axis]:
    """Rows (axis 0) or columns (1) `first`, `first` + base dilation, ... of `outputs`."""
    base, dilation, pad = window.base_dilation[axis], window.dilation[axis], window.pads[axis]
    before, after = window.edges[axis], window.edges[axis + 2]
    size = -(-(outputs - first) // base)
    taps = [k for k in range(window.kernel[axis]) if (first + k * dilation - pad) % base == 0]
    if not taps:
        return [_Axis(first, size, (), 1, (0, 0))]
    apart = base // gcd(base, dilation) * dilation // base
    begin = (first + taps[0] * dilation - pad) // base - before  # the first row's first tap, in rows of the input

    def repeated(row: int) -> bool:
        met = (begin + row + place * apart for place in range(len(taps)))
        return any(-before <= at < 0 or pixels <= at < pixels + after for at in met)

    found = []
    for on_edge, run in groupby(range(size), repeated):
        rows = list(run)
        for row in rows if on_edge else rows[:1]:
            start, count = begin + row, 1 if on_edge else len(rows)
            if on_edge:
                at = [(start + place * apart, tap) for place, tap in enumerate(taps)]
                kept = [(min(max(y, 0), pixels - 1), tap) for y, tap in at if -before <= y < pixels + after]
                start = kept[0][0]
                own = tuple(tuple(k for y, k in kept if y == row) for row in range(start, kept[-1][0] + 1))
                end, dilated = start + len(own), 1
            else:
                own = tuple((tap,) for tap in taps)
                end, dilated = start + count - 1 + (len(taps) - 1) * apart + 1, apart
            found.append(_Axis(first + row * base, count, own, dilated, (-start, end - pixels)))
    return found
