"""Inputs that are learnt and judged on, and the views of an image that training draws: moved, mirrored.

A view is a number 0..count - 1, so that what a teacher says about each view can be kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from accel.models.errors import InputError
from accel.models.training import fingerprint
from accel.models.training.idx import read_idx
from accel.models.training.pixels import UNIT, Pixels

Array = NDArray[Any]
FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
LARGEST_SHIFT = 8  # pixels that training may move an image by
CHOOSING = 2000  # images on which settings are chosen where none are held out
HELD_OUT = 6  # one of so many training images is held out for validation: 10,000 of 60,000


@dataclass(frozen=True)
class ImageSet:
    """Inputs and what they should give: those that are learnt, those that judge.

    Images are pixels, uint8 (n, height, width) or (n, channels, height, width), which a network reads as `pixels` says,
    pixel / 255 by itself, or inputs of any shape, float32, which it reads as they are. Labels are classes, integers
    (n,) or one for each place of the output, or values that the output should have, float32 (n, *output shape). `part`
    says what judges: the "test" set, or a "validation" set of training images that are not learnt, on which settings
    may be chosen.
    """

    train_images: Array
    train_labels: Array
    judged_images: Array
    judged_labels: Array
    part: Literal["test", "validation"] = "test"
    pixels: Pixels = UNIT

    @cached_property
    def training_digest(self) -> str:
        """Sixteen hex digits that tell these training images and labels, as they are read, from others."""
        found = fingerprint.of_images(self.train_images, self.train_labels)
        return found if self.pixels == UNIT else fingerprint.of_settings(found, self.pixels)

    @property
    def choosing(self) -> tuple[Array, Array]:
        """Images on which settings may be chosen, and their labels: never those of a test set.

        Those that are held out; where none are, `CHOOSING` of those that are learnt, evenly spaced.
        """
        if self.part == "validation":
            return self.judged_images, self.judged_labels
        return spread(self.train_images, CHOOSING), spread(self.train_labels, CHOOSING)

    def floats(self, images: Array) -> NDArray[np.float32]:
        """Some of the images as a network reads them: (n, *input shape)."""
        return floats(images, self.pixels)


def floats(images: Array, pixels: Pixels = UNIT) -> NDArray[np.float32]:
    """Images of an `ImageSet` with these `pixels` as a network reads them: (n, *input shape)."""
    if images.dtype != np.uint8:
        return images
    return pixels.floats(images[:, None] if images.ndim == 3 else images)


def spread(values: Array, wanted: int) -> Array:
    """`wanted` of the values, or all if there are fewer, evenly spaced: images of one class may lie together."""
    found = min(wanted, len(values))
    return values[np.arange(found) * len(values) // max(found, 1)]


def read_images(folder: str | Path, validation: bool = False) -> ImageSet:
    """The four IDX files of MNIST or Fashion-MNIST in `folder`, as they are or gzipped. Raises InputError.

    With `validation` the last sixth of the training images (10,000 of 60,000) judges and is not learnt, and the test
    set is left aside.
    """
    arrays = []
    for name in FILES:
        plain = Path(folder) / name
        packed = plain.with_name(plain.name + ".gz")
        arrays.append(read_idx(packed if packed.exists() and not plain.exists() else plain))
    for part, images, labels in zip(("train", "test"), arrays[::2], arrays[1::2], strict=True):
        if images.shape != (len(labels), 28, 28) or not len(labels) or labels.max(initial=0) > 9:
            raise InputError(f"{folder}: {part} set must be images of 28 x 28 with labels 0..9, not {images.shape}")
    images, labels, test_images, test_labels = arrays
    if not validation:
        return ImageSet(images, labels, test_images, test_labels)
    learnt = len(images) - len(images) // HELD_OUT
    if learnt == len(images):
        raise InputError(f"{folder}: train set must have {HELD_OUT} images or more to hold some out, not {learnt}")
    return ImageSet(images[:learnt], labels[:learnt], images[learnt:], labels[learnt:], "validation")


def count(shift: int, mirror: bool) -> int:
    """How many views an image has that moves by up to `shift` pixels each way, and is mirrored or not."""
    return (2 * shift + 1) ** 2 * (2 if mirror else 1)


def draw(random: np.random.Generator, n: int, shift: int, mirror: bool) -> Array:
    """`n` random views."""
    views = np.zeros(n, np.int64)
    if shift:
        dy, dx = random.integers(0, 2 * shift + 1, (2, n))
        views = dy * (2 * shift + 1) + dx
    return 2 * views + (random.random(n) < 0.5) if mirror else views


def view(images: Array, views: Array, shift: int, mirror: bool) -> Array:
    """Each of `images` (n, ..., height, width) in its view (n,); zeros move in at the edges.

    A view is dy * (2 * `shift` + 1) + dx with dy and dx in 0..2 * `shift`, or with `mirror` twice that, plus 1 for a
    mirrored image. The image moves up by dy - `shift` and left by dx - `shift` pixels.
    """
    if mirror:
        odd = (views % 2 == 1).reshape(-1, *[1] * (images.ndim - 1))
        images = np.where(odd, images[..., ::-1], images)
        views = views // 2
    if not shift:
        return images
    n, *_, height, width = images.shape
    planes = images.reshape(n, -1, height, width)
    padded = np.pad(planes, ((0, 0), (0, 0), (shift, shift), (shift, shift)))
    dy, dx = np.divmod(views, 2 * shift + 1)
    rows = dy[:, None] + np.arange(height)
    columns = dx[:, None] + np.arange(width)
    # Of each image all planes at once: indices between slices put the indexed axes in front.
    moved = padded[np.arange(n)[:, None, None], :, rows[:, :, None], columns[:, None, :]]
    return np.ascontiguousarray(np.moveaxis(moved, -1, 1)).reshape(images.shape)
