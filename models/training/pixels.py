"""What a network reads in the place of pixels 0..255: (pixel / 255 - mean) / standard deviation, by channel.

As torchvision's `ToTensor` and `Normalize` make it. A network that reads 0..255 has mean 0 and deviation 1 / 255.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel.models.errors import InputError

Numbers = tuple[float, ...]


@dataclass(frozen=True)
class Pixels:
    """`mean` and `std` in units of 255 pixels, one number for all channels or one for each.

    Raises InputError for numbers that are not finite, and deviations that are not above 0.
    """

    mean: Numbers = (0.0,)
    std: Numbers = (1.0,)

    def __post_init__(self) -> None:
        for name, numbers in (("--mean", self.mean), ("--std", self.std)):
            if not all(math.isfinite(number) for number in numbers):
                raise InputError(f"{name} must be finite numbers, not {', '.join(map(str, numbers))}")
        if min(self.std) <= 0:
            raise InputError(f"--std must be above 0, not {min(self.std)}")

    @property
    def by_channel(self) -> bool:
        """Whether channels differ."""
        return len(self.mean) > 1 or len(self.std) > 1

    def floats(self, images: NDArray[np.uint8], axis: int = 1) -> NDArray[np.float32]:
        """What is read of `images`, whose channels are `axis`. Raises InputError for another number of channels."""
        found = images.astype(np.float32) / np.float32(255)
        shape = [1] * images.ndim
        shape[axis] = -1
        for name, numbers in (("--mean", self.mean), ("--std", self.std)):
            if len(numbers) not in (1, images.shape[axis]):
                raise InputError(
                    f"{name} must be one number, or one for each of {images.shape[axis]} channels, not {len(numbers)}"
                )
        if any(self.mean):
            found -= np.array(self.mean, np.float32).reshape(shape)
        if any(number != 1 for number in self.std):
            found /= np.array(self.std, np.float32).reshape(shape)
        return found


UNIT = Pixels()


def parse(mean: str = "", std: str = "") -> Pixels:
    """Of numbers with commas between, each as 0.485 or as a fraction, 123.68/255. Raises InputError."""
    return Pixels(_numbers("--mean", mean or "0"), _numbers("--std", std or "1"))


def check_type(images: NDArray[Any], pixels: Pixels, what: str) -> None:
    """Raise InputError if `images` of `what` are floats already, as the network reads them, and `pixels` are not."""
    if images.dtype != np.uint8 and pixels != UNIT:
        raise InputError(f"{what}: --mean and --std are for pixels of uint8, and inputs are {images.dtype}")


def _numbers(name: str, text: str) -> Numbers:
    found = []
    for part in text.split(","):
        above, _, below = part.partition("/")
        try:
            found.append(float(above) / float(below or 1))
        except (ValueError, ZeroDivisionError):
            raise InputError(
                f"{name} must be numbers with commas between, as 0.485 or 123.68/255, not {text!r}"
            ) from None
    return tuple(found)
