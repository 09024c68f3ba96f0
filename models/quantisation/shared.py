"""Layers whose weights are shared become int8 with a codebook (Han et al., arXiv 1510.00149, section 3)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel.models.codebook import codebook_of, is_shared
from accel.models.graph import Network
from accel.models.grid import Grid, grid_of
from accel.models.integers.network import IntegerNetwork
from accel.models.quantisation.method import DEFAULT, Method
from accel.models.quantisation.quantise import quantise_with
from accel.models.quantisation.weights import Quantised, per_channel_weights, shared_codes
from accel.models.scaled import scaled_of

__all__ = ["quantise_compressed"]


def quantise_compressed(network: Network, calibration: NDArray[Any], method: Method = DEFAULT) -> IntegerNetwork:
    """`network` in int8 as its weights are: layers that are shared (`is_shared`) become so, others dense.

    A shared layer has one weight scale, or those of its outputs (`accel.models.scaled`), and as many bits as its values
    need (0 of a pruned layer among them). A layer
    on a grid (`accel.models.grid`) keeps it: its codes are the multiples, its scale is the step, so that there are no
    more different codes than before; it is shared as well if its codes are few.
    `calibration` and `method` are as in `accel.models.quantisation.quantise.quantise`, whose InputErrors are raised.
    """
    return quantise_with(network, calibration, quantised, method)


def quantised(weights: NDArray[np.float32], smallest: NDArray[np.float64]) -> Quantised:
    """Weights (O, ...) as they are, shared, on a grid or neither; a `WeightQuantiser`."""
    scaled = scaled_of(weights)
    if scaled is not None:
        return _scaled(scaled, smallest)
    grid = grid_of(weights)
    if grid is not None and (grid.steps >= smallest).all():
        return _on_grid(grid)
    if not is_shared(weights):
        return per_channel_weights(weights, smallest)
    values = np.sort(codebook_of(weights))
    scale = max(float(np.abs(values).max()) / 127, float(smallest.max())) or 1.0
    codes = np.clip(np.rint(values.astype(np.float64) / scale), -127, 127).astype(np.int8)
    shared = shared_codes(codes, np.searchsorted(values, weights))
    return codes[shared.indices], np.full(len(weights), scale), shared


def _scaled(found: Grid, smallest: NDArray[np.float64]) -> Quantised:
    """One codebook; an output whose bias needs a larger scale has the entries that are nearest then."""
    entries = np.unique(found.codes)
    scale = np.maximum(found.steps, smallest)
    wanted = found.codes * (found.steps / scale).reshape(-1, *[1] * (found.codes.ndim - 1))
    members = np.searchsorted((entries[1:].astype(np.float64) + entries[:-1]) / 2, wanted)
    shared = shared_codes(entries, members)
    return entries[members], scale, shared


def _on_grid(grid: Grid) -> Quantised:
    scale = np.broadcast_to(grid.steps.astype(np.float64), len(grid.codes)).copy()
    if not is_shared(grid.codes.astype(np.float32)):
        return grid.codes, scale, None
    values, members = np.unique(grid.codes, return_inverse=True)
    return grid.codes, scale, shared_codes(values, members.reshape(grid.codes.shape))
