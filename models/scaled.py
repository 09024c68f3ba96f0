"""Layers of one codebook with a scale for each output: weights that are few int8 codes times their output's scale.

Nothing travels beside the weights that says so, as of a grid (`accel.models.grid`): the greatest common divisor of an
output's weights is that of its codes times its scale. To tell these two apart, a scale that is chosen here is P * 2**7k
with a prime P in 2**9..2**16: a code of -127..127 has no factor that large, and fewer than seven factors 2. Such a
scale is at most 3.5 % above the one that was wanted, and its multiples are exact in float32.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from accel.models.codebook import is_shared
from accel.models.graph import Float
from accel.models.grid import LARGEST_CODE, Grid, multiples

__all__: list[str] = []

CODE_BITS = 7  # of a code's magnitude
LEAST_BITS, MOST_BITS = 9, 16  # of a prime: together a factor of 2**CODE_BITS
SMALLEST_SCALE = 2.0**-100  # below any weight that matters; its multiples are normal float32


def scale_above(scales: NDArray[np.float64]) -> NDArray[np.float64]:
    """The next of the scales above, for each of `scales`."""
    wanted = np.maximum(scales, SMALLEST_SCALE)
    power = CODE_BITS * ((np.frexp(wanted)[1] - 1 - LEAST_BITS) // CODE_BITS)
    primes = _primes()
    ladder = np.append(primes, primes[0] << CODE_BITS)
    return np.ldexp(ladder[np.searchsorted(ladder, np.ldexp(wanted, -power))].astype(np.float64), power)


def scaled_of(weights: Float) -> Grid | None:
    """The codes and the scale of each output (outputs,), if `weights` (outputs, ...) are so; an output of zeros has 1.

    There are more weights that are not 0 than scales, two scales at least differ (else it is a grid of one step, of
    which one in eighty is such a scale by chance), and codes are shared (`is_shared`): each stands twice on average.
    """
    rows = weights.reshape(len(weights), -1)
    found = multiples(rows) if np.count_nonzero(rows) > len(rows) else None
    if found is None:
        return None
    codes, divisors = found
    fractions, power = np.frexp(divisors.astype(np.float64))
    odd, power = (fractions * 2**24).astype(np.int64), power - 24
    twos = np.frexp((odd & -odd).astype(np.float64))[1] - 1
    odd, power = odd >> twos, power + twos
    prime = odd.copy()
    for small in _small_primes():
        while (divisible := prime % small == 0).any():
            prime[divisible] //= small
    common = (odd // prime) << power % CODE_BITS
    zeros = ~rows.any(1)
    whole = np.where(zeros, 0, common)[:, None] * codes.astype(np.int64)
    if not (zeros | np.isin(prime, _primes())).all() or np.abs(whole).max() > LARGEST_CODE:
        return None
    scales = np.ldexp(prime.astype(np.float64), power - power % CODE_BITS)
    narrow = whole.astype(np.int8).reshape(weights.shape)
    if len(np.unique(scales[~zeros])) < 2 or not is_shared(narrow.astype(np.float32)):
        return None
    return Grid(narrow, np.where(zeros, 1, scales).astype(np.float32))


@cache
def _primes() -> NDArray[np.int64]:
    sieve = np.ones(2**MOST_BITS, np.bool_)
    for number in range(2, 2 ** (MOST_BITS // 2)):
        sieve[number * number :: number] = False
    return np.flatnonzero(sieve[2**LEAST_BITS :]) + 2**LEAST_BITS


@cache
def _small_primes() -> tuple[int, ...]:
    """Odd primes that a code can have."""
    return tuple(n for n in range(3, LARGEST_CODE + 1, 2) if all(n % d for d in range(3, n, 2)))
