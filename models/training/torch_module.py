"""A Network as a torch module, and back: the only place where the two meet.

What a network is stays visible while it trains: `accel.models.training.weight_modules` says what of its weights `keep`
leaves as it is.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np

from accel.models.errors import InputError
from accel.models.graph import (
    Activation,
    Add,
    Concat,
    Conv,
    GlobalPool,
    Layer,
    Linear,
    Mul,
    Network,
    Pool,
    Reshape,
    Select,
    Softmax,
    Sub,
    Unary,
    channel_axis,
    with_layers,
)
from accel.models.host import HostStep
from accel.models.training.host_module import module_of
from accel.models.training.weight_modules import Keep, weights_module
from accel.models.window import Window

BFLOAT16 = ("avx512_bf16", "amx_bf16", "bf16")  # as torch calls what a processor may have; the last is ARM's


def torch() -> Any:
    """The torch package. Raises InputError without the extra `train`."""
    try:
        import torch as package
    except ImportError:
        raise InputError("training needs torch: pip install 'accel[train]'") from None
    return package


def products(bfloat16: bool) -> Any:
    """A context in which products are rounded to bfloat16, if that is wanted and the processor has instructions for it.

    Without them torch emulates: a small VGG took ten times as long on an AMD EPYC of the third generation.
    """
    package = torch()
    known = getattr(package.cpu, "get_capabilities", None)  # older torch does not tell: then as it is wanted
    fast = known is None or any(known().get(name) for name in BFLOAT16)
    return package.autocast("cpu", package.bfloat16, enabled=bfloat16 and fast)


def module(network: Network, keep: Keep = "nothing", dropout: float = 0.0, input_dropout: float = 0.0) -> Any:
    """A torch module that computes `network` on (n, *input shape) float tensors; a Softmax at the end is left out.

    `dropout` is the share of each activation's outputs that training drops before a Linear, `input_dropout` of the
    network's input; both are rounded to a 256th. Raises InputError without torch, for average pooling
    that torch has no form of, and for operators of the host of which `host_module` has none.
    """
    nn = torch().nn
    hosted = {x.name: module_of(torch(), x, network.name) for x in network.layers if isinstance(x, HostStep)}

    class Module(nn.Module):  # type: ignore[name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.network = network
            self.weights, self.biases = nn.ModuleDict(), nn.ParameterDict()
            for layer in network.layers:
                if isinstance(layer, Conv | Linear):
                    self.weights[_key(layer)] = weights_module(torch(), layer, keep)
                    self.biases[_key(layer)] = nn.Parameter(torch().from_numpy(layer.bias.copy()))

        def forward(self, x: Any) -> Any:
            if input_dropout and self.training:
                x = drop(x, input_dropout)
            tensors = {network.input: x}
            dropped = {t for y in network.layers if isinstance(y, Linear) for t in y.inputs}
            for layer in network.layers:
                y = self._forward(layer, [tensors[t] for t in layer.inputs])
                if dropout and self.training and isinstance(layer, Activation) and layer.output in dropped:
                    y = drop(y, dropout)
                tensors[layer.output] = y
            return tensors[network.output]

        def _forward(self, layer: Layer, inputs: list[Any]) -> Any:
            x, functional = inputs[0], nn.functional
            match layer:
                case Conv() if layer.window.spread:
                    return _transposed(layer, x, self.weights[_key(layer)](), self.biases[_key(layer)])
                case Conv():
                    window, (top, left, bottom, right) = layer.window, layer.window.pads
                    pads: Any = (top, left)
                    if (top, left) != (bottom, right):
                        x, pads = functional.pad(x, (left, right, top, bottom)), 0
                    weights, bias = self.weights[_key(layer)](), self.biases[_key(layer)]
                    return functional.conv2d(x, weights, bias, window.stride, pads, window.dilation, layer.groups)
                case Linear():
                    return functional.linear(x, self.weights[_key(layer)](), self.biases[_key(layer)])
                case Activation():
                    return functional.relu(x) if (layer.low, layer.high) == (0.0, np.inf) else x.clamp(
                        layer.low, layer.high
                    )  # fmt: skip
                case Unary():
                    return layer.function(x, torch_names())
                case Pool():
                    return _pool(layer, x)
                case GlobalPool():
                    return x.amax((2, 3), keepdim=True) if layer.kind == "max" else x.mean((2, 3), keepdim=True)
                case Add():
                    return inputs[0] + inputs[1]
                case Sub():
                    return inputs[0] - inputs[1]
                case Mul():
                    return inputs[0] * inputs[1]
                case Concat():
                    return torch().cat(inputs, 1 + channel_axis(tuple(x.shape[1:])))
                case Select():
                    return x.index_select(1 + channel_axis(tuple(x.shape[1:])), torch().tensor(layer.channels))
                case Reshape():
                    return x.reshape(len(x), *layer.shape)
                case Softmax():
                    # The losses are of logits, so one at the end is left out.
                    return x if layer.output == network.output else x.softmax(1 + channel_axis(tuple(x.shape[1:])))
                case HostStep():
                    return hosted[layer.name](inputs)
            raise AssertionError(layer)

    # Convolutions run about twice as fast with channels last in memory; shapes are unaffected.
    return Module().to(memory_format=torch().channels_last)


def drop(x: Any, share: float) -> Any:
    """`x` with a random `share` (in 256ths) of its values made 0 and the others scaled up, so that its mean stays.

    One random byte a value: a tenth of the time of torch's own dropout. Draws from torch's generator.
    """
    dropped = round(share * 256)
    bits = torch().empty((x.numel() + 7) // 8, dtype=torch().int64).random_(-(1 << 63), None)
    kept = bits.view(torch().uint8)[: x.numel()].reshape(x.shape) >= dropped
    return x * (kept.to(x.dtype) * (256 / (256 - dropped)))


@cache
def torch_names() -> Any:
    """What `accel.models.functions.OPERATORS` asks for, of torch."""
    package = torch()
    names = ("exp", "log", "sqrt", "tanh", "abs", "sign", "floor", "ceil", "round", "where", "erf")
    found = {name: getattr(package, name) for name in (*names, "sigmoid")}
    return SimpleNamespace(**found, softplus=package.nn.functional.softplus)


def network_of(trained: Any) -> Network:
    """The network of a module with the weights that it has now."""
    network: Network = trained.network
    layers: list[Layer] = []
    for layer in network.layers:
        if isinstance(layer, Conv | Linear):
            weights = trained.weights[_key(layer)]().detach().numpy().copy()
            bias = trained.biases[_key(layer)].detach().numpy().copy()
            layer = replace(layer, weights=weights, bias=bias)
        layers.append(layer)
    return with_layers(network, layers)


def _key(layer: Layer) -> str:
    """A name that torch accepts as an attribute's."""
    return layer.name.replace(".", "_dot_").replace("/", "_slash_")


