"""Tasks of matrix steps whose tensors are on chip, for tests of tilings."""

from __future__ import annotations

from typing import Any

from accel.compiler.geometry import matrix_geometry
from accel.compiler.lower.matrix_task import Task
from accel.compiler.weights import LayerWeights, layer_weights
from accel.design import Design
from accel.models.integers.network import MatrixLayer
from accel.models.window import Window


def weights_of(
    layer: MatrixLayer, shape: tuple[int, int, int], design: Design, pool: Window | None = None
) -> LayerWeights:
    """The weights of a layer that reads a tensor of that shape as words."""
    return layer_weights(layer, matrix_geometry(layer, shape, pool), design.rows, design.cols, design.weight_rows)


def task_of(weights: LayerWeights, **changes: Any) -> Task:
    """The task of a layer between tensors on chip, but for what is changed."""
    g = weights.geometry
    found: dict[str, Any] = {
        "geometry": g,
        "reach": tuple(high - low for low, high in weights.reach),
        "outputs": weights.outputs,
        "bits": weights.code_bits,
        "halves": weights.halves,
        "uniform": len(weights.layer.requantise.bias) == 1,
        "in_ring": None,
        "out_ring": None,
        "in_pitch": g.in_w,
        "out_pitch": g.pooled[1],
        "in_align": 1,
        "out_align": 1,
        "loaded": False,
        "stored": False,
        "grouped": weights.layer.groups > 1,
        "residual_loads": False,
        "in_cycles": 1.0,
        "out_step": 0,
    }
    return Task(**(found | changes))
