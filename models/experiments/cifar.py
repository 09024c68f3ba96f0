"""CIFAR-10 for the experiments: the images, and which of them learn, choose and judge."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from accel.models.compress.students import CLASSES, mlp
from accel.models.errors import InputError
from accel.models.experiments.runs import Progress, Runs, open_runs, writable, write_json
from accel.models.files import write_whole
from accel.models.graph import Shape
from accel.models.integers.network import IntegerNetwork
from accel.models.reference import int8
from accel.models.training import fingerprint, image_folders, own_data
from accel.models.training.images import FILES, ImageSet, floats, read_images

IMAGE: Shape = (3, 32, 32)
AT_ONCE = 500  # images
DECODED = "images.npz"  # in the folder of an experiment: the pixels and classes of all image files
PARTS = ("x_train", "y_train", "x_test", "y_test")


def open_either(data: str | Path, out: str | Path, progress: Progress | None, validation: bool) -> Runs:
    """Fashion-MNIST from a folder of IDX files, else CIFAR-10 as `open_cifar` has it. Raises InputError."""
    if any((Path(data) / name).exists() or (Path(data) / f"{name}.gz").exists() for name in FILES):
        return open_runs(read_images(data, validation), out, progress)
    return open_cifar(data, out, progress, validation)


def open_cifar(data: str | Path, out: str | Path, progress: Progress | None, validation: bool) -> Runs:
    """CIFAR-10 from `data`: a folder of images by class in two parts, or an .npz file; see `own_data.read`.

    Networks learn five sixths of the training images. The last sixth is held out, judges epochs, and with `validation`
    also the table: then the test set plays no part. Images of a folder are decoded once, into the folder `out`, which
    is made. Raises InputError for what cannot be read or written, images of another size, and without a test set.
    """
    data = Path(data)
    reader = mlp((math.prod(IMAGE), CLASSES), np.random.default_rng(0), image=IMAGE)  # whatever reads such images
    pixels = decoded(data, writable(out)) if data.is_dir() else data
    learnt = own_data.read(pixels, reader, validation=True)
    table = learnt if validation else own_data.read(pixels, reader)
    if table.part == "validation" and not validation:
        raise InputError(f"{data} must have images to test on, and has none")
    return Runs(writable(out), learnt, progress, table)


def decoded(folder: Path, out: Path) -> Path:
    """The .npz file in `out` with the pixels of the images in `folder`, made unless it is there. Raises InputError."""
    path, note = out / DECODED, out / f"{DECODED}.json"
    # Not the content, which is what takes long to read: whoever changes files under their names removes the copy.
    files = sorted((str(f.relative_to(folder)), f.stat().st_size) for f in folder.iterdir() if f.is_file())
    source = {"folder": folder.name, "files": fingerprint.of_settings(files)}
    if path.exists() and note.exists() and json.loads(note.read_text(encoding="utf-8")) == source:
        return path
    named = zip(PARTS, image_folders.read(folder, IMAGE), strict=True)
    arrays: dict[str, Any] = {name: array for name, array in named if array is not None}
    content = io.BytesIO()
    np.savez(content, **arrays)
    write_whole(path, content.getvalue())
    write_json(note, source)
    return path


def count_int8_errors(network: IntegerNetwork, data: ImageSet) -> int:
    """How many of the images that judge the int8 network puts in a wrong class."""
    wrong = 0
    for start in range(0, len(data.judged_labels), AT_ONCE):
        part = slice(start, start + AT_ONCE)
        codes = int8.run(network, int8.quantise_input(network, floats(data.judged_images[part])))[network.output]
        wrong += int((codes.reshape(len(codes), -1).argmax(1) != data.judged_labels[part]).sum())
    return wrong
