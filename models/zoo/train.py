"""Training of the zoo's networks on MNIST, with torch (the extra `train`).

The training set is not part of the project: the user names a folder with its IDX files.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from accel.models.errors import InputError
from accel.models.exchange import onnx_write
from accel.models.graph import Network
from accel.models.training.fit import Progress, Schedule, fit
from accel.models.training.images import read_images
from accel.models.training.torch_module import torch
from accel.models.zoo.architectures import LENETS


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
    if name not in LENETS:
        raise InputError(f"network must be one of {', '.join(LENETS)}, not {name!r}")
    schedule = Schedule(epochs)
    torch()
    data = read_images(data_folder, validation)
    out = Path(out)
    if not out.parent.is_dir() or not os.access(out.parent, os.W_OK):
        raise InputError(f"{out.parent} must be a folder that can be written")
    network = LENETS[name](np.random.default_rng(seed))
    state_file = out.with_name(out.name + ".state")
    trained = fit(network, data, schedule, seed=seed, state_file=state_file, progress=progress)
    onnx_write.write(trained, out)
    return trained
