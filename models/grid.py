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
    def along(self) -> Float:
        """The steps, to be multiplied with the codes."""
        return self.steps.reshape(-1, *[1] * (self.codes.ndim - 1))

    @property
    def weights(self) -> Float:
        """The weights, float32."""
        return self.codes * self.along


def grid_of(weights: Float) -> Grid | None:
    """The grid of a layer's `weights` (outputs, ...): of one step, or else of one for each output, or None.

    There must be more weights that are not 0 than steps; an output of zeros has the step 1.
    """
    for flat in (weights.reshape(1, -1), weights.reshape(len(weights), -1)):
        found = multiples(flat) if np.count_nonzero(weights) > len(flat) else None
        if found is not None:
            return Grid(found[0].reshape(weights.shape), found[1])
    return None


def multiples(rows: Float) -> tuple[NDArray[np.int8], Float] | None:
    """The largest step of each row, and which multiples its weights are."""
    sizes = np.abs(rows)
    largest = sizes.max(1)
    smallest = np.where(sizes > 0, sizes, np.inf).min(1)
    if not np.isfinite(largest).all() or (largest > LARGEST_CODE * smallest).any():
        return None
    # Finite weights that differ by at most 127 times: 24 significant bits and 7 of distance fit 31.
    units = np.ldexp(1.0, np.frexp(np.where(largest > 0, smallest, 1).astype(np.float64))[1] - 24)
    whole = (rows / units[:, None]).astype(np.int64)
    divisors = np.maximum(np.gcd.reduce(whole, axis=1), 1)
    codes = whole // divisors[:, None]
    if np.abs(codes).max() > LARGEST_CODE:
        return None
    return codes.astype(np.int8), np.where(largest > 0, divisors * units, 1).astype(np.float32)


def significant(values: Float, bits: int = STEP_BITS) -> Float:
    """`values` rounded to `bits` (1..24) significant bits, the largest floats down."""
    fractions, exponents = np.frexp(values.astype(np.float64))
    rounded = np.ldexp(np.rint(fractions * 2.0**bits) / 2.0**bits, exponents)
    largest = float(np.finfo(np.float32).max)
    return np.clip(rounded, -largest, largest).astype(np.float32)
