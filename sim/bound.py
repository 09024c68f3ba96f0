"""The roofline of a layer or a network: cycles that no schedule goes below, from what it asks for."""

from __future__ import annotations

from accel.design import Design
from accel.program import Compulsory


def channel_cycles(design: Design, bytes_: int) -> int:
    """Cycles from the first to the last of the beats that bring `bytes_` over one AXI data channel."""
    beats = -(-bytes_ // design.beat_bytes)
    return (beats - 1) * design.memory.beat_interval_cycles + 1 if beats else 0


def bound_cycles(design: Design, must: Compulsory) -> int:
    """The largest of MACs / array size (twice that with 2:4) and the compulsory bytes' time on each AXI data channel.

    Where depthwise layers are filtered, their products come apart: by the filter's multipliers, and by the array at one
    a column at most.

    Reads and writes do not share wires, so a bound on their sum would be beaten by what reads and writes at once.
    Between n beats there are n - 1 intervals: what the memory does after the last beat costs nothing.
    """
    array = -(-(must.macs - must.filter_macs) // (design.rows * design.cols * (2 if design.two_of_four else 1)))
    beside = -(-must.filter_macs // (design.lanes * design.filter_multipliers + design.cols))
    return max(array, beside, channel_cycles(design, must.read_bytes), channel_cycles(design, must.write_bytes))
