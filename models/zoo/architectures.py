"""Networks of the literature that classify images of ImageNet, as architectures: the layers are the published ones.

The weights are random, or those of an ONNX file. All end at the logits. The LeNets, which are trained here, are chains
of layers; the others sketches (`accel.models.zoo.sketch`), which count what the papers count.
"""

from __future__ import annotations

import numpy as np

from accel.models.build import Chain
from accel.models.graph import Network
from accel.models.window import Window
from accel.models.zoo.sketch import Sketch

GREY = (1, 28, 28)
CLASSES = 1000


def lenet5(random: np.random.Generator | None) -> Network:
    """LeNet-5 as in Caffe: 431,080 parameters, no ReLU after the convolutions; input (1, 28, 28)."""
    pool = Window((2, 2), (2, 2))
    chain = Chain(random, GREY, he=False)
    chain.conv("conv1", 20, Window((5, 5)))
    chain.pool("pool1", pool)
    chain.conv("conv2", 50, Window((5, 5)))
    chain.pool("pool2", pool)
    chain.flatten()
    chain.linear("ip1", 500, relu="relu1")
    chain.linear("ip2", 10, tensor="logits")
    return chain.network("lenet-5")


def lenet_300_100(random: np.random.Generator | None) -> Network:
    """LeNet-300-100: three fully connected layers, 266,610 parameters; input (1, 28, 28)."""
    chain = Chain(random, GREY, he=False)
    chain.flatten()
    chain.linear("ip1", 300, relu="relu1")
    chain.linear("ip2", 100, relu="relu2")
    chain.linear("ip3", 10, tensor="logits")
    return chain.network("lenet-300-100")


LENETS = {"lenet-5": lenet5, "lenet-300-100": lenet_300_100}  # those that `accel train` trains


def alexnet(lrn: bool = False) -> Sketch:
    """AlexNet as in Caffe (one GPU, conv2, conv4 and conv5 in two groups): 60,965,224 parameters; input (3, 227, 227).

    Source: Krizhevsky et al., NIPS 2012; bvlc_alexnet of Caffe. With `lrn` the two local response normalisations stand
    behind relu1 and relu2; they hold no parameters.
    """
    s = Sketch((3, 227, 227))
    s.conv("conv1", 96, 11, 4, named="relu1")
    if lrn:
        s.normalise("norm1")
    s.pool("pool1", 3, 2)
    s.conv("conv2", 256, 5, pads=2, groups=2, named="relu2")
    if lrn:
        s.normalise("norm2")
    s.pool("pool2", 3, 2)
    s.conv("conv3", 384, 3, pads=1, named="relu3")
    s.conv("conv4", 384, 3, pads=1, groups=2, named="relu4")
    s.conv("conv5", 256, 3, pads=1, groups=2, named="relu5")
    s.pool("pool5", 3, 2)
    _classifier(s)
    return s


def alexnet_torchvision() -> Sketch:
    """AlexNet as in torchvision (Krizhevsky, arXiv 1404.5997): 61,100,840 parameters; input (3, 224, 224)."""
    s = Sketch((3, 224, 224))
    s.conv("conv1", 64, 11, 4, pads=2)
    s.pool("pool1", 3, 2)
    s.conv("conv2", 192, 5, pads=2)
    s.pool("pool2", 3, 2)
    s.conv("conv3", 384, 3, pads=1)
    s.conv("conv4", 256, 3, pads=1)
    s.conv("conv5", 256, 3, pads=1)
    s.pool("pool5", 3, 2)
    _classifier(s)
    return s


def vgg16() -> Sketch:
    """VGG-16 (configuration D): 138,357,544 parameters; input (3, 224, 224).

    Source: Simonyan & Zisserman, arXiv 1409.1556, table 1.
    """
    s = Sketch((3, 224, 224))
    vgg_features(s)
    _classifier(s)
    return s


VGG_BLOCKS = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))  # channels, convolutions


def vgg_features(s: Sketch, first_pads: int = 1, ceil: bool = False) -> None:
    """The thirteen convolutions and five poolings of VGG-16."""
    for block, (channels, depth) in enumerate(VGG_BLOCKS, start=1):
        for i in range(1, depth + 1):
            pads = first_pads if block == i == 1 else 1
            s.conv(f"conv{block}_{i}", channels, 3, pads=pads, named=f"relu{block}_{i}")
        s.pool(f"pool{block}", 2, 2, ceil=ceil)


