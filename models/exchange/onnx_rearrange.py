"""DepthToSpace and SpaceToDepth: values move between channels and pixels, by convolutions whose weights are ones."""

from __future__ import annotations

import numpy as np
import onnx

from accel.models.exchange.onnx_reading import Given, Reading, names
from accel.models.graph import Conv
from accel.models.window import Window


def depth_to_space(reading: Reading, node: onnx.NodeProto, given: Given) -> None:
    """A transposed convolution by ones: a phase of the output is some of the channels."""
    channels, block = _channels(reading, node, given)
    made = channels // block**2
    if channels % block**2:
        raise reading.error(node, f"{channels} channels must be a multiple of blocksize {block} squared")
    if block == 1:
        reading.copy(node, node.input[0])
        return
    weights = np.zeros((made, channels, block, block), np.float32)
    for y, x in np.ndindex(block, block):
        c, place = np.arange(made), y * block + x
        taken = place * made + c if given["mode"] == "DCR" else c * block**2 + place
        weights[c, taken, block - 1 - y, block - 1 - x] = 1
    pads = (block - 1,) * 4
    window = Window((block, block), (1, 1), pads, (1, 1), (block, block))
    reading.append(node, Conv(*names(reading, node), weights, np.zeros(made, np.float32), window))


def space_to_depth(reading: Reading, node: onnx.NodeProto, given: Given) -> None:
    """A convolution by ones, with stride."""
    channels, block = _channels(reading, node, given)
    _, height, width = reading.shape(node, node.input[0])
    if height % block or width % block:
        raise reading.error(node, f"height and width must be multiples of blocksize {block}, not {height} x {width}")
    if block == 1:
        reading.copy(node, node.input[0])
        return
    weights, c = np.zeros((block**2 * channels, channels, block, block), np.float32), np.arange(channels)
    for y, x in np.ndindex(block, block):
        weights[(y * block + x) * channels + c, c, y, x] = 1
    window, bias = Window((block, block), (block, block)), np.zeros(len(weights), np.float32)
    reading.append(node, Conv(*names(reading, node), weights, bias, window))


def _channels(reading: Reading, node: onnx.NodeProto, given: Given) -> tuple[int, int]:
    """Channels of the input, and the blocksize."""
    if given["blocksize"] is None:
        raise reading.error(node, "blocksize must be given, and is missing")
    shape = reading.shape(node, node.input[0])
    if len(shape) != 3 or reading.one_dimensional:
        raise reading.unsupported(node, f"must be two-dimensional, with an input of shape {shape}")
    return shape[0], given["blocksize"]
