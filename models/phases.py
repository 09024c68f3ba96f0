"""A window over a spread input as ordinary windows: the phases of its output, none of which meets an empty position.

With base dilation b, output row y reads position y + k * dilation - top of the spread input through kernel row k, and
there is a pixel only at multiples of b. So the rows y = p, p + b, p + 2b, ... (a phase) have the same kernel rows,
every b / gcd(b, dilation)-th, over the input's own rows: a convolution of stride 1 whose pads may be below 0, when it
begins inside the input.

    3 x 3 kernel, base dilation 2, pads 1:  phase (0, 0): tap (1, 1); (0, 1): taps (1, 0) and (1, 2);
                                            (1, 0): taps (0, 1) and (2, 1); (1, 1): the four corners

A phase without a tap (the kernel is smaller than the base dilation) is the bias alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd

from accel.models.window import Window


@dataclass(frozen=True)
class Phase:
    """The output pixels from `first` (y, x) on, `step` apart: `size` of them, made by `window` with the kernel `taps`.

    `window` is over the input as it is; its pads may be below 0. Without taps it is None, and the slices are empty.
    """

    first: tuple[int, int]
    step: tuple[int, int]
    size: tuple[int, int]
    taps: tuple[slice, slice]
    window: Window | None

    @property
    def rows(self) -> tuple[slice, slice]:
        """Its rows and columns of the output."""
        return slice(self.first[0], None, self.step[0]), slice(self.first[1], None, self.step[1])


@dataclass(frozen=True)
class _Axis:
    first: int
    size: int
    taps: slice
    kernel: int
    dilation: int
    pads: tuple[int, int]


def phases(window: Window, height: int, width: int) -> tuple[Phase, ...]:
    """The phases of the output over an input of `height` x `width`, row by row; those with no pixel are left out."""
    size = window.output_size(height, width)
    rows, columns = (
        [_axis(window, axis, (height, width)[axis], size[axis], first) for first in range(min(size[axis], base))]
        for axis, base in enumerate(window.base_dilation)
    )
    found = []
    for y in rows:
        for x in columns:
            own = None
            if y.kernel and x.kernel:
                pads = (y.pads[0], x.pads[0], y.pads[1], x.pads[1])
                own = Window((y.kernel, x.kernel), (1, 1), pads, (y.dilation, x.dilation))
            found.append(Phase((y.first, x.first), window.base_dilation, (y.size, x.size), (y.taps, x.taps), own))
    return tuple(found)


def _axis(window: Window, axis: int, pixels: int, outputs: int, first: int) -> _Axis:
    """Rows (axis 0) or columns (1) `first`, `first` + base dilation, ... of `outputs`."""
    base, dilation, before = window.base_dilation[axis], window.dilation[axis], window.pads[axis]
    size = -(-(outputs - first) // base)
    taps = [k for k in range(window.kernel[axis]) if (first + k * dilation - before) % base == 0]
    if not taps:
        return _Axis(first, size, slice(0, 0), 0, 1, (0, 0))
    step = base // gcd(base, dilation)
    begin, apart = (first + taps[0] * dilation - before) // base, step * dilation // base
    end = begin + size - 1 + (len(taps) - 1) * apart + 1
    return _Axis(first, size, slice(taps[0], taps[-1] + 1, step), len(taps), apart, (-begin, end - pixels))
