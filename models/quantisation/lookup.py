"""Functions as tables of the hardware: an output code for each of the 256 codes that are looked up."""

from __future__ import annotations

import numpy as np

from accel.models.functions import Function
from accel.models.integers.layers import CODES, Int8, TensorSpec


def table_of(function: Function, before: TensorSpec, after: TensorSpec, low: int, high: int) -> Int8:
    """The codes in `after` of the function of each code in `before`, entry 0 that of -128.

    Codes outside of `low`..`high` never come: they have the entries of the limits, since the function may have no value
    there. Where it has none inside either (the logarithm of 0), it is taken to be 0, or the largest number.
    """
    codes = np.clip(np.arange(CODES[0], CODES[1] + 1), low, high)
    with np.errstate(all="ignore"):
        values = np.nan_to_num(function((codes - before.zero_point) * before.scale)) / after.scale
    return np.clip(np.rint(values) + after.zero_point, *CODES).astype(np.int8)
