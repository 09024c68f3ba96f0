"""Operators of a .tflite file that change the size of a map: what they become in ONNX."""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import partial

import numpy as np
import tflite

from accel.models.exchange.tflite_file import Operator
from accel.models.exchange.tflite_writing import Unsupported, Writing


def _resize(writing: Writing, operator: Operator, kind: str) -> None:
    """To the size of the output; ONNX rounds a nearest place as TFLite does where it is told how."""
    nearest = kind == "nearest"
    options = tflite.ResizeNearestNeighborOptions if nearest else tflite.ResizeBilinearOptions
    output, corners = writing.result(operator), operator.option(options, "AlignCorners")
    centres = operator.option(options, "HalfPixelCenters")
    before, after = (writing.tensor(x).shape for x in (operator.inputs[0], operator.outputs[0]))
    if len(before) != 4 or len(after) != 4:
        raise Unsupported(f"input must have four dimensions, not {len(before)}")
    given = {"mode": kind, "coordinate_transformation_mode": "asymmetric"}
    if corners or centres:
        given["coordinate_transformation_mode"] = "align_corners" if corners else "half_pixel"
    if nearest:
        given["nearest_mode"] = "round_prefer_ceil" if corners or centres else "floor"
    if corners and any(a == 1 < b for a, b in zip(after[1:3], before[1:3], strict=True)):
        raise Unsupported("corners must not be aligned where the output has one row or column")
    if all(a % b == 0 for a, b in zip(after[1:3], before[1:3], strict=True)):
        factors = [1, 1, after[1] // before[1], after[2] // before[2]]
        sizes = ["", writing.number(f"{output}.scales", np.array(factors, np.float32))]
    else:
        size = np.array([after[0], after[3], *after[1:3]], np.int64)
        sizes = ["", "", writing.number(f"{output}.sizes", size)]
    name = writing.node("Resize", [writing.value(operator.inputs[0]), *sizes], f"{output}.linear", **given)
    writing.made(operator.outputs[0], name)


def _transposed(
    writing: Writing, operator: Operator, inputs: tuple[int, ...], same: bool, stride: tuple[int, int], fused: int = 0
) -> None:
    """Of `inputs` map, weights (outputs, height, width, inputs), bias. Padding is that of the forward convolution."""
    output = writing.result(operator)
    before, after = writing.tensor(inputs[0]).shape, writing.tensor(operator.outputs[0]).shape
    filters = writing.tensor(inputs[1]).shape
    if len(before) != 4 or len(after) != 4 or len(filters) != 4:
        raise Unsupported(f"input and filter must have four dimensions, not {before} and {filters}")
    pads, extra = [0, 0, 0, 0], [0, 0]
    for i in range(2):
        total = (before[1 + i] - 1) * stride[i] + filters[1 + i] - after[1 + i]
        extra[i] = max(0, -total)
        pads[i] = max(0, total) // 2 if same else 0
        pads[2 + i] = max(0, total) - pads[i]
    weights = writing.number(f"{output}.weights", np.ascontiguousarray(writing.floats(inputs[1]).transpose(3, 0, 1, 2)))
    names = [writing.value(inputs[0]), weights]
    if len(inputs) > 2 and inputs[2] >= 0:
        names.append(writing.number(f"{output}.bias", writing.floats(inputs[2]).reshape(-1)))
    name = writing.node(
        "ConvTranspose", names, f"{output}.linear",
        kernel_shape=list(filters[1:3]), strides=list(stride), pads=pads, output_padding=extra,
    )  # fmt: skip
    writing.made(operator.outputs[0], writing.activate(fused, name, output))


def _transpose_conv(writing: Writing, operator: Operator) -> None:
    """Inputs: size of the output, weights, map, bias."""
    options = tflite.TransposeConvOptions
    place = (operator.inputs[2], operator.inputs[1], *operator.inputs[3:4])
    stride = (operator.option(options, "StrideH"), operator.option(options, "StrideW"))
    same = operator.option(options, "Padding") == tflite.Padding.SAME
    _transposed(writing, operator, place, same, stride, operator.option(options, "FusedActivationFunction"))


def _mediapipe_transpose_conv(writing: Writing, operator: Operator) -> None:
    """MediaPipe's own operator; its options are TfLiteTransposeConvParams of TensorFlow Lite's C interface:

    padding (1: same, 2: valid), stride along the width, stride along the height, as int32 each.
    """
    if len(operator.custom) < 12:
        raise Unsupported(f"options must have 12 bytes, not {len(operator.custom)}")
    padding, across, down = struct.unpack("<iii", operator.custom[:12])
    if padding not in (1, 2) or min(across, down) < 1:
        raise Unsupported("options must be a padding and two strides, and are not")
    _transposed(writing, operator, operator.inputs, padding == 1, (down, across))


def _blocks(writing: Writing, operator: Operator, kind: str) -> None:
    options = tflite.DepthToSpaceOptions if kind == "DepthToSpace" else tflite.SpaceToDepthOptions
    size = operator.option(options, "BlockSize")
    name = writing.node(kind, [writing.value(operator.inputs[0])], f"{writing.result(operator)}.linear", blocksize=size)
    writing.made(operator.outputs[0], name)


WRITERS: dict[str, Callable[[Writing, Operator], None]] = {
    "Convolution2DTransposeBias": _mediapipe_transpose_conv,
    "DEPTH_TO_SPACE": partial(_blocks, kind="DepthToSpace"),
    "RESIZE_BILINEAR": partial(_resize, kind="linear"),
    "RESIZE_NEAREST_NEIGHBOR": partial(_resize, kind="nearest"),
    "SPACE_TO_DEPTH": partial(_blocks, kind="SpaceToDepth"),
    "TRANSPOSE_CONV": _transpose_conv,
}
