"""How the network's input lies in DRAM and reaches the lanes.

A convolution with few input channels would leave most rows of the array idle. So its input is stored as rows of bytes
with its padding, and window loads put a run of bytes, of each of `m` rows under a kernel window, side by side into the
R lanes of a word: the array sees more channels and a kernel of ceil(kernel_h / m) rows. Its columns are the words of a
window: either a word begins at each place that a window's part begins at, whole columns long, and windows share words;
or the bytes of each window's row are cut into equal parts, a word for each; or, if they are more than two words, into
whole words, one or two in each channel group, which has a LOAD of its own; or words that are not alike cover all bytes
of a window (`covered`). A fully connected layer on a map sees the bytes of the map in a row.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from math import gcd
from typing import NamedTuple

import numpy as np

from accel.commands import ConfigCompute, Load, Target, most
from accel.compiler.covered import covered
from accel.compiler.estimate import Machine
from accel.compiler.formats import choose
from accel.compiler.formats.format import Codes
from accel.compiler.geometry import Geometry
from accel.compiler.sources import LARGEST_STEP, LARGEST_WINDOW_WORDS, FlatSource, RowSource
from accel.compiler.transfers import LARGEST_LOAD_PITCH, LARGEST_ROW_BEATS, words_of
from accel.compiler.unfolded import LARGEST_APART, Unfolded, compute_cycles, cost
from accel.design import Design
from accel.layout import RowTensor
from accel.models.integers.network import MatrixLayer

LARGEST_DILATION = most(ConfigCompute, "dilation_y")
LARGEST_STRIDE = most(ConfigCompute, "stride_x")
LARGEST_PARTS = most(Load, "parts") + 1
REMEMBERED = 1 << 10  # ways to unfold, of all networks and designs of a process
WAYS = 2  # to unfold a layer, that a search compares
FEW_PLANES = 4  # that a covering has without a search: each is a LOAD a strip, and programs take longer to make


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
    return next(iter(ways(layer, geometry, design, pad_value, has_zero)), None)


def ways(
    layer: MatrixLayer, geometry: Geometry, design: Design, pad_value: int, has_zero: bool, search: bool = False
) -> tuple[Unfolded, ...]:
    """The WAYS cheapest to unfold the layer, as far as they cost less than reading it as words; see `unfold`.

    `search`: whatever their number of planes.
    """
    if layer.groups > 1 or not design.windows:
        return ()
    if (geometry.out_h, geometry.out_w) == (1, 1) and not geometry.padded:
        whole = geometry.kernel == (geometry.in_h, geometry.in_w)
        return (_flat(geometry, design),) if whole and geometry.taps > 1 else ()
    # Without what the way does not depend on: designs of other buffers and latencies share it.
    machine = Machine.of(design)
    contract = machine.contract._replace(latency=0, burst=0, outstanding=0)
    machine = replace(machine, contract=contract, accumulators=0, weights=0, parameters=0, weight_cycles=0.0, latency=0)
    most = 1 << 20 if search else FEW_PLANES
    return _cheapest(len(layer.weights), layer.window.pads, geometry, machine, pad_value, has_zero, most)


@lru_cache(REMEMBERED)
def _cheapest(
    outputs: int, pads: tuple[int, int, int, int], geometry: Geometry, machine: Machine, pad_value: int, has_zero: bool,
    most_planes: int,
) -> tuple[Unfolded, ...]:  # fmt: skip
    """The cheapest ways to unfold a convolution to `outputs` channels; see `ways`."""
    load, compute = _plain(outputs, geometry, machine)
    if geometry.taps == 1 and load <= compute:
        return ()  # as words, its pixels are one row
    found, words = dict[Geometry, Unfolded](), cost(load, compute)
    for cut in _cuts(geometry, machine):
        for rows in range(1, min(geometry.kernel[0], machine.word_lanes // cut.run) + 1):
            exact = geometry.kernel[0] % rows == 0 and cut.parts * cut.lanes == geometry.kernel[1] * geometry.channels
            if not exact and not has_zero:
                continue
            option = _rows(outputs, pads, geometry, machine, pad_value, cut, rows)
            if option and option.cycles < words:
                found.setdefault(option.geometry, option)
    for option in covered(outputs, pads, geometry, machine, pad_value, most_planes) if has_zero else ():
        if option.cycles < words:
            found.setdefault(option.geometry, option)
    return tuple(sorted(found.values(), key=lambda option: option.cycles)[:WAYS])


class Cut(NamedTuple):
    """How the bytes of a row under a window are cut into `parts` of `run` bytes, a word each.

    `step` bytes lie between windows and `stride` words; `dilation` words between the parts of one. `loaded` words are
    made of one place in the row, the others begin elsewhere. All that in each of `groups` channel groups, whose bytes
    follow each other; of the last one the layer needs `last` lanes.
    """

    run: int
    parts: int
    step: int
    stride: int
    dilation: int
    loaded: int
    groups: int = 1
    last: int = 0

    @property
    def lanes(self) -> int:
        """Lanes of a row that the layer needs, of all groups."""
        return (self.groups - 1) * self.run + (self.last or self.run)


def _cuts(geometry: Geometry, machine: Machine) -> Iterator[Cut]:
    """All ways that window loads can express."""
    channels, kernel, stride, dilation = geometry.channels, geometry.kernel[1], geometry.stride[1], geometry.dilation[1]
    lanes, row = machine.word_lanes, kernel * channels
    if dilation == 1 and stride * channels <= LARGEST_STEP:
        most_parts = min(LARGEST_PARTS, LARGEST_STRIDE) if geometry.taps > 1 else 1
        for parts in range(1, most_parts + 1):
            run = -(-row // parts)
            if run <= lanes and parts * run <= 2 * lanes and run * (parts - 1) < row:
                yield Cut(run, parts, stride * channels, parts, 1, parts)
        words = -(-row // lanes)
        for parts in (1, 2) if words > 2 and not machine.sparse else ():
            if words % parts == 0:
                last = row - (words - 1) * lanes if parts == 1 else lanes
                yield Cut(lanes, parts, stride * channels, parts, 1, parts, words // parts, last)
    for columns in sorted({-(-kernel // parts) for parts in range(1, kernel + 1)}):
        if columns * channels > lanes or (columns > 1 and dilation > 1):
            break
        parts = -(-kernel // columns)
        apart = gcd(stride, columns * dilation) if parts > 1 else stride
        if apart * channels <= LARGEST_STEP:
            yield Cut(columns * channels, parts, apart * channels, stride // apart, columns * dilation // apart, 1)


def plain_cycles(outputs: int, geometry: Geometry, machine: Machine) -> float:
    """The cost of reading the input of a layer with so many outputs as words, on the scale of `Unfolded.cycles`."""
    return cost(*_plain(outputs, geometry, machine))


def _plain(outputs: int, geometry: Geometry, machine: Machine) -> tuple[float, float]:
    """Cycles of loading the input as words, and of computing."""
    tiles, groups = -(-outputs // machine.cols), -(-geometry.channels // machine.word_lanes)
    load = groups * geometry.in_h * geometry.in_w * machine.activation_cycles
    return load, compute_cycles(machine, geometry, groups, tiles)


def _rows(
    outputs: int, pads: tuple[int, int, int, int], geometry: Geometry, machine: Machine, pad_value: int, cut: Cut,
    rows: int,
) -> Unfolded | None:  # fmt: skip
    """A cut of `rows` kernel rows side by side in the lanes of a word."""
    channels, (kernel_h, _) = geometry.channels, geometry.kernel
    folded, stride, dilation = -(-kernel_h // rows), geometry.stride[0], geometry.dilation[0]
    apart = gcd(stride, rows * dilation) if folded > 1 else stride
    height = (geometry.out_h - 1) * (stride // apart) + (folded - 1) * (rows * dilation // apart) + 1
    width = (geometry.out_w - 1) * cut.stride + (cut.parts - 1) * cut.dilation + 1
    top, left, bottom, right = pads
    bottom += max(0, (height - 1) * apart + (rows - 1) * dilation + 1 - (geometry.in_h + top + bottom))
    beat = machine.contract.beat_bytes
    group_bytes = (width // cut.loaded - 1) * cut.step + cut.loaded * cut.run
    row_bytes = group_bytes + (cut.groups - 1) * cut.loaded * cut.run
    pitch = -(-max((geometry.in_w + left + right) * channels, row_bytes) // beat) * beat
    layout = RowTensor(channels, geometry.in_h, geometry.in_w, (top, left, bottom, right), pitch, pad_value)
    seen = Geometry(
        rows * cut.lanes, (folded, cut.parts), (stride // apart, cut.stride),
        (rows * dilation // apart if folded > 1 else 1, cut.dilation if cut.parts > 1 else 1), (0, 0), False,
        height, width, geometry.out_h, geometry.out_w, geometry.pool,
    )  # fmt: skip
    together = dilation == 1 and apart <= rows
    fits = pitch // beat < LARGEST_ROW_BEATS and (1 if together else apart) * pitch <= LARGEST_LOAD_PITCH
    fits = fits and width <= LARGEST_WINDOW_WORDS and max(seen.dilation) <= LARGEST_DILATION
    if not fits or max(seen.stride) > LARGEST_STRIDE or (together and apart > LARGEST_APART):
        return None

    def arrange(codes: Codes, pad_code: int) -> Codes:
        shape = (len(codes), folded * rows, cut.groups * cut.parts * cut.run)
        bytes_ = np.full(shape, pad_code, np.uint8)
        flat = np.moveaxis(codes, 1, -1).reshape(len(codes), kernel_h, -1)
        bytes_[:, :kernel_h, : flat.shape[2]] = flat
        split = bytes_.reshape(len(codes), folded, rows, cut.groups, cut.parts, cut.run).transpose(0, 3, 2, 5, 1, 4)
        out = np.full((len(codes), cut.groups, machine.word_lanes, folded, cut.parts), pad_code, np.uint8)
        out[:, :, : rows * cut.run] = split.reshape(len(codes), cut.groups, rows * cut.run, folded, cut.parts)
        return out.reshape(len(codes), -1, folded, cut.parts)

    read = (height - 1) * apart + rows if together else height * rows
    load = cut.groups * max(read * -(-group_bytes // beat) * machine.contract.interval, height * rows * width)
    tiles = -(-outputs // machine.cols)
    return Unfolded(
        seen, layout,
        lambda offset: RowSource(beat, offset, pitch, rows, apart, dilation, cut.run, cut.step, cut.loaded),
        arrange, cost(load, compute_cycles(machine, seen, cut.groups, tiles)), load / (cut.groups * height * width),
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
