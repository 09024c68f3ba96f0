"""The commands of a matrix step, as rows of numbers: what they have in common is made once."""

from __future__ import annotations

from typing import NamedTuple

from accel.commands import Compute, ConfigCompute, ConfigPost, Post, most
from accel.compiler.estimate import Machine
from accel.compiler.geometry import Geometry, Range
from accel.compiler.lower.taper import Chunk
from accel.compiler.ops import Table
from accel.compiler.tensors import View
from accel.compiler.transfers import Row
from accel.compiler.weights import LayerWeights
from accel.memories import ACCUMULATOR
from accel.models.integers.network import Requantise, Residual
from accel.rows import COMPUTE, POST, row_of

BANK = ACCUMULATOR.bank_words
_COMPUTE, _POST = row_of(Compute), row_of(Post)
UNBOUNDED = most(ConfigCompute, "in_h")  # in_h and in_w of an input that no window leaves


class Block(NamedTuple):
    """Output rows and columns of a block, those of the convolution under them, and its first input position.

    `height` x `width` are the accumulator words of one output tile.
    """

    rows: Range
    cols: Range
    made_rows: Range
    made_cols: Range
    height: int
    width: int
    iy0: int
    ix0: int

    @classmethod
    def of(cls, g: Geometry, rows: Range, cols: Range) -> Block:
        """The block of these output pixels."""
        (y0, y1), (x0, x1) = made_rows, made_cols = g.made(0, rows), g.made(1, cols)
        iy0, ix0 = y0 * g.stride[0] - g.pads[0], x0 * g.stride[1] - g.pads[1]
        return cls(rows, cols, made_rows, made_cols, y1 - y0, x1 - x0, iy0, ix0)


def config_compute(g: Geometry, view: View, flat: bool, pad_value: int) -> Row:
    """CONFIG_COMPUTE for an input that lies as `view` says."""
    return row_of(
        ConfigCompute,
        plane=view.plane,
        row_step=0 if flat else g.stride[0] * view.pitch,
        tap_row_step=0 if flat else g.dilation[0] * view.pitch,
        stride_x=g.stride[1],
        stride_y=g.stride[0],
        dilation_x=g.dilation[1],
        dilation_y=g.dilation[0],
        kernel_h=g.kernel[0],
        kernel_w=g.kernel[1],
        in_h=g.in_h if g.padded else UNBOUNDED,
        in_w=g.in_w if g.padded else UNBOUNDED,
        pad_value=pad_value,
        beside=g.beside,
    )


def compute_template(weights: LayerWeights, chunk: Chunk, codebook: int) -> Row:
    """COMPUTE of a chunk, but for where it reads and writes, and its pixels."""
    (n0, n1), (g0, g1) = chunk
    rows, cols, form = weights.rows, weights.cols, weights.format
    last_tile, last_group, made = n1 == weights.tiles, g1 == weights.groups, _COMPUTE.copy()
    made[COMPUTE.groups], made[COMPUTE.n_tiles] = g1 - g0, n1 - n0
    made[COMPUTE.weight_bits], made[COMPUTE.structured] = form.bits, int(weights.structured)
    made[COMPUTE.use_codebook], made[COMPUTE.codebook_bank] = int(len(form.codebook) > 0), codebook
    made[COMPUTE.accumulate] = int(g0 > weights.reach[n0][0])
    made[COMPUTE.rows_last] = weights.geometry.channels - (weights.groups - 1) * rows if last_group else rows
    made[COMPUTE.cols_last] = weights.outputs - (weights.tiles - 1) * cols if last_tile else cols
    return made


def compute(
    template: Row, block: Block, padded: bool, act_addr: int, weight_addr: int, bank: int, first_sum: int
) -> Row:
    """COMPUTE of a chunk for a block, whose sums begin at `first_sum` of accumulator bank `bank`."""
    made, height, width = template.copy(), block.height, block.width
    made[COMPUTE.act_addr], made[COMPUTE.weight_addr] = act_addr, weight_addr
    made[COMPUTE.acc_addr] = bank * BANK + first_sum
    if padded:
        made[COMPUTE.iy0], made[COMPUTE.ix0] = block.iy0, block.ix0
    made[COMPUTE.out_h], made[COMPUTE.out_w] = height, width
    return made


def config_post(
    g: Geometry, r: Requantise, residual: Residual | None, residual_zero_point: int, block: Block, view: View,
    flat: bool, plane: int, table: Table,
) -> Row:  # fmt: skip
    """CONFIG_POST for a block in the accumulators and an output that lies as `view` says.

    `plane`: words from the sums of one output tile to the next.
    """
    pool, uniform = g.pool, len(r.bias) == 1
    return row_of(
        ConfigPost,
        src_row_step=(pool.stride[0] if pool else 1) * block.width,
        src_row_pitch=block.width,
        src_plane=plane,
        win_h=pool.kernel[0] if pool else 1,
        win_w=pool.kernel[1] if pool else 1,
        stride_y=pool.stride[0] if pool else 1,
        stride_x=pool.stride[1] if pool else 1,
        dst_row_pitch=0 if flat or g.pooled[0] == 1 else view.pitch,  # one row may be longer than the field can say
        dst_plane=view.plane,
        in_h=block.height,
        in_w=block.width,
        zero_point=r.zero_point,
        low=r.low,
        high=r.high,
        res_multiplier=residual.multiplier if residual else 0,
        res_shift=residual.shift if residual else 0,
        res_zero_point=residual_zero_point,
        uniform_bias=int(r.bias[0]) if uniform else 0,
        uniform_multiplier=int(r.multiplier[0]) if uniform else 0,
        uniform_shift=int(r.shift[0]) if uniform else 0,
        subtract=int(residual is not None and residual.operation == "subtract"),
        table=table.used,
        table_bank=table.bank,
    )


def post_template(machine: Machine, outputs: int, tiles: Range, uniform: bool) -> tuple[Range, Row]:
    """The output's channel groups that some tiles of a layer touch; their POST, but for where it reads and writes."""
    first, last = tiles[0] * machine.cols, min(outputs, tiles[1] * machine.cols)
    made = _POST.copy()
    made[POST.uniform] = int(uniform)
    made[POST.dst_chunk] = first // machine.lanes % machine.row_chunks
    made[POST.chunks] = -(-(last - first) // machine.lanes)
    return (first // machine.word_lanes, -(-last // machine.word_lanes)), made


def post(
    template: Row, g: Geometry, block: Block, bank: int, dst_addr: int, param_addr: int, res_addr: int | None,
    dst_step: int = 1,
) -> Row:  # fmt: skip
    """POST of some tiles of a block in accumulator bank `bank`."""
    made, pool, (y0, y1), (x0, x1) = template.copy(), g.pool, block.rows, block.cols
    if pool:
        iy0 = y0 * pool.stride[0] - pool.pads[0] - block.made_rows[0]
        ix0 = x0 * pool.stride[1] - pool.pads[1] - block.made_cols[0]
        made[POST.iy0], made[POST.ix0] = iy0, ix0
        made[POST.src_addr] = bank * BANK + (iy0 * block.width + ix0) % BANK
    else:
        made[POST.src_addr] = bank * BANK
    made[POST.out_h], made[POST.out_w] = y1 - y0, x1 - x0
    made[POST.dst_addr], made[POST.param_addr], made[POST.dst_step] = dst_addr, param_addr, dst_step
    if res_addr is not None:
        made[POST.residual], made[POST.res_addr] = 1, res_addr
    return made
