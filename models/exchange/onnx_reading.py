"""What is known of an ONNX file while it is read, and what every operator's function needs."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from accel.models.carried import Codes, Spec
from accel.models.errors import Blocked, Blocker, InputError, printable
from accel.models.graph import LARGEST_TENSOR, Conv, Layer, Linear, Reshape, Shape, output_shape
from accel.models.mirrored import mirrored

Array = NDArray[Any]
Given = Mapping[str, Any]  # attributes by name, checked, with defaults


@dataclass(frozen=True, eq=False)
class Weights:
    """Codes of a constant, its scale (one, or one for each of `axis`)."""

    codes: Array
    scale: Array
    axis: int

    def of(self, outputs: int, axis: int, turned: bool = False) -> Codes | None:
        """Codes (outputs, ...) and a scale each, if outputs lie along `axis`; `turned`: of the transposed matrix."""
        if self.scale.ndim and self.axis % self.codes.ndim != axis:
            return None
        codes = self.codes.T if turned else self.codes
        return np.ascontiguousarray(codes), np.broadcast_to(self.scale, (outputs,)).astype(np.float64)

    def mirrored(self, outputs: int) -> Codes | None:
        """As `of`, of the weights of a transposed convolution without groups."""
        if self.scale.ndim and self.axis % self.codes.ndim != 1:
            return None
        codes = self.codes if self.codes.ndim == 4 else self.codes[:, :, None]
        return mirrored(codes, 1), np.broadcast_to(self.scale, (outputs,)).astype(np.float64)


@dataclass
class Reading:
    """What has been read of one file so far.

    `constants` by name; `alias` from a tensor to the one it is a copy of; `shapes` of activations without
    the batch of `batch` inputs; `uses` counts the readers of every name (of a copied tensor, those of its copies);
    `layers` by their output, in order; `taken` are their names. `stored` and `folded` count the values of the constants
    in the file and of those that were made of them, `filled` those of ConstantOfShape. `unknown` are the tensors behind
    a node that cannot run, of which not even the shape is known; `pads` the zeros that a Pad put around a tensor. In a
    `one_dimensional` network what ONNX calls (channels, length) is a feature map (channels, 1, length). `squeezed`: a
    Squeeze chose sizes to drop. Of quantised files: `specs` are scale and zero point of activations, `weights` the
    codes behind constants, `codes` those of layers by the layers' names. `spread`: what a shuffle of channels makes on
    its way, as the tensor that is shuffled, its shape with channels as groups by members, and whether these have
    changed places.
    """

    file: str
    opset: int
    batch: int = 1
    constants: dict[str, Array] = field(default_factory=dict)
    alias: dict[str, str] = field(default_factory=dict)
    shapes: dict[str, Shape] = field(default_factory=dict)
    uses: Counter[str] = field(default_factory=Counter)
    layers: dict[str, Layer] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)
    pads: dict[str, tuple[int, int, int, int]] = field(default_factory=dict)
    stored: int = 0
    folded: int = 0
    filled: int = 0
    specs: dict[str, Spec] = field(default_factory=dict)
    weights: dict[str, Weights] = field(default_factory=dict)
    codes: dict[str, Codes] = field(default_factory=dict)
    spread: dict[str, tuple[str, Shape, bool]] = field(default_factory=dict)
    one_dimensional: bool = False
    squeezed: bool = False

    def error(self, node: onnx.NodeProto, message: str) -> Blocked:
        """The exception for a fault of `node`, naming file, node and operator: nobody could run it."""
        return Blocked(f"{self.file}: node", (Blocker(self.name(node), node.op_type, message, fault=True),))

    def unsupported(self, node: onnx.NodeProto, message: str) -> Blocked:
        """The exception for what `node` asks for and the accelerator does not do, while others may."""
        return Blocked(f"{self.file}: node", (Blocker(self.name(node), node.op_type, message),))

    def name(self, node: onnx.NodeProto) -> str:
        """The node's name if it has one of its own, else that of its output: ONNX asks for neither.

        What cannot be printed (a name may hold a terminal's commands) is replaced.
        """
        own = printable(node.name)
        if own and own not in self.taken:
            return own
        return printable(node.output[0]) if node.output else ""

    def resolve(self, tensor: str) -> str:
        """The tensor that `tensor` is a copy of, or itself."""
        return self.alias.get(tensor, tensor)

    def shape(self, node: onnx.NodeProto, tensor: str) -> Shape:
        """The shape of an activation that `node` reads."""
        tensor = self.resolve(tensor)
        if tensor in self.spread:
            raise self.unsupported(node, f"input {tensor!r} must be a map, not {self.spread[tensor][1]}")
        if tensor not in self.shapes:
            raise self.error(node, f"input {tensor!r} must be an activation, and is a constant or does not exist")
        return self.shapes[tensor]

    def full(self, shape: Shape) -> Shape:
        """What ONNX calls an activation of `shape`: with the batch in front."""
        if self.one_dimensional and len(shape) == 3:
            return self.batch, shape[0], shape[2]
        return self.batch, *shape

    def inner(self, full: Shape) -> Shape:
        """The shape of an activation that ONNX calls `full`. Raises InputError."""
        if not self.one_dimensional or len(full) < 3:
            return full[1:]
        if len(full) > 3:
            raise InputError(
                f"{self.file}: a one-dimensional network's tensors must have 2 or 3 dimensions, not {full}"
            )
        return full[1], 1, full[2]

    def enter_unread(self, name: str, full: Shape) -> None:
        """Enter what a node that cannot run would make: of shape `full`, or () if that is not known."""
        fits = math.prod(full) <= LARGEST_TENSOR * self.batch
        if fits and 2 <= len(full) <= (3 if self.one_dimensional else 4) and full[0] == self.batch:
            self.shapes[name] = self.inner(full)
        elif name:
            self.unknown.add(name)

    def given(self, node: onnx.NodeProto, index: int) -> bool:
        """Whether `node` has an input `index`: an optional one may be left out, or be the empty name."""
        return len(node.input) > index and bool(node.input[index])

    def constant(
        self, node: onnx.NodeProto, index: int, what: str, rank: int | None = None, length: int | None = None
    ) -> Array:
        """Input `index` of `node`: constant floats of 16 or 32 bits, finite, of `rank` dimensions, `length` values.

        None for either is any. Raises InputError for what is something else.
        """
        array = self._constant(node, index, what)
        name = node.input[index]
        if array.dtype.kind != "f" or array.dtype.itemsize not in (2, 4):
            raise self.unsupported(node, f"{what} {name!r} must be float32, not {array.dtype}")
        if rank is not None and array.ndim != rank:
            raise self.error(node, f"{what} {name!r} must have {rank} dimensions, not {array.ndim}: {array.shape}")
        if length is not None and array.size != length:
            raise self.error(node, f"{what} {name!r} must have {length} values, not {array.size}")
        if not array.size:
            raise self.error(node, f"{what} {name!r} must have values, and its shape is {array.shape}")
        array = array.astype(np.float32, copy=False)
        if not np.isfinite(array).all():
            raise self.error(node, f"{what} {name!r} must be finite, not NaN or Inf")
        return array

    def integers(self, node: onnx.NodeProto, index: int, what: str) -> list[int]:
        """Input `index` of `node`: a constant vector (or one number) of int64."""
        array = self._constant(node, index, what)
        if array.dtype != np.int64 or array.ndim > 1:
            name = node.input[index]
            raise self.error(
                node, f"{what} {name!r} must be a vector of int64, not {array.dtype} of shape {array.shape}"
            )
        return [int(value) for value in array.reshape(-1)]

    def _constant(self, node: onnx.NodeProto, index: int, what: str) -> Array:
        if not self.given(node, index):
            raise self.error(node, f"{what} must be given as input {index}, and is missing")
        name = node.input[index]
        if name not in self.constants:
            raise self.unsupported(node, f"{what} {name!r} must be a constant, and depends on the input")
        return self.constants[name]

    def enter_codes(self, layer: str, codes: Codes | None) -> None:
        """Note the codes of a layer's weights, if they have the form that ours have."""
        if codes is not None:
            self.codes[layer] = codes

    def copy(self, node: onnx.NodeProto, name: str) -> None:
        """Enter the output of `node` as a copy of `name`, an activation or a constant."""
        output = node.output[0]
        if name in self.constants:
            self.constants[output] = self.constants[name]
            return
        self.shape(node, name)
        self.alias[output] = self.resolve(name)
        # The readers of the copy are readers of what is copied, instead of this node.
        self.uses[self.resolve(name)] += self.uses[output] - 1

    def reshape(self, node: onnx.NodeProto, name: str, tensor: str, output: str, shape: Shape) -> None:
        """Add a Reshape, of what was reshaped before if that was; a copy where the shapes cancel each other out."""
        self.shape(node, tensor)
        tensor = self.resolve(tensor)
        while isinstance(before := self.layers.get(tensor), Reshape):
            tensor = before.inputs[0]
            self.uses[tensor] += 1
        if self.shapes[tensor] == shape:
            self.alias[output] = tensor
            self.uses[tensor] += self.uses[output]
            return
        self.append(node, Reshape(name, (tensor,), output, shape))

    def append(self, node: onnx.NodeProto, layer: Layer) -> None:
        """Add `layer` and the shape of its output."""
        shapes = [self.shape(node, tensor) for tensor in layer.inputs]
        try:
            self.shapes[layer.output] = output_shape(layer, shapes)
        except InputError as error:
            raise self.error(node, str(error)) from None
        if isinstance(layer, Conv | Linear) and not all(np.isfinite(x).all() for x in (layer.weights, layer.bias)):
            raise self.error(node, "weights and bias with what is folded into them must be finite, and are not")
        self.layers[layer.output] = layer
        self.taken.add(layer.name)


def names(reading: Reading, node: onnx.NodeProto) -> tuple[str, tuple[str], str]:
    """Name, inputs and output of a layer with one activation."""
    reading.shape(node, node.input[0])
    return reading.name(node), (reading.resolve(node.input[0]),), node.output[0]
