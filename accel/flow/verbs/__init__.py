"""The verbs of the command line, in the order in which `accel --help` lists them."""

from __future__ import annotations

from accel.flow.verbs import compare, simulate, emit, explore, compress  # noqa: F401  # isort: skip
from accel.flow.verbs.app import app as app
