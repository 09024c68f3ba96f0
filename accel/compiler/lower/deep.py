"""Fully connected layers on a map whose kernel no command can hold: every pixel's word is a channel group of one pixel.

The weights of a COMPUTE are whole kernels, so a kernel of many pixels may be larger than the weight buffer, or than the
fields of a command, and the map under it than a bank. But a window that is the whole map is a sum over its words, and
sums over channel groups are made in parts: the words of a tensor lie one after the other, so the map is a pixel with as
many groups.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from accel.compiler.estimate import Machine
from accel.compiler.formats import choose
from accel.compiler.formats.format import Codes
from accel.compiler.geometry import Geometry
from accel.compiler.lower.window import LARGEST_KERNEL
from accel.compiler.weights import Arrange, deep_order, in_lanes
from accel.design import Design
from accel.models.integers.network import Layer, MatrixLayer


def covers(layer: Layer, shape: tuple[int, int, int]) -> bool:
    """Whether one window is the whole map."""
    window = layer.window
    return window.kernel == shape[1:] and not any(window.pads) and window.dilation == (1, 1)


def deepened(
    layer: MatrixLayer, geometry: Geometry, design: Design, least_words: int, lanes: Sequence[int] | None
) -> tuple[Geometry, Arrange] | None:
    """What the array sees if the kernel does not fit as it is, and how weights lie then; else None.

    `least_words` of the weight buffer for a COMPUTE as it is; `lanes` of the channels (None: as they are). Lanes
    without a channel need weights of 0, and must have been written; the words of the map must lie without gaps, as they
    do where a beat holds one at most.
    """
    machine, rows = Machine.of(design), design.word_lanes
    channels, (height, width) = geometry.channels, geometry.kernel
    fits = least_words <= machine.weights
    fits = fits and height * width <= design.activation_words
    if fits and max(height, width) <= LARGEST_KERNEL:
        return None
    groups, rest = -(-channels // rows), channels % rows or lanes is not None
    whole = -(-channels // design.lanes) * design.lanes % rows == 0
    if machine.activation_align > 1 or (rest and not (whole and choose(layer, needs_zero=layer.groups > 1).has_zero)):
        return None
    seen = replace(
        geometry, channels=groups * height * width * rows, kernel=(1, 1), dilation=(1, 1), padded=False,
        in_h=1, in_w=1, beside=0, deep=True,
    )  # fmt: skip

    def arrange(codes: Codes, pad_code: int) -> Codes:
        return deep_order(in_lanes(codes, lanes, groups * rows, pad_code), rows)

    return seen, arrange
