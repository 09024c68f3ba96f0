"""From real scales to the integers of requantisation: multipliers, shifts, zero points, clip limits."""

from __future__ import annotations

import math

import numpy as np

from accel.models.errors import InputError
from accel.models.integers.layers import LARGEST_MULTIPLIER, LARGEST_SHIFT, TensorSpec

MULTIPLIER_BITS = 16


def multiplier_and_shift(ratio: float) -> tuple[int, int]:
    """Integers with multiplier / 2**shift nearest to `ratio`, shift 0..47.

    The multiplier is normalised to 32768..65535 (16 significant bits), except for ratios below 2**-31,
    which no 32-bit sum can bring to a whole code: there it is what shift 47 leaves of it.

    Raises InputError for a ratio that is negative, not finite, or above 65535.
    """
    if not 0 <= ratio <= LARGEST_MULTIPLIER:
        raise InputError(f"ratio of scales must be in 0..{LARGEST_MULTIPLIER}, not {ratio}")
    fraction, exponent = math.frexp(ratio)  # ratio = fraction * 2**exponent, fraction in 0.5..1
    multiplier = round(fraction * 2**MULTIPLIER_BITS)
    shift = MULTIPLIER_BITS - exponent
    if multiplier == 2**MULTIPLIER_BITS:  # the fraction rounded up to 1
        multiplier, shift = multiplier // 2, shift - 1
    if ratio == 0 or shift > LARGEST_SHIFT:
        return round(ratio * 2**LARGEST_SHIFT), LARGEST_SHIFT
    return multiplier, shift


def activation_spec(name: str, shape: tuple[int, int, int], low: float, high: float) -> TensorSpec:
    """The int8 tensor that covers the real values `low`..`high`, widened to hold 0 (padding, ReLU) exactly."""
    low, high = min(low, 0.0), max(high, 0.0)
    scale = (high - low) / 255
    if not scale:
        scale = 1.0  # always zero: any scale holds it
    zero_point = round(-128 - low / scale)
    return TensorSpec(name, shape, scale, min(127, max(-128, zero_point)))


def clip_codes(spec: TensorSpec, low: float, high: float) -> tuple[int, int]:
    """The codes -128..127 of the clip limits `low` and `high` (reals, possibly infinite) in `spec`."""
    codes = np.clip(np.rint(np.array([low, high]) / spec.scale) + spec.zero_point, -128, 127)
    return int(codes[0]), int(codes[1])
