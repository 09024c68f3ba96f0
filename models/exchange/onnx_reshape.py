"""Flatten, Reshape, Squeeze and Unsqueeze of an activation: the shape that they make, without its values."""

from __future__ import annotations

import math

import onnx

from accel.models.exchange.onnx_channels import gathered, spread
from accel.models.exchange.onnx_reading import Given, Reading

Full = tuple[int, ...]  # a shape with the batch in front


def reshape(reading: Reading, node: onnx.NodeProto, given: Given) -> None:
    """Append the Reshape that `node` is, if it leaves the batch where it is."""
    if node.op_type == "Reshape" and node.input[0] in reading.spread:
        gathered(reading, node, _reshaped(reading, node, reading.spread[node.input[0]][1], given))
        return
    before = reading.full(reading.shape(node, node.input[0]))
    match node.op_type:
        case "Flatten":
            shape = _flattened(reading, node, before, given["axis"])
        case "Reshape":
            shape = _reshaped(reading, node, before, given)
        case "Squeeze":
            shape = _squeezed(reading, node, before, _axes(reading, node, given, len(before)))
        case _:
            shape = _unsqueezed(reading, node, before, given)
    most = 3 if reading.one_dimensional else 4
    if len(shape) == most + 1 and spread(reading, node, before, shape):
        return
    if not 2 <= len(shape) <= most or shape[0] != reading.batch:
        raise reading.unsupported(
            node, f"shape must keep the batch of {reading.batch} in front, and 2 to {most} dimensions, not {shape}"
        )
    reading.reshape(node, reading.name(node), node.input[0], node.output[0], reading.inner(shape))


def _flattened(reading: Reading, node: onnx.NodeProto, before: Full, axis: int) -> Full:
    if not -len(before) <= axis <= len(before):
        raise reading.error(node, f"axis must be {-len(before)}..{len(before)}, not {axis}")
    axis = axis if axis >= 0 else axis + len(before)
    return math.prod(before[:axis]), math.prod(before[axis:])


def _reshaped(reading: Reading, node: onnx.NodeProto, before: Full, given: Given) -> Full:
    """0 copies a size (but with `allowzero`), one -1 takes what is left."""
    wanted = given["shape"] if given["shape"] is not None else reading.integers(node, 1, "shape")
    if not given["allowzero"]:
        wanted = [before[i] if n == 0 and i < len(before) else n for i, n in enumerate(wanted)]
    known = math.prod(n for n in wanted if n != -1)
    if list(wanted).count(-1) == 1 and known > 0:
        wanted = [n if n != -1 else math.prod(before) // known for n in wanted]
    if min(wanted, default=0) < 1 or math.prod(wanted) != math.prod(before):
        raise reading.error(node, f"shape must hold the {math.prod(before)} values of {before}, not {tuple(wanted)}")
    return tuple(wanted)


def _squeezed(reading: Reading, node: onnx.NodeProto, before: Full, axes: list[int] | None) -> Full:
    if axes is None:  # the batch stays, although it may be 1
        axes = [i for i, n in enumerate(before) if n == 1 and i > 0]
        reading.squeezed = True
    if any(before[axis] != 1 for axis in axes):
        raise reading.error(node, f"axes must be dimensions of size 1 of {before}, not {axes}")
    return tuple(n for i, n in enumerate(before) if i not in axes)


def _unsqueezed(reading: Reading, node: onnx.NodeProto, before: Full, given: Given) -> Full:
    count = len(given["axes"] or ()) if given["axes"] is not None else len(reading.integers(node, 1, "axes"))
    if count > 3:  # of an activation with a batch, four dimensions are the most
        raise reading.error(node, f"axes must be at most 3, not {count}")
    axes = _axes(reading, node, given, len(before) + count) or []
    rest = iter(before)
    return tuple(1 if i in axes else next(rest) for i in range(len(before) + count))


def _axes(reading: Reading, node: onnx.NodeProto, given: Given, rank: int) -> list[int] | None:
    """The axes of an attribute or an input, each once and in 0..rank - 1; None if there are none."""
    axes = given["axes"]
    if axes is None and reading.given(node, 1):
        axes = reading.integers(node, 1, "axes")
    if axes is None:
        return None
    each_once = len({axis % rank for axis in axes}) == len(axes)
    if not axes or not each_once or not all(-rank <= axis < rank for axis in axes):
        raise reading.error(node, f"axes must be different ones in {-rank}..{rank - 1}, not {list(axes)}")
    return [axis % rank for axis in axes]
