"""Accuracy of MLPerf Tiny's networks: `python -m tests.benchmarks.tiny FOLDER`, of models and samples as in its README.

Each network comes from its float file, calibrated here, and from its int8 file with the file's own scales, and runs on
all samples in float and in the integer reference, whose bytes are the hardware's. Calibration: ResNet-8 on 256 of
CIFAR-10's training images (`../cifar10-jpeg/train.zip` beside FOLDER; JPEGs of 32 x 32), the others on every tenth
sample or recording, which is then left out of that row's accuracy. The autoencoder's score is the mean squared error of
its reconstruction over windows of five frames, every fourth one, and its figure the area under the ROC curve.
Status 1 if a figure is below what is wanted.
"""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from accel.models.graph import Network
from accel.models.integers.network import IntegerNetwork
from accel.models.parting import parted
from accel.models.quantisation.quantise import quantise
from accel.models.reference import float32, int8
from tests.benches.model_networks import with_own_scales

Array = np.ndarray
FRAME, WINDOW, EVERY = 128, 5 * 128, 4
IMAGES, TENTH = 256, 10


@dataclass(frozen=True)
class Tiny:
    """A network: its samples, its float and int8 files, what TFLite's int8 reaches on the samples, and what is wanted.

    Figures are in percent, or areas under the curve in hundredths.
    """

    samples: str
    floating: str
    quantised: str
    theirs: float
    wanted: float


NETWORKS = {
    "resnet-8": Tiny("ic01", "pretrainedResnet", "pretrainedResnet_quant", 85.0, 85.0),
    "ds-cnn": Tiny("kws01", "kws_ref_model_float32", "kws_ref_model", 90.2, 90.0),
    "mobilenet-v1-0.25": Tiny("vww01", "vww_96_float", "vww_96_int8", 84.6, 84.2),
    "autoencoder": Tiny("ad01", "ad01_fp32", "ad01_int8", 85.4, 87.5),
}
POINTS_LOST = 0.5  # of the int8 file's own figure, with the file's own scales


@dataclass(frozen=True)
class Row:
    """The figure of a network from one file on `count` samples, in float and in int8, and the least that is wanted."""

    network: str
    file: str
    count: int
    floating: float
    int8: float
    theirs: float
    wanted: float


def samples(folder: Path, name: str) -> tuple[Array, Array]:
    """Inputs (n, ...) as the float file takes them, and labels (n,)."""
    found = np.load(folder / f"{NETWORKS[name].samples}.npz")
    inputs = found["x"].astype(np.float32)
    if name == "ds-cnn":
        inputs = ((inputs - 83) * np.float32(0.5847029))[..., None]
    return (inputs / np.float32(255) if name.startswith("mobilenet") else inputs), found["y"].reshape(-1)


def entered(network: Network, inputs: Array) -> Array:
    """What the accelerator takes: maps in its order."""
    return network.host.head.run([inputs])[0] if network.host and network.host.head else inputs


def training_archive(folder: Path) -> Path:
    """Where the training images of CIFAR-10 are."""
    return folder.parent / "cifar10-jpeg" / "train.zip"


def training_images(folder: Path) -> Array:
    """Training images of CIFAR-10, (IMAGES, 32, 32, 3), evenly over all classes."""
    with zipfile.ZipFile(training_archive(folder)) as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".jpg"))
        chosen = names[:: len(names) // IMAGES][:IMAGES]
        images = []
        for name in chosen:
            with archive.open(name) as file:
                images.append(np.asarray(Image.open(file)))
    return np.stack(images).astype(np.float32)


def windows(recordings: Array) -> Array:
    """Every fourth window of five frames of recordings (n, values): (n, windows, 640)."""
    found = np.lib.stride_tricks.sliding_window_view(recordings, WINDOW, 1)
    return np.ascontiguousarray(found[:, :: EVERY * FRAME])


def area(scores: Array, labels: Array) -> float:
    """Area under the ROC curve in hundredths: how often an anomaly scores above a normal recording."""
    above = scores[labels == 1][:, None] - scores[labels == 0][None]
    return float(100 * ((above > 0).mean() + 0.5 * (above == 0).mean()))


def figure(name: str, run: Callable[[Array], Array], inputs: Array, labels: Array) -> float:
    """Of a network whose output for inputs (n, ...) is `run`'s."""
    if name != "autoencoder":
        outputs = run(inputs)
        return float(100 * (outputs.reshape(len(outputs), -1).argmax(1) == labels).mean())
    cut = windows(inputs)
    flat = cut.reshape(-1, WINDOW)
    errors = np.square(run(flat).reshape(flat.shape) - flat).mean(1).reshape(cut.shape[:2])
    return area(errors.mean(1), labels)


def in_int8(network: Network, integer: IntegerNetwork) -> Callable[[Array], Array]:
    """The integer reference's outputs as real values."""

    def run(inputs: Array) -> Array:
        codes = int8.run(integer, int8.quantise_input(integer, entered(network, inputs)))[integer.output]
        return int8.dequantise_output(integer, codes)

    return run


def row_of(name: str, file: str, network: Network, integer: IntegerNetwork, inputs: Array, labels: Array) -> Row:
    """A network from one of its files on inputs (n, ...)."""
    tiny = NETWORKS[name]
    plain = figure(name, lambda x: float32.run(network, entered(network, x)), inputs, labels)
    found = figure(name, in_int8(network, integer), inputs, labels)
    wanted = tiny.wanted if file == tiny.floating else tiny.theirs - POINTS_LOST
    return Row(name, file, len(inputs), plain, found, tiny.theirs, wanted)


def parts(folder: Path, name: str, inputs: Array) -> tuple[Array, Array]:
    """Inputs to calibrate a network on, and which of `inputs` (n, ...) then test it: truth values (n,)."""
    rest = np.ones(len(inputs), bool)
    if name == "resnet-8":
        return training_images(folder), rest
    rest[::TENTH] = False
    calibration = inputs[~rest]
    return (windows(calibration).reshape(-1, WINDOW) if name == "autoencoder" else calibration), rest


def rows(folder: Path, names: Sequence[str] = tuple(NETWORKS)) -> Iterator[Row]:
    """Both rows of each network."""
    for name in names:
        tiny, (inputs, labels) = NETWORKS[name], samples(folder, name)
        network = parted.read(folder / f"{tiny.floating}.tflite")
        calibration, rest = parts(folder, name, inputs)
        integer = quantise(network, entered(network, calibration))
        yield row_of(name, tiny.floating, network, integer, inputs[rest], labels[rest])
        network = parted.read(folder / f"{tiny.quantised}.tflite")
        yield row_of(name, tiny.quantised, network, with_own_scales(network), inputs, labels)


def main(arguments: Sequence[str]) -> int:
    """Print a line for each row; the status."""
    if len(arguments) != 1:
        print(__doc__)
        return 2
    missed = False
    print(f"{'network':18} {'file':24} {'samples':>7} {'float':>6} {'int8':>6} {'TFLite int8':>11} {'wanted':>6}")
    for row in rows(Path(arguments[0])):
        missed |= row.int8 < row.wanted
        figures = f"{row.floating:6.1f} {row.int8:6.1f} {row.theirs:11.1f} {row.wanted:6.1f}"
        print(f"{row.network:18} {row.file:24} {row.count:7} {figures}", flush=True)
    return int(missed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
