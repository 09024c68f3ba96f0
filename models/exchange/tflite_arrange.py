"""Operators of a .tflite file that only move values: what they become in ONNX.

Where a map's dimensions keep their places it stays in ONNX's order; else the node works in the file's order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import tflite

from accel.models.exchange.tflite_file import Operator
from accel.models.exchange.tflite_writing import FIRST, Unsupported, Writing

FAR = np.iinfo(np.int64).max
MIRROR = {tflite.MirrorPadMode.REFLECT: "reflect"}


def _axis(writing: Writing, place: int, axis: int) -> int:
    """A dimension of the file's order in the order that the activation lies in."""
    rank = len(writing.tensor(place).shape)
    return FIRST.index(axis % rank) if rank == 4 else axis % rank


def _integers(writing: Writing, name: str, values: Sequence[int]) -> str:
    return writing.number(name, np.array(values, np.int64))


def _concatenate(writing: Writing, operator: Operator) -> None:
    options, output = tflite.ConcatenationOptions, writing.result(operator)
    axis = _axis(writing, operator.outputs[0], operator.option(options, "Axis"))
    name = writing.node("Concat", [writing.any(x) for x in operator.inputs], f"{output}.linear", axis=axis)
    fused = operator.option(options, "FusedActivationFunction")
    writing.made(operator.outputs[0], writing.activate(fused, name, output))


