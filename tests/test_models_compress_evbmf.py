import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.models.compress.evbmf import evbmf, from_singular_values, threshold
from accel.models.errors import InputError
from tests.benches.wide import draws


def low_rank(seed, rows, columns, rank, noise):
    """A product of `rank` equal components, each of singular value about sqrt(rows x columns), plus noise."""
    random = np.random.default_rng(seed)
    left = np.linalg.qr(random.standard_normal((rows, max(rank, 1))))[0][:, :rank]
    right = np.linalg.qr(random.standard_normal((columns, max(rank, 1))))[0][:, :rank]
    return math.sqrt(rows * columns) * left @ right.T + noise * random.standard_normal((rows, columns))


def variational_bayes(matrix, rank, noise_variance=None, steps=3000):
    """Coordinate descent on the free energy of V = B A^T + noise: A, B, their priors, and the noise unless it is given.

    Returns (free energy, noise variance, singular values of B A^T).
    """
    rows, columns = matrix.shape
    s2 = noise_variance or np.mean(matrix**2)
    u, gamma, v = np.linalg.svd(matrix)
    a, b = v[:rank].T * np.sqrt(gamma[:rank]), u[:, :rank] * np.sqrt(gamma[:rank])
    cov_a, cov_b = np.eye(rank), np.eye(rank)
    prior_a, prior_b = np.ones(rank), np.ones(rank)
    square = np.sum(matrix**2)
    for _ in range(steps):
        cov_a = s2 * np.linalg.inv(b.T @ b + rows * cov_b + s2 * np.diag(1 / prior_a))
        a = matrix.T @ b @ cov_a / s2
        cov_b = s2 * np.linalg.inv(a.T @ a + columns * cov_a + s2 * np.diag(1 / prior_b))
        b = matrix @ a @ cov_b / s2
        prior_a = np.sum(a**2, 0) / columns + np.diag(cov_a)
        prior_b = np.sum(b**2, 0) / rows + np.diag(cov_b)
        moment_a, moment_b = a.T @ a + columns * cov_a, b.T @ b + rows * cov_b
        error = square - 2 * np.sum(matrix * (b @ a.T)) + np.trace(moment_a @ moment_b)
        if noise_variance is None:
            s2 = error / matrix.size
    logs = columns * (np.log(prior_a).sum() - np.linalg.slogdet(cov_a)[1])
    logs += rows * (np.log(prior_b).sum() - np.linalg.slogdet(cov_b)[1])
    traces = np.sum(np.diag(moment_a) / prior_a + np.diag(moment_b) / prior_b) - (rows + columns) * rank
    energy = (matrix.size * math.log(2 * math.pi * s2) + error / s2 + logs + traces) / 2
    return energy, s2, np.linalg.svd(b @ a.T, compute_uv=False)[:rank]


