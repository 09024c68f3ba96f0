"""The ONNX nodes that a .tflite file becomes, while they are written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import onnx
from onnx import helper

from accel.models.carried import along
from accel.models.exchange.onnx_reading import Array
from accel.models.exchange.tflite_file import File, Operator, Tensor

FIRST = [0, 3, 1, 2]  # (n, height, width, channels) in ONNX's order
LAST = [0, 2, 3, 1]  # and back
FUSED = ("NONE", "RELU", "RELU_N1_TO_1", "RELU6", "TANH", "SIGN_BIT")  # by their numbers


class Unsupported(Exception):
    """What an operator asks for has no counterpart."""


@dataclass
class Writing:
    """What has been written of `file`.

    `names`: of activations, by place, maps in the order (n, channels, height, width); `flat`: of a vector that was a
    map, this map's name and size (height, width, channels); `unknown`: what stands behind something unsupported.
    """

    file: File
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: dict[str, Array] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)
    flat: dict[int, tuple[str, tuple[int, ...]]] = field(default_factory=dict)
    unknown: set[int] = field(default_factory=set)

    def tensor(self, place: int) -> Tensor:
        """The tensor at a place. Raises Unsupported for one that is left out."""
        if place < 0:
            raise Unsupported("input must be given, and is left out")
        return self.file.tensors[place]

    def known(self, place: int) -> bool:
        """Whether a tensor is a constant or an activation that could be written."""
        return place not in self.unknown and (place in self.names or self.file.tensors[place].data is not None)

    def result(self, operator: Operator) -> str:
        """The name of an operator's first output, which all that is written for it is called after."""
        return self.tensor(operator.outputs[0]).name

    def node(self, operator: str, inputs: list[str], *outputs: str, **attributes: Any) -> str:
        """Append a node; its first output."""
        name = outputs[0].removesuffix(".float").removesuffix(".linear")
        self.nodes.append(helper.make_node(operator, inputs, outputs, name=f"{name}/{operator}", **attributes))
        return outputs[0]

    def number(self, name: str, value: Any) -> str:
        """Append a constant; its name."""
        self.constants[name] = np.asarray(value)
        return name

    def replace(self, place: int, by: int) -> None:
        """Enter a constant in the place of another tensor, which is its copy in another type."""
        if self.tensor(by).data is None:
            raise Unsupported(f"input {self.tensor(by).name!r} must be a constant or an activation, and is neither")
        tensors = list(self.file.tensors)
        tensors[place] = tensors[by]
        self.file = replace(self.file, tensors=tuple(tensors))

    def value(self, place: int) -> str:
        """The name of an activation. Raises Unsupported for a constant."""
        if place not in self.names:
            raise Unsupported(f"input {self.tensor(place).name!r} must be an activation, and is a constant")
        return self.names[place]

    def any(self, place: int) -> str:
        """The name of an activation or a constant, four dimensions in ONNX's order."""
        if place in self.names:
            return self.names[place]
        values = self._constant(place)
        return self.number(
            f"{self.tensor(place).name}.constant", values.transpose(FIRST) if values.ndim == 4 else values
        )

    def ordered(self, place: int) -> str:
        """The name of an activation or a constant in the file's order."""
        if place not in self.names:
            return self.number(f"{self.tensor(place).name}.ordered", self._constant(place))
        tensor = self.tensor(place)
        if len(tensor.shape) != 4:
            return self.names[place]
        turned = f"{tensor.name}.ordered"
        if not any(turned in node.output for node in self.nodes):
            self.node("Transpose", [self.names[place]], turned, perm=LAST)
        return turned

    def aligned(self, operator: Operator) -> list[str]:
        """The inputs of an operator with as many dimensions as its output has, ones in front."""
        rank, names = len(self.tensor(operator.outputs[0]).shape), []
        for number, place in enumerate(operator.inputs):
            if place in self.names and len(self.tensor(place).shape) == rank:
                names.append(self.names[place])
                continue
            name = f"{self.result(operator)}.{number}"
            if place in self.names:
                lacking = list(range(rank - len(self.tensor(place).shape)))
                axes = self.number(f"{name}.axes", np.array(lacking, np.int64))
                name = self.node("Unsqueeze", [self.names[place], axes], f"{name}.wide")
                names.append(self.node("Transpose", [name], f"{name}.turned", perm=FIRST) if rank == 4 else name)
                continue
            values = self._constant(place)
            values = values.reshape((1,) * (rank - values.ndim) + values.shape)
            names.append(self.number(name, values.transpose(FIRST) if rank == 4 else values))
        return names

    def _constant(self, place: int) -> Array:
        """A constant as it is, codes and halves as floats. Raises Unsupported for an activation."""
        tensor = self.tensor(place)
        if tensor.data is None or tensor.scale.size or tensor.data.dtype == np.float16:
            return self.floats(place)
        return tensor.data

    def floats(self, place: int) -> Array:
        """The values of a constant in float32. Raises Unsupported for an activation."""
        tensor = self.tensor(place)
        if tensor.data is None:
            raise Unsupported(f"input {tensor.name!r} must be a constant, and depends on the input")
        if not tensor.scale.size:
            return tensor.data.astype(np.float32)
        zero, scale = (along(values, tensor.axis, tensor.data.ndim) for values in (tensor.zero, tensor.scale))
        return np.asarray((tensor.data.astype(np.float64) - zero) * scale, np.float32)

    def integers(self, place: int) -> list[int]:
        """The values of a constant of integers. Raises Unsupported for something else."""
        tensor = self.tensor(place)
        if tensor.data is None or tensor.data.dtype.kind != "i":
            raise Unsupported(f"input {tensor.name!r} must be constant integers, and is not")
        return [int(n) for n in tensor.data.reshape(-1)]

    def weights(self, place: int, output: str, arrange: Callable[[Array], Array]) -> str:
        """The name of constant weights as `arrange` puts them, outputs in front; codes with their scales if they are.

        Raises Unsupported for an activation, and for scales along something else than the outputs.
        """
        tensor = self.tensor(place)
        name = f"{output}.{tensor.name}"
        if tensor.data is None or not tensor.scale.size:
            return self.number(name, arrange(self.floats(place)))
        codes = arrange(tensor.data)
        if tensor.scale.size not in (1, len(codes)):
            raise Unsupported(f"scales of {tensor.name!r} must be along the outputs, and are along axis {tensor.axis}")
        scale, zero = tensor.scale.astype(np.float32), tensor.zero.astype(codes.dtype)
        if scale.size == 1:
            scale, zero = scale.reshape(()), zero.reshape(())
        parts = [self.number(f"{name}.codes", codes), self.number(f"{name}.scale", scale)]
        parts += [self.number(f"{name}.zero", zero)] if zero.any() else []
        return self.node("DequantizeLinear", parts, name, axis=0)

    def activate(self, fused: int, name: str, output: str) -> str:
        """Append the activation that is fused into an operator; its output. Raises Unsupported for a rare one."""
        kind = FUSED[fused] if fused < len(FUSED) else str(fused)
        if kind == "NONE":
            return name
        if kind == "RELU":
            return self.node("Relu", [name], f"{output}.float")
        if kind == "TANH":
            return self.node("Tanh", [name], f"{output}.float")
        if kind not in ("RELU6", "RELU_N1_TO_1"):
            raise Unsupported(f"activation must be NONE, RELU, RELU6, RELU_N1_TO_1 or TANH, not {kind}")
        low, high = (0, 6) if kind == "RELU6" else (-1, 1)
        limits = [self.number(f"{output}.low", np.float32(low)), self.number(f"{output}.high", np.float32(high))]
        return self.node("Clip", [name, *limits], f"{output}.float")

    def made(self, place: int, name: str) -> None:
        """Enter an activation, with the scale of its codes."""
        tensor = self.file.tensors[place]
        if tensor.scale.size:
            if tensor.kind not in (np.int8, np.uint8):
                raise Unsupported(f"codes of {tensor.name!r} must be int8 or uint8, not {np.dtype(tensor.kind)}")
            zero = tensor.zero.astype(tensor.kind)
            scale = self.number(f"{tensor.name}.scale", tensor.scale.astype(np.float32).reshape(-1)[0])
            zero_point = self.number(f"{tensor.name}.zero", zero.reshape(-1)[0])
            codes = self.node("QuantizeLinear", [name, scale, zero_point], f"{tensor.name}.codes")
            name = self.node("DequantizeLinear", [codes, scale, zero_point], tensor.name)
        self.names[place] = name

    def put(self, place: int, name: str) -> None:
        """Enter an activation that lies in the file's order."""
        if len(self.tensor(place).shape) == 4:
            name = self.node("Transpose", [name], f"{self.tensor(place).name}.first", perm=FIRST)
        self.made(place, name)

    def enter(self, place: int, entry: str) -> None:
        """Enter the input, in ONNX's order."""
        rank = len(self.file.tensors[place].shape)
        name = self.node("Transpose", [entry], f"{entry}.channels_first", perm=FIRST) if rank == 4 else entry
        self.made(place, name)

    def leave(self, place: int) -> str:
        """The name of an output, in the file's order."""
        name, tensor = self.value(place), self.file.tensors[place]
        if len(tensor.shape) != 4:
            return name
        return self.node("Transpose", [name], f"{tensor.name}.output", perm=LAST)
