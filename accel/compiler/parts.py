"""A layer over a spread input as parts, each an ordinary layer that writes some rows and columns of the output.

A transposed convolution is one convolution for each phase of its output (`accel.models.phases`), with the kernel
positions that this phase meets; its bias has what the sums leave out, the zero points at empty positions. Output pixels
that meet a repeated edge are parts of their own.

    up (x -> y, 4 x 4 over a base dilation of 2)    becomes
    up[0,0] (rows 0, 2, ..., columns 0, 2, ...; 2 x 2), up[0,1], up[1,0], up[1,1], all x -> y
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from accel.commands import Post, most
from accel.models.errors import InputError
from accel.models.inside import along
from accel.models.integers.network import IntegerNetwork, Layer, MatrixLayer, Requantise, VectorLayer
from accel.models.phases import Phase, phases
from accel.models.window import Window
from accel.program import Compulsory, LayerInfo

LARGEST_STEP = most(Post, "dst_step")


@dataclass(frozen=True)
class Part:
    """Where a part of layer `of` writes: output pixels from `first` (y, x) on, `step` apart.

    `taps`: whether it has any, else it is the bias alone. `last`: of its layer's parts.
    """

    of: Layer
    first: tuple[int, int]
    step: tuple[int, int]
    taps: bool
    last: bool

    def __str__(self) -> str:
        return f"rows {self.first[0]} + {self.step[0]}k, columns {self.first[1]} + {self.step[1]}k"


def parts_of(layer: Layer, network: IntegerNetwork) -> list[tuple[Layer, Part]]:
    """The parts of a layer over a spread input. Raises InputError for a spread that no POST can write."""
    spread = max(layer.window.base_dilation)
    if spread > LARGEST_STEP:
        raise InputError(f"the stride of a transposed convolution must be at most {LARGEST_STEP}, not {spread}")
    read, names = network.tensors[layer.input], {other.name for other in network.layers}
    found = phases(layer.window, *read.shape[1:])
    made: list[tuple[Layer, Part]] = []
    for phase in found:
        name = _name(layer, phase.first, names)
        part = Part(layer, phase.first, phase.step, phase.window is not None, phase is found[-1])
        if isinstance(layer, MatrixLayer):
            made.append((_matrix(layer, phase, name, read.zero_point, read.shape[1:]), part))
        else:
            assert phase.window
            rest = np.full(1, _taps(layer.window) - _taps(phase.window)) * (layer.reduce == "sum")
            record = _with_bias(layer.requantise, rest * read.zero_point)
            made.append((replace(layer, name=name, window=phase.window, requantise=record), part))
    return made


def counted_parts(layer: VectorLayer, network: IntegerNetwork) -> list[tuple[Layer, Part]]:
    """An average that leaves pads out as parts of windows with one number of elements inside, each with its record."""
    height, width = network.tensors[layer.input].shape[1:]
    rows, cols = (_runs(along(layer.window, axis, size)) for axis, size in ((0, height), (1, width)))
    names, found = {other.name for other in network.layers}, [(y, x) for y in rows for x in cols]
    made: list[tuple[Layer, Part]] = []
    for number, ((y, down, high), (x, right, wide)) in enumerate(found):
        window, at = layer.window, layer.counts.index(high * wide)
        top, left = window.pads[0] - y * window.stride[0], window.pads[1] - x * window.stride[1]
        bottom = (down - 1) * window.stride[0] + window.kernel[0] - height - top
        behind = (right - 1) * window.stride[1] + window.kernel[1] - width - left
        r = layer.requantise
        one = replace(r, bias=r.bias[at : at + 1], multiplier=r.multiplier[at : at + 1], shift=r.shift[at : at + 1])
        name = _name(layer, (y, x), names)
        part = Part(layer, (y, x), (1, 1), True, number == len(found) - 1)
        moved = replace(window, pads=(top, left, bottom, behind))
        made.append((replace(layer, name=name, window=moved, requantise=one, counts=()), part))
    return made


def _runs(counts: NDArray[np.int64]) -> list[tuple[int, int, int]]:
    """First, length and value of runs of equal numbers."""
    edges = [0, *(np.flatnonzero(np.diff(counts)) + 1).tolist(), len(counts)]
    return [(a, b - a, int(counts[a])) for a, b in pairwise(edges)]


def _taps(window: Window) -> int:
    return window.kernel[0] * window.kernel[1]


def _name(layer: Layer, first: tuple[int, int], names: Collection[str]) -> str:
    """A name that no layer of the network has."""
    name = f"{layer.name}[{first[0]},{first[1]}]"
    while name in names:
        name += "'"
    return name


def _matrix(layer: MatrixLayer, phase: Phase, name: str, zero_point: int, size: tuple[int, int]) -> MatrixLayer:
    """The convolution of a phase; without taps one of a single weight of 0."""
    window, shared = phase.window, layer.shared
    if window:
        weights = phase.of(layer.weights).astype(np.int8)
        shared = replace(shared, indices=phase.of(shared.indices)) if shared and phase.single else None
    else:
        weights, shared = np.zeros((*layer.weights.shape[:2], 1, 1), np.int8), None
        bottom, right = (made - have for made, have in zip(phase.size, size, strict=True))
        window = Window((1, 1), pads=(0, 0, bottom, right))
    rest = layer.weights.sum((1, 2, 3), dtype=np.int64) - weights.sum((1, 2, 3), dtype=np.int64)
    record = _with_bias(layer.requantise, rest * zero_point)
    return replace(layer, name=name, weights=weights, window=window, requantise=record, shared=shared)


def _with_bias(r: Requantise, more: np.ndarray) -> Requantise:
    """The record with `more` in the biases; of all channels together still, if it is the same for all."""
    if len(r.bias) == 1 and (more == more[0]).all():
        more = more[:1]
    return with_biases(r, r.bias.astype(np.int64) + more)


def with_biases(r: Requantise, bias: NDArray[np.integer]) -> Requantise:
    """The record with these biases, and with as many multipliers and shifts."""
    return replace(
        r, bias=bias.astype(np.int32), multiplier=np.broadcast_to(r.multiplier, bias.shape),
        shift=np.broadcast_to(r.shift, bias.shape),
    )  # fmt: skip


def together(infos: Sequence[LayerInfo], parts: Sequence[Part | None]) -> tuple[tuple[LayerInfo, ...], list[int]]:
    """What a report says of each layer, from what is said of each step; and the layer of each step."""
    layers: list[LayerInfo] = []
    owners = []
    before: Layer | None = None
    for info, part in zip(infos, parts, strict=True):
        if part is None or part.of is not before:
            layers.append(info if part is None else replace(info, name=part.of.name, kind=_kind(part.of)))
        else:
            layers[-1] = _sum(layers[-1], info)
        before = part.of if part else None
        owners.append(len(layers) - 1)
    return tuple(layers), owners


def _kind(layer: Layer) -> str:
    if isinstance(layer, MatrixLayer):
        return "transposed conv"
    return "pad" if any(layer.window.edges) else "resize"


def _sum(one: LayerInfo, other: LayerInfo) -> LayerInfo:
    a, b = one.must, other.must
    must = Compulsory(*(getattr(a, f.name) + getattr(b, f.name) for f in fields(Compulsory)))
    formats = dict.fromkeys([*one.weight_format.split(" + "), other.weight_format])
    return replace(
        one, must=must, weight_bytes=one.weight_bytes + other.weight_bytes, weight_format=" + ".join(formats)
    )