def _split(writing: Writing, operator: Operator, sizes: int | None, source: int, axis: int) -> None:
    """Equal parts, or of the sizes that input `sizes` gives, -1 for what is left."""
    place = operator.inputs[source]
    (along,) = writing.integers(operator.inputs[axis])
    whole = writing.tensor(place).shape[along]
    parts = [whole // len(operator.outputs)] * len(operator.outputs)
    if sizes is not None:
        parts = writing.integers(operator.inputs[sizes])
        rest = whole - sum(x for x in parts if x >= 0)
        parts = [rest if x < 0 else x for x in parts]
    output = writing.result(operator)
    names = [f"{writing.file.tensors[x].name}.linear" for x in operator.outputs]
    writing.node(
        "Split", [writing.value(place), _integers(writing, f"{output}.sizes", parts)], *names,
        axis=_axis(writing, place, along),
    )  # fmt: skip
    for made, name in zip(operator.outputs, names, strict=True):
        writing.made(made, name)


def _sliced(writing: Writing, operator: Operator, ranges: dict[int, tuple[int, int, int]], drop: list[int]) -> None:
    """Ranges (begin, end, step) of dimensions in the file's order; those of `drop` have one value and go."""
    output, place = writing.result(operator), operator.inputs[0]
    shape = writing.tensor(place).shape
    # What takes the whole of a dimension says nothing; its size may be the batch.
    ranges = {axis: x for axis, x in ranges.items() if x[2] != 1 or x[0] > 0 or x[1] < shape[axis]}
    inside = not drop
    name = writing.any(place) if inside else writing.ordered(place)
    if ranges:
        axes = [_axis(writing, place, axis) if inside else axis for axis in ranges]
        begins, ends, steps = zip(*ranges.values(), strict=True)
        columns = {"begins": begins, "ends": ends, "axes": axes, "steps": steps}
        parts = [_integers(writing, f"{output}.{what}", values) for what, values in columns.items()]
        name = writing.node("Slice", [name, *parts], f"{output}.linear")
    if drop:
        name = writing.node("Squeeze", [name, _integers(writing, f"{output}.dropped", drop)], f"{output}.squeezed")
    (writing.made if inside else writing.put)(operator.outputs[0], name)


def _slice(writing: Writing, operator: Operator) -> None:
    begins, sizes = (writing.integers(operator.inputs[i]) for i in (1, 2))
    ends = [FAR if size < 0 else begin + size for begin, size in zip(begins, sizes, strict=True)]
    _sliced(writing, operator, {i: (b, e, 1) for i, (b, e) in enumerate(zip(begins, ends, strict=True))}, [])


def _strided_slice(writing: Writing, operator: Operator) -> None:
    options = tflite.StridedSliceOptions
    if operator.option(options, "EllipsisMask") or operator.option(options, "NewAxisMask"):
        raise Unsupported("ellipsis and new axes must not be in it, and are")
    shape = writing.tensor(operator.inputs[0]).shape
    ranges, drop = {}, []
    for axis, (begin, end, step) in enumerate(zip(*(writing.integers(x) for x in operator.inputs[1:4]), strict=True)):
        if operator.option(options, "ShrinkAxisMask") >> axis & 1:
            ranges[axis] = (begin, begin + 1 if begin != -1 else FAR, 1)
            drop.append(axis)
            continue
        first, last = (0, FAR) if step > 0 else (FAR, -FAR)
        begin = first if operator.option(options, "BeginMask") >> axis & 1 else begin
        end = last if operator.option(options, "EndMask") >> axis & 1 else end
        ranges[axis] = (begin + shape[axis] if -shape[axis] <= begin < 0 else begin, end, step)
    _sliced(writing, operator, ranges, drop)


def _transpose(writing: Writing, operator: Operator) -> None:
    place, output = operator.inputs[0], writing.result(operator)
    order = writing.integers(operator.inputs[1])
    if len(order) == 4 and place in writing.names:
        turned = [FIRST.index(order[axis]) for axis in FIRST]
        name = writing.value(place)
        if turned != [0, 1, 2, 3]:
            name = writing.node("Transpose", [name], f"{output}.linear", perm=turned)
        writing.made(operator.outputs[0], name)
        return
    writing.put(operator.outputs[0], writing.node("Transpose", [writing.ordered(place)], f"{output}.file", perm=order))


def _pack(writing: Writing, operator: Operator) -> None:
    output, names = writing.result(operator), []
    rank = len(writing.tensor(operator.outputs[0]).shape)
    axis = operator.option(tflite.PackOptions, "Axis") % rank
    axes = _integers(writing, f"{output}.axes", [axis])
    for number, place in enumerate(operator.inputs):
        names.append(writing.node("Unsqueeze", [writing.ordered(place), axes], f"{output}.{number}"))
    writing.put(operator.outputs[0], writing.node("Concat", names, f"{output}.packed", axis=axis))


def _unpack(writing: Writing, operator: Operator) -> None:
    output, place = writing.result(operator), operator.inputs[0]
    axis = operator.option(tflite.UnpackOptions, "Axis") % len(writing.tensor(place).shape)
    axes = _integers(writing, f"{output}.axes", [axis])
    parts = [f"{output}.part{number}" for number in range(len(operator.outputs))]
    sizes = _integers(writing, f"{output}.sizes", [1] * len(parts))
    writing.node("Split", [writing.ordered(place), sizes], *parts, axis=axis)
    for part, made in zip(parts, operator.outputs, strict=True):
        name = writing.node("Squeeze", [part, axes], f"{writing.file.tensors[made].name}.linear")
        writing.put(made, name)


def _gather(writing: Writing, operator: Operator) -> None:
    if operator.option(tflite.GatherOptions, "BatchDims"):
        raise Unsupported("batch dimensions must be 0")
    place, indices = operator.inputs[:2]
    axis = operator.option(tflite.GatherOptions, "Axis") % len(writing.tensor(place).shape)
    names = [writing.ordered(place), writing.ordered(indices)]
    writing.put(operator.outputs[0], writing.node("Gather", names, f"{writing.result(operator)}.file", axis=axis))


def _shape(writing: Writing, operator: Operator) -> None:
    """Of what the file says: the batch is its one."""
    shape = np.array(writing.tensor(operator.inputs[0]).shape, np.int32)
    writing.names[operator.outputs[0]] = writing.number(f"{writing.result(operator)}.shape", shape)


def _pad(writing: Writing, operator: Operator, mode: str | None = None) -> None:
    output = writing.result(operator)
    rank = len(writing.tensor(operator.inputs[0]).shape)
    amounts = writing.integers(operator.inputs[1])
    if len(amounts) != 2 * rank:
        raise Unsupported(f"paddings must be two for each of {rank} dimensions, not {len(amounts)} numbers")
    pairs = [(amounts[2 * i], amounts[2 * i + 1]) for i in (FIRST if rank == 4 else range(rank))]
    pads = [begin for begin, _ in pairs] + [end for _, end in pairs]
    inputs = [writing.value(operator.inputs[0]), _integers(writing, f"{output}.pads", pads)]
    if len(operator.inputs) > 2:
        inputs.append(writing.number(f"{output}.filling", writing.floats(operator.inputs[2]).reshape(())))
    given = {} if mode is None else {"mode": mode}
    writing.made(operator.outputs[0], writing.node("Pad", inputs, f"{output}.linear", **given))


def _mirror_pad(writing: Writing, operator: Operator) -> None:
    mode = operator.option(tflite.MirrorPadOptions, "Mode")
    if mode not in MIRROR:
        raise Unsupported("mode must be REFLECT, not SYMMETRIC")
    _pad(writing, operator, MIRROR[mode])


def _tile(writing: Writing, operator: Operator) -> None:
    output, times = writing.result(operator), writing.integers(operator.inputs[1])
    times = [times[axis] for axis in FIRST] if len(times) == 4 else times
    inputs = [writing.any(operator.inputs[0]), _integers(writing, f"{output}.times", times)]
    writing.made(operator.outputs[0], writing.node("Tile", inputs, f"{output}.linear"))


def _reshape(writing: Writing, operator: Operator) -> None:
    """A map becomes a vector as it is where that is the same in both orders; else only a product can undo it."""
    before, after = writing.tensor(operator.inputs[0]).shape, writing.tensor(operator.outputs[0]).shape
    output, place = writing.result(operator), operator.outputs[0]
    if before[:1] != after[:1] or math.prod(before[1:]) != math.prod(after[1:]):
        shape = _integers(writing, f"{output}.shape", after)
        writing.put(place, writing.node("Reshape", [writing.ordered(operator.inputs[0]), shape], f"{output}.file"))
        return
    source = writing.any(operator.inputs[0])
    turned = len(before) == 4 and min(math.prod(before[1:3]), before[3]) > 1
    if len(before) == 4 and (turned or len(after) == 4):
        if len(after) == 2:
            writing.flat[place] = (source, before[1:])
        source = writing.node("Transpose", [source], f"{output}.turned", perm=[0, 2, 3, 1])
    name = writing.node("Reshape", [source, _integers(writing, f"{output}.shape", [0, *after[1:]])], f"{output}.linear")
    if len(after) == 4:
        name = writing.node("Transpose", [name], f"{output}.turned_back", perm=FIRST)
    writing.made(place, name)


WRITERS: dict[str, Callable[[Writing, Operator], None]] = {
    "CONCATENATION": _concatenate,
    "EXPAND_DIMS": _reshape,
    "GATHER": _gather,
    "MIRROR_PAD": _mirror_pad,
    "PACK": _pack,
    "PAD": _pad,
    "PADV2": _pad,
    "RESHAPE": _reshape,
    "SHAPE": _shape,
    "SLICE": _slice,
    "SPLIT": partial(_split, sizes=None, source=1, axis=0),
    "SPLIT_V": partial(_split, sizes=1, source=0, axis=2),
    "SQUEEZE": _reshape,
    "STRIDED_SLICE": _strided_slice,
    "TILE": _tile,
    "TRANSPOSE": _transpose,
    "UNPACK": _unpack,
}