def _with_edges(window: Window, x: Any) -> Any:
    top, left, bottom, right = window.edges
    return torch().nn.functional.pad(x, (left, right, top, bottom), "replicate") if any(window.edges) else x


def _transposed(layer: Conv, x: Any, weights: Any, bias: Any) -> Any:
    """A convolution over a spread input, by torch's own, which has the kernel mirrored and outputs behind inputs."""
    functional, window = torch().nn.functional, layer.window
    x = _with_edges(window, x)
    out, depth, *kernel = weights.shape
    turned = weights.flip(2, 3).reshape(layer.groups, out // layer.groups, depth, *kernel).transpose(1, 2)
    turned = turned.reshape(layer.groups * depth, out // layer.groups, *kernel)
    whole = functional.conv_transpose2d(x, turned, None, window.base_dilation, 0, 0, layer.groups, window.dilation)
    reach = [(k - 1) * d for k, d in zip(window.kernel, window.dilation, strict=True)] * 2
    top, left, bottom, right = (p - r for p, r in zip(window.pads, reach, strict=True))  # below 0: cut
    return functional.pad(whole, (left, right, top, bottom)) + bias[:, None, None]


def _pool(layer: Pool, x: Any) -> Any:
    functional, window = torch().nn.functional, layer.window
    if window.spread:
        x = _with_edges(window, x)
        return x.repeat_interleave(window.base_dilation[0], 2).repeat_interleave(window.base_dilation[1], 3)
    top, left, bottom, right = window.pads
    if layer.kind == "max":
        if any(window.pads):
            x = functional.pad(x, (left, right, top, bottom), value=-np.inf)
        return functional.max_pool2d(x, window.kernel, window.stride, 0, window.dilation)
    if window.dilation != (1, 1):
        raise InputError(f"layer {layer.name!r}: training needs average pooling without dilation")

    def mean(values: Any) -> Any:
        return functional.avg_pool2d(functional.pad(values, (left, right, top, bottom)), window.kernel, window.stride)

    counted = layer.count_include_pad or not any(window.pads)
    return mean(x) if counted else mean(x) / mean(torch().ones_like(x[:1, :1]))
