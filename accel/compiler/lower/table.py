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
    ("filter", "systolic"): FILTER,
    ("matrix", "sparse"): SPARSE,
    ("vector", "sparse"): VECTOR,
    ("filter", "sparse"): FILTER,
}
"""How a kind of step runs on an engine: (what `kind` gives, the kind of `Design.engine`)."""


def kind(layer: Layer, design: Design) -> str:
    """That of the layer's class in `KIND_OF`, but "filter" where the post-process unit can do it by itself."""
    return "filter" if is_filter(layer, design) else KIND_OF[type(layer)]


def lowering(layer: Layer, design: Design) -> Lowering:
    """The row for a layer. Raises KeyError for an engine that cannot run such layers."""
    return LOWERINGS[kind(layer, design), design.engine.kind]
