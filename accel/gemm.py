"""Matrix products as networks, for benchmarks and tests."""

from __future__ import annotations

from accel.models.integers.network import IntegerNetwork
from accel.one_layer import gemm


def gemm_network(m: int, k: int, n: int, seed: int = 0) -> IntegerNetwork:
    """M x K activations by K x N random weights to M x N, with one requantisation record for all channels."""
    return gemm(m, k, n, f"gemm-{m}x{k}x{n}").network(seed)
