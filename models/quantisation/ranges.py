"""What calibration data show: the smallest and the largest value of each tensor."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel.models.errors import InputError
from accel.models.graph import Network
from accel.models.reference import float32


def ranges_of(network: Network, calibration: NDArray[Any]) -> dict[str, tuple[float, float]]:
    """The smallest and the largest value of each tensor over the calibration set (n, *input shape).

    Raises InputError for a set that is empty, of the wrong shape or not finite.
    """
    calibration = np.asarray(calibration)
    if calibration.size == 0:
        raise InputError(f"{network.name}: calibration set must hold at least one input, not none")
    float32.check_inputs(network, calibration)
    if not np.isfinite(calibration).all():
        raise InputError(f"{network.name}: calibration set must be finite, not NaN or Inf")
    low = dict.fromkeys(network.shapes, math.inf)
    high = dict.fromkeys(network.shapes, -math.inf)
    step = float32.CHUNK
    for start in range(0, len(calibration), step):
        for name, values in float32.run_all(network, calibration[start : start + step]).items():
            low[name] = min(low[name], float(values.min()))
            high[name] = max(high[name], float(values.max()))
    return {name: (low[name], high[name]) for name in network.shapes}
