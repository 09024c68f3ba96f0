"""Images of two classes that are easy to tell apart."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def halves(random: np.random.Generator, count: int) -> tuple[NDArray[np.uint8], NDArray[Any]]:
    """Images (count, 28, 28) and their classes: a bright left half is 0, a bright right one 1."""
    labels = random.integers(0, 2, count).astype(np.uint8)
    images = random.integers(0, 60, (count, 28, 28)).astype(np.uint8)
    images[labels == 0, :, :14] += 150
    images[labels == 1, :, 14:] += 150
    return images, labels
