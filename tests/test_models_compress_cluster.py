"""Weight sharing in float, against exact one-dimensional k-means by dynamic programming."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.models.compress.cluster import STARTS, Start, initial, lloyd, nearest, share_weights
from accel.models.compress.prune import matrix_layers, to_density, with_weights
from accel.models.errors import InputError
from accel.models.zoo.architectures import lenet_300_100

values = st.lists(st.integers(-50, 50), min_size=1, max_size=14)


def error(ascending: np.ndarray, centroids: np.ndarray) -> float:
    """Sum of squared distances to the nearest centroid."""
    return float((np.abs(ascending[:, None] - centroids).min(1) ** 2).sum())


def optimum(ascending: np.ndarray, count: int) -> float:
    """The least error of `count` clusters: the best last cluster behind the best clusters before it."""
    n = len(ascending)
    best = [0.0] + [np.inf] * n
    for _ in range(count):
        best = [0.0] + [
            min(best[i] + float(ascending[i:j].var() * (j - i)) for i in range(j)) for j in range(1, n + 1)
        ]  # fmt: skip
    return best[n]


@settings(deadline=None, max_examples=200)
@given(values, st.integers(1, 4), st.sampled_from(STARTS), st.integers(0, 9))
def test_lloyd_against_dynamic_programming(drawn: list[int], count: int, start: Start, seed: int) -> None:
    """Never better than the optimum; each centroid is its members' mean."""
    ascending = np.sort(np.array(drawn, np.float64))
    centroids = lloyd(ascending, initial(ascending, count, start, seed))
    assert error(ascending, centroids) >= optimum(ascending, count) - 1e-6
    assert error(ascending, centroids) <= error(ascending, initial(ascending, count, start, seed)) + 1e-6
    members = nearest(ascending.astype(np.float32), centroids)
    for index in set(members.tolist()):
        assert centroids[index] == pytest.approx(ascending[members == index].mean())


@pytest.mark.parametrize(("count", "factor"), [(2, 1.02), (4, 1.1), (8, 2.0)])
def test_the_best_of_several_starts_is_near_the_optimum(count: int, factor: float) -> None:
    """On normal weights, and the linear start alone is within three times the optimum."""
    for seed in range(15):
        ascending = np.sort(np.random.default_rng(seed).standard_normal(60))
        least = optimum(ascending, count)
        starts = [("linear", 0), ("density", 0), *(("random", draw) for draw in range(5))]
        errors = [error(ascending, lloyd(ascending, initial(ascending, count, *start))) for start in starts]
        assert least - 1e-9 <= min(errors) <= factor * least
        assert errors[0] <= 3 * least


def test_lloyd_finds_the_optimum_of_separate_clusters() -> None:
    generator = np.random.default_rng(0)
    ascending = np.sort(np.concatenate([generator.normal(c, 0.1, 8) for c in (-9, 0, 4)]))
    for start in ("linear", "density"):
        centroids = lloyd(ascending, initial(ascending, 3, start))
        assert error(ascending, centroids) == pytest.approx(optimum(ascending, 3))


def test_starts() -> None:
    ascending = np.sort(np.random.default_rng(0).standard_normal(10_001))
    assert initial(ascending, 3, "linear").tolist() == pytest.approx([ascending[0], (ascending[0] + ascending[-1]) / 2,
                                                                      ascending[-1]])  # fmt: skip
    # A sixth, a half, five sixths of the mass of a normal distribution.
    assert initial(ascending, 3, "density").tolist() == pytest.approx([-0.967, 0, 0.967], abs=0.05)
    drawn = initial(ascending, 5, "random", 3)
    assert set(drawn) <= set(ascending)
    assert (np.diff(drawn) >= 0).all()
    assert not np.array_equal(drawn, initial(ascending, 5, "random", 4))


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("bits", [1, 2, 5, 8])
def test_shared_networks(start: Start, bits: int) -> None:
    network = lenet_300_100(np.random.default_rng(0))
    shared = share_weights(network, {"ip1": bits, "ip3": bits}, start)
    for before, after in zip(matrix_layers(network), matrix_layers(shared), strict=True):
        assert len(np.unique(after.weights)) <= (2**bits if before.name != "ip2" else 30_000)
    assert np.array_equal(matrix_layers(shared)[1].weights, matrix_layers(network)[1].weights)


@pytest.mark.parametrize("bits", [1, 3, 8])
def test_zero_stays_out_of_the_clusters(bits: int) -> None:
    """A pruned layer: the zeros are the same ones, and the others have 2**bits - 1 values, none of them 0."""
    network = to_density(lenet_300_100(np.random.default_rng(0)), {"ip1": 0.08})
    (before, after) = (matrix_layers(n)[0].weights for n in (network, share_weights(network, {"ip1": bits})))
    np.testing.assert_array_equal(before == 0, after == 0)
    assert len(np.unique(after[after != 0])) <= 2**bits - 1


def test_what_is_shared_already_stays() -> None:
    """k-means from evenly spaced centroids would lose values that lie close together."""
    network = lenet_300_100(np.random.default_rng(0))
    layer = matrix_layers(network)[0]
    values = np.array([-1, 0, 0.01, 0.02, 0.03, 0.04, 0.05, 2], np.float32)
    few = with_weights(network, {"ip1": values[np.random.default_rng(1).integers(0, 8, layer.weights.shape)]})
    again = share_weights(few, {"ip1": 3})
    np.testing.assert_array_equal(matrix_layers(again)[0].weights, matrix_layers(few)[0].weights)
    assert len(np.unique(matrix_layers(share_weights(few, {"ip1": 2}))[0].weights)) <= 4


def test_bad_arguments() -> None:
    network = lenet_300_100(np.random.default_rng(0))
    with pytest.raises(InputError, match=r"bits of weight sharing of ip1 must be 1\.\.8, not 9"):
        share_weights(network, {"ip1": 9})
    with pytest.raises(InputError, match="bits must name one of ip1, ip2, ip3, not 'fc'"):
        share_weights(network, {"fc": 3})
    with pytest.raises(InputError, match="must be one of linear, density, random, not 'other'"):
        share_weights(network, {}, "other")  # type: ignore[arg-type]
