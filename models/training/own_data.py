"""A user's own inputs to learn from: arrays in .npz or .npy files, folders of images by class, or IDX files.

Labels may be missing: then what the float network says is what is learnt (distillation), and what judges.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from accel.models import entry
from accel.models.errors import InputError, printable
from accel.models.files import open_regular
from accel.models.graph import Network, Softmax, build
from accel.models.reference import float32
from accel.models.training import image_folders, judge
from accel.models.training.fit import LOGITS_AT_ONCE
from accel.models.training.images import FILES, HELD_OUT, ImageSet, floats, read_images
from accel.models.training.pixels import UNIT, Pixels, check_type

Array = NDArray[Any]
# Names of the arrays of a .npz file: inputs and labels to learn, inputs and labels that judge.
NAMES = (
    ("x_train", "y_train", "x_test", "y_test"),
    ("train_images", "train_labels", "test_images", "test_labels"),
    ("x", "y", "x_test", "y_test"),
    ("images", "labels", "test_images", "test_labels"),
    ("inputs", "targets", "test_inputs", "test_targets"),
)
LARGEST_BYTES = 2**35  # of the arrays of a file


@dataclass(frozen=True)
class Arrays:
    """What a file or folder holds; None where it has no such part."""

    inputs: Array
    labels: Array | None
    test_inputs: Array | None = None
    test_labels: Array | None = None


def read(
    path: str | Path, network: Network, labels: str | Path = "", validation: bool = False, pixels: Pixels = UNIT
) -> ImageSet:
    """What `network` may learn from the file or folder `path`, with `labels` from a .npy file if it is one.

    - a folder with the IDX files of MNIST;
    - a folder of folders of images, one for each class in the order of their names, or of `train` and `test` (or `val`)
      with such folders; images are of the network's size;
    - an .npz file with arrays of one of `NAMES`; the parts that judge, and labels, may be missing;
    - a .npy file of inputs.

    Inputs are floats as the network reads them, or uint8 images, read as `pixels` says, with channels first or last.
    What the host runs in front of the accelerator has been run on what is returned.
    Labels are classes (integers, one for each input or each place of the output, or one-hot rows) or values (floats of
    the output's shape). Without labels the outputs of `network` are learnt, and its classes judge, or those values if
    the output is one number. Where nothing says what judges, or with `validation`, every sixth input does, and is not
    learnt.

    Raises InputError for what cannot be read, inputs of another shape, and labels that are not the output's.
    """
    path = Path(path)
    if path.is_dir() and any((path / name).exists() or (path / f"{name}.gz").exists() for name in FILES):
        if labels:
            raise InputError(f"labels must be left out with the IDX files of {path}, which have their own")
        found = read_images(path, validation)
        train, judged = (_shaped(network, x, str(path), pixels) for x in (found.train_images, found.judged_images))
        return replace(found, train_images=train, judged_images=judged, pixels=pixels)
    if path.is_dir():
        wanted = entry.shape_of(network)
        first = (wanted[-1], *wanted[:-1]) if entry.is_channels_last(network) else wanted
        arrays = Arrays(*image_folders.read(path, first))
    elif path.suffix == ".npz":
        arrays = _from_npz(path)
    elif path.suffix == ".npy":
        arrays = Arrays(array(path), None)
    else:
        raise InputError(f"{path}: data to learn must be a folder that exists, an .npz or a .npy file, and is none")
    if labels:
        if arrays.labels is not None:
            raise InputError(f"labels must be left out with {path}, which has its own")
        arrays = Arrays(arrays.inputs, array(labels), arrays.test_inputs, arrays.test_labels)
    return _image_set(path, network, arrays, validation, pixels)


def _image_set(path: Path, network: Network, arrays: Arrays, validation: bool, pixels: Pixels) -> ImageSet:
    inputs = _shaped(network, arrays.inputs, str(path), pixels)
    part: Literal["test", "validation"] = "test"
    labels = _labels(network, inputs, arrays.labels, path)
    judged, judged_labels = arrays.test_inputs, arrays.test_labels
    if judged is None or validation:
        part = "validation"
        held = np.arange(len(inputs)) % HELD_OUT == HELD_OUT - 1
        if not held.any():
            raise InputError(f"{path}: there must be {HELD_OUT} inputs or more to hold some out, not {len(inputs)}")
        judged, judged_labels = inputs[held], None if labels is None else labels[held]
        inputs, labels = inputs[~held], None if labels is None else labels[~held]
    else:
        judged = _shaped(network, judged, f"{path} (test)", pixels)
        judged_labels = _labels(network, judged, judged_labels, path)
    if labels is None:
        labels = outputs_of(network, inputs, pixels)
    if judged_labels is None:
        judged_labels = outputs_of(network, judged, pixels)
        if judge.classes_and_places(network.shapes[network.output])[0] > 1:
            judged_labels = judge.classes_at(judged_labels)
    return ImageSet(inputs, labels, judged, judged_labels, part, pixels)


def outputs_of(network: Network, inputs: Array, pixels: Pixels = UNIT) -> Array:
    """What the float network says before a softmax at its end: (n, *output shape) of float32."""
    *others, last = network.layers
    if isinstance(last, Softmax) and last.output == network.output:
        network = build(network.name, network.input, network.shapes[network.input], tuple(others), last.inputs[0])
    step = LOGITS_AT_ONCE
    starts = range(0, len(inputs), step)
    return np.concatenate([float32.run(network, floats(inputs[i : i + step], pixels)) for i in starts])


def _labels(network: Network, inputs: Array, labels: Array | None, path: Path) -> Array | None:
    """Labels as `judge.percent` takes them."""
    if labels is None:
        return None
    if labels.dtype.kind in "iub" and labels.ndim > 1 and math.prod(labels.shape[1:]) == 1:
        labels = labels.reshape(-1)
    if len(labels) != len(inputs):
        raise InputError(f"{path}: there must be a label for each of {len(inputs)} inputs, not {len(labels)}")
    shape = network.shapes[network.output]
    classes = judge.from_one_hot(labels, shape)
    if classes is not None:
        return classes
    if labels.dtype.kind == "f":
        if not np.isfinite(labels).all():
            raise InputError(f"{path}: values to learn must be finite, not NaN or Inf")
        held = judge.values(labels, shape)
        labels = (labels if held is None else held).astype(np.float32)
    elif labels.dtype.kind in "iub":
        labels = labels.astype(np.int64)
    else:
        raise InputError(f"{path}: labels must be integers or floats, not {labels.dtype}")
    judge.check(str(path), shape, labels)
    if labels.dtype.kind == "f" and any(isinstance(layer, Softmax) for layer in network.layers):
        raise InputError(f"{path}: labels must be classes for {network.name}, which ends in a softmax, not floats")
    return labels


def _shaped(network: Network, inputs: Array, what: str, pixels: Pixels) -> Array:
    """`inputs` as an `ImageSet` has them, behind what the host runs in front. Raises InputError for another shape."""
    check_type(inputs, pixels, what)
    wanted = entry.shape_of(network)
    if inputs.dtype.kind not in "fu" or (inputs.dtype.kind == "u" and inputs.dtype != np.uint8):
        raise InputError(f"{what}: inputs must be floats, or pixels of uint8, not {inputs.dtype}")
    if not len(inputs):
        raise InputError(f"{what}: there must be at least one input")
    if inputs.dtype.kind == "f":
        with np.errstate(over="ignore"):
            inputs = inputs.astype(np.float32)
        if not np.isfinite(inputs).all():
            raise InputError(f"{what}: inputs must be finite as float32, not NaN or Inf")
    for way in _ways(inputs.ndim, entry.is_channels_last(network)):
        if floats(way(inputs[:1])).shape[1:] == wanted:
            return _entered(network, way(inputs), pixels)
    raise InputError(f"{what}: inputs must have the shape {wanted} that {network.name} reads, not {inputs.shape[1:]}")


def _ways(dimensions: int, channels_last: bool) -> Sequence[Callable[[Array], Array]]:
    """To take inputs: as they are, with channels where the network has them, and as maps of one row or channel."""
    ways: list[Callable[[Array], Array]] = [lambda x: x]
    if dimensions == 4:
        to, of = (-1, 1) if channels_last else (1, -1)
        ways.append(lambda x: np.ascontiguousarray(np.moveaxis(x, of, to)))
    if dimensions == 3:
        ways += [lambda x: x[:, :, None], lambda x: x[:, None], lambda x: x[..., None]]
    return ways


def _entered(network: Network, inputs: Array, pixels: Pixels) -> Array:
    """`inputs` behind what the host runs in front: as pixels if they are still some, else as floats."""
    axis = -1 if entry.is_channels_last(network) else 1
    if inputs.dtype == np.uint8:  # a wrong number of channels is said now
        pixels.floats(inputs[:1, None] if inputs.ndim == 3 else inputs[:1], axis)
    if not network.host or not network.host.head:
        return inputs
    if inputs.ndim == 3 and inputs.dtype == np.uint8:
        inputs = inputs[:, None]  # the channel that `floats` adds
    one = entry.entered(network, inputs[:1])
    if inputs.dtype == np.uint8 and (one.dtype != np.uint8 or one.ndim != 4 or pixels.by_channel):
        step = entry.AT_ONCE  # floats of all are never held beside what is made of them
        parts = (pixels.floats(inputs[i : i + step], axis) for i in range(0, len(inputs), step))
        return np.concatenate([entry.entered(network, part) for part in parts])
    return entry.entered(network, inputs)


def array(path: str | Path) -> Array:
    """The array in a .npy file. Raises InputError."""
    with _numbers(path, "a .npy file"):
        with open_regular(path):
            pass
        # As a map of the file, whose size is compared with the header before memory is taken.
        return np.array(np.lib.format.open_memmap(path, mode="r"))


@contextmanager
def _numbers(path: str | Path, what: str) -> Iterator[None]:
    """Turn what NumPy raises for a file that should be `what` into InputError.

    A header is a Python literal, an .npz file a zip file of .npy files: what damaged ones raise is not documented.
    """
    try:
        yield
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from None
    except MemoryError:
        raise InputError(f"{path} must fit in memory, and does not: it is too large") from None
    except Exception:
        raise InputError(f"{path} must be {what} of numbers, and is damaged or something else") from None


def _from_npz(path: Path) -> Arrays:
    with _numbers(path, "an .npz file"), open_regular(path) as opened, np.load(opened, allow_pickle=False) as file:
        sizes = sum(info.file_size for info in file.zip.infolist())
        if sizes > LARGEST_BYTES:
            raise InputError(f"{path} must hold at most {LARGEST_BYTES:,} bytes, not {sizes:,}")
        held = set(file.files)
        names = next((names for names in NAMES if names[0] in held), None)
        if names is None:
            known = ", ".join(dict.fromkeys(name for names in NAMES for name in names))
            named = ", ".join(printable(name) for name in file.files[:8])
            raise InputError(f"{path} must hold arrays called {known}, and holds {named or 'none'}")
        found = [file[name] if name in held else None for name in names]
    assert found[0] is not None
    for name, one in zip(names, found, strict=True):
        if one is not None and one.ndim == 0:
            raise InputError(f"{path}: {name} must be an array of inputs or labels, not one number")
    return Arrays(found[0], *found[1:])
