"""Random float networks, and ways to run a model elsewhere, for the tests of `models`."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from accel.models.functions import IDENTITY, function_of, joined
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
    build,
    output_shape,
    repeating,
)
from accel.models.integers.network import IntegerNetwork
from accel.models.quantisation.quantise import quantise
from accel.models.reference import float32
from accel.models.window import Window

SILU = joined("Mul", IDENTITY, function_of("Sigmoid"))
FUNCTIONS = (
    SILU, function_of("Sigmoid"), function_of("Tanh"), function_of("LeakyRelu", 0.125), function_of("Elu", 0.5),
    function_of("HardSigmoid", 0.25, 0.5), function_of("Softplus"), function_of("Abs"),
)  # fmt: skip
"""No slope of which is above 1.1, as `tests.benches.quantise_bound` counts on."""


def draw_network(rng: Random, quantisable: bool = False) -> Network:
    """A network of up to seven layers on a map of at most 4 x 9 x 9; `quantisable` ones have an integer form."""
    values = np.random.default_rng(rng.getrandbits(32))
    shape: tuple[int, ...] = (rng.randint(1, 4), rng.randint(4, 9), rng.randint(4, 9))
    start, layers = shape, list[Layer]()
    shapes = {"input": shape}
    tensor = "input"

    def append(kind: Any, *arguments: Any, inputs: tuple[str, ...] = ()) -> None:
        nonlocal tensor, shape
        name = f"{kind.__name__.lower()}{len(layers)}"
        layers.append(kind(name, inputs or (tensor,), name, *arguments))
        tensor, shape = name, output_shape(layers[-1], [shapes[t] for t in layers[-1].inputs])
        shapes[tensor] = shape

    def random_weights(*size: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        weights = values.standard_normal(size) / np.sqrt(np.prod(size[1:]))
        return weights.astype(np.float32), values.standard_normal(size[0]).astype(np.float32)

    def activation() -> None:
        if rng.random() < 0.4:
            append(Unary, rng.choice(FUNCTIONS))
            return
        append(Activation, *rng.choice([(), (0.0, 6.0), (-0.5, 0.75), (-np.inf, 0.5)]))

    for _ in range(rng.randint(1, 5)):
        match rng.choice(["conv", "conv", "pool", "add", "activation", "concat", "select"]):
            case "conv":
                groups = rng.choice([g for g in (1, 2, 3, 4) if shape[0] % g == 0])
                out = groups * rng.randint(1, 3)
                window = _draw_window(rng, shape, dilated=True)
                if min(shape[1:]) > 1 and rng.random() < 0.25:
                    window = _draw_spread(rng)
                append(Conv, *random_weights(out, shape[0] // groups, *window.kernel), window, groups)
            case "pool" if rng.random() < 0.2:
                append(Pool, "max", repeating(rng.choice([(1, 2), (2, 1), (2, 2), (3, 2)])))
            case "pool" if rng.random() < 0.1:
                append(Pool, "max", Window((1, 1), edges=rng.choice([(1, 1, 1, 1), (0, 1, 2, 0)])))
            case "pool" if rng.random() < 0.1 and min(shape[1:]) > 1:
                cut = rng.choice([(0, -1, 0, 0), (-1, 0, 0, -1), (0, 0, -1, -1)])
                append(Pool, "max", Window((1, 1), (rng.randint(1, 2), rng.randint(1, 2)), cut))
            case "pool" if rng.random() < 0.5:
                append(Pool, "max", _draw_window(rng, shape, dilated=True))
            case "pool":
                window = _draw_window(rng, shape, dilated=False)
                append(Pool, "average", window, rng.random() < 0.5)
            case "add":
                same = [t for t, s in shapes.items() if s == shape]
                append(rng.choice([Add, Add, Sub, Mul]), inputs=(tensor, rng.choice(same)))
            case "concat":
                alike = [t for t, s in shapes.items() if s[1:] == shape[1:]]
                append(Concat, inputs=(tensor, *(rng.choice(alike) for _ in range(rng.randint(1, 2)))))
            case "select":
                append(Select, tuple(rng.randrange(shape[0]) for _ in range(rng.randint(1, 6))))
            case "activation":
                activation()
    if rng.random() < 0.3:
        append(GlobalPool, rng.choice(["max", "average"]))
    if rng.random() < 0.6:
        append(Reshape, (int(np.prod(shape)),))
        append(Linear, *random_weights(rng.randint(1, 6), shape[0]))
        if rng.random() < 0.5:
            activation()
        if rng.random() < 0.3:
            append(Softmax)
    if not any(isinstance(x, Conv | Linear | Pool) for x in layers):
        append(Activation)
    return build("drawn", "input", start, tuple(layers))


def _draw_spread(rng: Random) -> Window:
    """The window of a transposed convolution; its kernel may be smaller than its stride."""
    kernel, stride = (rng.randint(1, 4), rng.randint(1, 4)), rng.choice([(1, 2), (2, 2), (3, 1), (2, 3)])
    dilation = rng.choice([1, 1, 2]), rng.choice([1, 1, 2, 3])
    reach = [(k - 1) * d for k, d in zip(kernel, dilation, strict=True)]
    before = [rng.randint(max(0, most - 2), most) for most in reach]
    after = [max(0, most + rng.randint(-1, stride[i] - 1)) for i, most in enumerate(reach)]
    return Window(kernel, (1, 1), (*before, *after), dilation, stride)  # type: ignore[arg-type]


def _draw_window(rng: Random, shape: tuple[int, ...], dilated: bool) -> Window:
    """A window that fits `shape`, with pads smaller than the kernel."""
    kernel = rng.randint(1, min(3, shape[1])), rng.randint(1, min(3, shape[2]))
    dilation = tuple(
        rng.choice([d for d in (1, 2) if (k - 1) * d < n]) if dilated else 1
        for k, n in zip(kernel, shape[1:], strict=True)
    )
    pads = tuple(rng.randint(0, kernel[i % 2] - 1) for i in range(4))
    stride = rng.randint(1, 3), rng.randint(1, 3)
    return Window(kernel, stride, pads, dilation)


def draw_inputs(rng: Random, network: Network, count: int) -> NDArray[np.float32]:
    """`count` normal inputs of `network`."""
    size = (count, *network.shapes[network.input])
    return np.random.default_rng(rng.getrandbits(32)).standard_normal(size).astype(np.float32)


def onnxruntime_output(model: onnx.ModelProto, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    """The first output of `model` by ONNX Runtime, on one thread, 1000 inputs at a time."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    starts = range(0, max(1, len(inputs)), 1000)
    parts = [session.run(None, {name: inputs[start : start + 1000]})[0] for start in starts]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def all_of(network: Network, inputs: np.ndarray) -> list[np.ndarray]:
    """All outputs (n, ...) of a whole network for its inputs, what the host runs included."""
    return around(network, lambda x: float32.run_outputs(network, x), inputs)


def with_own_scales(network: Network) -> IntegerNetwork:
    """The int8 network, whose scales are all its file's: calibration on zeros changes nothing."""
    return quantise(network, np.zeros((1, *network.shapes[network.input]), np.float32))


def around(network: Network, inner: Callable[[np.ndarray], list[np.ndarray]], inputs: np.ndarray) -> list[np.ndarray]:
    """As `all_of`, where `inner` is what is between the host's head and tail."""
    head, tail = (network.host.head, network.host.tail) if network.host else (None, None)
    entered = head.run([inputs])[0] if head else inputs
    outputs = list(inner(np.asarray(entered, np.float32).reshape(-1, *network.shapes[network.input])))
    if not tail:
        return outputs
    return tail.run([*outputs, inputs] if tail.reads_input else outputs)
