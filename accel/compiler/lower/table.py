"""The lowering table. A new kind of step, or an engine, is a file beside this one and a row here."""

from __future__ import annotations

from accel.compiler.lower.filter import FILTER, is_filter
from accel.compiler.lower.lowering import Lowering
from accel.compiler.lower.matrix import MATRIX
from accel.compiler.lower.sparse import SPARSE
from accel.compiler.lower.vector import VECTOR
from accel.compiler.step import KIND_OF
from accel.design import Design
from accel.models.integers.network import Layer

LOWERINGS: dict[tuple[str, str], Lowering] = {
    ("matrix", "systolic"): MATRIX,
    ("vector", "systolic"): VECTOR,
    ("matrix", "sparse"): SPARSE,
    ("vector", "sparse"): VECTOR,
}
"""How a kind of step runs on an engine: (kind of `accel.compiler.step.KIND_OF`, the kind of `Design.engine`)."""


def lowering(layer: Layer, design: Design) -> Lowering:
    """The row for a layer. Raises KeyError for an engine that cannot run such layers."""
    if is_filter(layer, design):
        return FILTER
    return LOWERINGS[KIND_OF[type(layer)], design.engine.kind]
