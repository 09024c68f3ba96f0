"""Folders of images by class: a folder for each class, in the order of their names, as torchvision's ImageFolder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel.models.errors import InputError, printable
from accel.models.files import open_regular

Array = NDArray[Any]
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".ppm", ".pgm", ".webp")
JUDGED = ("test", "val", "valid", "validation")
MODES = {1: "L", 3: "RGB"}


def read(folder: Path, shape: tuple[int, ...]) -> tuple[Array, Array, Array | None, Array | None]:
    """Images (n, channels, height, width) uint8 and classes (n,), to learn and to judge (None if there are none).

    `shape` is what the network reads. Raises InputError for a folder without images, an image that cannot be read, is
    of another size, or has colours where the network reads grey; for classes that differ between the two parts.
    """
    if len(shape) != 3 or shape[0] not in MODES:
        raise InputError(f"{folder}: images must be for a network that reads 1 or 3 channels of pixels, not {shape}")
    learnt = folder / "train" if (folder / "train").is_dir() else folder
    judged = next((folder / name for name in JUDGED if (folder / name).is_dir()), None) if learnt != folder else None
    classes = _classes(learnt)
    images, labels = _read(learnt, classes, shape)
    if judged is None:
        return images, labels, None, None
    if _classes(judged) != classes:
        raise InputError(f"{judged}: classes must be those of {learnt}: {', '.join(map(printable, classes[:8]))}")
    return images, labels, *_read(judged, classes, shape)


def _classes(folder: Path) -> list[str]:
    found = sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    if len(found) < 2:
        raise InputError(f"{folder} must hold a folder of images for each of two classes or more, not {len(found)}")
    return found


def _read(folder: Path, classes: list[str], shape: tuple[int, ...]) -> tuple[Array, Array]:
    images, labels = [], []
    for label, name in enumerate(classes):
        files = sorted(path for path in (folder / name).iterdir() if path.suffix.lower() in SUFFIXES)
        if not files:
            raise InputError(f"{folder / name} must hold images ({', '.join(SUFFIXES)}), and has none")
        images += [_image(path, shape) for path in files]
        labels += [label] * len(files)
    return np.stack(images), np.array(labels, np.int64)


def _image(path: Path, shape: tuple[int, ...]) -> Array:
    from PIL import Image

    channels, height, width = shape
    try:
        with open_regular(path) as file, Image.open(file) as image:
            if image.size != (width, height):
                found = f"{image.size[0]} x {image.size[1]}"
                raise InputError(f"{path}: images must have {width} x {height} pixels, not {found}")
            grey = image.mode in ("1", "L", "LA")
            if channels == 1 and not grey:
                raise InputError(f"{path}: images must be grey, as the network reads one channel, not {image.mode}")
            # Grey images among coloured ones are common, and one way to read them is right.
            pixels = np.asarray(image.convert(MODES[channels]))
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"{path} must be an image, and cannot be read: {error.strerror or 'damaged'}") from None
    except Exception:  # what a damaged image raises is not documented
        raise InputError(f"{path} must be an image, and is damaged or something else") from None
    return pixels[None] if channels == 1 else np.ascontiguousarray(np.moveaxis(pixels, -1, 0))
