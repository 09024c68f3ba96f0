"""Orthonormal factors of a convolution's weights: spectra of unfoldings, Tucker-2 by HOSVD and HOOI.

Weights (T, S, kh, kw) are a tensor with two long modes: the input channels S (mode 3 of Kim et al., arXiv 1511.06530)
and the output channels T (their mode 4). Unfolded along one, the tensor is a matrix of S x (T kh kw) or T x (S kh kw).
All in float64.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Double = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Of an n x m matrix: left singular vectors (n, n) as columns, and min(n, m) singular values, both falling."""

    vectors: Double
    values: Double
    shape: tuple[int, int]


@dataclass(frozen=True, eq=False)
class Factors:
    """W ~ outer x core x inner: `inner` (R3, S), `core` (R4, R3, kh, kw), `outer` (T, R4).

    A side that is not decomposed has None, and the core has its full size there (Tucker-1).
    """

    inner: Array | None
    core: Array
    outer: Array | None


def unfold(weights: Array, mode: int) -> Array:
    """`weights` (T, S, kh, kw) as a matrix whose rows are mode 0 (T) or 1 (S)."""
    moved = weights.swapaxes(0, mode)
    return moved.reshape(len(moved), -1)


def spectrum(matrix: Array) -> Spectrum:
    """The spectrum of `matrix` (n, m), by the eigenvectors of its n x n Gram matrix.

    That resolves singular values down to about 1e-8 of the largest, which is below what float32 weights hold, and
    takes a fraction of the time of an SVD when m is much larger than n.
    """
    matrix = matrix.astype(np.float64)
    eigenvalues, vectors = np.linalg.eigh(matrix @ matrix.T)
    values = np.sqrt(np.maximum(eigenvalues[::-1], 0))
    return Spectrum(vectors[:, ::-1], values[: min(matrix.shape)], (matrix.shape[0], matrix.shape[1]))


def project(weights: Array, inner: Array | None, outer: Array | None) -> Factors:
    """The best core for the given orthonormal bases `inner` (S, R3) and `outer` (T, R4): W projected on both."""
    core = weights.astype(np.float64)
    if inner is not None:
        core = _times(core, inner.T, 1)
    if outer is not None:
        core = _times(core, outer.T, 0)
    return Factors(None if inner is None else inner.T, core, outer)


def hooi(weights: Array, inner: Double, outer: Double, iterations: int) -> tuple[Double, Double]:
    """`inner` (S, R3) and `outer` (T, R4) improved by sweeps of higher-order orthogonal iteration.

    Each half sweep is optimal for the other basis, so the error never grows. Source: De Lathauwer, De Moor &
    Vandewalle, "On the best rank-1 and rank-(R1, ..., RN) approximation of higher-order tensors", SIAM 2000.
    """
    weights = weights.astype(np.float64)
    for _ in range(iterations):
        outer = spectrum(unfold(_times(weights, inner.T, 1), 0)).vectors[:, : outer.shape[1]]
        inner = spectrum(unfold(_times(weights, outer.T, 0), 1)).vectors[:, : inner.shape[1]]
    return inner, outer


def reconstruct(factors: Factors) -> Double:
    """The weights (T, S, kh, kw) that `factors` stand for."""
    weights = factors.core.astype(np.float64)
    if factors.inner is not None:
        weights = _times(weights, factors.inner.T, 1)
    if factors.outer is not None:
        weights = _times(weights, factors.outer, 0)
    return weights


def relative_error(weights: Array, factors: Factors) -> float:
    """||W - W'|| / ||W|| (Frobenius) for the W' that `factors` stand for; 0 for weights of zero."""
    norm = float(np.linalg.norm(weights.astype(np.float64)))
    return float(np.linalg.norm(weights - reconstruct(factors))) / norm if norm else 0.0


def to_float32(factors: Factors) -> Factors:
    """`factors` rounded to float32."""
    inner, outer = (None if side is None else side.astype(np.float32) for side in (factors.inner, factors.outer))
    return Factors(inner, factors.core.astype(np.float32), outer)


def _times(weights: Array, matrix: Array, mode: int) -> Array:
    """The mode product: `matrix` (rows, weights.shape[mode]) applied to each fibre of `mode`."""
    return np.moveaxis(np.tensordot(matrix, weights, (1, mode)), 0, mode)
