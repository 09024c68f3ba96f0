"""One layer as a network: a convolution, fully connected layer or matrix product given by its sizes alone.

In words, as the command line takes them: `conv:128x28x28,128,3x3` is an input of 128 channels and 28 x 28 pixels, 128
outputs and a kernel of 3 x 3; behind it `stride=2`, `pads=1` and `groups=4`, sizes of both axes or as HxW, pads also as
TOPxLEFTxBOTTOMxRIGHT. `fc:9216,4096` has 9216 inputs and 4096 outputs, `gemm:512x1024x256` is M x K by K x N.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np

from accel.models.errors import InputError
from accel.models.graph import LARGEST_TENSOR
from accel.models.integers.network import IntegerNetwork, MatrixLayer, Requantise, TensorSpec
from accel.models.window import Window

LARGEST_WEIGHTS = 2**29
PREFIXES = ("conv:", "fc:", "gemm:")
FORMS = "conv:CxHxW,N,KxK[,stride=S][,pads=P][,groups=G], fc:INPUTS,OUTPUTS or gemm:MxKxN"


@dataclass(frozen=True)
class LayerShape:
    """`outputs` channels of an `input` (channels, height, width); a matrix product's rows lie along the width.

    Raises InputError for sizes that are no layer, or too large.
    """

    name: str
    input: tuple[int, int, int]
    outputs: int
    window: Window
    groups: int = 1

    def __post_init__(self) -> None:
        channels, *size = self.input
        numbers = (*self.input, self.outputs, self.groups, *self.window.kernel, *self.window.stride)
        if min(numbers) < 1 or min(self.window.pads) < 0:
            raise InputError(f"{self.name}: sizes must be at least 1 and pads at least 0")
        if channels % self.groups or self.outputs % self.groups:
            raise InputError(
                f"{self.name}: groups must divide {channels} channels and {self.outputs} outputs, not {self.groups}"
            )
        if min(self.window.output_size(*size)) < 1:
            kernel = "x".join(map(str, self.window.kernel))
            raise InputError(f"{self.name}: kernel {kernel} must fit an input of {size[0]}x{size[1]} with its pads")
        tensor = max(math.prod(self.input), self.outputs * self.pixels)
        if tensor > LARGEST_TENSOR or self.outputs * self.terms > LARGEST_WEIGHTS:
            raise InputError(
                f"{self.name}: tensors must have at most {LARGEST_TENSOR} values and weights {LARGEST_WEIGHTS}, not "
                f"{tensor} and {self.outputs * self.terms}"
            )

    @property
    def terms(self) -> int:
        """Products in a sum: the values under a window."""
        return self.input[0] // self.groups * math.prod(self.window.kernel)

    @property
    def pixels(self) -> int:
        """Positions of the output."""
        return math.prod(self.window.output_size(*self.input[1:]))

    def network(self, seed: int = 0) -> IntegerNetwork:
        """The layer with random weights, and one requantisation record for all channels."""
        channels = self.input[0] // self.groups
        shape = (self.outputs, channels, *self.window.kernel)
        weights = np.random.default_rng(seed).integers(-127, 128, shape, np.int8)
        shift = 15 + max(1, round(np.log2(5000 * self.terms**0.5 / 60)))
        record = Requantise(np.zeros(1, np.int32), np.array([40000], np.uint16), np.array([shift], np.uint8), 0)
        layer = MatrixLayer(self.name, "a", "c", weights, self.window, record, self.groups)
        made = (self.outputs, *self.window.output_size(*self.input[1:]))
        tensors = {"a": TensorSpec("a", self.input, 1.0, 0), "c": TensorSpec("c", made, 1.0, 0)}
        return IntegerNetwork(self.name, "a", "c", tensors, (layer,))


def gemm(m: int, k: int, n: int, name: str = "gemm") -> LayerShape:
    """M x K activations by K x N weights: a 1 x 1 convolution of (K, 1, M) to (N, 1, M)."""
    return LayerShape(name, (k, 1, m), n, Window((1, 1)))


def is_layer(text: str) -> bool:
    """Whether a network is given as one layer."""
    return text.startswith(PREFIXES)


def parse(text: str) -> LayerShape:
    """The layer in words. Raises InputError."""
    kind, _, rest = text.partition(":")
    parts = rest.split(",")
    name = re.sub(r"[^A-Za-z0-9.=_-]+", "-", text)
    if kind == "gemm" and len(parts) == 1:
        m, k, n = _sizes(text, parts[0], 3)
        return gemm(m, k, n, name)
    if kind == "fc" and len(parts) == 2:
        (inputs,), (outputs,) = _sizes(text, parts[0], 1), _sizes(text, parts[1], 1)
        return LayerShape(name, (inputs, 1, 1), outputs, Window((1, 1)))
    if kind == "conv" and len(parts) >= 3:
        given = {name: value for name, _, value in (part.partition("=") for part in parts[3:])}
        if given.keys() <= {"stride", "pads", "groups"} and len(given) == len(parts) - 3:
            channels, height, width = _sizes(text, parts[0], 3)
            (outputs,), (groups,) = _sizes(text, parts[1], 1), _sizes(text, given.get("groups", "1"), 1)
            pads = given.get("pads", "0")
            around = _sizes(text, pads, pads.count("x") + 1)
            if len(around) in (1, 2, 4):
                top, left, bottom, right = (around * 4)[:4]
                kernel, stride = _pair(text, parts[2]), _pair(text, given.get("stride", "1"))
                window = Window(kernel, stride, (top, left, bottom, right))
                return LayerShape(name, (channels, height, width), outputs, window, groups)
    raise InputError(f"a layer must be {FORMS}, not {text!r}")


def _pair(text: str, sizes: str) -> tuple[int, int]:
    found = _sizes(text, sizes, 2 if "x" in sizes else 1)
    return found[0], found[-1]


def _sizes(text: str, sizes: str, count: int) -> list[int]:
    """Whole numbers with an x between them. Raises InputError."""
    parts = sizes.split("x")
    if len(parts) != count or not all(part.isascii() and part.isdigit() and len(part) < 10 for part in parts):
        raise InputError(f"a layer must be {FORMS}, not {text!r}")
    return [int(part) for part in parts]
