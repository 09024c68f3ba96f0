"""Codes to be coded, for tests of encoder and decoder."""

from __future__ import annotations

from random import Random

import numpy as np
from numpy.typing import NDArray

from accel.entropy.encode import Encoded
from accel.memories import RUN_TABLE_BYTES, VALUE_TABLE_BYTES


def draw_codes(rng: Random, rows: int, columns: int, bits: int, zero: int) -> NDArray[np.uint8]:
    """Codes of any density, evenly spread, skewed, or all the same."""
    random = np.random.default_rng(rng.getrandbits(32))
    density = rng.choice([0.0, 0.03, 0.2, 0.6, 1.0])
    kind = rng.choice(["even", "skewed", "same"])
    if kind == "even":
        values = random.integers(0, 1 << bits, (rows, columns))
    elif kind == "skewed":
        values = np.minimum(random.geometric(0.5, (rows, columns)), (1 << bits) - 1)
    else:
        values = np.full((rows, columns), rng.randrange(1 << bits))
    return np.where(random.random((rows, columns)) < density, values, zero).astype(np.uint8)


def tables_of(encoded: Encoded) -> tuple[bytes, bytes]:
    """As they lie in the tables' memories."""
    runs, values = encoded.tables
    return runs.ljust(RUN_TABLE_BYTES, b"\0"), values.ljust(VALUE_TABLE_BYTES, b"\0")
