"""2:4 sparsity: how two rows of the array stand for four input channels.

A design whose `engine.sparsity` is 2:4 has activation words of 2R lanes. Rows 2j and 2j + 1, a *pair*, see lanes
4j .. 4j + 3, and each PE multiplies with the one that the index (0 .. 3) of its weight names. Where at most two of
every four weights are not 0, a tile so has 2R input channels (*structured*). Other weights take two tiles, the halves
h = 0 and 1, in which row 2j + i has lane 4j + 2h + i.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

INDEX_BITS = 2
QUAD = 4  # lanes of a pair of rows
HALVES = 2


def fits(values: NDArray[np.int8]) -> bool:
    """Whether weights (outputs, channels, ...) have two that are not 0 at most in each four channels from 4k on."""
    kept = values != 0
    short = -kept.shape[1] % QUAD
    if short:
        kept = np.concatenate([kept, np.zeros((len(kept), short, *kept.shape[2:]), bool)], axis=1)
    quads = kept.reshape(len(kept), -1, QUAD, *kept.shape[2:])
    return bool((np.count_nonzero(quads, axis=2) <= QUAD // 2).all())


def compress(codes: NDArray[np.uint8], kept: NDArray[np.bool_], bits: int) -> NDArray[np.uint16]:
    """Codes (outputs, channels, ...) of `bits` bits, with their index above: (outputs, channels / 2, ...).

    `kept`: those whose weight is not 0, two of each four channels at most; then the first others, in their place.
    """
    lead, tail = len(codes), codes.shape[2:]
    quads = codes.reshape(lead, -1, QUAD, *tail).astype(np.uint16)
    dropped = ~kept.reshape(quads.shape)
    index = np.sort(np.argsort(dropped, axis=2, kind="stable")[:, :, : QUAD // 2], axis=2)
    taken = np.take_along_axis(quads, index, axis=2)
    return (taken | index.astype(np.uint16) << bits).astype(np.uint16).reshape(lead, -1, *tail)


def halves(codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Codes (outputs, channels, ...) by half: (outputs, 2, channels / 2, ...)."""
    quads = codes.reshape(len(codes), -1, HALVES, QUAD // HALVES, *codes.shape[2:])
    return np.moveaxis(quads, 2, 1).reshape(len(codes), HALVES, -1, *codes.shape[2:])


def expand(values: NDArray, index: NDArray) -> NDArray[np.int16]:
    """(..., R, C) what the rows of a tile hold, with their indices, to the sum of it for each lane (..., 2R, C)."""
    *lead, rows, cols = values.shape
    each = np.where(index[..., None] == np.arange(QUAD), values[..., None], 0).astype(np.int16)
    pairs = each.reshape(*lead, rows // 2, 2, cols, QUAD).sum(axis=-3, dtype=np.int16)
    return np.moveaxis(pairs, -1, -2).reshape(*lead, 2 * rows, cols)


def half_index(rows: int) -> NDArray[np.int64]:
    """(2, R) the index of each row in each half."""
    return 2 * np.arange(HALVES)[:, None] + np.arange(rows) % 2


def existing_rows(lanes: int) -> int:
    """Rows of a structured tile that have an input, if `lanes` of its channels exist."""
    return 2 * (lanes // 4) + min(2, lanes % 4)
