"""Estimates of what commands cost in cycles. They choose tiles and order loads; nothing depends on their being exact."""

from __future__ import annotations

from accel.commands import Target
from accel.design import Design
from accel.latency import MIN_TILE_CYCLES
from accel.layout import beats, words_per_beat

COMMAND_CYCLES = 4  # what one more command costs in a unit that is busy all the time
COMPUTE_LATENCY = 12  # beyond rows + columns: from the last activation to a complete sum
POST_LATENCY = 12
STORE_LATENCY = 8  # beyond the memory's own


def beat_cycles(design: Design, target: Target, window: bool = False) -> int:
    """Cycles from one beat of a LOAD to the next."""
    unpack = design.beat_bytes if window else words_per_beat(design, target)
    return max(unpack, design.memory.beat_interval_cycles)


def load_cycles(design: Design, target: Target, words: int) -> int:
    """Cycles of the read channel for `words` consecutive words."""
    return beats(design, target, words) * beat_cycles(design, target)


def store_cycles(design: Design, words: int) -> int:
    """Cycles of a STORE of `words` words, the memory's answer included."""
    return beats(design, Target.ACTIVATION, words) * beat_cycles(design, Target.ACTIVATION) + design.memory.latency_cycles


def tile_cycles(design: Design, pixels: float) -> float:
    """Cycles of one weight tile with `pixels` activations."""
    return max(pixels, design.rows, MIN_TILE_CYCLES)


def fetch_cycles(design: Design, commands: float) -> float:
    """Cycles of the read channel for fetching `commands` commands."""
    return commands * 32 / design.beat_bytes * beat_cycles(design, Target.PROGRAM)
