"""COMPUTE: sums of products.

Sums across commands are added as int64 and checked against the accumulator's width.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from accel import layout
from accel.commands import Compute, ConfigCompute
from accel.memories import ACCUMULATOR, CODEBOOK, CODEBOOK_ENTRIES, WEIGHT
from accel.sim.execute.machine import Machine, check
from accel.sim.execute.sums import exact_product, taken_words


def compute(machine: Machine, c: Compute, config: ConfigCompute) -> None:
    """Add (or write) the sums of a COMPUTE."""
    design = machine.program.design
    taps, pixels = config.kernel_h * config.kernel_w, c.out_h * c.out_w
    weights = _weights(machine, c, taps)
    taken = taken_words(machine, c, config)  # (batch, pixels, groups, taps, R)
    if machine.zero_macs is not None:
        machine.zero_macs.append(zero_products(c, taken, weights))
    terms = c.groups * taps * design.rows
    right = weights.transpose(1, 0, 2).reshape(terms, -1)
    sums = exact_product(taken.reshape(machine.batch * pixels, terms), right)
    by_tile = sums.reshape(machine.batch, pixels, c.n_tiles, design.cols).transpose(0, 2, 1, 3)
    total = by_tile.reshape(machine.batch, c.n_tiles * pixels, design.cols)
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
