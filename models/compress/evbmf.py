"""Analytic empirical variational Bayesian matrix factorisation (EVBMF): how many components stand out of the noise.

An L x M matrix is modelled as V = B A^T + noise of variance s2, with Gaussian priors on the columns of A and B whose
variances are estimated too. The posterior that minimises the free energy has a closed form in the singular
values of V: Nakajima, Sugiyama, Babacan & Tomioka, "Global analytic solution of fully-observed variational
Bayesian matrix factorization", JMLR 14 (2013). The form in tau used here, and the bounds of the noise variance,
are from Nakajima, Tomioka, Sugiyama & Babacan, "Perfect dimensionality recovery by variational Bayesian PCA",
NIPS 2012.

With L <= M, alpha = L / M and x = gamma^2 / (M s2) for a singular value gamma, a component is kept iff x > x_min,
and then

    tau = (x - (1 + alpha) + sqrt((x - (1 + alpha))^2 - 4 alpha)) / 2,   so that   x = (1 + tau) (1 + alpha / tau)
    estimate of gamma = gamma tau / x
    gain in free energy = (M / 2) psi(tau),   psi(tau) = ln(1 + tau) + alpha ln(1 + tau / alpha) - tau

psi falls below 0 at the tau that belongs to x_min.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel.models.errors import InputError

GRID = 256  # noise variances tried, equally spaced in the logarithm, besides those where a component drops out
GOLDEN_STEPS = 40  # each shrinks the bracket to 0.618; a minimum is flat within about 1e-8
LARGEST = 1e153  # of singular values: their squares, and so the noise variance, fit a double
CHUNK = 1 << 20  # numbers at a time in the evaluation of the grid

Array = NDArray[Any]
Double = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Evbmf:
    """The global optimum of EVBMF.

    `singular_values` (rank,) are those of the estimate of B A^T: the matrix's own, shrunk. `noise_variance` is in the
    square of the matrix's units, `free_energy` in nats: -inf for a matrix that leaves no noise (all zeros).
    """

    rank: int
    singular_values: Double
    noise_variance: float
    free_energy: float


def evbmf(matrix: Array, noise_variance: float | None = None) -> Evbmf:
    """The EVBMF of `matrix` (rows, columns), with the noise variance estimated unless it is given.

    The estimated noise never hides what the matrix's type can resolve, and no component below that is
    kept: singular values up to max(rows, columns) x machine epsilon x the largest one count as noise, as in
    `numpy.linalg.matrix_rank`. Source: see the module.

    Raises InputError for a matrix that is not of real numbers in two dimensions, is empty or holds NaN or Inf, for
    singular values above `LARGEST`, and for a noise variance that is not above 0 and at most LARGEST squared.
    """
    matrix = _real(matrix, "matrix")
    if matrix.ndim != 2 or not matrix.size:
        raise InputError(f"matrix must have two dimensions of at least 1, not {matrix.shape}")
    if not np.isfinite(matrix).all():
        raise InputError("matrix must be finite, not NaN or Inf")
    epsilon = float(np.finfo(matrix.dtype).eps) if matrix.dtype.kind == "f" else float(np.finfo(np.float64).eps)
    matrix = matrix.astype(np.float64)  # before the magnitude: integers have no -(-2**63)
    largest = float(np.abs(matrix).max())
    if largest > LARGEST:
        raise InputError(f"matrix must be at most {LARGEST:g} in magnitude, not {largest:g}")
    # Entries of at most 1, so that no square overflows or vanishes; a power of two rounds nothing.
    unit = 2.0 ** math.frexp(largest)[1]
    values = np.linalg.svd(matrix / unit, compute_uv=False) * unit
    return from_singular_values(values, matrix.shape, noise_variance, epsilon)


def _real(numbers: Array, what: str) -> Array:
    """An array of the numbers. Raises InputError unless they are real: bool, integer or floating."""
    try:
        array = np.asarray(numbers)
    except ValueError:  # rows of several lengths
        raise InputError(f"{what} must have rows of one length") from None
    if array.dtype.kind not in "biuf":
        raise InputError(f"{what} must hold real numbers, not {array.dtype}")
    with np.errstate(over="ignore"):  # what no double holds is infinite there, and refused as such
        return array.astype(np.float64) if array.dtype.itemsize > 8 else array


def from_singular_values(
    values: Array, shape: tuple[int, int], noise_variance: float | None = None, epsilon: float = 2.0**-52
) -> Evbmf:
    """`evbmf` of a matrix of `shape` (rows, columns) with the singular values `values` (min(rows, columns),).

    `epsilon` is the relative rounding of the entries. Raises InputError for values that are not real, negative,
    not finite, above `LARGEST` or not min(rows, columns) in number, and for a noise variance that is not above 0 and at
    most LARGEST squared or is below 1e-300 of the squares of the matrix.
    """
    small, large = sorted(shape)
    values = np.sort(_real(values, "singular values").astype(np.float64))[::-1]
    if values.shape != (small,) or small < 1:
        raise InputError(f"singular values of a {shape[0]} x {shape[1]} matrix must be {small}, not {len(values)}")
    if not np.isfinite(values).all() or values[-1] < 0:
        raise InputError("singular values must be finite and at least 0")
    if values[0] > LARGEST:
        raise InputError(f"singular values must be at most {LARGEST:g}, not {values[0]:g}")
    if noise_variance is not None and not 0 < noise_variance <= LARGEST**2:
        raise InputError(f"noise variance must be above 0 and at most {LARGEST**2:g}, not {noise_variance}")
    if not values[0] and noise_variance is None:
        return Evbmf(0, np.empty(0), 0.0, -math.inf)
    alpha = small / large
    x_min = threshold(alpha)
    # Singular values in units of `unit`: of their own size, or so that the given noise has M s2 = 1.
    unit = 2.0 ** math.frexp(values[0])[1] if noise_variance is None else math.sqrt(noise_variance * large)
    if values[0] > 1e150 * unit:
        raise InputError(f"noise variance must be at least 1e-300 of the matrix's squares, not {noise_variance}")
    energies = values / unit * (values / unit)

    def relative_energy(variances: Double) -> Double:
        return _relative_energy(variances, energies, alpha, x_min)

    if noise_variance is None:
        low, high = _bounds(energies, small, large, x_min, large * epsilon)
        knees = energies / x_min  # where a component drops out, the free energy has a concave corner
        variance = _minimum(relative_energy, low, high, knees[(knees > low) & (knees < high)])
    else:
        variance = 1.0
    x = energies[energies > x_min * variance] / variance
    per_entry = variance / large * unit * unit
    free_energy = large / 2 * (float(relative_energy(np.array([variance]))[0]) + small * math.log(2 * math.pi / large))
    free_energy += small * large * math.log(unit)
    shrunk = values[: len(x)] * _tau(x, alpha) / x
    return Evbmf(len(x), shrunk, per_entry if noise_variance is None else float(noise_variance), free_energy)


def threshold(alpha: float) -> float:
    """x_min: the gamma^2 / (M s2) above which a component is kept, for alpha = L / M in 0..1 without 0.

    psi is concave and rises from 0, so it has one root above 0. Raises InputError for another alpha.
    """
    if not 0 < alpha <= 1:
        raise InputError(f"alpha must be above 0 and at most 1, not {alpha}")

    def pays(tau: float) -> bool:
        return math.log1p(tau) + alpha * math.log1p(tau / alpha) < tau

    # The root is 2.5129 at alpha = 1. The papers' 2.5129 sqrt(alpha) is too low elsewhere, by 11 % at alpha = 0.01.
    low, high = math.sqrt(alpha), 4 * math.sqrt(alpha)
    while not pays(high):
        low, high = high, 2 * high
    while low < (middle := (low + high) / 2) < high:
        low, high = (low, middle) if pays(middle) else (middle, high)
    return (1 + high) * (1 + alpha / high)


def _tau(x: Double, alpha: float) -> Double:
    centred = x - (1 + alpha)
    return (centred + np.sqrt(centred - 2 * math.sqrt(alpha)) * np.sqrt(centred + 2 * math.sqrt(alpha))) / 2


def _relative_energy(variances: Double, energies: Double, alpha: float, x_min: float) -> Double:
    """2 F / M without its constant, for each of `variances` (M s2); `energies` are gamma^2, falling."""
    result = np.empty(len(variances))
    step = max(1, CHUNK // len(energies))
    for start in range(0, len(variances), step):
        chunk = variances[start : start + step, None]
        kept = energies[: np.searchsorted(-energies, -x_min * chunk.min())]
        x = np.maximum(kept / chunk, x_min)
        tau = _tau(x, alpha)
        psi = np.where(x > x_min, np.log1p(tau) + alpha * np.log1p(tau / alpha) - tau, 0)
        data = len(energies) * np.log(chunk[:, 0]) + energies.sum() / chunk[:, 0]
        result[start : start + step] = data + psi.sum(axis=1)
    return result


def _bounds(energies: Double, small: int, large: int, x_min: float, resolution: float) -> tuple[float, float]:
    """The least and the largest M s2 that can be optimal (NIPS 2012, the bounds of the noise variance estimator).

    At most `most` = ceil(L / (1 + alpha)) - 1 components are kept, the rest is noise. The least is also
    such that a singular value of `resolution` times the largest one is not kept.
    """
    most = -(-small * large // (small + large)) - 1
    low = max(energies[most] / x_min, energies[most:].mean(), energies[0] * resolution**2 / x_min)
    return low, max(low, float(energies.mean()))


def _minimum(function: Callable[[Double], Double], low: float, high: float, knees: Double) -> float:
    """The argument in low..high at which `function` is least, smooth between neighbours of `knees`.

    A grid in the logarithm with all knees and the middle of each two, then golden-section search around each local
    minimum: there can be several, so that a single bounded search could end in a wrong one.
    """
    ends = math.log(low), math.log(high)
    points = np.unique(np.concatenate([np.linspace(*ends, GRID), np.log(knees)]))
    points = np.unique(np.clip(np.concatenate([points, (points[1:] + points[:-1]) / 2]), *ends))
    heights = function(np.exp(points))
    padded = np.concatenate([[np.inf], heights, [np.inf]])
    local = np.flatnonzero((heights <= padded[:-2]) & (heights <= padded[2:]))
    left, right = points[np.maximum(local - 1, 0)], points[np.minimum(local + 1, len(points) - 1)]
    ratio = (math.sqrt(5) - 1) / 2
    for _ in range(GOLDEN_STEPS):
        inner_left, inner_right = right - ratio * (right - left), left + ratio * (right - left)
        falls = function(np.exp(inner_left)) > function(np.exp(inner_right))
        left, right = np.where(falls, inner_left, left), np.where(falls, right, inner_right)
    found = np.concatenate([points[local], (left + right) / 2])
    return float(np.exp(found[function(np.exp(found)).argmin()]))
