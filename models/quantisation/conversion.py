"""What one quantisation has made so far, and what the forms of all layers share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from accel.models.carried import Codes, Spec
from accel.models.errors import InputError
from accel.models.functions import useful_range
from accel.models.graph import Layer, Network, Reshape
from accel.models.host import HostStep
from accel.models.integers.network import AnyLayer, HostLayer, Int8, Residual, TensorSpec
from accel.models.quantisation.fuse import Chain
from accel.models.quantisation.joined import joined, together
from accel.models.quantisation.lookup import table_of
from accel.models.quantisation.requantise import activation_spec, clip_codes, multiplier_and_shift
from accel.models.quantisation.weights import WeightQuantiser


class NoForm(InputError):
    """A layer that has no integer form, whatever its numbers; `layer` is another one that is to blame."""

    def __init__(self, message: str, layer: Layer | None = None) -> None:
        super().__init__(message)
        self.layer = layer


@dataclass
class Conversion:
    """What one quantisation has made so far. `alias` maps a float tensor to the int8 tensor that holds it.

    `specs` and `codes` are what a quantised file gives, and ranges and the quantiser then do not say. Without a
    quantiser only the form of the network is made: matrix layers are left out. `joined`: for tensors that have one
    scale with others the one that stands for all (`accel.models.quantisation.joined`).
    """

    network: Network
    ranges: dict[str, tuple[float, float]]
    readers: dict[str, list[Layer]]
    weight_quantiser: WeightQuantiser | None
    specs: Mapping[str, Spec] = field(default_factory=dict)
    codes: Mapping[str, Codes] = field(default_factory=dict)
    tensors: dict[str, TensorSpec] = field(default_factory=dict)
    alias: dict[str, str] = field(default_factory=dict)
    layers: list[AnyLayer] = field(default_factory=list)
    host_layers: list[HostLayer] = field(default_factory=list)
    host_steps: list[HostStep] = field(default_factory=list)
    calibrated: list[str] = field(default_factory=list)
    joined: Mapping[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.joined = joined(self.network)
        self.ranges = together(self.ranges, self.joined)

    def spec(self, tensor: str) -> TensorSpec:
        """The int8 tensor that holds float tensor `tensor`."""
        return self.tensors[self.alias[tensor]]


def integer_shape(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """The (channels, height, width) of a float tensor; rows of a matrix go along the width."""
    match shape:
        case (features,):
            return features, 1, 1
        case (rows, features):
            return features, 1, rows
        case (channels, height, width):
            return channels, height, width
    raise NoForm(f"tensor must have 1 to 3 dimensions, not {shape}")


def declare(state: Conversion, tensor: str, shape: tuple[int, int, int], like: TensorSpec | None = None) -> TensorSpec:
    """Add the int8 tensor for float tensor `tensor`, with the calibrated range or the coding of `like`."""
    if like:
        spec = TensorSpec(tensor, shape, like.scale, like.zero_point)
    elif tensor in state.specs:
        spec = TensorSpec(tensor, shape, *state.specs[tensor])
    else:
        spec = activation_spec(tensor, shape, *state.ranges[state.joined.get(tensor, tensor)])
        state.calibrated.append(tensor)
    state.tensors[tensor] = spec
    state.alias[tensor] = tensor
    return spec


def residual_of(state: Conversion, tensor: str, spec: TensorSpec) -> Residual:
    """Float tensor `tensor` as the second operand of a sum that has the coding `spec`."""
    operand = state.spec(tensor)
    multiplier, shift = multiplier_and_shift(operand.scale / spec.scale)
    return Residual(operand.name, multiplier, shift, operand.zero_point)


def coding(
    state: Conversion, chain: Chain, made: TensorSpec, like: TensorSpec | None = None
) -> tuple[TensorSpec, Int8 | None]:
    """The coding to which a layer requantises, and the table in which its codes are looked up.

    Without a function that is the coding of the tensor that it makes. `like`: the coding of the argument, if it is one
    that the layer keeps; else it is the file's, or covers what of the argument matters.
    """
    if chain.function is None:
        return made, None
    name = chain.looked_up
    if like:
        to = like
    elif name in state.specs:
        to = TensorSpec(name, made.shape, *state.specs[name])
    else:
        to = activation_spec(name, made.shape, *useful_range(chain.function, *state.ranges[name], made.scale))
        state.calibrated.append(name)
    return to, table_of(chain.function, to, made, *clip_codes(to, chain.low, chain.high))


def same_layout(state: Conversion, tensor: str) -> None:
    """Raise NoForm, of the Reshape that made it, for a tensor that is not held in its own shape."""
    operand, shape = state.spec(tensor), state.network.shapes[tensor]
    if operand.shape != shape:
        maker = next((x for x in state.network.layers if x.output == tensor and isinstance(x, Reshape)), None)
        raise NoForm(f"input must be held as {shape}, not {operand.shape}: only flattening needs no copy", maker)
