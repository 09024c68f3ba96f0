"""Operators that make maps larger: ConvTranspose, Resize and Upsample, all windows over a spread input."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import onnx

from accel.models.exchange.onnx_reading import Given, Reading, names
from accel.models.graph import Conv, Pool, repeating
from accel.models.mirrored import mirrored
from accel.models.window import Window


def _both(reading: Reading, node: onnx.NodeProto, given: Given, name: str, default: int) -> tuple[int, int]:
    """An attribute for height and width; a one-dimensional network has it for the width alone."""
    count = 1 if reading.one_dimensional else 2
    values = given[name] if given[name] is not None else (default,) * count
    if len(values) != count:
        raise reading.error(node, f"{name} must be {count} integers, not {len(values)}")
    return (values[0], values[1]) if count == 2 else (default, values[0])


def conv_transpose(reading: Reading, node: onnx.NodeProto, given: Given) -> None:
    """A convolution over a spread input, its kernel mirrored: pads cut from what ONNX's operator spreads out."""
    shape = reading.shape(node, node.input[0])
    if len(shape) != 3:
        raise reading.unsupported(node, f"must be two-dimensional, with an input of shape {shape}")
    given_weights = reading.constant(node, 1, "weight", rank=3 if reading.one_dimensional else 4)
    if reading.one_dimensional:
        given_weights = given_weights[:, :, None]
    groups, kernel = given["group"], (given_weights.shape[2], given_weights.shape[3])
    if given_weights.shape[0] != shape[0] or shape[0] % groups:
        raise reading.error(node, f"weight {given_weights.shape} in {groups} groups does not fit {shape[0]} channels")
    if given["kernel_shape"] is not None and _both(reading, node, given, "kernel_shape", 1) != kernel:
        raise reading.error(node, f"kernel_shape must be the weight's, {kernel}, not {given['kernel_shape']}")
    weights = mirrored(given_weights, groups)
    bias = np.zeros(len(weights), np.float32)
    if reading.given(node, 2):
        bias = reading.constant(node, 2, "bias", rank=1, length=len(weights))
    window = _window(reading, node, given, kernel, shape)
    if (found := reading.weights.get(node.input[1])) and groups == 1:
        reading.enter_codes(reading.name(node), found.mirrored(len(weights)))
    name, (tensor,), output = names(reading, node)
    before = reading.layers.get(tensor)
    # The repeated edges of a Pad that nothing else reads are this window's own.
    if isinstance(before, Pool) and any(before.window.edges) and reading.uses[tensor] == 1:
        del reading.layers[tensor]
        tensor, window = before.inputs[0], replace(window, edges=before.window.edges)
    reading.append(node, Conv(name, (tensor,), output, weights, bias, window, groups))


def _window(
    reading: Reading, node: onnx.NodeProto, given: Given, kernel: tuple[int, int], shape: tuple[int, ...]
) -> Window:
    """The window over the spread input."""
    stride = _both(reading, node, given, "strides", 1)
    dilation, added = _both(reading, node, given, "dilations", 1), _both(reading, node, given, "output_padding", 0)
    cut = list(given["pads"] or (0, 0, 0, 0)[: 2 if reading.one_dimensional else 4])
    if len(cut) != (2 if reading.one_dimensional else 4):
        raise reading.error(node, f"pads must be {2 if reading.one_dimensional else 4} integers, not {len(cut)}")
    cut = [0, cut[0], 0, cut[1]] if reading.one_dimensional else cut
    wanted = given["output_shape"]
    if wanted is not None:
        wanted = wanted[-1:] if reading.one_dimensional else wanted[-2:]  # some files have batch and channels in front
        wanted = (1, *wanted) if reading.one_dimensional else wanted
        if len(wanted) != 2:
            raise reading.error(node, f"output_shape must be height and width, not {given['output_shape']}")
    auto, pads = given["auto_pad"], [0, 0, 0, 0]
    if auto != "NOTSET" and given["pads"] is not None:
        raise reading.error(node, f"pads must not be given together with auto_pad {auto}")
    for i in range(2):
        reach = (kernel[i] - 1) * dilation[i]
        whole = (shape[1 + i] - 1) * stride[i] + reach + 1
        size = whole + added[i] - cut[i] - cut[i + 2]
        if wanted is not None or auto.startswith("SAME"):
            size = wanted[i] if wanted is not None else shape[1 + i] * stride[i]
            total = whole + added[i] - size
            if total < 0:  # as ONNX Runtime
                raise reading.error(node, f"output must be at most {whole + added[i]} long without pads, not {size}")
            cut[i] = total // 2 if auto == "SAME_UPPER" else total - total // 2
        if added[i] >= stride[i]:  # as ONNX Runtime
            raise reading.error(node, f"output_padding must be below the stride, not {added}")
        pads[i], pads[i + 2] = reach - cut[i], size - whole + reach + cut[i]
    if min(pads) < 0:
        raise reading.unsupported(node, f"pads must be at most what the kernel {kernel} reaches, not {cut}")
    top, left, bottom, right = pads
    return Window(kernel, (1, 1), (top, left, bottom, right), dilation, stride)


