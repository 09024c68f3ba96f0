"""What engines have in common: the activations that a COMPUTE takes, and exact sums of products.

Sums are made by BLAS and are exact: a product of two int8 codes is below 2**14 in magnitude, so a sum of K of them is
below K * 2**14, and every partial sum in any order as well. float32 holds all integers up to 2**24 and is used for
K <= 2**10; float64 holds them up to 2**53, which K <= 2**34 (more than a COMPUTE can ask for) does not reach.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel.commands import Compute, ConfigCompute
from accel.memories import ACTIVATION
from accel.sim.execute.machine import Machine, check

FLOAT32_TERMS = 1 << 10


def exact_product(left: NDArray[np.integer], right: NDArray[np.integer], factor: int = 1) -> NDArray[np.int64]:
    """(n, K) codes, or numbers up to `factor` times as large, times (K, m) codes: (n, m) sums."""
    real: type[np.floating[Any]] = np.float32 if len(right) * factor <= FLOAT32_TERMS else np.float64
    return (left.astype(real) @ right.astype(real)).astype(np.int64)


def taken_words(machine: Machine, c: Compute, config: ConfigCompute) -> NDArray[np.int8]:
    """(batch, pixels, groups, taps, lanes) the activations that a COMPUTE takes. Raises ExecutionError."""
    address, inside = _addresses(c, config)
    bank, _ = machine.bank(ACTIVATION, c.act_addr)
    check(bool((address[inside] < bank.shape[1]).all()), "activation range", c)
    # Pixels first, so that what is taken lies as the product reads it.
    inside, address = inside.transpose(2, 0, 1), np.where(inside, address, 0).transpose(2, 0, 1)
    taken = bank.take(address, 1)
    if not inside.all():
        taken[:, ~inside] = config.pad_value
    if config.beside:
        half = taken.shape[-1] // 2
        rows = taken.reshape(machine.batch, c.out_h, c.out_w + 1, *taken.shape[2:])[..., :half]
        taken = np.concatenate([rows[:, :, :-1], rows[:, :, 1:]], -1).reshape(
            machine.batch, c.out_h * c.out_w, *taken.shape[2:]
        )
    return taken


def _addresses(c: Compute, cfg: ConfigCompute) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Word of every group, tap and pixel in the bank, and whether it lies inside the tensor."""
    width = c.out_w + cfg.beside
    taps, pixels = cfg.kernel_h * cfg.kernel_w, c.out_h * width
    ky, kx = np.arange(cfg.kernel_h)[:, None, None, None], np.arange(cfg.kernel_w)[:, None, None]
    oy, ox = np.arange(c.out_h)[:, None], np.arange(width)
    iy = c.iy0 + ky * cfg.dilation_y + oy * cfg.stride_y
    ix = c.ix0 + kx * cfg.dilation_x + ox * cfg.stride_x
    inside = ((iy >= 0) & (iy < cfg.in_h) & (ix >= 0) & (ix < cfg.in_w)).reshape(taps, pixels)
    offset = ky * cfg.tap_row_step + kx * cfg.dilation_x + oy * cfg.row_step + ox * cfg.stride_x
    base = c.act_addr % ACTIVATION.bank_words + np.arange(c.groups)[:, None, None] * cfg.plane
    address = (base + offset.reshape(taps, pixels)) % ACTIVATION.bank_words
    return address, np.broadcast_to(inside, address.shape)
