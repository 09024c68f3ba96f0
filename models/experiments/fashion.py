"""What both experiments on Fashion-MNIST begin with: a small VGG (Simonyan & Zisserman, arXiv 1409.1556)."""

from __future__ import annotations

import numpy as np

from accel.models.compress.students import GREY, initial
from accel.models.experiments.runs import Runs, trained
from accel.models.graph import Activation, Conv, Layer, Linear, Network, Pool, Reshape, build
from accel.models.training.fit import Schedule
from accel.models.window import Window

BLOCKS = (24, 48, 96)
HIDDEN = 128
SCHEDULE = Schedule(
    epochs=16,
    learning_rate=0.04,
    batch=128,
    weight_decay=3e-4,
    shift=1,
    mirror=True,
    dropout=0.3,
    warm_up=1,
    bfloat16=True,
)


def vgg(blocks: tuple[int, ...], hidden: int, random: np.random.Generator) -> Network:
    """Blocks of two 3 x 3 convolutions of so many channels and a pooling, one hidden layer, ten classes.

    Input (1, 28, 28); weights as He et al., arXiv 1502.01852, equation 10; no batch normalisation.
    """
    layers: list[Layer] = []
    tensor, (depth, height, width) = "image", GREY
    for i, channels in enumerate(blocks, 1):
        for j in (1, 2):
            name = f"conv{i}_{j}"
            drawn = initial(random, channels, depth, 3, 3, relu=True)
            layers.append(Conv(name, (tensor,), name, *drawn, Window((3, 3), pads=(1, 1, 1, 1))))
            layers.append(Activation(f"relu{i}_{j}", (name,), f"relu{i}_{j}"))
            tensor, depth = f"relu{i}_{j}", channels
        layers.append(Pool(f"pool{i}", (tensor,), f"pool{i}", "max", Window((2, 2), (2, 2))))
        tensor, height, width = f"pool{i}", height // 2, width // 2
    features = depth * height * width
    layers.append(Reshape("flatten", (tensor,), "flatten", (features,)))
    layers.append(Linear("ip1", ("flatten",), "ip1", *initial(random, hidden, features, relu=True)))
    layers.append(Activation("ip1_relu", ("ip1",), "ip1_relu"))
    layers.append(Linear("ip2", ("ip1_relu",), "logits", *initial(random, 10, hidden, relu=False)))
    return build("vgg", "image", GREY, tuple(layers))


def trained_vgg(runs: Runs) -> Network:
    """The small VGG that is urban's teacher and kim's original, trained unless the folder has it."""
    return trained(runs, "vgg", vgg(BLOCKS, HIDDEN, np.random.default_rng(0)), SCHEDULE)
