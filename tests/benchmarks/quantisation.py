"""int8 against float and against ONNX Runtime: `python -m tests.benchmarks.quantisation [--mlperf-tiny FOLDER] ...`

For each network the share of test inputs on which int8 says the same class as float (agreement), and the accuracy
where there are labels: of ONNX Runtime's static quantisation with weights by channel, of ours by each method, and of
ours with weights shared with 8 and 6 bits. All are calibrated on the same inputs.

- With --mlperf-tiny (models and samples as in its README): ResNet-8, DS-CNN and MobileNet, from their float files, on
  inputs as in `tests.benchmarks.tiny`.
- `lite0`: EfficientNet-Lite0 with its published weights on crops of scikit-image's photographs, drawn by a seed: 16 to
  calibrate on, 48 to test.
- With --network FILE.onnx, --calibration and --test FILE.npy (--labels FILE.npy): any other.

--only NAMES runs some of them; --method METHODS, as `accel quantise --quantisation` takes them, replaces ours. Status 1
if fewer classes of the network by the method `best` agree with float than of ONNX Runtime's.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from accel.models.compress.share import share
from accel.models.parting import parted
from accel.models.quantisation import method as methods
from accel.models.quantisation.quantise import quantise
from accel.models.reference import float32
from tests.benches import published, published_weights
from tests.benchmarks import tiny
from tests.benchmarks.tiny import Array

METHODS = ("min-max", "percentile", "mse", "min-max,equalise", "mse,equalise", "best", "min-max,plain-biases")
TINY = ("resnet-8", "ds-cnn", "mobilenet-v1-0.25")
LITE0 = "lite0"
SHARED_BITS = (8, 6)
CROPS, CALIBRATED, TESTED, LEAST_PIXELS = 4, 16, 48, 200


@dataclass(frozen=True)
class Case:
    """A network in a file, inputs as the file takes them, and labels (n,) of those that test if there are any."""

    name: str
    file: Path
    calibration: Array
    test: Array
    labels: Array | None = None


def tiny_case(folder: Path, name: str) -> Case:
    """One of MLPerf Tiny."""
    inputs, labels = tiny.samples(folder, name)
    calibration, rest = tiny.parts(folder, name, inputs)
    file = folder / f"{tiny.NETWORKS[name].floating}.tflite"
    return Case(name, file, calibration, inputs[rest], labels[rest])


def crops() -> Array:
    """Squares out of scikit-image's photographs, (n, 3, 224, 224) as EfficientNet-Lite0 reads them, in random order."""
    folder, rng, found = published_weights.folder_of("skimage") / "data", np.random.default_rng(0), []
    for path in sorted(p for p in folder.iterdir() if p.suffix in (".png", ".jpg")):
        with Image.open(path) as image:
            if image.mode not in ("RGB", "L", "RGBA") or min(image.size) < LEAST_PIXELS:
                continue
            whole = image.convert("RGB")
        for _ in range(CROPS):
            side = int(min(whole.size) * rng.uniform(0.5, 1))
            left, top = (int(rng.integers(0, extent - side + 1)) for extent in whole.size)
            part = whole.crop((left, top, left + side, top + side)).resize((224, 224), Image.Resampling.BICUBIC)
            found.append(np.asarray(part))
    scaled = (np.stack(found).astype(np.float32) - 127) / 128
    return np.ascontiguousarray(scaled.transpose(0, 3, 1, 2)[rng.permutation(len(scaled))])


def lite0_case(folder: Path) -> Case:
    """EfficientNet-Lite0, its file written to `folder`."""
    inputs = crops()
    file = published_weights.efficientnet_lite0(folder / "lite0.onnx")
    return Case(LITE0, file, inputs[:CALIBRATED], inputs[CALIBRATED : CALIBRATED + TESTED])


def classes(outputs: Array) -> Array:
    """What outputs (n, ...) say."""
    return outputs.reshape(len(outputs), -1).argmax(1)


def rows(case: Case, chosen: Sequence[str], bits: Sequence[int]) -> Iterator[tuple[str, float, float | None]]:
    """Who, the agreement with float and the accuracy in percent; float first, ONNX Runtime second."""
    network = parted.read(case.file)
    plain = classes(float32.run(network, tiny.entered(network, case.test)))
    calibration = tiny.entered(network, case.calibration)

    def row(who: str, found: Array) -> tuple[str, float, float | None]:
        right = None if case.labels is None else float(100 * (found == case.labels).mean())
        return who, float(100 * (found == plain).mean()), right

    yield row("float", plain)
    yield row("ONNX Runtime", classes(published.theirs_in_int8(case.file, case.calibration, case.test)[0]))
    for text in chosen:
        integer = quantise(network, calibration, method=methods.parse(text))
        yield row(text, classes(tiny.in_int8(network, integer)(case.test)))
    for count in bits:
        integer = share(network, calibration, count)
        yield row(f"shared, {count} bits", classes(tiny.in_int8(network, integer)(case.test)))


def cases(options: argparse.Namespace, folder: Path) -> Iterator[Case]:
    """What the command line asks for."""
    if options.network:
        labels = np.load(options.labels) if options.labels else None
        yield Case(options.network.stem, options.network, np.load(options.calibration), np.load(options.test), labels)
        return
    for name in options.only or (*(TINY if options.mlperf_tiny else ()), LITE0):
        yield lite0_case(folder) if name == LITE0 else tiny_case(options.mlperf_tiny, name)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a line for each row; the status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("--mlperf-tiny", "--network", "--calibration", "--test", "--labels"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--only", nargs="+", choices=(*TINY, LITE0))
    parser.add_argument("--method", nargs="+", default=METHODS)
    parser.add_argument("--shared", nargs="*", type=int, default=SHARED_BITS)
    options = parser.parse_args(arguments)
    logging.disable(logging.WARNING)  # of what ONNX Runtime advises
    worse = False
    print(f"{'network':18} {'inputs':>6} {'int8 by':22} {'agreement, %':>12} {'accuracy, %':>11}")
    with tempfile.TemporaryDirectory() as folder:
        for case in cases(options, Path(folder)):
            theirs = 0.0
            for who, agreement, accuracy in rows(case, options.method, options.shared):
                shown = "" if accuracy is None else f"{accuracy:.1f}"
                print(f"{case.name:18} {len(case.test):6} {who:22} {agreement:12.1f} {shown:>11}", flush=True)
                theirs = agreement if who == "ONNX Runtime" else theirs
                worse |= who == methods.BEST and agreement < theirs
    return int(worse)


if __name__ == "__main__":
    sys.exit(main())
