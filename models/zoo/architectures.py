"""Networks of the literature as architectures: the layers are the published ones, the weights are random.

The LeNets are trained here; the large ones serve to count, to compile and to simulate. All end at the logits.
"""

from __future__ import annotations

import numpy as np

from accel.models.build import Chain
from accel.models.errors import InputError
from accel.models.graph import Network
from accel.models.window import Window

GREY = (1, 28, 28)


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


def alexnet(random: np.random.Generator | None) -> Network:
    """AlexNet as in Caffe (one GPU, conv2, conv4 and conv5 in two groups): 60,965,224 parameters; input (3, 227, 227).

    Source: Krizhevsky et al., NIPS 2012; bvlc_alexnet of Caffe. The two local response normalisations (after relu1 and
    relu2) are left out: `accel.models.graph` has no such layer. They hold no parameters.
    """
    pool = Window((3, 3), (2, 2))
    chain = Chain(random, (3, 227, 227))
    chain.conv("conv1", 96, Window((11, 11), (4, 4)), relu="relu1")
    chain.pool("pool1", pool)
    chain.conv("conv2", 256, Window((5, 5), pads=(2, 2, 2, 2)), groups=2, relu="relu2")
    chain.pool("pool2", pool)
    chain.conv("conv3", 384, Window((3, 3), pads=(1, 1, 1, 1)), relu="relu3")
    chain.conv("conv4", 384, Window((3, 3), pads=(1, 1, 1, 1)), groups=2, relu="relu4")
    chain.conv("conv5", 256, Window((3, 3), pads=(1, 1, 1, 1)), groups=2, relu="relu5")
    chain.pool("pool5", pool)
    _classifier(chain)
    return chain.network("alexnet")


def vgg16(random: np.random.Generator | None) -> Network:
    """VGG-16 (configuration D): 138,357,544 parameters; input (3, 224, 224).

    Source: Simonyan & Zisserman, arXiv 1409.1556, table 1.
    """
    chain = Chain(random, (3, 224, 224))
    for block, (channels, depth) in enumerate(((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)), start=1):
        for i in range(1, depth + 1):
            chain.conv(f"conv{block}_{i}", channels, Window((3, 3), pads=(1, 1, 1, 1)), relu=f"relu{block}_{i}")
        chain.pool(f"pool{block}", Window((2, 2), (2, 2)))
    _classifier(chain)
    return chain.network("vgg-16")


LENETS = {"lenet-5": lenet5, "lenet-300-100": lenet_300_100}  # those that `accel train` trains
ARCHITECTURES = {"alexnet": alexnet, "vgg-16": vgg16}


def architecture(name: str, seed: int | None = 0) -> Network:
    """The architecture `name` (one of ARCHITECTURES) with random weights, the same for the same seed.

    Weights are those of `accel.models.build.initial`. Without a seed they are zeros that take no memory, for those who
    want the shapes alone.
    Raises InputError for another name.
    """
    if name not in ARCHITECTURES:
        raise InputError(f"architecture must be one of {', '.join(ARCHITECTURES)}, not {name!r}")
    return ARCHITECTURES[name](None if seed is None else np.random.default_rng(seed))


def _classifier(chain: Chain) -> None:
    """fc6, fc7 and fc8 of both networks."""
    chain.flatten()
    chain.linear("fc6", 4096, relu="relu6")
    chain.linear("fc7", 4096, relu="relu7")
    chain.linear("fc8", 1000)
