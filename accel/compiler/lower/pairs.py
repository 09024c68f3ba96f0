"""Few channels inside a network: two kernel columns in one weight tile, side by side in the lanes.

A tensor of at most R/2 channels leaves half of the array's rows idle. The feeder can give them the next column's
activations (`ConfigCompute.beside`): then a kernel row takes half as many tiles, a cycle longer in each row of outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from accel.commands import ConfigCompute, most
from accel.compiler.estimate import Machine
from accel.compiler.formats import choose
from accel.compiler.formats.format import Codes
from accel.compiler.geometry import Geometry
from accel.compiler.weights import Arrange, in_lanes
from accel.design import Design
from accel.models.integers.network import MatrixLayer


def paired(
    layer: MatrixLayer, geometry: Geometry, design: Design, lanes: Sequence[int] | None
) -> tuple[Geometry, Arrange] | None:
    """What the array sees with columns two by two, and how weights lie then; None if that is impossible or no faster.

    `lanes` of the channels (None: as they are). Those that a channel or a column leaves unused need weights of 0.
    """
    half, (height, width) = design.word_lanes // 2, geometry.kernel
    if not design.takes_beside or layer.groups > 1 or geometry.channels > half or width == 1:
        return None
    if geometry.stride[1] != 1 or geometry.dilation[1] != 1:
        return None
    if width % 2 and max(geometry.in_h, geometry.in_w) > most(ConfigCompute, "in_h"):
        return None  # the last column's partner may lie outside
    if -(-geometry.channels // design.lanes) * design.lanes < half:
        return None  # the other lanes of a half were never written
    exact = lanes is None and geometry.channels == half and width % 2 == 0
    if not exact and not choose(layer, needs_zero=False).has_zero:
        return None
    seen = replace(
        geometry, channels=half + geometry.channels, kernel=(height, -(-width // 2)),
        dilation=(geometry.dilation[0], 2), padded=geometry.padded or width % 2 == 1, beside=1,
    )  # fmt: skip
    machine = Machine.of(design)

    def cycles(g: Geometry) -> int:
        return g.taps * machine.tile_cycles(g.out_h * (g.out_w + g.beside))

    def arrange(codes: Codes, pad_code: int) -> Codes:
        out = np.full((len(codes), design.word_lanes, *seen.kernel), pad_code, np.uint8)
        one = in_lanes(codes, lanes, half, pad_code)
        out[:, :half] = one[..., ::2]
        out[:, half : 2 * half, :, : width // 2] = one[..., 1::2]
        return out

    return (seen, arrange) if cycles(seen) < cycles(geometry) else None
