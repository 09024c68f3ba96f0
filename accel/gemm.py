"""Matrix products as networks, for benchmarks and tests."""

from __future__ import annotations

import numpy as np

from accel.models.integers.network import IntegerNetwork, MatrixLayer, Requantise, TensorSpec
from accel.models.window import Window


def gemm_network(m: int, k: int, n: int, seed: int = 0) -> IntegerNetwork:
    """M x K activations by K x N random weights to M x N, with one requantisation record for all channels.

    The rows of the matrix are the pixels of a 1 x 1 convolution of (K, 1, M) to (N, 1, M).
    """
    generator = np.random.default_rng(seed)
    weights = generator.integers(-127, 128, (n, k, 1, 1)).astype(np.int8)
    shift = 15 + max(1, round(np.log2(5000 * k**0.5 / 60)))
    record = Requantise(np.zeros(1, np.int32), np.array([40000], np.uint16), np.array([shift], np.uint8), zero_point=0)
    layer = MatrixLayer("gemm", "a", "c", weights, Window((1, 1)), record)
    tensors = {"a": TensorSpec("a", (k, 1, m), 1.0, 0), "c": TensorSpec("c", (n, 1, m), 1.0, 0)}
    return IntegerNetwork(f"gemm-{m}x{k}x{n}", "a", "c", tensors, (layer,))