def resize(reading: Reading, node: onnx.NodeProto, given: Given) -> None:
    """Resize and Upsample by whole factors: copies of pixels if every one becomes a rectangle, or interpolation."""
    shape = reading.shape(node, node.input[0])
    if len(shape) != 3:
        raise reading.unsupported(node, f"must be two-dimensional, with an input of shape {shape}")
    factor = _factor(reading, node, given, shape)
    if factor == (1, 1):
        reading.copy(node, node.input[0])
        return
    for name in ("antialias", "exclude_outside"):
        if given.get(name):
            raise reading.unsupported(node, f"{name} must be 0, not {given[name]}")
    if given["mode"] in ("linear", "bilinear"):
        _linear(reading, node, given, factor)
        return
    if given["mode"] != "nearest":
        raise reading.unsupported(node, f"mode must be nearest or linear, not {given['mode']}")
    for axis in (0, 1):
        taken = nearest(shape[1 + axis], factor[axis], _mode(reading, given), given.get("nearest_mode", "floor"))
        if taken != [place // factor[axis] for place in range(shape[1 + axis] * factor[axis])]:
            modes = f"{_mode(reading, given)} and {given.get('nearest_mode', 'floor')}"
            raise reading.unsupported(node, f"pixels must be repeated {factor} times each; {modes} do not")
    reading.append(node, Pool(*names(reading, node), "max", repeating(factor)))


LARGEST_CODE = 127


def _linear(reading: Reading, node: onnx.NodeProto, given: Given, factor: tuple[int, int]) -> None:
    """Linear interpolation: a depthwise convolution over the spread input with its edges repeated, in whole numbers.

    By factors whose products do not fit int8 in two, first the rows, then the columns.
    """
    mode = _mode(reading, given)
    if mode not in ("half_pixel", "pytorch_half_pixel", "asymmetric"):
        raise reading.unsupported(node, f"a linear Resize must be half_pixel or asymmetric, not {mode}")
    lines = [Line.of(by, mode) for by in factor]
    name, (tensor,), output = names(reading, node)
    # At the edges all weights of a pixel add up.
    fits = lines[0].total * lines[1].total <= LARGEST_CODE
    steps = [lines] if fits else [[lines[0], UNCHANGED], [UNCHANGED, lines[1]]]
    if max(line.total for line in lines) > LARGEST_CODE:
        raise reading.unsupported(node, f"a linear Resize must be by less than {LARGEST_CODE // 2}, not by {factor}")
    for step in steps:
        last = step is steps[-1]
        own, made = (name, output) if last else (f"{name}.rows", f"{output}.rows")
        channels = reading.shape(node, tensor)[0]
        (y, x), total = step, step[0].total * step[1].total
        weights = np.outer(y.weights, x.weights).astype(np.float32) / np.float32(total)
        pads, edges = (y.pads[0], x.pads[0], y.pads[1], x.pads[1]), (y.edges[0], x.edges[0], y.edges[1], x.edges[1])
        kernel, base = (len(y.weights), len(x.weights)), (y.factor, x.factor)
        window = Window(kernel, (1, 1), pads, (1, 1), base, edges)
        stacked = np.ascontiguousarray(np.broadcast_to(weights, (channels, 1, *kernel)))
        reading.append(node, Conv(own, (tensor,), made, stacked, np.zeros(channels, np.float32), window, channels))
        if not last:
            reading.uses[made] += 1
        tensor = made


@dataclass(frozen=True)
class Line:
    """Linear interpolation along an axis: `weights` over `total` on an input spread by `factor`, its edges repeated."""

    factor: int
    weights: tuple[int, ...]
    total: int
    pads: tuple[int, int]
    edges: tuple[int, int]

    @classmethod
    def of(cls, factor: int, mode: str) -> Line:
        """Weights fall from an input to the next one on both sides.

        An input lies on an output (asymmetric; half_pixel by an odd factor) or between two of them.
        """
        if factor == 1:
            return UNCHANGED
        if mode == "asymmetric":
            rising = range(1, factor)
            return cls(factor, (*rising, factor, *reversed(rising)), factor, (factor - 1, factor - 2), (0, 1))
        if factor % 2:
            rising, pad = range(1, factor), (factor - 1) // 2 - 1
            return cls(factor, (*rising, factor, *reversed(rising)), factor, (pad, pad), (1, 1))
        odd, pad = range(1, 2 * factor, 2), factor // 2 - 1
        return cls(factor, (*odd, *reversed(odd)), 2 * factor, (pad, pad), (1, 1))


UNCHANGED = Line(1, (1,), 1, (0, 0), (0, 0))


def _mode(reading: Reading, given: Given) -> str:
    """How output positions become input positions; before opset 11 there was one way."""
    found: str = given.get("coordinate_transformation_mode", "asymmetric")
    return found if reading.opset >= 11 else "asymmetric"


def _factor(reading: Reading, node: onnx.NodeProto, given: Given, shape: tuple[int, ...]) -> tuple[int, int]:
    """How many times the height and the width are those of the input."""
    full = reading.full(shape)
    if node.op_type == "Upsample" or reading.opset < 11:
        scales_at, sizes_at = 1, None
    else:
        scales_at, sizes_at = 2, 3
    axes = given.get("axes")
    places = [axis % len(full) for axis in axes] if axes else list(range(len(full)))
    if sizes_at and reading.given(node, sizes_at):
        sizes = reading.integers(node, sizes_at, "sizes")
        values = [size / full[place] for size, place in zip(sizes, places, strict=False)]
        if len(sizes) != len(places):
            raise reading.error(node, f"sizes must be {len(places)} numbers, not {len(sizes)}")
    elif given.get("scales") is not None:
        values = list(given["scales"])
    else:
        values = reading.constant(node, scales_at, "scales", rank=1).tolist()
    if len(values) != len(places):
        raise reading.error(node, f"scales must be {len(places)} numbers, not {len(values)}")
    by_place = [1.0] * len(full)
    for place, value in zip(places, values, strict=True):
        by_place[place] = value
    whole = [round(value) for value in by_place]
    inner = whole[2:] if len(full) == 4 else [1, *whole[2:]]
    close = all(b >= 1 and math.isclose(a, b, rel_tol=1e-6) for a, b in zip(by_place, whole, strict=True))
    if not close or whole[:2] != [1, 1]:
        raise reading.unsupported(node, f"scales must be whole, of height and width alone, not {by_place}")
    return inner[0], inner[1]


def position(place: int, size: int, factor: int, mode: str) -> float:
    """Where output `place` lies among `size` inputs (ONNX, Resize: coordinate_transformation_mode)."""
    match mode:
        case "asymmetric":
            return place / factor
        case "align_corners":
            return place * (size - 1) / (size * factor - 1) if size * factor > 1 else 0.0
        case "tf_half_pixel_for_nn":
            return (place + 0.5) / factor
        case "pytorch_half_pixel" if size * factor == 1:
            return 0.0
    return (place + 0.5) / factor - 0.5  # half_pixel


def nearest(size: int, factor: int, mode: str, rounding: str) -> list[int]:
    """The input that each of `size` * `factor` outputs is a copy of."""
    found = []
    for place in range(size * factor):
        at = position(place, size, factor, mode)
        match rounding:
            case "floor":
                taken = math.floor(at)
            case "ceil":
                taken = math.ceil(at)
            case "round_prefer_ceil":
                taken = math.floor(at + 0.5)
            case _:
                taken = math.ceil(at - 0.5)
        found.append(min(max(taken, 0), size - 1))
    return found
