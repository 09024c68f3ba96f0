"""What the commands can hold of a layer's window, whatever the layer: the limits are those of their fields."""

from __future__ import annotations

from accel.commands import Compute, ConfigCompute, least, most
from accel.models.errors import InputError
from accel.models.integers.network import IntegerNetwork, Layer

LARGEST_KERNEL = most(ConfigCompute, "kernel_h")
LARGEST_DILATION = most(ConfigCompute, "dilation_y")
LARGEST_PADDED = most(ConfigCompute, "in_h")  # rows or columns of an input whose coordinates count
FIRST_START, LAST_START = least(Compute, "iy0"), most(Compute, "iy0")  # of a window, in such an input


def check_window(layer: Layer, network: IntegerNetwork, largest_stride: int, largest_kernel: int) -> None:
    """Raise InputError for a window that no command can express."""
    window = layer.window
    if max(window.kernel) > largest_kernel:
        raise InputError(
            f"kernel must be at most {largest_kernel} x {largest_kernel}, not {window.kernel[0]} x {window.kernel[1]}"
        )
    if max(window.stride) > largest_stride:
        raise InputError(f"stride must be at most {largest_stride}, not {max(window.stride)}")
    if max(window.dilation) > LARGEST_DILATION:
        raise InputError(f"dilation must be at most {LARGEST_DILATION}, not {max(window.dilation)}")
    _, height, width = network.tensors[layer.input].shape
    padded = any(window.pads)
    if padded and max(height, width) > LARGEST_PADDED:
        raise InputError(f"a padded input must be at most {LARGEST_PADDED} x {LARGEST_PADDED}, not {height} x {width}")
    for axis, size in enumerate(window.output_size(height, width)):
        span = (window.kernel[axis] - 1) * window.dilation[axis] + 1
        if span > LARGEST_PADDED:
            raise InputError(f"a kernel must reach over at most {LARGEST_PADDED} pixels, not {span}")
        first = -window.pads[axis]
        last = first + (size - 1) * window.stride[axis]
        if padded and (first < FIRST_START or last > LAST_START):
            raise InputError(
                f"windows must start at {FIRST_START}..{LAST_START} of a padded input, not {first}..{last}"
            )
