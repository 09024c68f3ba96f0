"""What calibration data show: the part of each tensor's values that its codes are to cover.

min-max covers all. percentile leaves out the share of values beyond a percentile at either end. mse takes the ends that
give the least mean square error, what is cut off and what is rounded together. The last two are computed from
histograms, so that a network of any size takes a few kB a tensor. What leaves the network keeps all of its values: the
largest is the answer.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel.models.errors import InputError
from accel.models.graph import Network, Softmax
from accel.models.quantisation.method import DEFAULT, Method
from accel.models.reference import float32

Range = tuple[float, float]
Double = NDArray[np.float64]
BINS = 4096
SHRUNK = np.linspace(1, 0.2, 33)  # parts of an end that are tried for the least error
TURNS = 2  # at either end
ROUNDING = 1e-6  # of a count of values, so that a percentile of 90 leaves out 10 of 100


def ranges_of(network: Network, calibration: NDArray[Any], method: Method = DEFAULT) -> dict[str, Range]:
    """Low and high of each tensor over the calibration set (n, *input shape).

    Raises InputError for a set that is empty, of the wrong shape or not finite.
    """
    calibration = np.asarray(calibration)
    if calibration.size == 0:
        raise InputError(f"{network.name}: calibration set must hold at least one input, not none")
    float32.check_inputs(network, calibration)
    if not np.isfinite(calibration).all():
        raise InputError(f"{network.name}: calibration set must be finite, not NaN or Inf")
    found = dict.fromkeys(network.shapes, (math.inf, -math.inf))
    for name, values in _tensors(network, calibration):
        low, high = found[name]
        found[name] = min(low, float(values.min())), max(high, float(values.max()))
    if method.ranges == "min-max":
        return found
    kept = {*network.outputs, *(layer.inputs[0] for layer in network.layers if isinstance(layer, Softmax))}
    counts: dict[str, Double] = {}
    for name, values in _tensors(network, calibration):
        if name not in kept and found[name][0] < found[name][1]:
            counts[name] = counts.get(name, 0.0) + np.histogram(values, BINS, found[name])[0]
    for name, each in counts.items():
        found[name] = _percentile(each, found[name], method.percentile) if method.ranges == "percentile" else (
            _least_error(each, found[name]))  # fmt: skip
    return found


def _tensors(network: Network, inputs: NDArray[Any]) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Every tensor by name, of some inputs after the other."""
    for start in range(0, len(inputs), float32.CHUNK):
        yield from float32.run_all(network, inputs[start : start + float32.CHUNK]).items()


def _percentile(counts: Double, ends: Range, percentile: float) -> Range:
    """The edges of bins beyond which no more than the share of values lies."""
    edges, below = np.linspace(*ends, BINS + 1), np.cumsum(counts)
    beyond = (1 - percentile / 100) * below[-1] + ROUNDING
    first = int(np.searchsorted(below, beyond, "right"))
    last = BINS - int(np.searchsorted(np.cumsum(counts[::-1]), beyond, "right"))
    return float(edges[first]), float(edges[max(last, first + 1)])


def _least_error(counts: Double, ends: Range) -> Range:
    """Ends between 0 and `ends`: each moves in turn to where the error is least."""
    edges = np.linspace(*ends, BINS + 1)
    used = counts > 0
    values, weights = ((edges[:-1] + edges[1:]) / 2)[used], counts[used]
    low, high = min(ends[0], 0.0), max(ends[1], 0.0)
    found = [low, high]
    for _ in range(TURNS):
        for place, end in ((1, high), (0, low)):
            if end:
                tried = [[part * end, found[1]] if place == 0 else [found[0], part * end] for part in SHRUNK]
                found = min(tried, key=lambda pair: _error(values, weights, *pair))
    return found[0], found[1]


def _error(values: Double, weights: Double, low: float, high: float) -> float:
    """The square error of `values` in 256 codes from `low` to `high`, as `activation_spec` places them."""
    scale = (high - low) / 255
    zero = round(-low / scale)
    codes = np.clip(np.rint(values / scale) + zero, 0, 255) - zero
    return float(weights @ np.square(codes * scale - values))
