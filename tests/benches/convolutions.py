"""The convolutions of networks of the literature, one after the other: those of the zoo's architectures.

But for GoogLeNet, whose 5 x 5 branches torchvision made 3 x 3 (those of the paper stand here, arXiv 1409.4842, table
1), for AlexNet, which is on one GPU: no groups, and for MobileNet v1, whose padding is torchvision's, all round.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from accel.models import zoo
from accel.models.graph import Conv
from accel.models.integers.network import IntegerNetwork
from accel.models.quantisation.quantise import shapes_alone
from accel.models.window import Window
from tests.benches.layers import matrix, network_of


@dataclass(frozen=True)
class Convolution:
    """`outputs` channels from `channels` on `size` x `size` pixels, in `groups`."""

    name: str
    channels: int
    outputs: int
    size: int
    kernel: int = 1
    stride: int = 1
    pad: int = 0
    groups: int = 1

    @property
    def out(self) -> int:
        """Rows and columns of the output."""
        return (self.size + 2 * self.pad - self.kernel) // self.stride + 1

    @property
    def macs(self) -> int:
        """Products, those with the padding among them."""
        return self.outputs * self.channels // self.groups * self.kernel**2 * self.out**2

    @property
    def window(self) -> Window:
        """Kernel, stride and padding."""
        return Window((self.kernel, self.kernel), (self.stride, self.stride), (self.pad,) * 4)

    def network(self) -> IntegerNetwork:
        """The convolution alone, with weights of a fixed seed."""
        shape = (self.channels, self.size, self.size)
        return network_of(shape, matrix(self.outputs, self.window, groups=self.groups))


def of_zoo(name: str) -> list[Convolution]:
    """Those of an architecture, with the most padding of any side on all."""
    network = zoo.architecture(name, seed=None)
    found = []
    for layer in network.layers:
        if isinstance(layer, Conv):
            channels, size, _ = network.shapes[layer.inputs[0]]
            (kernel, _), (stride, _), pad = layer.window.kernel, layer.window.stride, max(layer.window.pads)
            found.append(Convolution(layer.name, channels, len(layer.weights), size, kernel, stride, pad, layer.groups))
    return found


def alexnet() -> list[Convolution]:
    """On one GPU: no groups."""
    return [replace(convolution, groups=1) for convolution in of_zoo("alexnet")]


def mobilenet2_network() -> IntegerNetwork:
    """MobileNet v2 whole: convolutions, additions, pooling and classifier."""
    return shapes_alone(zoo.architecture("mobilenet-v2", seed=None))


NETWORKS: dict[str, Callable[[], list[Convolution]]] = {
    "vgg-16": partial(of_zoo, "vgg-16"),
    "resnet-18": partial(of_zoo, "resnet-18"),
    "resnet-50": partial(of_zoo, "resnet-50"),
    "googlenet": partial(of_zoo, "googlenet-lrn"),
    "squeezenet-1.1": partial(of_zoo, "squeezenet-1.1"),
    "alexnet": alexnet,
    "mobilenet-v1": partial(of_zoo, "mobilenet-v1"),
    "mobilenet-v2": partial(of_zoo, "mobilenet-v2"),
}
