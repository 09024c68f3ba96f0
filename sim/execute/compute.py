"""COMPUTE: sums of products.

Sums across commands are added as int64 and checked against the accumulator's width.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel import layout
from accel.commands import Compute, ConfigCompute
from accel.memories import ACCUMULATOR, CODEBOOK, CODEBOOK_ENTRIES, WEIGHT
from accel.sim.execute.machine import Machine, check
from accel.sim.execute.sums import exact_product, taken_words
from accel.structured import existing_rows, expand, half_index
from accel.timing.compute import code_bits, tiles_of, tiles_of_tap


def compute(machine: Machine, c: Compute, config: ConfigCompute) -> None:
    """Add (or write) the sums of a COMPUTE."""
    design = machine.program.design
    taps, pixels = config.kernel_h * config.kernel_w, c.out_h * c.out_w
    weights, kept = _weights(machine, c, taps)
    taken = taken_words(machine, c, config)  # (batch, pixels, groups, taps, lanes)
    if machine.zero_macs is not None:
        machine.zero_macs.append(zero_products(machine, c, taken, kept))
    terms = c.groups * taps * design.word_lanes
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


def zero_products(machine: Machine, c: Compute, taken: NDArray[np.int8], kept: NDArray[np.int16]) -> NDArray[np.int64]:
    """Of each input, products of existing rows and columns with an activation or weight of 0.

    `taken` (batch, pixels, groups, taps, lanes): the activations. `kept` (n_tiles, groups * taps * lanes, C): how many
    weights of a lane are not 0.
    """
    design = machine.program.design
    batch, pixels, groups, taps, lanes = taken.shape
    others = np.count_nonzero(taken, axis=1)  # pixels with another value
    rows = (groups - 1) * lanes + c.rows_last
    if c.structured:
        rows = (groups - 1) * design.rows + existing_rows(c.rows_last)
    existing = taps * rows * ((c.n_tiles - 1) * design.cols + c.cols_last)
    counted = kept.sum(axis=(0, 2)) - kept[-1, :, c.cols_last :].sum(axis=1)
    return pixels * existing - others.reshape(batch, -1) @ counted


def _weights(machine: Machine, c: Compute, taps: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """(n_tiles, groups * taps * lanes, C) weights of a COMPUTE for each lane, gated ones zero; how many are not 0."""
    design = machine.program.design
    contract = machine.contract
    halves, bits = tiles_of_tap(contract, c.structured), code_bits(c.weight_bits, c.structured)
    lane_bits = contract.weight_lane_bits
    rows = tiles_of(contract, c.n_tiles, c.groups, taps, c.structured) * design.fill_cycles
    words = layout.packed_words(rows, bits, lane_bits)
    memory = machine.constants[WEIGHT]
    check(c.weight_addr + words <= len(memory), "weight range", c)
    stored = memory[c.weight_addr : c.weight_addr + words]
    raw = layout.unpack_weight_columns(stored, bits, rows, lane_bits, WEIGHT.lanes(design))
    codes, index = (raw & (1 << c.weight_bits) - 1).astype(np.uint8), raw >> c.weight_bits
    first = CODEBOOK_ENTRIES * c.codebook_bank
    table = machine.constants[CODEBOOK][first : first + CODEBOOK_ENTRIES, 0]
    weights = _tiles(machine, c, taps * halves, (table[codes] if c.use_codebook else codes).view(np.int8))
    kept = (weights != 0).astype(np.int8)
    if design.two_of_four:
        if c.structured:
            places = _tiles(machine, c, taps, index.astype(np.int16))
        else:
            shape = (c.n_tiles, c.groups, taps, halves, design.rows, design.cols)
            places = np.broadcast_to(half_index(design.rows)[:, :, None], shape)
            weights, kept = weights.reshape(shape), kept.reshape(shape)
        weights, kept = expand(weights, places), expand(kept, places)
        if not c.structured:
            weights, kept = weights.sum(axis=3), kept.sum(axis=3)
    else:
        weights = weights.copy()
    for found in (weights, kept):
        found[:, -1, :, c.rows_last :] = 0
    flat = (c.n_tiles, c.groups * taps * design.word_lanes, design.cols)
    return weights.reshape(flat), kept.reshape(flat)


def _tiles(machine: Machine, c: Compute, taps: int, rows: NDArray) -> NDArray:
    """Rows of codes (n, w * C) as tiles (n_tiles, groups, taps, R, C)."""
    design = machine.program.design
    shaped = rows.reshape(c.n_tiles, c.groups, taps, design.fill_cycles, design.weight_rows, design.cols)
    return np.swapaxes(shaped, 3, 4).reshape(c.n_tiles, c.groups, taps, design.rows, design.cols)
