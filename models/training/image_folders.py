"""Folders of images by class: a folder for each class, in the order of their names, as torchvision's ImageFolder.

The parts that are learnt and that judge may be .zip files.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any
from zipfile import BadZipFile, ZipFile
from zipfile import Path as ZipPath

import numpy as np
from numpy.typing import NDArray

from accel.models.errors import InputError, printable
from accel.models.files import open_regular

Array = NDArray[Any]
Place = Path | ZipPath
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".ppm", ".pgm", ".webp")
JUDGED = ("test", "val", "valid", "validation")
MODES = {1: "L", 3: "RGB"}


def read(folder: Path, shape: tuple[int, ...]) -> tuple[Array, Array, Array | None, Array | None]:
    """Images (n, channels, height, width) uint8 and classes (n,), to learn and to judge (None if there are none).

    `shape` is what the network reads. A part (`train`, `test` or `val`) is a folder, or a .zip file with a folder of
    its name. Raises InputError for a folder without images, an image that cannot be read, is of another size, or has
    colours where the network reads grey; for classes that differ between the two parts; for a damaged .zip file.
    """
    if len(shape) != 3 or shape[0] not in MODES:
        raise InputError(f"{folder}: images must be for a network that reads 1 or 3 channels of pixels, not {shape}")
    with ExitStack() as opened:
        learnt = _part(folder, "train", opened)
        parts = (_part(folder, name, opened) for name in JUDGED) if learnt else ()
        judged = next((part for part in parts if part), None)
        learnt = learnt or folder
        classes = _classes(learnt)
        images, labels = _read(learnt, classes, shape)
        if judged is None:
            return images, labels, None, None
        if _classes(judged) != classes:
            raise InputError(f"{judged}: classes must be those of {learnt}: {', '.join(map(printable, classes[:8]))}")
        return images, labels, *_read(judged, classes, shape)


def _part(folder: Path, name: str, opened: ExitStack) -> Place | None:
    """The folder of that name, in the file system or in a .zip file, which stays open as long as `opened`."""
    if (folder / name).is_dir():
        return folder / name
    packed = folder / f"{name}.zip"
    if not packed.exists():
        return None
    try:
        archive = ZipFile(opened.enter_context(open_regular(packed)))
        archive.filename = str(packed)  # for the names of what is in it
        inside = ZipPath(archive, f"{name}/")
    except OSError as error:
        raise InputError(f"{packed} cannot be read: {error.strerror}") from None
    except (BadZipFile, NotImplementedError, ValueError):
        raise InputError(f"{packed} must be a .zip file, and is damaged or something else") from None
    if not inside.exists():
        raise InputError(f"{packed} must hold a folder called {name}, and does not")
    return inside


def _classes(folder: Place) -> list[str]:
    found = sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    if len(found) < 2:
        raise InputError(f"{folder} must hold a folder of images for each of two classes or more, not {len(found)}")
    return found


def _read(folder: Place, classes: list[str], shape: tuple[int, ...]) -> tuple[Array, Array]:
    images, labels = [], []
    for label, name in enumerate(classes):
        entries = [entry for entry in (folder / name).iterdir() if Path(entry.name).suffix.lower() in SUFFIXES]
        files = sorted(entries, key=lambda entry: entry.name)
        if not files:
            raise InputError(f"{folder / name} must hold images ({', '.join(SUFFIXES)}), and has none")
        images += [_image(path, shape) for path in files]
        labels += [label] * len(files)
    return np.stack(images), np.array(labels, np.int64)


def _image(path: Place, shape: tuple[int, ...]) -> Array:
    from PIL import Image

    channels, height, width = shape
    try:
        with _open(path) as file, Image.open(file) as image:
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


def _open(path: Place) -> IO[bytes]:
    if isinstance(path, Path):
        return open_regular(path)
    found: IO[bytes] = path.open("rb")
    return found
