"""What the timing of one command gives: the value that each unit's timing returns."""

from __future__ import annotations

from dataclasses import dataclass, field

from accel.events import Event


@dataclass(frozen=True)
class Step:
    """One command in one unit, in cycles since start (the cycle in which start is pulsed is 0).

    `pop`: the cycle in which the unit takes it from its queue. `issued`: the first cycle in which the unit could take
    another command. `complete`: the cycle of its done pulse; the completion counter shows it in the next cycle. For
    configuration commands `complete` has no meaning for others. `busy`: cycles in which the unit's shared resource
    (AXI data channel, array, post pipeline) works for it. `events`: what it adds to the counters.
    """

    pop: int
    issued: int
    complete: int
    busy: int = 0
    events: dict[Event, int] = field(default_factory=dict)
