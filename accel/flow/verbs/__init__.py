"""The verbs of the command line, in the order in which `accel --help` lists them."""

from __future__ import annotations

from accel.flow.verbs import compare, simulate, emit, explore, compress  # isort: skip
from accel.flow.verbs.app import app

__all__ = ["app", "compare", "compress", "emit", "explore", "simulate"]