@pytest.mark.parametrize("given_noise", [True, False])
@pytest.mark.parametrize(("rows", "columns", "rank", "noise"), [(8, 12, 2, 0.3), (12, 7, 1, 0.5), (9, 9, 3, 0.1)])
def test_equals_the_optimum_of_the_free_energy(rows, columns, rank, noise, given_noise):
    matrix = low_rank(rows, rows, columns, rank, noise)
    variance = noise**2 if given_noise else None
    found = evbmf(matrix, variance)
    # Without a component there is nothing to descend on: a Gaussian.
    s2 = variance or np.mean(matrix**2)
    runs = [(matrix.size * math.log(2 * math.pi * s2) / 2 + np.sum(matrix**2) / s2 / 2, s2, np.empty(0))]
    # As many components as can stand out of the noise; the others of the matrix would only shrink to nothing.
    runs += [variational_bayes(matrix, r, variance) for r in range(1, min(rows, columns) // 2 + 1)]
    energy, s2, values = min(runs, key=lambda run: run[0])
    assert found.rank == rank
    np.testing.assert_allclose(found.free_energy, energy, rtol=1e-5, atol=1e-3)
    assert found.free_energy <= energy + 1e-6
    np.testing.assert_allclose(found.noise_variance, s2, rtol=1e-3)
    np.testing.assert_allclose(found.singular_values, values[:rank], rtol=1e-3)


def test_the_estimated_noise_is_the_best_of_many():
    """Against the free energy for given noise, at 4000 noise variances."""
    for seed in range(10):
        matrix = low_rank(seed, 12, 20, seed % 5, 0.6)
        found = evbmf(matrix)
        tried = np.geomspace(1e-3, 2, 4000) * np.mean(matrix**2)
        energies = [evbmf(matrix, variance).free_energy for variance in tried]
        assert found.free_energy <= min(energies) + 1e-9
        np.testing.assert_allclose(found.noise_variance, tried[np.argmin(energies)], rtol=3e-3)


@pytest.mark.parametrize("noise", [0.01, 0.1, 0.3, 1.0, 2.0])
@pytest.mark.parametrize("shape", [(100, 100), (60, 400), (400, 60), (50, 51)])
@pytest.mark.parametrize("rank", [0, 1, 5, 12])
def test_rank_is_recovered(shape, rank, noise):
    # The components' x is min(shape) / noise^2 or more: at least 12.5, well above x_min <= 4.92.
    found = evbmf(low_rank(rank, *shape, rank, noise))
    assert found.rank == rank
    np.testing.assert_allclose(found.noise_variance, noise**2, rtol=0.1)
    if rank:
        assert found.singular_values.mean() == pytest.approx(math.sqrt(shape[0] * shape[1]), rel=0.15)


def test_components_below_the_threshold_are_dropped():
    """Perfect recovery has a limit (NIPS 2012): the same component, in noise just below and above it."""
    rows, columns = 300, 500
    alpha = rows / columns
    # A component of variance v s2 / columns shows as x = (1 + v) (1 + alpha / v), as of a spiked covariance.
    ranks = []
    for tau in (0.75, 1.25):
        v = tau * 2.5129 * math.sqrt(alpha)
        ranks.append(evbmf(low_rank(1, rows, columns, 1, math.sqrt(rows / v))).rank)
    assert ranks == [0, 1]


@settings(deadline=None, max_examples=draws(60))
@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 12), st.integers(-300, 300), st.booleans())
def test_transposition_and_scale(seed, rows, columns, exponent, given_noise):
    random = np.random.default_rng(seed)
    matrix = random.standard_normal((rows, columns)) + 3 * np.outer(np.ones(rows), random.standard_normal(columns))
    variance = 0.7 if given_noise else None
    found, turned = evbmf(matrix, variance), evbmf(matrix.T, variance)
    assert found.rank == turned.rank == len(found.singular_values)
    np.testing.assert_allclose(turned.noise_variance, found.noise_variance, rtol=1e-6)
    np.testing.assert_allclose(turned.singular_values, found.singular_values, rtol=1e-6)
    np.testing.assert_allclose(turned.free_energy, found.free_energy, rtol=1e-9, atol=1e-9)
    # Up to the limits of a double for the variance, which goes with the square.
    scale = 10.0 ** (exponent / 2)
    scaled = evbmf(scale * matrix, variance and scale * scale * variance)
    assert scaled.rank == found.rank
    np.testing.assert_allclose(scaled.noise_variance, found.noise_variance * scale * scale, rtol=1e-6)
    np.testing.assert_allclose(scaled.singular_values, found.singular_values * scale, rtol=1e-6)
    np.testing.assert_allclose(scaled.free_energy, found.free_energy + matrix.size * math.log(scale), atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_without_noise(dtype):
    """The rank of a matrix that has one; the rounding of its type is no component."""
    random = np.random.default_rng(3)
    matrix = (random.standard_normal((40, 6)) @ random.standard_normal((6, 90))).astype(dtype)
    found = evbmf(matrix)
    assert found.rank == np.linalg.matrix_rank(matrix) == 6
    np.testing.assert_allclose(found.singular_values, np.linalg.svd(matrix, compute_uv=False)[:6], rtol=1e-5)


def test_zeros_and_small():
    zero = evbmf(np.zeros((3, 5), np.float32))
    assert (zero.rank, zero.noise_variance, zero.free_energy, zero.singular_values.size) == (0, 0, -math.inf, 0)
    assert evbmf(np.zeros((3, 5)), 2.0).free_energy == pytest.approx(15 / 2 * math.log(4 * math.pi))
    # One number is noise, and so is a vector: there is nothing to compare it with.
    assert evbmf(np.ones((1, 1))).rank == evbmf(np.ones((1, 9))).rank == evbmf(np.arange(4).reshape(4, 1)).rank == 0
    assert evbmf(np.full((1, 9), 1e100), 1.0).rank == 1


@pytest.mark.parametrize("dtype", [np.int64, np.int8, np.bool_, np.float16])
def test_other_real_types_are_their_numbers(dtype):
    matrix = np.random.default_rng(4).integers(0, 2, (5, 8)).astype(dtype)
    if dtype == np.int64:
        matrix[0, 0] = -(2**63)
    found, expected = evbmf(matrix, 0.5), evbmf(matrix.astype(np.float64), 0.5)
    assert (found.rank, found.free_energy) == (expected.rank, expected.free_energy)


@pytest.mark.parametrize(("rows", "columns"), [(1, 100), (2, 40), (3, 10), (6, 6)])
def test_threshold(rows, columns):
    """A component just above the threshold lowers the free energy, one just below does not."""
    x = threshold(rows / columns)
    for factor in (0.98, 1.02):
        matrix = np.zeros((rows, columns))
        matrix[0, 0] = math.sqrt(factor * x * columns)
        without = matrix.size * math.log(2 * math.pi) / 2 + np.sum(matrix**2) / 2
        assert (variational_bayes(matrix, 1, 1.0)[0] < without - 1e-9) == (factor > 1)
        assert evbmf(matrix, 1.0).rank == (factor > 1)


def test_threshold_of_a_square():
    assert threshold(1) == pytest.approx(3.5129 * (1 + 1 / 2.5129), abs=1e-4)  # the constant of the papers


@pytest.mark.parametrize("alpha", [1e-9, 1e-6, 1e-3, 0.5])
def test_threshold_is_where_the_gain_is_zero(alpha):
    centred = threshold(alpha) - (1 + alpha)
    tau = (centred + math.sqrt(centred * centred - 4 * alpha)) / 2
    assert abs(math.log1p(tau) + alpha * math.log1p(tau / alpha) - tau) < 1e-5 * tau * tau


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: evbmf(np.ones(3)), r"matrix must have two dimensions of at least 1, not \(3,\)"),
        (lambda: evbmf(np.ones((0, 3))), r"matrix must have two dimensions of at least 1, not \(0, 3\)"),
        (lambda: evbmf(np.array([[1.0, np.nan]])), "matrix must be finite, not NaN or Inf"),
        (lambda: evbmf(np.ones((2, 2)), 0.0), r"noise variance must be above 0 and at most 1e\+306, not 0\.0"),
        (lambda: evbmf(np.ones((2, 2)), math.inf), r"noise variance must be above 0 and at most 1e\+306, not inf"),
        (lambda: from_singular_values(np.ones(3), (2, 4)), "singular values of a 2 x 4 matrix must be 2, not 3"),
        (lambda: from_singular_values(-np.ones(2), (2, 4)), "singular values must be finite and at least 0"),
        (
            lambda: evbmf(np.full((2, 2), 1e152), 1.0),
            r"noise variance must be at least 1e-300 of the matrix's squares, not",
        ),
        (lambda: evbmf(np.full((2, 2), 1e154)), r"matrix must be at most 1e\+153 in magnitude, not 1e\+154"),
        (lambda: evbmf(np.full((300, 300), 9e152)), r"singular values must be at most 1e\+153, not 2\.7e\+155"),
        (lambda: evbmf(np.full((2, 2), np.longdouble("1e4000"))), "matrix must be finite, not NaN or Inf"),
        (lambda: evbmf(np.ones((2, 2), np.complex64)), "matrix must hold real numbers, not complex64"),
        (lambda: evbmf(np.array([[1, None]], object)), "matrix must hold real numbers, not object"),
        (lambda: evbmf(np.array([[10**400, 1]], object)), "matrix must hold real numbers, not object"),
        (lambda: evbmf(np.array([["a", "b"]])), "matrix must hold real numbers, not <U1"),
        (lambda: evbmf(np.zeros((2, 2), "M8[s]")), r"matrix must hold real numbers, not datetime64\[s\]"),
        (lambda: evbmf([[1, 2], [3]]), "matrix must have rows of one length"),
        (lambda: evbmf(np.ones((2, 2)), 1e307), r"noise variance must be above 0 and at most 1e\+306, not 1e\+307"),
        (lambda: from_singular_values([2e153, 1], (2, 4)), r"singular values must be at most 1e\+153, not 2e\+153"),
        (lambda: from_singular_values([1j, 1], (2, 4)), "singular values must hold real numbers, not complex128"),
        (lambda: threshold(1.5), r"alpha must be above 0 and at most 1, not 1\.5"),
    ],
)
def test_errors(call, message):
    with pytest.raises(InputError, match=message):
        call()
