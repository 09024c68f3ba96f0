"""A first layer whose windows are covered by words that are not alike: a channel group for each (`covering`).

The array sees a 1 x 1 convolution. Groups may share a plane of words, in rows that are some apart (`Geometry.places`).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from accel.compiler.covering import Plane, coverings
from accel.compiler.estimate import Machine
from accel.compiler.formats.format import Codes
from accel.compiler.geometry import Geometry
from accel.compiler.sources import LARGEST_STEP, LARGEST_WINDOW_WORDS, PlaneSource, RowSource, Source
from accel.compiler.transfers import LARGEST_LOAD_PITCH, LARGEST_ROW_BEATS
from accel.compiler.unfolded import LARGEST_APART, Unfolded, compute_cycles, cost
from accel.layout import RowTensor


def covered(
    outputs: int, pads: tuple[int, int, int, int], geometry: Geometry, machine: Machine, pad_value: int,
    most_planes: int,
) -> Iterator[Unfolded]:  # fmt: skip
    """The bytes under a window covered by words, a channel group for each, in `most_planes` planes at most."""
    row, rows = geometry.kernel[1] * geometry.channels, geometry.kernel[0]
    whole = geometry.taps == 1 or geometry.channels % machine.word_lanes == 0 or row * rows <= machine.word_lanes
    if whole or geometry.dilation != (1, 1) or machine.sparse or machine.contract.two_of_four:
        return  # no way takes fewer words, or what a word costs is another matter
    shared = machine.word_lanes // machine.contract.weight_rows % 8 == 0  # weights of a group are whole words
    for planes in coverings(row, rows, machine.word_lanes, geometry.stride[0], shared):
        if len(planes) <= most_planes and (made := _planes(outputs, pads, geometry, machine, pad_value, planes)):
            yield made


def _planes(
    outputs: int, pads: tuple[int, int, int, int], geometry: Geometry, machine: Machine, pad_value: int,
    planes: tuple[Plane, ...],
) -> Unfolded | None:  # fmt: skip
    """Planes of words."""
    channels, kernel_h, (stride_h, stride_w) = geometry.channels, geometry.kernel[0], geometry.stride
    lanes, beat, row = machine.word_lanes, machine.contract.beat_bytes, geometry.kernel[1] * channels
    words = [(plane, plane.top + k * plane.tall) for plane in planes for k in range(plane.words)]
    places = tuple((at, k * plane.step) for at, plane in enumerate(planes) for k in range(plane.words))
    own = len(planes) == len(words)
    height, width = geometry.out_h + max(lower for _, lower in places), geometry.out_w
    top, left, bottom, right = pads
    last = max((height - 1) * stride_h + plane.top + plane.tall for plane in planes)
    bottom += max(0, last - (geometry.in_h + top + bottom))
    pitch = -(-(geometry.in_w + left + right) * channels // beat) * beat
    layout = RowTensor(channels, geometry.in_h, geometry.in_w, (top, left, bottom, right), pitch, pad_value)
    fits = pitch // beat < LARGEST_ROW_BEATS and stride_h * pitch <= LARGEST_LOAD_PITCH
    fits = fits and width <= LARGEST_WINDOW_WORDS and stride_w * channels <= LARGEST_STEP and stride_h <= LARGEST_APART
    if not fits:
        return None
    last_lanes = words[-1][0].run * min(words[-1][0].tall, kernel_h - words[-1][1])
    seen = Geometry(
        (len(words) - 1) * lanes + last_lanes, (1, 1), (1, 1), (1, 1), (0, 0), False, height, width, geometry.out_h,
        width, geometry.pool, places=() if own else places,
    )  # fmt: skip

    def arrange(codes: Codes, pad_code: int) -> Codes:
        bytes_ = np.moveaxis(codes, 1, -1).reshape(len(codes), kernel_h, row)
        out = np.full((len(codes), len(words), lanes), pad_code, np.uint8)
        for at, (plane, first) in enumerate(words):
            part = bytes_[:, first : first + plane.tall, plane.first : plane.first + plane.run]
            out[:, at, : part.shape[1] * plane.run] = part.reshape(len(codes), -1)
        return out.reshape(len(codes), -1, 1, 1)

    def source(offset: int) -> Source:
        step = stride_w * channels
        return PlaneSource(
            tuple(
                RowSource(beat, offset + p.top * pitch, pitch, p.tall, stride_h, 1, p.run, step, 1, first=p.first)
                for p in planes
            )
        )

    load = bus = 0.0
    row_bytes = (width - 1) * stride_w * channels + row
    for plane in planes:
        beats = -(-((width - 1) * stride_w * channels + plane.run) // beat) * machine.contract.interval
        read = (height - 1) * stride_h + plane.tall if stride_h <= plane.tall else height * plane.tall
        load += max(read * beats, height * plane.tall * width)
        bus += read * beats
    once = ((geometry.out_h - 1) * stride_h + kernel_h) * -(-row_bytes // beat) * machine.contract.interval
    compute = compute_cycles(machine, seen, len(words), -(-outputs // machine.cols))
    word_cycles = load / (len(planes) * height * width)
    again = max(0.0, bus - once)  # the bus may be what others wait for
    return Unfolded(seen, layout, source, arrange, cost(load, compute) + again, word_cycles)
