"""The convolutions of networks of the literature, one after the other, and those networks that are chains whole.

Shapes are torchvision's (0.24), but for GoogLeNet, whose 5 x 5 branches torchvision made 3 x 3 (the paper's stand here,
arXiv 1409.4842, table 1), and AlexNet, whose first layer is the paper's (96 kernels over 227 x 227, one GPU).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from accel.models.integers.network import IntegerNetwork
from accel.models.window import Window
from tests.benches.layers import matrix, network_of
from tests.benches.resnet import Builder


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


def vgg16() -> list[Convolution]:
    """Configuration D."""
    found: list[Convolution] = []
    channels, size = 3, 224
    for outputs, depth in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(depth):
            found.append(Convolution(f"conv{len(found) + 1}", channels, outputs, size, 3, 1, 1))
            channels = outputs
        size //= 2
    return found


def alexnet() -> list[Convolution]:
    """On one GPU: no groups."""
    return [
        Convolution("conv1", 3, 96, 227, 11, 4),
        Convolution("conv2", 96, 256, 27, 5, 1, 2),
        Convolution("conv3", 256, 384, 13, 3, 1, 1),
        Convolution("conv4", 384, 384, 13, 3, 1, 1),
        Convolution("conv5", 384, 256, 13, 3, 1, 1),
    ]


def resnet(depths: tuple[int, ...], bottleneck: bool) -> list[Convolution]:
    """ResNet with basic blocks or bottlenecks."""
    found, channels, size = [Convolution("conv1", 3, 64, 224, 7, 2, 3)], 64, 56
    for stage, depth in enumerate(depths):
        width, outputs = 64 << stage, 64 << stage + 2 * bottleneck
        for block in range(depth):
            name, stride = f"layer{stage + 1}.{block}", 2 if stage and not block else 1
            if bottleneck:
                found.append(Convolution(f"{name}.conv1", channels, width, size))
                found.append(Convolution(f"{name}.conv2", width, width, size, 3, stride, 1))
                found.append(Convolution(f"{name}.conv3", width, outputs, size // stride))
            else:
                found.append(Convolution(f"{name}.conv1", channels, width, size, 3, stride, 1))
                found.append(Convolution(f"{name}.conv2", width, width, size // stride, 3, 1, 1))
            if channels != outputs:
                found.append(Convolution(f"{name}.downsample", channels, outputs, size, 1, stride))
            channels, size = outputs, size // stride
    return found


INCEPTIONS = """
3a 192 28 64 96 128 16 32 32
3b 256 28 128 128 192 32 96 64
4a 480 14 192 96 208 16 48 64
4b 512 14 160 112 224 24 64 64
4c 512 14 128 128 256 24 64 64
4d 512 14 112 144 288 32 64 64
4e 528 14 256 160 320 32 128 128
5a 832 7 256 160 320 32 128 128
5b 832 7 384 192 384 48 128 128
"""


def googlenet() -> list[Convolution]:
    """GoogLeNet without its auxiliary classifiers."""
    found = [
        Convolution("conv1", 3, 64, 224, 7, 2, 3),
        Convolution("conv2", 64, 64, 56),
        Convolution("conv3", 64, 192, 56, 3, 1, 1),
    ]
    for line in INCEPTIONS.split("\n")[1:-1]:
        name, *numbers = line.split()
        channels, size, one, squeezed3, three, squeezed5, five, pool = map(int, numbers)
        found += [
            Convolution(f"{name}.1x1", channels, one, size),
            Convolution(f"{name}.3x3-reduce", channels, squeezed3, size),
            Convolution(f"{name}.3x3", squeezed3, three, size, 3, 1, 1),
            Convolution(f"{name}.5x5-reduce", channels, squeezed5, size),
            Convolution(f"{name}.5x5", squeezed5, five, size, 5, 1, 2),
            Convolution(f"{name}.pool", channels, pool, size),
        ]
    return found


def squeezenet() -> list[Convolution]:
    """SqueezeNet 1.1."""
    found, channels, size = [Convolution("conv1", 3, 64, 224, 3, 2)], 64, 55
    for fire, (squeezed, expanded) in enumerate(
        ((16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256)), start=2
    ):
        size = {4: 27, 6: 13}.get(fire, size)
        found.append(Convolution(f"fire{fire}.squeeze", channels, squeezed, size))
        found.append(Convolution(f"fire{fire}.expand1x1", squeezed, expanded, size))
        found.append(Convolution(f"fire{fire}.expand3x3", squeezed, expanded, size, 3, 1, 1))
        channels = 2 * expanded
    return [*found, Convolution("conv10", 512, 1000, 13)]


def mobilenet1() -> list[Convolution]:
    """MobileNet v1 (width 1, 224 x 224)."""
    found, channels, size = [Convolution("conv1", 3, 32, 224, 3, 2, 1)], 32, 112
    strides = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)
    widths = (64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024)
    for k, (stride, outputs) in enumerate(zip(strides, widths, strict=True), start=2):
        found.append(Convolution(f"conv{k}.depthwise", channels, channels, size, 3, stride, 1, channels))
        size //= stride
        found.append(Convolution(f"conv{k}.pointwise", channels, outputs, size))
        channels = outputs
    return found


# Expansion, channels, blocks, stride of the first.
INVERTED = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


def mobilenet2() -> list[Convolution]:
    """MobileNet v2 (width 1, 224 x 224)."""
    return [found for found, _ in _mobilenet2()]


def _mobilenet2() -> list[tuple[Convolution, bool]]:
    """Its convolutions, and which of them add what the block began with."""
    found, channels, size = [(Convolution("conv1", 3, 32, 224, 3, 2, 1), False)], 32, 112
    block = 0
    for expansion, outputs, count, first in INVERTED:
        for k in range(count):
            block, stride, wide = block + 1, 1 if k else first, expansion * channels
            name = f"block{block}"
            if expansion > 1:
                found.append((Convolution(f"{name}.expand", channels, wide, size), False))
            found.append((Convolution(f"{name}.depthwise", wide, wide, size, 3, stride, 1, wide), False))
            size //= stride
            found.append((Convolution(f"{name}.project", wide, outputs, size), channels == outputs and stride == 1))
            channels = outputs
    return [*found, (Convolution("conv18", channels, 1280, size), False)]


def mobilenet2_network() -> IntegerNetwork:
    """MobileNet v2 whole: convolutions, additions, pooling and classifier, with weights of a fixed seed."""
    build, at, began = Builder(224, "x"), "x", "x"
    for c, adds in _mobilenet2():
        if c.name.endswith(("expand", "block1.depthwise")):
            began = at
        at = build.conv(c.name, at, c.outputs, c.window, began if adds else None, c.groups)
    at = build.pool("pool", at, Window((7, 7)), average=True)
    at = build.conv("classifier", at, 1000, Window((1, 1)))
    return IntegerNetwork("mobilenet-v2", "x", at, build.tensors, tuple(build.layers))


NETWORKS: dict[str, Callable[[], list[Convolution]]] = {
    "vgg-16": vgg16,
    "resnet-18": lambda: resnet((2, 2, 2, 2), False),
    "resnet-50": lambda: resnet((3, 4, 6, 3), True),
    "googlenet": googlenet,
    "squeezenet-1.1": squeezenet,
    "alexnet": alexnet,
    "mobilenet-v1": mobilenet1,
    "mobilenet-v2": mobilenet2,
}
