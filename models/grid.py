"""Layers whose weights lie on a uniform grid: whole multiples -127..127 of a step, one a layer or one an output.

Nothing travels beside the weights that says so: a float32 is a whole number times a power of two, so the largest step
of which all weights are multiples is a greatest common divisor, exact. Weights that were not put on a grid have none.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accel.models.graph import Float

LARGEST_CODE = 127
STEP_BITS = 16  # significant bits of a step that is chosen here: its multiples are exact in float32


@dataclass(frozen=True, eq=False)
class Grid:
    """`codes` (outputs, ...) int8 and `steps` (1,) or (outputs,) float32 above 0: weights are codes * steps."""

    codes: NDArray[np.int8]
    steps: Float

    @property
    def weights(self) -> Float:
        """The weights, float32."""
        return self.codes * self.steps.reshape(-1, *[1] * (self.codes.ndim - 1))


def grid_of(weights: Float, per_output: bool = False) -> Grid | None:
    """The grid of a layer's `weights` (outputs, ...), or None. A layer or an output of zeros has the step 1."""
    flat = weights.reshape(1, -1) if not per_output else weights.reshape(len(weights), -1)
    sizes = np.abs(flat)
    largest = sizes.max(1, initial=0)
    smallest = np.where(sizes > 0, sizes, np.inf).min(1, initial=np.inf)
    if not np.isfinite(largest).all() or (largest > LARGEST_CODE * smallest).any():
        return None
    # Of finite weights that differ by at most 127 times, 24 significant bits and 7 of distance fit 31.
    units = np.where(largest > 0, smallest, 1).astype(np.float64)
    units = np.ldexp(1.0, np.frexp(units)[1] - 24)
    whole = (flat / units[:, None]).astype(np.int64)
    divisors = np.gcd.reduce(whole, axis=1)
    divisors = np.where(divisors > 0, divisors, 1)
    codes = whole // divisors[:, None]
    if np.abs(codes).max(initial=0) > LARGEST_CODE:
        return None
    steps = np.where(largest > 0, divisors * units, 1).astype(np.float32)
    return Grid(codes.astype(np.int8).reshape(weights.shape), steps)


def short_step(step: float) -> float:
    """The step of STEP_BITS significant bits nearest to `step`, all of whose multiples are float32."""
    return float(np.float32(round_significant(np.float64(step), STEP_BITS)))


def round_significant(values: NDArray[np.float64] | np.float64, bits: int) -> NDArray[np.float64]:
    """`values` rounded to `bits` significant bits."""
    fractions, exponents = np.frexp(values)
    return np.ldexp(np.rint(fractions * 2.0**bits) / 2.0**bits, exponents)
