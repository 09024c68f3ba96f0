"""Vector layers on the post-process unit: poolings, additions and clippings of activations."""

from __future__ import annotations

from accel.commands import ConfigPost, most
from accel.compiler.first_layer import Reading
from accel.compiler.geometry import vector_geometry
from accel.compiler.lower.lowering import Lowering, Setting
from accel.compiler.lower.vector_tiling import VectorTask, choose_vector
from accel.compiler.lower.vector_write import write
from accel.compiler.lower.window import check_window
from accel.compiler.step import Step
from accel.compiler.weights import LayerWeights
from accel.design import Design
from accel.entropy.encode import Encoded
from accel.memories import TABLE_ENTRIES
from accel.models.errors import InputError
from accel.models.integers.network import AnyLayer, IntegerNetwork, VectorLayer
from accel.program import Compulsory, LayerInfo


def operator(layer: VectorLayer) -> str:
    """The ONNX operators that become such a layer."""
    if layer.reduce == "sum":
        return "AveragePool"
    if layer.window.crops:
        return "Slice"
    if layer.window.spread:
        return "Pad" if any(layer.window.edges) else "Resize"
    if layer.window.kernel != (1, 1):
        return "MaxPool"
    if layer.residual:
        return {"add": "Add", "subtract": "Sub", "multiply": "Mul"}[layer.residual.operation]
    return "Relu or Clip" if layer.requantise.table is None else "a function of one activation"


def check(layer: VectorLayer, network: IntegerNetwork, design: Design) -> None:
    """Raise InputError for what POST cannot express."""
    window = layer.window
    check_window(layer, network, most(ConfigPost, "stride_y"), most(ConfigPost, "win_h"))
    if window.dilation != (1, 1):
        raise InputError(f"pooling must have dilation 1, not {window.dilation}")
    if layer.reduce == "max" and any(p >= k for p, k in zip(window.pads, window.kernel * 2, strict=True)):
        raise InputError(f"max pooling must have pads below its kernel, not {window.pads}")
    if layer.residual and layer.residual.operation == "multiply" and not design.operand_products:
        raise InputError(
            f"a product of two activations must have a design with operand_products, and {design.name} has none"
        )
    if layer.reduce == "sum" and layer.residual:
        raise InputError("a sum must have no residual")


def fused(layer: VectorLayer, readers: list[AnyLayer], network: IntegerNetwork, design: Design) -> VectorLayer | None:
    """None: POST does one window."""
    return None


def readings(step: Step, design: Design, zero_point: int) -> list[Reading]:
    """As words."""
    return [Reading()]


def weights(step: Step, design: Design, reading: Reading) -> LayerWeights | None:
    """None."""
    return None


def task(s: Setting) -> VectorTask:
    """What tiling must know."""
    return VectorTask(
        s.geometry, s.in_groups, s.in_ring, s.out_ring, s.in_pitch, s.out_pitch, s.machine.activation_align,
        s.out_align > 1, s.out_step,
    )  # fmt: skip


def info(step: Step, weights: LayerWeights | None, encoded: Encoded | None, must: Compulsory) -> LayerInfo:
    """No weights."""
    assert isinstance(step.layer, VectorLayer)
    operand = step.layer.residual
    kind = operand.operation if operand else {"max": "maxpool", "sum": "avgpool"}[step.layer.reduce]
    if kind == "maxpool" and step.layer.window.kernel == (1, 1) and step.requantise.table is not None:
        kind = "table"
    return LayerInfo(step.name, kind, must, 0 if step.requantise.table is None else TABLE_ENTRIES, "none")


VECTOR = Lowering(operator, check, fused, vector_geometry, readings, weights, task, choose_vector, write, info)
