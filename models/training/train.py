"""Training of the zoo's networks on MNIST, with torch (the extra `train`).

The training set is not part of the project: the user names a folder with its IDX files.
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel.models.errors import InputError
from accel.models.exchange import onnx_write
from accel.models.graph import Activation, Conv, Linear, Network, Pool, Reshape, build
from accel.models.training.fit import Progress, Schedule, fit
from accel.models.training.images import read_images
from accel.models.training.torch_module import torch
from accel.models.window import Window

Array = NDArray[Any]


def lenet5(random: np.random.Generator) -> Network:
    """LeNet-5 as in Caffe: 431,080 parameters, no ReLU after the convolutions; input (1, 28, 28)."""
    pool = Window((2, 2), (2, 2))
    return build(
        "lenet-5",
        "image",
        (1, 28, 28),
        (
            Conv("conv1", ("image",), "conv1", *_initial(random, 20, 1, 5, 5), Window((5, 5))),
            Pool("pool1", ("conv1",), "pool1", "max", pool),
            Conv("conv2", ("pool1",), "conv2", *_initial(random, 50, 20, 5, 5), Window((5, 5))),
            Pool("pool2", ("conv2",), "pool2", "max", pool),
            Reshape("flatten", ("pool2",), "flatten", (800,)),
            Linear("ip1", ("flatten",), "ip1", *_initial(random, 500, 800)),
            Activation("relu1", ("ip1",), "relu1"),
            Linear("ip2", ("relu1",), "logits", *_initial(random, 10, 500)),
        ),
    )


def lenet_300_100(random: np.random.Generator) -> Network:
    """LeNet-300-100: three fully connected layers, 266,610 parameters; input (1, 28, 28)."""
    return build(
        "lenet-300-100",
        "image",
        (1, 28, 28),
        (
            Reshape("flatten", ("image",), "flatten", (784,)),
            Linear("ip1", ("flatten",), "ip1", *_initial(random, 300, 784)),
            Activation("relu1", ("ip1",), "relu1"),
            Linear("ip2", ("relu1",), "ip2", *_initial(random, 100, 300)),
            Activation("relu2", ("ip2",), "relu2"),
            Linear("ip3", ("relu2",), "logits", *_initial(random, 10, 100)),
        ),
    )


ARCHITECTURES = {"lenet-5": lenet5, "lenet-300-100": lenet_300_100}


def _initial(random: np.random.Generator, *shape: int) -> tuple[Array, Array]:
    """Weights of variance 1 / fan-in, and zeros for the bias."""
    weights = random.standard_normal(shape) / math.sqrt(math.prod(shape[1:]))
    return weights.astype(np.float32), np.zeros(shape[0], np.float32)


def train(
    name: str,
    data_folder: str | Path,
    out: str | Path,
    seed: int = 0,
    epochs: int = 10,
    progress: Progress | None = None,
    validation: bool = False,
) -> Network:
    """Train network `name` on the MNIST files in `data_folder` and save it as the ONNX file `out`.

    After each epoch the whole state goes to `out` + ".state"; a second call with the same name, seed and
    epochs goes on from there, and the state is removed at the end. `progress` is called after each epoch. With
    `validation` the last sixth of the training images is not learnt, and judges instead of the test set.

    Raises InputError for an unknown name, a missing or damaged data file, a state of another run, a
    folder that cannot be written, or when torch is not installed.
    """
    if name not in ARCHITECTURES:
        raise InputError(f"network must be one of {', '.join(ARCHITECTURES)}, not {name!r}")
    schedule = Schedule(epochs)
    torch()
    data = read_images(data_folder, validation)
    out = Path(out)
    if not out.parent.is_dir() or not os.access(out.parent, os.W_OK):
        raise InputError(f"{out.parent} must be a folder that can be written")
    network = ARCHITECTURES[name](np.random.default_rng(seed))
    state_file = out.with_name(out.name + ".state")
    trained = fit(network, data, schedule, seed=seed, state_file=state_file, progress=progress)
    onnx_write.write(trained, out)
    return trained