# Of GoogLeNet's inception modules: 1x1, 3x3 reduced, 3x3, 5x5 reduced, 5x5, behind the pooling.
INCEPTION = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}


def googlenet(caffe: bool = False) -> Sketch:
    """GoogLeNet without its auxiliary classifiers; input (3, 224, 224).

    Source: Szegedy et al., arXiv 1409.4842, table 1. As in torchvision (batch normalisation, 3 x 3 where the paper has
    5 x 5, poolings whose size is rounded up): 6,624,904 parameters. `caffe`: as bvlc_googlenet of Caffe, with 5 x 5,
    biases and two local response normalisations: 6,998,552.
    """
    s = Sketch((3, 224, 224))
    wide, norm = (5, False) if caffe else (3, True)

    def conv(name: str, channels: int, kernel: int, stride: int = 1, source: str = "") -> str:
        return s.conv(name, channels, kernel, stride, pads=kernel // 2, norm=norm, source=source)

    conv("conv1", 64, 7, 2)
    s.pool("pool1", 3, 2, ceil=True)
    if caffe:
        s.normalise("norm1")
    conv("conv2_reduce", 64, 1)
    conv("conv2", 192, 3)
    if caffe:
        s.normalise("norm2")
    s.pool("pool2", 3, 2, ceil=True)
    for name, (one, reduce3, three, reduce5, five, pooled) in INCEPTION.items():
        source = s.last
        parts = [conv(f"{name}_1x1", one, 1, source=source)]
        conv(f"{name}_3x3_reduce", reduce3, 1, source=source)
        parts.append(conv(f"{name}_3x3", three, 3))
        conv(f"{name}_5x5_reduce", reduce5, 1, source=source)
        parts.append(conv(f"{name}_5x5", five, wide))
        s.pool(f"{name}_pool", 3, 1, pads=1, source=source)
        parts.append(conv(f"{name}_pool_proj", pooled, 1))
        s.concat(f"{name}_output", parts)
        if name in ("3b", "4e"):
            s.pool(f"pool{name[0]}", *((3, 2) if caffe or name == "3b" else (2, 2)), ceil=True)
    return _pooled_classifier(s)


def squeezenet(minor: int) -> Sketch:
    """SqueezeNet 1.`minor` as in torchvision; input (3, 224, 224).

    Source: Iandola et al., arXiv 1602.07360; 1.1 is of the authors' repository. 1,248,424 and 1,235,496 parameters.
    """
    s = Sketch((3, 224, 224))
    s.conv("conv1", *((96, 7, 2), (64, 3, 2))[minor])
    s.pool("pool1", 3, 2, ceil=True)
    pools = ((4, 8), (3, 5))[minor]
    for fire, squeezed in enumerate((16, 16, 32, 32, 48, 48, 64, 64), start=2):
        s.conv(f"fire{fire}_squeeze", squeezed, 1)
        source = s.last
        wide = [
            s.conv(f"fire{fire}_expand{k}", 4 * squeezed, k, pads=k // 2, source=source) for k in (1, 3)
        ]  # fmt: skip
        s.concat(f"fire{fire}", wide)
        if fire in pools:
            s.pool(f"pool{fire}", 3, 2, ceil=True)
    s.conv("conv10", CLASSES, 1)
    s.global_average("pool10")
    s.flatten()
    return s


def resnet(depth: int) -> Sketch:
    """ResNet-18 or ResNet-50 as in torchvision; input (3, 224, 224): 11,689,512 and 25,557,032 parameters.

    Source: He et al., arXiv 1512.03385, table 1; the stride of a bottleneck is in its 3 x 3 (version 1.5).
    """
    blocks, bottleneck = {18: ((2, 2, 2, 2), False), 50: ((3, 4, 6, 3), True)}[depth]
    s = Sketch((3, 224, 224))
    s.conv("conv1", 64, 7, 2, pads=3, norm=True)
    s.pool("pool1", 3, 2, pads=1)
    for stage, count in enumerate(blocks):
        inner = 64 << stage
        outer = 4 * inner if bottleneck else inner
        for block in range(count):
            stride = 2 if stage and not block else 1
            name, source = f"layer{stage + 1}.{block}", s.last
            if bottleneck:
                s.conv(f"{name}.conv1", inner, 1, norm=True)
                s.conv(f"{name}.conv2", inner, 3, stride, pads=1, norm=True)
                made = s.conv(f"{name}.conv3", outer, 1, norm=True, act="")
            else:
                s.conv(f"{name}.conv1", inner, 3, stride, pads=1, norm=True)
                made = s.conv(f"{name}.conv2", outer, 3, pads=1, norm=True, act="")
            if s.shapes[source] != s.shapes[made]:
                source = s.conv(f"{name}.downsample", outer, 1, stride, norm=True, act="", source=source)
            s.add(name, made, source, act="relu")
    return _pooled_classifier(s)


def mobilenet_v1() -> Sketch:
    """MobileNet 1.0 at 224, with the original's "same" padding: 4,231,976 parameters; input (3, 224, 224).

    Source: Howard et al., arXiv 1704.04861, table 1.
    """
    s = Sketch((3, 224, 224))
    s.conv("conv0", 32, 3, 2, pads="same", norm=True, act="relu6")
    plan = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *((512, 1),) * 5, (1024, 2), (1024, 1))
    for i, (channels, stride) in enumerate(plan, start=1):
        inputs = s.shapes[s.last][0]
        s.conv(f"conv{i}_dw", inputs, 3, stride, pads="same", groups=inputs, norm=True, act="relu6")
        s.conv(f"conv{i}_pw", channels, 1, norm=True, act="relu6")
    return _pooled_classifier(s)


def mobilenet_v2() -> Sketch:
    """MobileNet v2 1.0 at 224 as in torchvision: 3,504,872 parameters; input (3, 224, 224).

    Source: Sandler et al., arXiv 1801.04381, table 2.
    """
    s = Sketch((3, 224, 224))
    s.conv("conv0", 32, 3, 2, pads=1, norm=True, act="relu6")
    plan = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
    return _inverted_residuals(s, tuple((*row, 3) for row in plan), pads=1)


def efficientnet_lite0() -> Sketch:
    """EfficientNet-Lite0, with TensorFlow's "same" padding: 4,652,008 parameters; input (3, 224, 224).

    Source: Tan & Le, arXiv 1905.11946, table 1, without squeeze-and-excite and with ReLU6: tensorflow/tpu,
    models/official/efficientnet/lite.
    """
    s = Sketch((3, 224, 224))
    s.conv("conv0", 32, 3, 2, pads="same", norm=True, act="relu6")
    plan = (
        (1, 16, 1, 1, 3), (6, 24, 2, 2, 3), (6, 40, 2, 2, 5), (6, 80, 3, 2, 3),
        (6, 112, 3, 1, 5), (6, 192, 4, 2, 5), (6, 320, 1, 1, 3),
    )  # fmt: skip
    return _inverted_residuals(s, plan, pads="same")


def _inverted_residuals(s: Sketch, plan: tuple[tuple[int, int, int, int, int], ...], pads: int | str) -> Sketch:
    """Blocks of (expansion, channels, repetitions, first stride, kernel), then 1280 channels and the classifier."""
    number = 0
    for expansion, channels, repetitions, first, kernel in plan:
        for i in range(repetitions):
            number += 1
            source, stride = s.last, first if i == 0 else 1
            inputs = s.shapes[source][0]
            inner = expansion * inputs
            if expansion > 1:
                s.conv(f"block{number}_expand", inner, 1, norm=True, act="relu6")
            s.conv(f"block{number}_dw", inner, kernel, stride, pads, groups=inner, norm=True, act="relu6")
            made = s.conv(f"block{number}_project", channels, 1, norm=True, act="")
            if s.shapes[source] == s.shapes[made]:
                s.add(f"block{number}", source, made)
    s.conv("conv_last", 1280, 1, norm=True, act="relu6")
    return _pooled_classifier(s)


def _pooled_classifier(s: Sketch) -> Sketch:
    """Global average pooling and one fully connected layer."""
    s.global_average("pool")
    s.flatten()
    s.linear("fc", CLASSES)
    return s


def _classifier(s: Sketch) -> None:
    """fc6, fc7 and fc8 of AlexNet and VGG."""
    s.flatten()
    s.linear("fc6", 4096, act="relu", named="relu6")
    s.linear("fc7", 4096, act="relu", named="relu7")
    s.linear("fc8", CLASSES)
