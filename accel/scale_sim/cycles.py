"""The cycles that SCALE-Sim counts for a layer when no operand is waited for.

Its array of R rows and C columns works on one tile (fold) after the other without overlap. With S_r and S_c what lies
along rows and columns, and T what passes in time, a layer has ceil(S_r / R) x ceil(S_c / C) folds, each of
2R + C + T - 2 cycles where operands are held (ws, is) and R + C + T - 2 where sums are (os); one cycle less in all,
since it counts from 0. Source: Samajdar et al., ISPASS 2020, and the demand matrices of scalesim 3.0.0.
"""

from __future__ import annotations

from accel.models.integers.layers import TensorSpec
from accel.models.integers.network import MatrixLayer
from accel.one_layer import LayerShape

DATAFLOWS = ("ws", "os", "is")


def cycles(shape: LayerShape, dataflow: str, rows: int, cols: int) -> int:
    """Of one layer; groups are layers one after the other, as in SCALE-Sim's depthwise ("DP") rows."""
    outputs = shape.outputs // shape.groups
    along_rows, along_cols, time = {
        "ws": (shape.terms, outputs, shape.pixels),
        "is": (shape.terms, shape.pixels, outputs),
        "os": (shape.pixels, outputs, shape.terms),
    }[dataflow]
    folds = -(-along_rows // rows) * -(-along_cols // cols)
    held = 0 if dataflow == "os" else rows
    return shape.groups * (folds * (held + rows + cols + time - 2) - 1)


def shape_of(layer: MatrixLayer, read: TensorSpec) -> LayerShape:
    """The sizes of a layer of a network that reads `read`."""
    return LayerShape(layer.name, read.shape, len(layer.weights), layer.window, layer.groups)
