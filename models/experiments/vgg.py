"""What two experiments begin with: a small VGG (Simonyan & Zisserman, arXiv 1409.1556)."""

from __future__ import annotations

import numpy as np

from accel.models.build import Chain
from accel.models.compress.students import GREY
from accel.models.experiments.runs import Runs, trained
from accel.models.graph import Network, Shape
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


def vgg(blocks: tuple[int, ...], hidden: int, random: np.random.Generator, image: Shape = GREY) -> Network:
    """Blocks of two 3 x 3 convolutions of so many channels and a pooling, one hidden layer, ten classes.

    `image` is the shape of the input; no batch normalisation.
    """
    chain = Chain(random, image)
    for i, channels in enumerate(blocks, 1):
        for j in (1, 2):
            window = Window((3, 3), pads=(1, 1, 1, 1))
            chain.conv(f"conv{i}_{j}", channels, window, relu=f"relu{i}_{j}")
        chain.pool(f"pool{i}", Window((2, 2), (2, 2)))
    chain.flatten()
    chain.linear("ip1", hidden, relu="ip1_relu")
    chain.linear("ip2", 10, tensor="logits")
    return chain.network("vgg")


def trained_vgg(runs: Runs) -> Network:
    """The small VGG that is urban's teacher and kim's original, trained unless the folder has it."""
    return trained(runs, "vgg", vgg(BLOCKS, HIDDEN, np.random.default_rng(0), runs.image), SCHEDULE)
