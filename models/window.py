"""The sliding window of convolutions and poolings, the same for float and integer networks."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Window"]


@dataclass(frozen=True)
class Window:
    """A sliding window: kernel, stride, dilation (y, x) and padding (top, left, bottom, right)."""

    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)

    def output_size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of the output for an input of `height` x `width`."""
        size = []
        for i, n in enumerate((height, width)):
            span = (self.kernel[i] - 1) * self.dilation[i] + 1
            size.append((n + self.pads[i] + self.pads[i + 2] - span) // self.stride[i] + 1)
        return size[0], size[1]
