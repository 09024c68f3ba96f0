"""How many elements of each window lie inside of what it slides over: the divisors of averages that leave pads out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from accel.models.window import Window


def along(window: Window, axis: int, size: int) -> NDArray[np.int64]:
    """Of each window along height (0) or width (1), `size` long: positions inside. Windows have no dilation."""
    count = window.output_size(size, size)[axis]
    first = np.arange(count) * window.stride[axis] - window.pads[axis]
    return np.minimum(size, first + window.kernel[axis]) - np.maximum(0, first)


def elements(window: Window, height: int, width: int) -> NDArray[np.int64]:
    """(out_h, out_w) elements inside of each window."""
    return np.outer(along(window, 0, height), along(window, 1, width))
