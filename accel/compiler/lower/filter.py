"""Depthwise convolutions on the post-process unit: a pixel of P channels a cycle passes its line buffer.

A window is 3 x 3, or 5 x 5 where the design has such and the kernel is larger; a smaller kernel stands in its lower
right corner, beside zeros. Everything else runs on the array: kernels above, those above 3 x 3 that it is faster with,
dilation, several outputs of an input channel, residual operands, designs without the multipliers.
"""

from __future__ import annotations

from math import prod
from typing import TypeGuard

from accel.commands import ConfigPost, Target, most
from accel.compiler.first_layer import Reading
from accel.compiler.geometry import Geometry
from accel.compiler.lower.filter_tiling import FilterTask, choose_filter
from accel.compiler.lower.filter_write import write
from accel.compiler.lower.lowering import Lowering, Setting
from accel.compiler.lower.matrix import operator
from accel.compiler.step import Step
from accel.compiler.weights import LayerWeights
from accel.design import Design
from accel.entropy.encode import Encoded
from accel.layout import words_per_beat
from accel.memories import RECORD_BYTES, TABLE_ENTRIES
from accel.models.integers.network import AnyLayer, IntegerNetwork, MatrixLayer, VectorLayer
from accel.models.window import Window
from accel.program import Compulsory, LayerInfo
from accel.records import filter_number, filter_passes, filter_words


def is_filter(layer: AnyLayer, design: Design) -> TypeGuard[MatrixLayer]:
    """Whether a layer runs on the filter of the post-process unit."""
    if type(layer) is not MatrixLayer or not design.filter_multipliers or layer.residual:
        return False
    window, (outputs, inputs) = layer.window, layer.weights.shape[:2]
    side = _side(window)
    return (
        1 < layer.groups == outputs
        and not window.spread
        and inputs == 1
        and (side == 3 or (side <= design.filter_side and _is_faster(layer, design)))
        and all(d == 1 or k == 1 for d, k in zip(window.dilation, window.kernel, strict=True))
        and max(window.stride) <= most(ConfigPost, "stride_y")
        and all(pad < k for pad, k in zip(window.pads, window.kernel * 2, strict=True))
        and filter_words(filter_number(side)) * (design.word_lanes // design.lanes) <= design.parameter_words
        # Columns may have to be cut where beats begin: as many pixels as a beat has words must fit the line.
        and (words_per_beat(design, Target.ACTIVATION) - 1) * window.stride[1] + side <= design.filter_line
    )


def _is_faster(layer: MatrixLayer, design: Design) -> bool:
    """Whether a pixel's 5 x 5 windows, chunk by chunk, take no more cycles than its kernel's positions on the array."""
    channels, passes = len(layer.weights), filter_passes(design.filter_multipliers, filter_number(5))
    tiles = -(-channels // min(design.word_lanes, design.cols))
    return passes * -(-channels // design.lanes) <= tiles * prod(layer.window.kernel)


def _side(window: Window) -> int:
    """Of the window of a filter that a kernel fits into: 3 or more, and odd."""
    return max(3, max(window.kernel) | 1)


def check(layer: MatrixLayer, network: IntegerNetwork, design: Design) -> None:
    """Nothing: pieces have coordinates of their own, and a sum of some products fits."""


def fused(layer: MatrixLayer, readers: list[AnyLayer], network: IntegerNetwork, design: Design) -> VectorLayer | None:
    """None: POST does one window."""
    return None


def filter_geometry(layer: MatrixLayer, shape: tuple[int, int, int], pool: Window | None) -> Geometry:
    """The layer with the kernel filled up to 3 x 3, or 5 x 5."""
    assert pool is None
    window, side = layer.window, _side(layer.window)
    channels, height, width = shape
    out_h, out_w = window.output_size(height, width)
    pads = (window.pads[0] + side - window.kernel[0], window.pads[1] + side - window.kernel[1])
    return Geometry(
        channels, (side, side), window.stride, (1, 1), pads, any(window.pads) or any(pads), height, width, out_h, out_w
    )


def readings(step: Step, design: Design, zero_point: int) -> list[Reading]:
    """As words."""
    return [Reading()]


def weights(step: Step, design: Design, reading: Reading) -> LayerWeights | None:
    """None for the weight buffer: taps travel with the records."""
    return None


def task(s: Setting) -> FilterTask:
    """What tiling must know."""
    return FilterTask(
        s.geometry, s.in_groups, s.in_ring, s.out_ring, s.in_pitch, s.out_pitch, s.machine.activation_align,
        s.out_align > 1, s.out_step, loaded=s.loaded, stored=s.stored,
    )  # fmt: skip


def info(step: Step, weights: LayerWeights | None, encoded: Encoded | None, must: Compulsory) -> LayerInfo:
    """Parameter words: the taps of a window a channel, zeros of smaller kernels included, and its record."""
    assert isinstance(step.layer, MatrixLayer)
    stored = filter_words(filter_number(step.geometry.kernel[0])) * RECORD_BYTES * len(step.layer.weights)
    stored += 0 if step.requantise.table is None else TABLE_ENTRIES
    return LayerInfo(step.name, "depthwise", must, stored, "parameters")


FILTER = Lowering(operator, check, fused, filter_geometry, readings, weights, task, choose_filter, write, info)
