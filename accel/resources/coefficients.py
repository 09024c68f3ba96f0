"""What was fitted on runs of synthesis: `python -m tests.benchmarks.resources` writes it."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any


@cache
def fit() -> dict[str, Any]:
    """`pieces`: component, coefficients of LUTs, those of registers; `ram`: of a memory's LUTs; `clocks` of blocks in
    MHz, and of the paths `between` them.
    """
    return json.loads(files("accel.resources").joinpath("data", "fit.json").read_text(encoding="utf-8"))
