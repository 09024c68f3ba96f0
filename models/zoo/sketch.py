"""A notation for architectures: nodes in ONNX's words with the shapes of their weights, counted before any is made.

A sketch becomes an ONNX model, which is read as any file is: what the accelerator does not run is then the host's, or
listed, as for a file. Batch normalisation is counted and folded: random weights need none.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from accel.models.build import IMAGE, initial
from accel.models.graph import Float, Shape
from accel.models.macs import layer_macs
from accel.models.window import Window, same_padding

OPSET = 17
Pads = int | tuple[int, int, int, int] | str  # all sides; top, left, bottom, right; or "same", as TensorFlow pads
ACTIVATIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "relu": ("Relu", {}),
    "relu6": ("Clip", {}),
    "leaky": ("LeakyRelu", {"alpha": 0.1}),
}


class Sketch:
    """Nodes in an order in which they can run; a local notation: methods take and give names of tensors.

    `shapes` are those of tensors, (channels, height, width) or (features,); `last` is the tensor made last.
    `parameters` counts weights, biases, and two numbers a channel of each batch normalisation, as the literature does;
    `macs` are the multiplications of each layer with weights, by name, padding included.
    """

    def __init__(self, shape: Shape) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.shapes: dict[str, Shape] = {IMAGE: shape}
        self.last = IMAGE
        self.parameters = 0
        self.macs: dict[str, int] = {}
        self._weights: list[tuple[str, Shape, float, Shape]] = []  # name, shape, variance, shape of the bias or ()
        self._constants: dict[str, np.ndarray[Any, Any]] = {}

    def conv(
        self,
        name: str,
        channels: int,
        kernel: int | tuple[int, int],
        stride: int = 1,
        pads: Pads = 0,
        groups: int = 1,
        act: str = "relu",
        named: str = "",
        norm: bool = False,
        bias: bool | None = None,
        source: str = "",
        like: str = "",
    ) -> str:
        """A convolution of `source` (the last tensor), and the activation `act` ("" for none), called `named`.

        `norm`: a batch normalisation stands between them; the convolution has then no bias, unless it is said to. With
        `like` it has the weights of the convolution of that name.
        """
        source = source or self.last
        inputs, *size = self.shapes[source]
        kernel = (kernel, kernel) if isinstance(kernel, int) else kernel
        window = Window(kernel, (stride, stride), _pads(pads, size, kernel, stride))
        shape = (channels, inputs // groups, *kernel)
        if not like:
            self._with_weights(name, shape, not norm if bias is None else bias, norm, act)
        attributes: dict[str, Any] = {
            "kernel_shape": kernel,
            "strides": window.stride,
            "pads": window.pads,
            "group": groups,
        }
        output = (channels, *window.output_size(*size))
        self._node("Conv", name, [source, *_named(like or name)], output, **attributes)
        self.macs[name] = layer_macs(math.prod(shape), math.prod(output[1:]))
        return self.activation(act, named or f"{name}.{act}")

    def transposed(
        self, name: str, channels: int, kernel: int, stride: int, pad: int = 0, act: str = "", bias: bool = True,
        source: str = "",
    ) -> str:  # fmt: skip
        """A transposed convolution: each input value times the kernel, added up at steps of `stride`."""
        source = source or self.last
        inputs, height, width = self.shapes[source]
        shape = (inputs, channels, kernel, kernel)
        self._with_weights(name, shape, bias, False, act, outputs=channels)
        size = tuple((n - 1) * stride - 2 * pad + kernel for n in (height, width))
        attributes: dict[str, Any] = {"kernel_shape": (kernel,) * 2, "strides": (stride,) * 2, "pads": (pad,) * 4}
        self._node("ConvTranspose", name, [source, *_named(name, bias)], (channels, *size), **attributes)
        self.macs[name] = layer_macs(math.prod(shape), height * width)
        return self.activation(act, f"{name}.{act}")

    def linear(self, name: str, outputs: int, act: str = "", named: str = "") -> str:
        """A fully connected layer on a vector."""
        (inputs,) = self.shapes[self.last]
        self._with_weights(name, (outputs, inputs), True, False, act)
        self._node("Gemm", name, [self.last, *_named(name)], (outputs,), transB=1)
        self.macs[name] = layer_macs(outputs * inputs, 1)
        return self.activation(act, named or f"{name}.{act}")

    def activation(self, act: str, name: str) -> str:
        """The last tensor through an activation of ACTIVATIONS; itself for ""."""
        if not act:
            return self.last
        operator, attributes = ACTIVATIONS[act]
        limits = []
        if operator == "Clip":
            self._constants |= {"low": np.array(0, np.float32), "high": np.array(6, np.float32)}
            limits = ["low", "high"]
        return self._node(operator, name, [self.last, *limits], self.shapes[self.last], **attributes)

    def pool(
        self, name: str, kernel: int, stride: int, pads: Pads = 0, kind: str = "Max", ceil: bool = False,
        indices: str = "", source: str = "",
    ) -> str:  # fmt: skip
        """Pooling, "Max" or "Average"; `ceil` rounds the size up; `indices`: the tensor of where the maxima were."""
        source = source or self.last
        channels, *size = self.shapes[source]
        around = _pads(pads, size, (kernel, kernel), stride)
        output = []
        for i, n in enumerate(size):
            steps = n + around[i] + around[i + 2] - kernel
            count = -(-steps // stride) if ceil else steps // stride
            output.append(count - (ceil and count * stride >= n + around[i]) + 1)
        attributes: dict[str, Any] = {
            "kernel_shape": (kernel,) * 2,
            "strides": (stride,) * 2,
            "pads": around,
            "ceil_mode": int(ceil),
        }
        made = (channels, *output)
        if indices:
            self.shapes[indices] = made
        return self._node(f"{kind}Pool", name, [source], made, also=indices, **attributes)

    def unpool(self, name: str, indices: str) -> str:
        """The inverse of a maximum pooling of 2 x 2: each value where its maximum was, zeros elsewhere."""
        channels, height, width = self.shapes[self.last]
        shape = (channels, 2 * height, 2 * width)
        return self._node("MaxUnpool", name, [self.last, indices], shape, kernel_shape=(2, 2), strides=(2, 2))

    def global_average(self, name: str) -> str:
        """The average of each channel."""
        return self._node("GlobalAveragePool", name, [self.last], (self.shapes[self.last][0], 1, 1))

    def normalise(self, name: str) -> str:
        """Local response normalisation over five channels, as AlexNet has it."""
        shape = self.shapes[self.last]
        return self._node("LRN", name, [self.last], shape, size=5, alpha=1e-4, beta=0.75, bias=1.0)

    def add(self, name: str, first: str, second: str, act: str = "") -> str:
        """The sum of two tensors of one shape."""
        self._node("Add", name, [first, second], self.shapes[first])
        return self.activation(act, f"{name}.{act}")

    def concat(self, name: str, tensors: Sequence[str]) -> str:
        """The channels of all tensors, one behind the other."""
        channels = sum(self.shapes[tensor][0] for tensor in tensors)
        return self._node("Concat", name, tensors, (channels, *self.shapes[tensors[0]][1:]), axis=1)

    def slice(self, name: str, source: str, starts: Shape, sizes: Shape) -> str:
        """The block of `sizes` (channels, height, width) that begins at `starts`."""
        ends = tuple(begin + size for begin, size in zip(starts, sizes, strict=True))
        vectors = {f"{name}.starts": starts, f"{name}.ends": ends, f"{name}.axes": (1, 2, 3)}
        self._constants |= {key: np.array(value, np.int64) for key, value in vectors.items()}
        return self._node("Slice", name, [source, *vectors], sizes)

    def flatten(self) -> str:
        """All values as one vector."""
        return self._node("Flatten", "flatten", [self.last], (math.prod(self.shapes[self.last]),))

    def node(self, operator: str, name: str, inputs: Sequence[str], shape: Shape, **attributes: Any) -> str:
        """Any operator of ONNX without weights, whose output has `shape`."""
        return self._node(operator, name, inputs, shape, **attributes)

    def constant(self, name: str, value: np.ndarray[Any, Any]) -> str:
        """A constant tensor that is no parameter."""
        self._constants[name] = value
        return name

    def model(self, random: np.random.Generator | None) -> tuple[onnx.ModelProto, dict[str, Float]]:
        """The ONNX model, whose weights have shapes only, and their values: `initial`'s, in the order of the layers."""
        values: dict[str, Float] = {}
        for name, shape, variance, bias in self._weights:
            drawn, _ = initial(random, *shape, variance=variance)
            values[f"{name}.weight"] = drawn
            if bias:
                values[f"{name}.bias"] = np.zeros(bias, np.float32)
        tensors = [numpy_helper.from_array(value, name) for name, value in self._constants.items()]
        tensors += [
            TensorProto(name=name, dims=value.shape, data_type=TensorProto.FLOAT) for name, value in values.items()
        ]
        graph = helper.make_graph(
            self.nodes, "sketch",
            [helper.make_tensor_value_info(IMAGE, TensorProto.FLOAT, ("n", *self.shapes[IMAGE]))],
            [helper.make_tensor_value_info(self.last, TensorProto.FLOAT, ("n", *self.shapes[self.last]))],
            tensors,
        )  # fmt: skip
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)]), values

    def _with_weights(
        self, name: str, shape: Shape, bias: bool, norm: bool, act: str, outputs: int | None = None
    ) -> None:  # fmt: skip
        """Count a layer, and note what is to be drawn: He's variance in front of an activation."""
        channels = shape[0] if outputs is None else outputs
        self.parameters += math.prod(shape) + channels * (2 * norm + bias)
        self._weights.append((name, shape, 2.0 if act else 1.0, (channels,) if bias or norm else ()))

    def _node(
        self, operator: str, name: str, inputs: Sequence[str], shape: Shape, also: str = "", **attributes: Any
    ) -> str:
        outputs = [name, also] if also else [name]
        self.nodes.append(helper.make_node(operator, inputs, outputs, name=name, **attributes))
        self.shapes[name], self.last = shape, name
        return name


def _named(name: str, bias: bool = True) -> list[str]:
    """The tensors of a layer's weights."""
    return [f"{name}.weight"] + ([f"{name}.bias"] if bias else [])


def _pads(pads: Pads, size: Sequence[int], kernel: tuple[int, int], stride: int) -> tuple[int, int, int, int]:
    if isinstance(pads, tuple):
        return pads
    if isinstance(pads, int):
        return (pads,) * 4
    total = [max(0, same_padding(n, k, stride)) for n, k in zip(size, kernel, strict=True)]
    return total[0] // 2, total[1] // 2, -(-total[0] // 2), -(-total[1] // 2)
