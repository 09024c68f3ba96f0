"""Concat, Split, Slice and Gather along the channels, and the shuffle of channels: which channels, in which order."""

from __future__ import annotations

import math

import onnx

from accel.models.exchange.onnx_reading import Given, Reading
from accel.models.graph import Concat, Pool, Select
from accel.models.window import Window

Full = tuple[int, ...]  # a shape with the batch in front


def concat(reading: Reading, node: onnx.NodeProto, given: Given) -> None:
    """Concat of activations along the channels."""
    axis = given["axis"] if given["axis"] is not None else 1  # opset 1 has a default
    shapes = [reading.full(reading.shape(node, name)) for name in node.input]
    _check_axis(reading, node, axis, shapes[0])
    if len(node.input) == 1:
        reading.copy(node, node.input[0])
        return
    inputs = tuple(reading.resolve(name) for name in node.input)
    reading.append(node, Concat(reading.name(node), inputs, node.output[0]))


def split(reading: Reading, node: onnx.NodeProto, given: Given) -> None:
    """Split along the channels: each output that is used is some channels in a row."""
    full = reading.full(reading.shape(node, node.input[0]))
    count = full[_check_axis(reading, node, given["axis"], full)]
    sizes = given["split"]
    if sizes is None and reading.given(node, 1):
        sizes = reading.integers(node, 1, "split")
    if sizes is None:
        parts = given["num_outputs"] or len(node.output)
        size = -(-count // parts)
        sizes = [size] * (parts - 1) + [count - size * (parts - 1)]
    if len(sizes) != len(node.output) or sum(sizes) != count or min(sizes) < 1:
        raise reading.error(node, f"split must be {len(node.output)} sizes of {count} channels, not {list(sizes)}")
    first = 0
    for name, size in zip(node.output, sizes, strict=True):
        if name and reading.uses[name]:
            _select(reading, node, name, tuple(range(first, first + size)))
        first += size


def slice_(reading: Reading, node: onnx.NodeProto, given: Given) -> None:
    """Slice of the channels, with any step, and of rows and columns, forwards: a maximum over single pixels."""
    full = reading.full(reading.shape(node, node.input[0]))
    starts, ends, axes, steps = (_numbers(reading, node, given, i, name) for i, name in enumerate(_SLICE, 1))
    if starts is None or ends is None or len(starts) != len(ends):
        raise reading.error(node, f"starts and ends must be as many numbers, not {starts} and {ends}")
    axes, steps = axes or list(range(len(starts))), steps or [1] * len(starts)
    if len(axes) != len(starts) or len(steps) != len(starts) or 0 in steps:
        raise reading.error(node, f"axes and steps (not 0) must be {len(starts)}, not {axes} and {steps}")
    channels = None
    lines: dict[int, range] = {}
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        if not -len(full) <= axis < len(full):
            raise reading.error(node, f"axes must be {-len(full)}..{len(full) - 1}, not {axis}")
        at = axis % len(full)
        # What lies outside is cut off by ONNX; a negative end far below means "all", which Python calls None.
        last = None if step < 0 and end < -full[at] else end
        taken = range(full[at])[start:last:step]
        if not taken:
            raise reading.error(node, f"slice {start}:{end}:{step} of {full[at]} must take something")
        if taken != range(full[at]) and at in _line_axes(reading, full) and step > 0:
            lines[_line_axes(reading, full)[at]] = taken
        elif taken != range(full[at]):
            _check_axis(reading, node, at, full)
            channels = tuple(taken)
    if channels is None and not lines:
        reading.copy(node, node.input[0])
        return
    output = node.output[0]
    if channels is not None:
        output = f"{output}.channels" if lines else output
        _select(reading, node, output, channels)
    if lines:
        source = reading.resolve(node.input[0]) if channels is None else output
        if channels is not None:
            reading.uses[output] += 1
        _, *size = reading.shapes[source]
        y, x = (lines.get(axis, range(size[axis])) for axis in (0, 1))
        cut = (-y[0], -x[0], y[-1] + 1 - size[0], x[-1] + 1 - size[1])
        name = reading.name(node)
        name = name if name not in reading.taken else node.output[0]
        window = Window((1, 1), (y.step, x.step), cut)
        reading.append(node, Pool(name, (source,), node.output[0], "max", window))


def _line_axes(reading: Reading, full: Full) -> dict[int, int]:
    """ONNX's axes of rows (0) and columns (1) of a map."""
    if reading.one_dimensional:
        return {2: 1} if len(full) == 3 else {}
    return {2: 0, 3: 1} if len(full) == 4 else {}


_SLICE = ("starts", "ends", "axes", "steps")


def gather(reading: Reading, node: onnx.NodeProto, given: Given) -> None:
    """Gather of channels by a constant vector."""
    full = reading.full(reading.shape(node, node.input[0]))
    count = full[_check_axis(reading, node, given["axis"], full)]
    if reading.given(node, 1) and node.input[1] in reading.constants and reading.constants[node.input[1]].ndim != 1:
        raise reading.unsupported(node, "indices must be a vector, as many channels as are taken")
    indices = reading.integers(node, 1, "indices")
    if not indices or not all(-count <= i < count for i in indices):
        raise reading.error(node, f"indices must be some of {-count}..{count - 1}, not {indices[:8]}")
    _select(reading, node, node.output[0], tuple(i % count for i in indices))


def spread(reading: Reading, node: onnx.NodeProto, before: Full, after: Full) -> bool:
    """Whether a Reshape is the first step of a shuffle, channels to groups by members; then it is noted."""
    if len(before) < 3 or len(after) != len(before) + 1 or after[3:] != before[2:] or after[0] != before[0]:
        return False
    reading.spread[node.output[0]] = (reading.resolve(node.input[0]), after, False)
    return True


def transpose(reading: Reading, node: onnx.NodeProto, given: Given) -> None:
    """The second step of a shuffle: groups and members change places."""
    source, full, turned = reading.spread.get(node.input[0], ("", (), True))
    perm = given["perm"] or tuple(reversed(range(len(full))))
    if turned or perm != (0, 2, 1, *range(3, len(full))):
        raise reading.unsupported(node, "only the shuffle of channels is supported: Reshape, Transpose, Reshape")
    reading.spread[node.output[0]] = (source, full, True)


def gathered(reading: Reading, node: onnx.NodeProto, after: Full) -> None:
    """The last step of a shuffle, from members by groups to channels, or the first one undone."""
    source, full, turned = reading.spread[node.input[0]]
    shape = reading.full(reading.shapes[source])
    if after != shape:
        raise reading.unsupported(node, f"shape behind a shuffle of channels must be {shape}, not {after}")
    groups, members = full[1:3]
    channels = range(math.prod(full[1:3]))
    if turned:
        _select(reading, node, node.output[0], tuple(c % groups * members + c // groups for c in channels), source)
    else:
        reading.alias[node.output[0]] = source
        reading.uses[source] += reading.uses[node.output[0]]


def _select(
    reading: Reading, node: onnx.NodeProto, output: str, channels: tuple[int, ...], source: str | None = None
) -> None:
    own = reading.name(node)
    name = own if own not in reading.taken else output
    source = reading.resolve(node.input[0]) if source is None else source
    reading.append(node, Select(name, (source,), output, channels))


def _check_axis(reading: Reading, node: onnx.NodeProto, axis: int, full: Full) -> int:
    """The axis of the channels in a full shape, if it is that one. Raises Blocked."""
    wanted = 2 if len(full) == 3 and not reading.one_dimensional else 1
    if axis % len(full) != wanted or not -len(full) <= axis < len(full):
        raise reading.unsupported(node, f"axis must be {wanted}, that of the channels of shape {full}, not {axis}")
    return wanted


def _numbers(reading: Reading, node: onnx.NodeProto, given: Given, index: int, name: str) -> list[int] | None:
    """An attribute (before opset 10), or the input in its place."""
    if given.get(name) is not None:
        return list(given[name])
    if not reading.given(node, index):
        return None
    if node.input[index] in reading.constants and reading.constants[node.input[index]].ndim != 1:
        raise reading.error(
            node, f"{name} must be a vector, not of {reading.constants[node.input[index]].ndim} dimensions"
        )
    return reading.integers(node, index, name)
