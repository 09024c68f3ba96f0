"""How the network's input lies in DRAM and reaches the lanes.

A convolution with few input channels would leave most rows of the array idle. So its input is stored as rows of bytes
with its padding, and window loads put `u` columns by `m` rows of each kernel window side by side into the R lanes of a
word (and the next u columns into the next channel group): the array sees more channels and a kernel of
ceil(kernel_h / m) x 1. A fully connected layer on a map sees the bytes of the map in a row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from accel.commands import ConfigCompute, Target, most
from accel.compiler.estimate import Machine, beat_cycles
from accel.compiler.formats import choose
from accel.compiler.formats.format import Codes
from accel.compiler.geometry import Geometry
from accel.compiler.sources import LARGEST_STEP, LARGEST_WINDOW_WORDS, FlatSource, Lanes, RowSource, Source
from accel.compiler.transfers import LARGEST_LOAD_PITCH, LARGEST_ROW_BEATS, words_of
from accel.design import Design
from accel.layout import RowTensor
from accel.models.integers.network import MatrixLayer

LARGEST_DILATION = most(ConfigCompute, "dilation_y")
REMEMBERED = 1 << 10  # ways to unfold, of all networks and designs of a process
HIDDEN = 0.25  # what loading and computing cost side by side: the longer one, and so much of both


@dataclass(frozen=True)
class Unfolded:
    """A first layer as the array sees it. `arrange` turns weights (o, C, kh, kw) into (o, groups * R, kh', kw')."""

    geometry: Geometry
    layout: RowTensor
    source: Callable[[int], Source]
    arrange: Callable[[Codes, int], Codes]
    cycles: float
    word_cycles: float  # of loading one word of the unfolded input


@dataclass(frozen=True)
class Reading:
    """A way to read the network's input: by window loads, or (None) as words. `as_dense`: with weights of int8."""

    unfolded: Unfolded | None = None
    as_dense: bool = False


def readings(layer: MatrixLayer, geometry: Geometry, design: Design, pad_value: int) -> list[Reading]:
    """Ways for the one layer that reads the network's input, the fastest first; the last is as words.

    With weights as dense int8 whatever they are, because the lanes that a better way leaves unused need weights of 0
    which the layer's codebook does not have, if the time gained is more than that of the bytes.
    """
    stored = choose(layer, needs_zero=layer.groups > 1)
    usual = unfold(layer, geometry, design, pad_value, stored.has_zero)
    free = None if stored.has_zero else unfold(layer, geometry, design, pad_value, True)
    found = [Reading(usual), Reading()] if usual else [Reading()]
    if free is None:
        return found
    more_cycles = layer.weights.size * (8 - stored.bits) / 8 / design.bytes_per_cycle
    least = usual.cycles if usual else plain_cycles(len(layer.weights), geometry, Machine.of(design))
    return [Reading(free, as_dense=True), *found] if free.cycles + more_cycles < least else found


def unfold(layer: MatrixLayer, geometry: Geometry, design: Design, pad_value: int, has_zero: bool) -> Unfolded | None:
    """The cheapest way to unfold the layer, None if it is better read as words.

    `has_zero`: a weight of 0 can be written, so lanes may hold what the layer does not need.
    """
    if layer.groups > 1:
        return None
    if (geometry.out_h, geometry.out_w) == (1, 1) and not geometry.padded:
        whole = geometry.kernel == (geometry.in_h, geometry.in_w)
        return _flat(geometry, design) if whole and geometry.taps > 1 else None
    # Without what the way does not depend on: designs of other buffers and latencies share it.
    machine = Machine.of(design)
    contract = machine.contract._replace(latency=0, burst=0, outstanding=0)
    machine = replace(machine, contract=contract, accumulators=0, weights=0, parameters=0, weight_cycles=0.0, latency=0)
    return _cheapest(len(layer.weights), layer.window.pads, geometry, machine, pad_value, has_zero)


