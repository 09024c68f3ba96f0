"""Transposes moved out of the way before the nodes are read: exports of frameworks with channels last are full of them.

Each rewriting keeps what the model computes, and needs a tensor that only one node reads, and that is no output:

    Transpose, Transpose                one Transpose, or none
    Transpose of sizes of 1 alone       Reshape
    Transpose, Flatten, Gemm            Flatten, Gemm with its weights in another order (MatMul and Reshape likewise)
    Transpose, ReduceMean               ReduceMean over other axes (and ReduceMax, ReduceSum, ReduceMin), Transpose
    two Transposes, Add                 Add, one Transpose (and Sub, Mul, Div, Max, Min, Concat), a constant turned too
    Transpose, Relu, one of these       Relu, Transpose, one of these (any function of each value)

What is left between nodes that need their channels first and last is the host's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx import helper, numpy_helper

from accel.models.exchange import onnx_load, onnx_prepare, onnx_shapes
from accel.models.exchange.onnx_reading import Array, Reading

VALUEWISE = (
    "Abs", "Atan", "Cast", "Ceil", "Clip", "Cos", "DequantizeLinear", "Dropout", "Elu", "Erf", "Exp", "Floor", "Gelu",
    "HardSigmoid", "HardSwish", "Identity", "LeakyRelu", "Log", "Mish", "Neg", "QuantizeLinear", "Reciprocal", "Relu",
    "Round", "Selu", "Sigmoid", "Sign", "Sin", "Softplus", "Softsign", "Sqrt", "Tan", "Tanh", "ThresholdedRelu",
)  # fmt: skip
OF_SEVERAL = ("Add", "Concat", "Div", "Max", "Min", "Mul", "Sub", "Sum")
REDUCING = ("ReduceMax", "ReduceMean", "ReduceMin", "ReduceSum")
Perm = tuple[int, ...]
MOST_ROUNDS = 10_000  # of a graph: each takes a Transpose out, or nearer to the outputs


def move(model: onnx.ModelProto, reading: Reading, input_name: str) -> None:
    """Rewrite the nodes of `model` as far as that helps; new constants are entered in both."""
    if any(node.op_type == "Transpose" for node in model.graph.node):
        rewriting = _Rewriting(model, reading, onnx_shapes.of_all(model, reading, input_name))
        for _ in range(MOST_ROUNDS):
            if not rewriting.step():
                break
        del model.graph.node[:]
        model.graph.node.extend(rewriting.nodes)


class _Rewriting:
    """The nodes of a graph while they are rewritten, one step at a time."""

    def __init__(self, model: onnx.ModelProto, reading: Reading, shapes: Mapping[str, tuple[int, ...]]) -> None:
        self.model, self.reading, self.shapes = model, reading, dict(shapes)
        self.nodes = [*model.graph.node]
        self.outputs = {output.name for output in model.graph.output}

    def step(self) -> bool:
        """One rewriting; whether there was one."""
        self.makers = {name: node for node in self.nodes for name in node.output if name}
        self.readers: dict[str, list[onnx.NodeProto]] = {}
        for node in self.nodes:
            for name in dict.fromkeys(onnx_prepare.reads(node)):
                self.readers.setdefault(name, []).append(node)
        return any(self._turned(node) for node in self.nodes if self._perm(node) is not None)

    def _turned(self, node: onnx.NodeProto) -> bool:
        """Rewrite around one Transpose."""
        perm = self._perm(node)
        assert perm is not None
        before = self.makers.get(node.input[0])
        if perm == tuple(range(len(perm))):
            self._replace(node, helper.make_node("Identity", [node.input[0]], [node.output[0]], name=node.name))
            return True
        if before is not None and before.op_type == "Identity" and node.input[0] not in self.outputs:
            self._replace(node, self._transpose(before.input[0], perm, node.output[0], node.name))
            return True
        if before is not None and (first := self._perm(before)) is not None:
            both = tuple(first[axis] for axis in perm)
            self._replace(node, self._transpose(before.input[0], both, node.output[0], node.name))
            return True
        if self._reshaped(node, perm):
            return True
        reader = self._only_reader(node.output[0])
        return reader is not None and self._passed(node, perm, reader)

    def _reshaped(self, node: onnx.NodeProto, perm: Perm) -> bool:
        """A Transpose that moves sizes of 1 alone is a Reshape."""
        shape = self.shapes.get(node.input[0], ())
        if len(shape) != len(perm) or perm[0] != 0:
            return False
        kept = [axis for axis in perm if axis == 0 or shape[axis] > 1]
        if kept != sorted(kept):
            return False
        target = self._constant(node.output[0], np.array([0, *(shape[axis] for axis in perm[1:])], np.int64))
        self._replace(node, helper.make_node("Reshape", [node.input[0], target], [node.output[0]], name=node.name))
        return True

    def _passed(self, node: onnx.NodeProto, perm: Perm, reader: onnx.NodeProto) -> bool:
        """Bring a Transpose behind the node that alone reads it, or into it."""
        if reader.domain not in onnx_load.STANDARD_DOMAINS:
            return False
        if reader.op_type in ("Flatten", "Reshape"):
            return perm[0] == 0 and self._into_weights(node, perm, reader)
        if reader.op_type in REDUCING:
            return self._past_reduction(node, perm, reader)
        if reader.op_type in OF_SEVERAL:
            return self._past_several(node, perm, reader)
        if self._is_valuewise(reader, node.output[0]) and self._leads_somewhere(reader):
            self._push(perm, reader, [node.input[0], *reader.input[1:]], [node])
            return True
        return False

    def _is_valuewise(self, node: onnx.NodeProto, tensor: str) -> bool:
        """Whether a node computes a function of each value of `tensor`, whatever stands beside it."""
        if node.op_type not in VALUEWISE or node.domain not in onnx_load.STANDARD_DOMAINS or node.input[0] != tensor:
            return False
        return all(not name or _size(self._value(name)) == 1 for name in node.input[1:]) and len(node.output) == 1

    def _leads_somewhere(self, node: onnx.NodeProto) -> bool:
        """Whether behind a chain of functions of each value stands something that takes a Transpose up."""
        while (reader := self._only_reader(node.output[0])) is not None:
            if reader.op_type in ("Flatten", "Reshape"):
                return self._product_behind(reader) is not None
            if reader.op_type == "Transpose" or reader.op_type in REDUCING:
                return True
            if reader.op_type in OF_SEVERAL:
                others = [name for name in reader.input if name != node.output[0]]
                if any(self._value(name) is None for name in others):
                    makers = [self.makers.get(name) for name in others]
                    return all(maker is not None and self._perm(maker) is not None for maker in makers)
            elif not self._is_valuewise(reader, node.output[0]):
                return False
            node = reader
        return False

    def _product_behind(self, reader: onnx.NodeProto) -> onnx.NodeProto | None:
        """The Gemm or MatMul with constant weights that alone reads what a node flattens."""
        product = self._only_reader(reader.output[0])
        if product is None or product.op_type not in ("Gemm", "MatMul") or product.input[0] != reader.output[0]:
            return None
        turned = any(a.name == "transA" and a.i for a in product.attribute)
        weights = self._value(product.input[1])
        return None if turned or weights is None or weights.ndim != 2 else product

    def _into_weights(self, node: onnx.NodeProto, perm: Perm, reader: onnx.NodeProto) -> bool:
        product = self._product_behind(reader)
        shape = self.shapes.get(node.input[0], ())
        if product is None or len(shape) != len(perm) or self.shapes.get(reader.output[0]) != (
            shape[0], math.prod(shape[1:])
        ):  # fmt: skip
            return False
        weights = self._value(product.input[1])
        assert weights is not None
        order = np.arange(math.prod(shape[1:])).reshape(shape[1:]).transpose([axis - 1 for axis in perm[1:]]).ravel()
        axis = 1 if any(a.name == "transB" and a.i for a in product.attribute) else 0
        if weights.shape[axis] != len(order):
            return False
        sorted_weights = np.take(weights, np.argsort(order), axis)
        flat = f"{reader.output[0]}.in_order"
        self.shapes[flat] = self.shapes[reader.output[0]]
        self._replace(reader, _with(reader, [node.input[0], *reader.input[1:]], [flat]))
        name = self._constant(f"{product.output[0]}.weights", sorted_weights)
        self._replace(product, _with(product, [flat, name, *product.input[2:]], list(product.output)))
        self.nodes.remove(node)
        return True

    def _past_reduction(self, node: onnx.NodeProto, perm: Perm, reader: onnx.NodeProto) -> bool:
        given = {a.name: a for a in reader.attribute}
        axes = [*given["axes"].ints] if "axes" in given else None
        if axes is None and len(reader.input) > 1 and (value := self._value(reader.input[1])) is not None:
            axes = value.reshape(-1).tolist()
        if not axes or any(not -len(perm) <= axis < len(perm) for axis in axes):
            return False
        places = sorted(perm[axis] for axis in axes)
        left = [axis for axis in perm if axis not in places]
        keeps = "keepdims" not in given or bool(given["keepdims"].i)
        if not keeps and left != sorted(left):
            return False
        changed = _with(reader, [node.input[0], *reader.input[1:]], list(reader.output))
        if "axes" in given:
            del changed.attribute[:]
            changed.attribute.extend(a for a in reader.attribute if a.name != "axes")
            changed.attribute.append(helper.make_attribute("axes", places))
        else:
            changed.input[1] = self._constant(f"{reader.output[0]}.axes", np.array(places, np.int64))
        self.nodes.remove(node)
        if keeps:
            self._push(perm, reader, list(changed.input), [], changed)
        else:
            self._replace(reader, changed)
        return True

    def _past_several(self, node: onnx.NodeProto, perm: Perm, reader: onnx.NodeProto) -> bool:
        """Where each operand is turned in the same way, or a constant that can be."""
        axis = next((a.i for a in reader.attribute if a.name == "axis"), None)
        joins = reader.op_type == "Concat"
        if any(a.name == "broadcast" for a in reader.attribute) or (axis is not None) != joins:
            return False
        turned: list[onnx.NodeProto] = []
        constants: dict[str, Array] = {}
        for name in reader.input:
            maker, value = self.makers.get(name), self._value(name)
            if maker is not None and self._perm(maker) == perm and self._only_reader(name) is reader:
                turned.append(maker)
            elif value is not None and not joins and value.ndim <= len(perm):
                constants[name] = value.reshape((1,) * (len(perm) - value.ndim) + value.shape)
            else:
                return False
        if len(turned) < 2 and not self._leads_somewhere(reader):
            return False
        back = np.argsort(perm)
        inputs = [
            self._constant(f"{name}.turned", constants[name].transpose(back))
            if name in constants
            else self.makers[name].input[0]
            for name in reader.input
        ]
        changed = _with(reader, inputs, list(reader.output))
        for attribute in changed.attribute:
            if attribute.name == "axis":
                attribute.i = perm[attribute.i]
        self._push(perm, reader, inputs, turned, changed)
        return True

    def _push(
        self, perm: Perm, reader: onnx.NodeProto, inputs: Sequence[str], gone: Sequence[onnx.NodeProto],
        changed: onnx.NodeProto | None = None,
    ) -> None:  # fmt: skip
        """Put `reader` in front of the Transposes that it reads; they are `gone`, and one is behind it."""
        output, inner = reader.output[0], f"{reader.output[0]}.in_order"
        if output in self.shapes:
            shape = self.shapes[output]
            self.shapes[inner] = tuple(shape[perm.index(axis)] for axis in range(len(perm)))
        place = self.nodes.index(reader)
        self.nodes[place] = _with(changed or reader, inputs, [inner])
        self.nodes.insert(place + 1, self._transpose(inner, perm, output, f"{reader.name or output}.turned"))
        for node in gone:
            self.nodes.remove(node)

    def _perm(self, node: onnx.NodeProto) -> Perm | None:
        """The order of axes of a Transpose; None for another node, and for one without a perm."""
        if node.op_type != "Transpose" or node.domain not in onnx_load.STANDARD_DOMAINS or not node.input:
            return None
        perm = next((tuple(a.ints) for a in node.attribute if a.name == "perm"), ())
        return perm if perm and sorted(perm) == list(range(len(perm))) and node.input[0] else None

    def _only_reader(self, name: str) -> onnx.NodeProto | None:
        found = self.readers.get(name, [])
        once = len(found) == 1 and sum(x == name for x in found[0].input) == 1
        return found[0] if once and name not in self.outputs else None

    def _value(self, name: str) -> Array | None:
        """A constant's values: of an initialiser, or a Constant."""
        if name in self.reading.constants:
            return self.reading.constants[name]
        node = self.makers.get(name)
        if node is not None and node.op_type == "Constant":
            for attribute in node.attribute:
                if attribute.name == "value" and attribute.type == onnx.AttributeProto.TENSOR:
                    return onnx_load.array(attribute.t, self.reading.file)
        return None

    def _constant(self, name: str, value: Array) -> str:
        while name in self.reading.constants or name in self.makers:
            name += "_"
        self.reading.constants[name] = value
        self.model.graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def _transpose(self, source: str, perm: Perm, output: str, name: str) -> onnx.NodeProto:
        return helper.make_node("Transpose", [source], [output], name=name, perm=perm)

    def _replace(self, node: onnx.NodeProto, other: onnx.NodeProto) -> None:
        self.nodes[self.nodes.index(node)] = other


def _with(node: onnx.NodeProto, inputs: Sequence[str], outputs: Sequence[str]) -> onnx.NodeProto:
    """A node with other inputs and outputs."""
    made = onnx.NodeProto()
    made.CopyFrom(node)
    del made.input[:], made.output[:]
    made.input.extend(inputs)
    made.output.extend(outputs)
    return made


def _size(value: Array | None) -> int:
    return -1 if value is None else value.size
