"""The sliding window of convolutions and poolings, the same for float and integer networks."""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["Window"]


def same_padding(size: int, span: int, stride: int) -> int:
    """Padding of both sides together that makes the output of `size` inputs ceil(size / stride) long ("same").

    `span`: inputs that a window covers. Negative if a stride is so large that the last inputs are in no window.
    """
    return (math.ceil(size / stride) - 1) * stride + span - size


@dataclass(frozen=True)
class Window:
    """A sliding window: kernel, stride, dilation (y, x) and padding (top, left, bottom, right).

    `base_dilation` (XLA's word) spreads the input first: so many positions from one pixel to the next, those between
    them as empty as padding. A transposed convolution of stride s is a convolution with base dilation s and stride 1.
    `edges` (top, left, bottom, right): so many rows and columns that repeat the input's own are put around it before.
    """

    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)
    base_dilation: tuple[int, int] = (1, 1)
    edges: tuple[int, int, int, int] = (0, 0, 0, 0)

    @property
    def spread(self) -> bool:
        """Whether the input is spread or has its edges repeated: then the stride is 1."""
        return self.base_dilation != (1, 1) or any(self.edges)

    @property
    def crops(self) -> bool:
        """Whether it takes some rows and columns: single pixels, none of padding; pads below 0 are what is cut off."""
        return self.kernel == (1, 1) and not self.spread and min(self.pads) < 0 and max(self.pads) <= 0

    def output_size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of the output for an input of `height` x `width`."""
        size = []
        for i, n in enumerate((height, width)):
            span = (self.kernel[i] - 1) * self.dilation[i] + 1
            n = (n + self.edges[i] + self.edges[i + 2] - 1) * self.base_dilation[i] + 1
            size.append((n + self.pads[i] + self.pads[i + 2] - span) // self.stride[i] + 1)
        return size[0], size[1]
