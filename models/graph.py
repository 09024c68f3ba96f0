"""The float network: an immutable list of layers with the shape of every tensor.

Shapes leave the batch dimension out. A tensor is a feature map (channels, height, width), a vector
(features,) or a matrix (rows, features). Batch normalisation, dropout and the like do not exist here:
`accel.models.exchange.onnx_read` folds them away.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from accel.models.carried import Carried
from accel.models.errors import InputError
from accel.models.graph_layers import Activation as Activation
from accel.models.graph_layers import Add as Add
from accel.models.graph_layers import Concat as Concat
from accel.models.graph_layers import Conv as Conv
from accel.models.graph_layers import Float as Float
from accel.models.graph_layers import GlobalPool as GlobalPool
from accel.models.graph_layers import Layer as Layer
from accel.models.graph_layers import Linear as Linear
from accel.models.graph_layers import Mul as Mul
from accel.models.graph_layers import Pool as Pool
from accel.models.graph_layers import Reshape as Reshape
from accel.models.graph_layers import Select as Select
from accel.models.graph_layers import Shape as Shape
from accel.models.graph_layers import Softmax as Softmax
from accel.models.graph_layers import Sub as Sub
from accel.models.graph_layers import Unary as Unary
from accel.models.graph_layers import operator_of as operator_of
from accel.models.graph_layers import repeating as repeating
from accel.models.graph_shapes import LARGEST_TENSOR as LARGEST_TENSOR
from accel.models.graph_shapes import channel_axis as channel_axis
from accel.models.graph_shapes import output_shape as output_shape
from accel.models.host import Host, HostStep

__all__ = [
    "Activation",
    "Add",
    "Concat",
    "Conv",
    "GlobalPool",
    "Layer",
    "Linear",
    "Mul",
    "Network",
    "Pool",
    "Reshape",
    "Select",
    "Softmax",
    "Sub",
    "Unary",
    "build",
]


@dataclass(frozen=True)
class Network:
    """A float network with one input; make it with `build`, which checks it.

    `layers` stand in an order in which they can run, HostSteps among them; `shapes` holds the shape of every tensor by
    name; `host` is what of the file that it came from the accelerator does not run; `carried` the numbers of a file
    that was quantised. `more_outputs` are tensors that are wanted beside `output`.
    """

    name: str
    input: str
    output: str
    layers: tuple[Layer, ...]
    shapes: dict[str, Shape]
    host: Host | None = None
    carried: Carried | None = None
    more_outputs: tuple[str, ...] = ()

    @property
    def outputs(self) -> tuple[str, ...]:
        """All outputs, `output` first."""
        return (self.output, *self.more_outputs)

    @property
    def parameters(self) -> int:
        """The number of weights and biases."""
        return sum(x.weights.size + x.bias.size for x in self.layers if isinstance(x, Conv | Linear))


def build(
    name: str, input: str, input_shape: Shape, layers: tuple[Layer, ...], output: str = "",
    more_outputs: tuple[str, ...] = (),
) -> Network:  # fmt: skip
    """The checked network of `layers`; `output` defaults to the last layer's.

    Raises InputError when a layer reads a tensor that does not exist yet, writes one that does, has
    the name of another layer, does not fit the shape of what it reads, or has weights that are not finite.
    """
    check_input(name, input, input_shape)
    shapes: dict[str, Shape] = {input: tuple(input_shape)}
    names: set[str] = set()
    for layer in layers:
        where = f"{name}: layer {layer.name!r}"
        for tensor in layer.inputs:
            if tensor not in shapes:
                raise InputError(f"{where} reads {tensor!r}, which no earlier layer writes")
        if layer.name in names:
            raise InputError(f"{where} must have a name of its own")
        names.add(layer.name)
        if layer.output in shapes:
            raise InputError(f"{where} writes {layer.output!r}, which exists already")
        if isinstance(layer, Conv | Linear):
            for what, array in (("weights", layer.weights), ("bias", layer.bias)):
                if not np.isfinite(array).all():
                    raise InputError(f"{where} ({operator_of(layer)}): {what} must be finite, not NaN or Inf")
        try:
            shapes[layer.output] = output_shape(layer, [shapes[t] for t in layer.inputs])
        except InputError as error:
            raise InputError(f"{where} ({operator_of(layer)}): {error}") from None
    output = output or (layers[-1].output if layers else input)
    for end in (output, *more_outputs):
        if end not in shapes:
            raise InputError(f"{name}: output {end!r} is written by no layer")
    return Network(name, input, output, tuple(layers), shapes, more_outputs=more_outputs)


def with_layers(network: Network, layers: Iterable[Layer]) -> Network:
    """The checked network of the same ends with other layers, without what came from a file. Raises as `build`."""
    shape = network.shapes[network.input]
    return build(network.name, network.input, shape, tuple(layers), network.output, network.more_outputs)


def check_input(name: str, input: str, shape: Shape) -> None:
    """Raise InputError unless the input of network `name` can have this shape."""
    if not shape or min(shape) < 1:
        raise InputError(f"{name}: input {input!r} must have a shape of positive sizes, not {shape}")
    if math.prod(shape) > LARGEST_TENSOR:
        raise InputError(f"{name}: input {input!r} must have at most {LARGEST_TENSOR} values, not {shape}")


def stages(network: Network) -> dict[str, int]:
    """For each tensor, how many steps of the host in a row it waits for: layers of one number are one program."""
    found = {network.input: 0}
    for layer in network.layers:
        found[layer.output] = max(found[name] for name in layer.inputs) + isinstance(layer, HostStep)
    return found


def readers(network: Network) -> dict[str, list[Layer]]:
    """The layers that read each tensor; one that reads it twice stands there twice."""
    found: dict[str, list[Layer]] = {tensor: [] for tensor in network.shapes}
    for layer in network.layers:
        for tensor in layer.inputs:
            found[tensor].append(layer)
    return found
