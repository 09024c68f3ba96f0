"""onnx's own evaluator, where it computes what the operators say."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

Array = NDArray[Any]


class BatchNormalization(OpRun):
    """With the statistics that are given: onnx's own takes those of the batch for opsets 9 to 13 (onnx 1.20)."""

    op_domain = ""

    def _run(self, x: Array, *four: Array, epsilon: float = 1e-5, **_: Any) -> tuple[Array]:
        scale, bias, mean, variance = (value.reshape(-1, *[1] * (x.ndim - 2)) for value in four)
        return (((x - mean) * (scale / np.sqrt(variance + epsilon)) + bias).astype(x.dtype),)


class LRN(OpRun):
    """Over all channels: onnx's own goes over as many as there are inputs in the batch (onnx 1.20)."""

    op_domain = ""

    def _run(self, x: Array, alpha: float = 1e-4, beta: float = 0.75, bias: float = 1.0, size: int = 1) -> tuple[Array]:
        sums, channels = np.zeros(x.shape, x.dtype), x.shape[1]
        for c in range(channels):
            first, last = max(0, c - (size - 1) // 2), min(channels, c + size // 2 + 1)
            sums[:, c] = (x[:, first:last] ** 2).sum(1)
        return ((x / (bias + alpha / size * sums) ** beta).astype(x.dtype),)


def evaluator_of(model: onnx.ModelProto) -> ReferenceEvaluator:
    """The evaluator of a model. Raises whatever onnx raises for an operator that it does not have."""
    return ReferenceEvaluator(model, new_ops=[BatchNormalization, LRN])