@lru_cache(REMEMBERED)
def _cheapest(
    outputs: int, pads: tuple[int, int, int, int], geometry: Geometry, machine: Machine, pad_value: int, has_zero: bool
) -> Unfolded | None:
    """The cheapest way to unfold a convolution to `outputs` channels; see `unfold`."""
    best, least = None, plain_cycles(outputs, geometry, machine)
    (kernel_h, kernel_w), channels = geometry.kernel, geometry.channels
    if geometry.stride[1] * channels > LARGEST_STEP:
        return None
    for columns in sorted({-(-kernel_w // parts) for parts in range(1, kernel_w + 1)}):
        if columns > 1 and geometry.dilation[1] > 1:
            continue
        for rows in range(1, kernel_h + 1):
            if columns * rows * channels > machine.word_lanes:
                break
            parts = -(-kernel_w // columns)
            exact = kernel_h % rows == 0 and (parts == 1 or columns * rows * channels == machine.word_lanes)
            exact = exact and (parts == 1 or rows == 1 or kernel_w % columns == 0)
            if not exact and not has_zero:
                continue
            # Lanes that nothing writes hold anything: a sparse engine would spend time on it.
            filled = columns * rows * channels == machine.word_lanes and (rows == 1 or kernel_w % columns == 0)
            if machine.sparse and parts > 1 and not filled:
                continue
            option = _rows(outputs, pads, geometry, machine, pad_value, columns, rows)
            if option and option.cycles < least:
                best, least = option, option.cycles
    return best


def plain_cycles(outputs: int, geometry: Geometry, machine: Machine) -> float:
    """The cost of reading the input of a layer with so many outputs as words, on the scale of `Unfolded.cycles`."""
    tiles, groups = -(-outputs // machine.cols), -(-geometry.channels // machine.word_lanes)
    load = groups * geometry.in_h * geometry.in_w * machine.activation_cycles
    return _cost(load, _compute(machine, geometry, groups, tiles))


def _cost(load: float, compute: float) -> float:
    return max(load, compute) + HIDDEN * (load + compute)


def _compute(machine: Machine, geometry: Geometry, groups: int, tiles: int) -> float:
    pixels = geometry.out_h * geometry.out_w
    if machine.sparse:  # reading words and broadcasting columns, if the PEs keep up
        return -(-pixels // machine.rows) * geometry.taps * max(groups * machine.rows, geometry.channels)
    halves = 1 + machine.contract.two_of_four  # of weights that are not 2:4
    return tiles * groups * geometry.taps * halves * machine.tile_cycles(pixels)


def _rows(
    outputs: int, pads: tuple[int, int, int, int], geometry: Geometry, machine: Machine, pad_value: int,
    columns: int, rows: int,
) -> Unfolded | None:  # fmt: skip
    """`columns` x `rows` kernel positions side by side in the lanes of a word."""
    channels, (kernel_h, kernel_w) = geometry.channels, geometry.kernel
    parts, folded = -(-kernel_w // columns), -(-kernel_h // rows)
    stride, dilation = geometry.stride[0], geometry.dilation[0]
    step = stride if folded == 1 or rows * dilation % stride == 0 else 1
    height = (geometry.out_h - 1) * (stride // step) + (folded - 1) * (rows * dilation // step) + 1
    top, left, bottom, right = pads
    bottom += max(0, (height - 1) * step + (rows - 1) * dilation + 1 - (geometry.in_h + top + bottom))
    beat = machine.contract.beat_bytes
    pitch = -(-(geometry.in_w + left + right) * channels // beat) * beat
    layout = RowTensor(channels, geometry.in_h, geometry.in_w, (top, left, bottom, right), pitch, pad_value)
    spots = []
    for part in range(parts):
        run = min(columns, kernel_w - part * columns) * channels
        for row in range(rows):
            start = part * columns * geometry.dilation[1] * channels
            spots.append(Lanes(part, row * columns * channels, run, start, row * dilation))
    seen = Geometry(
        (parts - 1) * machine.word_lanes + spots[-1].lane + spots[-1].run,
        (folded, 1), (stride // step, 1), (rows * dilation // step if folded > 1 else 1, 1), (0, 0), False,
        height, geometry.out_w, geometry.out_h, geometry.out_w, geometry.pool,
    )  # fmt: skip
    step_bytes = geometry.stride[1] * channels
    row_bytes = (geometry.out_w - 1) * step_bytes + columns * channels
    longest = beat - 1 + spots[-1].start + row_bytes
    fits = -(-longest // beat) <= LARGEST_ROW_BEATS and step * pitch <= LARGEST_LOAD_PITCH
    if seen.dilation[0] > LARGEST_DILATION or geometry.out_w > LARGEST_WINDOW_WORDS or not fits:
        return None

    def arrange(codes: Codes, pad_code: int) -> Codes:
        out = np.full((len(codes), parts * machine.word_lanes, folded, 1), pad_code, np.uint8)
        for spot in spots:
            row, first = spot.row // dilation, spot.group * columns
            for x in range(spot.run // channels):
                lane = spot.group * machine.word_lanes + spot.lane + x * channels
                taken = codes[:, :, row::rows, first + x]
                out[:, lane : lane + channels, : taken.shape[2], 0] = taken
        return out

    byte_cycles = beat_cycles(machine.contract, Target.ACTIVATION, window=True) / beat
    load = height * len(spots) * -(-row_bytes // beat) * beat * byte_cycles
    tiles = -(-outputs // machine.cols)
    return Unfolded(
        seen, layout,
        lambda offset: RowSource(beat, offset, pitch, step, step_bytes, tuple(spots)),
        arrange, _cost(load, _compute(machine, seen, parts, tiles)), rows * step_bytes * byte_cycles,
    )  # fmt: skip


def _flat(geometry: Geometry, design: Design) -> Unfolded:
    """A fully connected layer on a map: one pixel of channels * height * width channels, in the order of the bytes."""
    channels = geometry.channels * geometry.taps
    layout = RowTensor(
        geometry.channels, geometry.in_h, geometry.in_w, (0, 0, 0, 0), geometry.in_w * geometry.channels, 0
    )
    seen = Geometry(channels, (1, 1), (1, 1), (1, 1), (0, 0), False, 1, 1, 1, 1, geometry.pool)

    def arrange(codes: Codes, pad_code: int) -> Codes:
        groups = -(-channels // design.word_lanes)
        out = np.full((len(codes), groups * design.word_lanes, 1, 1), pad_code, np.uint8)
        out[:, :channels, 0, 0] = np.moveaxis(codes, 1, -1).reshape(len(codes), -1)
        return out

    words = words_of(design, Target.ACTIVATION)
    plain = words.stride_bytes == design.word_lanes
    cycles = Machine.of(design).activation_cycles if plain else float(design.word_lanes)
    return Unfolded(
        seen,
        layout,
        lambda offset: FlatSource(words, design.word_lanes, design.beat_bytes, offset),
        arrange,
        0.0,
        cycles,
    )
