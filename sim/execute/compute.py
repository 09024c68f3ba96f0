"""COMPUTE: sums of products.

Sums are made by BLAS and are exact: a product of two int8 codes is below 2**14 in magnitude, so a sum of K of them is
below K * 2**14, and every partial sum in any order as well. float32 holds all integers up to 2**24 and is used for
K <= 2**10; float64 holds them up to 2**53, which K <= 2**34 (more than a COMPUTE can ask for) does not reach. Sums
across commands are added as int64 and checked against the accumulator's width.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel import layout
from accel.commands import Compute, ConfigCompute
from accel.memories import ACCUMULATOR, ACTIVATION, CODEBOOK, CODEBOOK_ENTRIES, WEIGHT
from accel.sim.execute.machine import Machine, check

FLOAT32_TERMS = 1 << 10


def compute(machine: Machine, c: Compute, config: ConfigCompute) -> None:
    """Add (or write) the sums of a COMPUTE."""
    design = machine.program.design
    taps, pixels = config.kernel_h * config.kernel_w, c.out_h * c.out_w
    weights = _weights(machine, c, taps)
    address, inside = _addresses(c, config)
    bank, _ = machine.bank(ACTIVATION, c.act_addr)
    check(bool((address[inside] < bank.shape[1]).all()), "activation range", c)
    # Pixels first, so that what is taken lies as the product reads it.
    inside, address = inside.transpose(2, 0, 1), np.where(inside, address, 0).transpose(2, 0, 1)
    taken = bank.take(address, 1)  # (batch, pixels, groups, taps, R)
    if not inside.all():
        taken[:, ~inside] = config.pad_value
    if machine.zero_macs is not None:
        machine.zero_macs.append(zero_products(c, taken, weights))
    terms = c.groups * taps * design.rows
    real: type[np.floating[Any]] = np.float32 if terms <= FLOAT32_TERMS else np.float64
    left = taken.astype(real).reshape(machine.batch * pixels, terms)
    right = weights.astype(real).transpose(1, 0, 2).reshape(terms, -1)
    sums = (left @ right).reshape(machine.batch, pixels, c.n_tiles, design.cols).transpose(0, 2, 1, 3)
    total = sums.astype(np.int64).reshape(machine.batch, c.n_tiles * pixels, design.cols)
    sums_bank, word = machine.bank(ACCUMULATOR, c.acc_addr)
    check(word + c.n_tiles * pixels <= sums_bank.shape[1], "accumulator range", c)
    view = sums_bank[:, word : word + c.n_tiles * pixels]
    if c.accumulate:
        total += view
    limit = 1 << ACCUMULATOR.lane_bits(design) - 1
    check(bool(total.min() >= -limit and total.max() < limit), "accumulator overflow", c)
    view[...] = total


def zero_products(c: Compute, taken: NDArray[np.int8], weights: NDArray[np.int8]) -> int:
    """Products of existing rows and columns with an activation (batch, pixels, groups, taps, R) or weight of 0."""
    batch, pixels, groups, taps, rows = taken.shape
    others = np.count_nonzero(taken, axis=(0, 1)).reshape(groups, taps, rows)  # inputs and pixels with another value
    others[-1, :, c.rows_last :] = 0
    existing = taps * ((groups - 1) * rows + c.rows_last) * ((c.n_tiles - 1) * weights.shape[-1] + c.cols_last)
    kept = weights != 0  # gated rows are 0 here
    kept[-1, :, c.cols_last :] = False
    return batch * pixels * existing - int(others.ravel() @ np.count_nonzero(kept, axis=(0, 2)))


def _addresses(c: Compute, cfg: ConfigCompute) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Word of every group, tap and pixel in the bank, and whether it lies inside the tensor."""
    taps, pixels = cfg.kernel_h * cfg.kernel_w, c.out_h * c.out_w
    ky, kx = np.arange(cfg.kernel_h)[:, None, None, None], np.arange(cfg.kernel_w)[:, None, None]
    oy, ox = np.arange(c.out_h)[:, None], np.arange(c.out_w)
    iy = c.iy0 + ky * cfg.dilation_y + oy * cfg.stride_y
    ix = c.ix0 + kx * cfg.dilation_x + ox * cfg.stride_x
    inside = ((iy >= 0) & (iy < cfg.in_h) & (ix >= 0) & (ix < cfg.in_w)).reshape(taps, pixels)
    offset = ky * cfg.tap_row_step + kx * cfg.dilation_x + oy * cfg.row_step + ox * cfg.stride_x
    base = c.act_addr % ACTIVATION.bank_words + np.arange(c.groups)[:, None, None] * cfg.plane
    address = (base + offset.reshape(taps, pixels)) % ACTIVATION.bank_words
    return address, np.broadcast_to(inside, address.shape)


def _weights(machine: Machine, c: Compute, taps: int) -> NDArray[np.int8]:
    """(n_tiles, groups * taps * R, C) int8 weights of a COMPUTE, gated rows zero."""
    design = machine.program.design
    rows = c.n_tiles * c.groups * taps * design.fill_cycles
    words = layout.packed_words(rows, c.weight_bits)
    memory = machine.constants[WEIGHT]
    check(c.weight_addr + words <= len(memory), "weight range", c)
    raw = layout.unpack_weight_columns(memory[c.weight_addr : c.weight_addr + words], c.weight_bits, rows)
    first = CODEBOOK_ENTRIES * c.codebook_bank
    table = machine.constants[CODEBOOK][first : first + CODEBOOK_ENTRIES, 0]
    weights = (table[raw] if c.use_codebook else raw).view(np.int8)
    shaped = weights.reshape(c.n_tiles, c.groups, taps, design.fill_cycles, design.weight_rows, design.cols)
    shaped = np.swapaxes(shaped, 3, 4).reshape(c.n_tiles, c.groups, taps, design.rows, design.cols).copy()
    shaped[:, -1, :, c.rows_last :] = 0
    return shaped.reshape(c.n_tiles, -1, design.cols)
