"""Networks and data that come with the project: trained checkpoints, the MNIST test set, calibration images.

`load` gives trained networks, `architecture` those of the literature with random weights.

The sources and licences are in `data/README.md`.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from accel.models.encode import encoded_file
from accel.models.encode.encoded import decode
from accel.models.errors import InputError, printable
from accel.models.exchange import onnx_read
from accel.models.graph import Network, Shape
from accel.models.integers.network import IntegerNetwork
from accel.models.parting import parted
from accel.models.quantisation.quantise import quantise
from accel.models.training.idx import read_idx
from accel.models.zoo.networks import ARCHITECTURES as ARCHITECTURES
from accel.models.zoo.networks import architecture as architecture

__all__ = [
    "ALL",
    "ARCHITECTURES",
    "COMPRESSED",
    "NAMES",
    "TINY",
    "architecture",
    "compressed",
    "integer_network",
    "load",
    "mnist_calibration",
    "mnist_test",
    "names",
    "preprocess",
    "resolve",
    "trained_on_mnist",
]

DATA = Path(__file__).parent / "data"
NAMES = ("lenet-5", "lenet-300-100")
TINY = ("resnet-8", "ds-cnn", "mobilenet-v1-0.25", "autoencoder")  # MLPerf Tiny's, quantised by their authors
# What the recipes beside this file made of them, see data/README.md.
COMPRESSED: dict[str, tuple[str, ...]] = {
    "lenet-5": (
        "2of4",
        "pruned",
        "deep",
        "grid",
        "channels",
        "tucker",
        "tucker-deep",
        "tucker-grid",
        "for-edge",
        "distilled",
        "logits",
    ),
    "lenet-300-100": ("deep",),
}


ALL = (*NAMES, *TINY, *ARCHITECTURES)  # what `resolve` knows by name


def names() -> tuple[str, ...]:
    """The names that `load` knows."""
    return NAMES


def compressed(name: str) -> tuple[str, ...]:
    """The compressed versions of the trained network `name` that `load` gives as NAME-VERSION."""
    return COMPRESSED.get(name, ())


def _compressed_names() -> tuple[str, ...]:
    return tuple(f"{network}-{version}" for network in NAMES for version in compressed(network))


def load(name: str) -> Network:
    """The trained network `name`; its input is what `preprocess` returns. Raises InputError for another name."""
    if name in _compressed_names():
        return replace(decode(encoded_file.load(DATA / f"{name}.weights")), name=name)
    if name not in NAMES:
        raise InputError(f"network must be one of {', '.join(NAMES)}, not {name!r}")
    return onnx_read.read(DATA / f"{name}.onnx")


def trained_on_mnist(name: str) -> bool:
    """Whether `load` knows this name: such a network reads what `preprocess` returns."""
    return name in (*NAMES, *_compressed_names())


def resolve(name_or_path: str | Path, input_shape: Shape | None = None) -> Network:
    """The zoo's network of that name, else the file of that path: ONNX, .tflite, or compressed weights (.weights).

    Architectures of the literature have random weights. `input_shape`, without the batch: what an ONNX file leaves
    open. Raises InputError if it is neither, or the file is not a supported network.
    """
    if trained_on_mnist(str(name_or_path)):
        return load(str(name_or_path))
    if str(name_or_path) in TINY:
        return replace(parted.read(DATA / f"{name_or_path}.tflite"), name=str(name_or_path))
    if str(name_or_path) in ARCHITECTURES:
        return architecture(str(name_or_path))
    if not os.path.exists(name_or_path):  # unlike Path.exists, false also for what no file can be called
        known = ", ".join(ALL)
        raise InputError(
            f"network must be one of {known} or an ONNX or .tflite file, and {str(name_or_path)!r} does not exist"
        )
    if Path(name_or_path).suffix == ".int8":
        raise InputError(
            f"{name_or_path} must be a float network here; accel simulate, program and emit read int8 files"
        )
    if Path(name_or_path).suffix == ".csv":
        raise InputError(
            f"{name_or_path} must be a network here, and a list of layers is none: accel simulate and check read it"
        )
    if Path(name_or_path).suffix == ".weights":
        return replace(decode(encoded_file.load(name_or_path)), name=printable(Path(name_or_path).stem))
    return parted.read(name_or_path, input_shape)


def integer_network(name: str) -> IntegerNetwork:
    """`load(name)` quantised on the calibration images."""
    return quantise(load(name), preprocess(mnist_calibration()))


def preprocess(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What the zoo's networks read: pixel / 255, (n, 1, 28, 28), from `images` (n, 28, 28)."""
    return images[:, None].astype(np.float32) / np.float32(255)


def mnist_test() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The MNIST test set: images (10000, 28, 28) and labels (10000,) in 0..9."""
    return read_idx(DATA / "t10k-images-idx3-ubyte.gz"), read_idx(DATA / "t10k-labels-idx1-ubyte.gz")


def mnist_calibration() -> NDArray[np.uint8]:
    """The first 512 images (512, 28, 28) of the MNIST training set: no test image sets a range."""
    return read_idx(DATA / "calibration-images-idx3-ubyte.gz")
