"""What is known of an ONNX file while it is read, and what every operator's function needs."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper
from onnx.reference import ReferenceEvaluator

from accel.models.errors import InputError
from accel.models.graph import Conv, Layer, Linear, Shape, output_shape

Array = NDArray[Any]


@dataclass
class Reading:
    """What has been read of one file so far.

    `constants` by name; `alias` from a tensor to the one it is a copy of; `shapes` of activations without
    the batch of `batch` inputs; `uses` counts the readers of every name.
    """

    file: str
    opset: int
    batch: int = 1
    constants: dict[str, Array] = field(default_factory=dict)
    alias: dict[str, str] = field(default_factory=dict)
    shapes: dict[str, Shape] = field(default_factory=dict)
    uses: Counter[str] = field(default_factory=Counter)
    layers: list[Layer] = field(default_factory=list)

    def error(self, node: onnx.NodeProto, message: str) -> InputError:
        """The exception for `node`, naming file, node and operator."""
        return InputError(f"{self.file}: node {self.name(node)!r} ({node.op_type}): {message}")

    def name(self, node: onnx.NodeProto) -> str:
        """The node's name if it has one of its own, else that of its output: ONNX asks for neither."""
        if node.name and all(node.name != layer.name for layer in self.layers):
            return node.name
        return node.output[0]

    def resolve(self, tensor: str) -> str:
        """The tensor that `tensor` is a copy of, or itself."""
        while tensor in self.alias:
            tensor = self.alias[tensor]
        return tensor

    def shape(self, node: onnx.NodeProto, tensor: str) -> Shape:
        """The shape of an activation that `node` reads."""
        tensor = self.resolve(tensor)
        if tensor not in self.shapes:
            raise self.error(node, f"input {tensor!r} must be an activation, and is a constant or does not exist")
        return self.shapes[tensor]

    def constant(self, node: onnx.NodeProto, index: int, what: str) -> Array:
        """Input `index` of `node`, which must be a constant with finite values, as float32."""
        name = node.input[index]
        if name not in self.constants:
            raise self.error(node, f"{what} {name!r} must be a constant, and depends on the input")
        array = self.constants[name]
        if array.dtype.kind != "f":
            raise self.error(node, f"{what} {name!r} must be floating point, not {array.dtype}")
        array = array.astype(np.float32)
        if not np.isfinite(array).all():
            raise self.error(node, f"{what} {name!r} must be finite, not NaN or Inf")
        return array

    def append(self, node: onnx.NodeProto, layer: Layer) -> None:
        """Add `layer` and the shape of its output."""
        try:
            self.shapes[layer.output] = output_shape(layer, [self.shape(node, t) for t in layer.inputs])
        except InputError as error:
            if str(error).startswith(self.file):
                raise
            raise self.error(node, str(error)) from None
        if isinstance(layer, Conv | Linear) and not all(np.isfinite(x).all() for x in (layer.weights, layer.bias)):
            raise self.error(node, "weights and bias with what is folded into them must be finite, and are not")
        self.layers.append(layer)


def attribute(node: onnx.NodeProto, name: str, default: Any) -> Any:
    """The value of attribute `name`, or `default`."""
    for a in node.attribute:
        if a.name == name:
            value = helper.get_attribute_value(a)
            return value.decode() if isinstance(value, bytes) else value
    return default


def evaluate(reading: Reading, node: onnx.NodeProto, values: list[Array]) -> list[Array]:
    """The outputs of `node` for constant inputs, by ONNX's reference evaluator."""
    names = [name for name in node.input if name]
    graph = helper.make_graph(
        [node],
        "constant",
        [
            helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(v.dtype), v.shape)
            for n, v in dict(zip(names, values, strict=True)).items()
        ],
        [helper.make_empty_tensor_value_info(n) for n in node.output],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", reading.opset)])
    try:
        with np.errstate(all="ignore"):  # a value that is not finite is refused where it is used
            results = ReferenceEvaluator(model).run(None, dict(zip(names, values, strict=True)))
    except Exception as error:  # the evaluator raises whatever numpy raises
        raise reading.error(node, f"cannot be evaluated: {' '.join(str(error).split())}") from None
    return [np.asarray(r) for r in results]


def names(reading: Reading, node: onnx.NodeProto) -> tuple[str, tuple[str], str]:
    """Name, inputs and output of a layer with one activation."""
    reading.shape(node, node.input[0])
    return reading.name(node), (reading.resolve(node.input[0]),), node.output[0]
