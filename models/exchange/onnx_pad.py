"""Pad: zeros around height and width, which the Conv or AveragePool behind takes as its own pads, and further channels.

Where nothing takes them they are run: a 1 x 1 depthwise convolution by 1, with pads; if channels of zeros are added, a
1 x 1 convolution by ones and zeros, whose int8 copies are exact. Its products are counted, as all that run are.
Repeated edges (mode edge) are a copy in parts, or the edges of the ConvTranspose behind.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx

from accel.models.exchange.onnx_reading import Given, Reading, names
from accel.models.graph import Conv, Pool
from accel.models.window import Window

LARGEST_CHANNELS = 4096  # of a product with a matrix of ones and zeros


def pad(reading: Reading, node: onnx.NodeProto, given: Given) -> None:
    """Append the convolution that `node` is, and enter its pads for a reader that can take them."""
    shape = reading.shape(node, node.input[0])
    full = reading.full(shape)
    if given["mode"] not in ("constant", "edge"):
        raise reading.unsupported(node, f"mode must be constant or edge, not {given['mode']}")
    value = given["value"]
    if reading.given(node, 2):
        value = float(reading.constant(node, 2, "constant_value", length=1).reshape(()))
    if value != 0 and given["mode"] == "constant":
        raise reading.unsupported(node, f"value must be 0, not {value:g}")
    amounts = given["pads"] if given["pads"] is not None else given["paddings"]
    amounts = list(amounts) if amounts is not None else reading.integers(node, 1, "pads")
    axes = reading.integers(node, 3, "axes") if reading.given(node, 3) else list(range(len(full)))
    axes = [axis % len(full) if -len(full) <= axis < len(full) else -1 for axis in axes]
    if len(amounts) != 2 * len(axes) or min(axes, default=0) < 0 or len(set(axes)) != len(axes):
        raise reading.error(node, f"pads must be two for each of different axes, not {amounts} for {axes}")
    begins = {axis: amounts[place] for place, axis in enumerate(axes)}
    ends = {axis: amounts[place + len(axes)] for place, axis in enumerate(axes)}
    if min(amounts, default=0) < 0:
        raise reading.unsupported(node, f"pads must be at least 0, not {amounts}")
    if not any(amounts):
        reading.copy(node, node.input[0])
        return
    width = len(full) - 1
    height = width - 1 if not reading.one_dimensional else -1
    if len(shape) != 3 or begins.get(0) or ends.get(0):
        raise reading.unsupported(node, f"pads must be of channels, height and width, not {amounts} of {full}")
    pads = (begins.get(height, 0), begins.get(width, 0), ends.get(height, 0), ends.get(width, 0))
    tensor, before = reading.resolve(node.input[0]), begins.get(1, 0)
    channels = before + shape[0] + ends.get(1, 0)
    if channels > max(shape[0], LARGEST_CHANNELS):
        raise reading.unsupported(node, f"pads of channels must make at most {LARGEST_CHANNELS}, not {channels}")
    if given["mode"] == "edge":
        if channels != shape[0]:
            raise reading.unsupported(node, f"pads of mode edge must be of height and width, not {amounts} of {full}")
        reading.append(node, Pool(*names(reading, node), "max", Window((1, 1), edges=pads)))
        return
    window, zeros = Window((1, 1), pads=pads), np.zeros(channels, np.float32)
    if channels == shape[0]:
        ones = np.ones((channels, 1, 1, 1), np.float32)
        reading.append(node, Conv(reading.name(node), (tensor,), node.output[0], ones, zeros, window, channels))
        reading.pads[node.output[0]] = pads
        return
    copies = np.eye(channels, shape[0], -before, np.float32)[:, :, None, None]
    reading.append(node, Conv(reading.name(node), (tensor,), node.output[0], copies, zeros, window))


def unpadded(reading: Reading, node: onnx.NodeProto, tensor: str, window: Window) -> tuple[str, Window]:
    """`tensor` and the window that reads it; if a Pad made it for this reader, what it padded, and the sum of the pads.

    The pads of `window` must be of zeros.
    """
    pads = reading.pads.get(tensor)
    if pads is None or reading.uses[tensor] != 1:
        return tensor, window
    layer = reading.layers.pop(tensor)
    top, left, bottom, right = (a + b for a, b in zip(pads, window.pads, strict=True))
    return layer.inputs[0], replace(window, pads=(top, left, bottom, right))
