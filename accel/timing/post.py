"""Timing of the post-process unit: one window element a cycle.

Outputs are chunks times pixels; each takes its window's elements, and one cycle more when a residual operand and the
source both come from the activation banks:

    pop    p = max(pushed + 1, waits, last element of the command before)
           configuration: max(pushed + 1, last element + POST_CYCLES + 1)
    last   l = p + outputs * (window [+ 1])
    done   e = l + POST_CYCLES
"""

from __future__ import annotations

from accel.commands import ConfigPost, Post
from accel.design import Design
from accel.events import Event
from accel.latency import POST_CYCLES
from accel.timing.compute import inside_pairs
from accel.timing.step import Step


class PostTiming:
    """The unit's state between commands; `step` is called for its commands in program order."""

    def __init__(self, design: Design) -> None:
        self.design = design
        self.last = -POST_CYCLES - 1  # cycle of the last element
        self.free = 0  # the cycle after a configuration was taken
        self.config = ConfigPost()

    def step(self, command: Post | ConfigPost, pushed: int, ready: int) -> Step:
        """Time one POST or CONFIG_POST: `pushed` into the queue, waits hold from `ready` on."""
        if isinstance(command, ConfigPost):
            pop = max(pushed + 1, self.last + POST_CYCLES + 1, self.free)
            self.config = command
            self.free = pop + 1
            return Step(pop, pop + 1, pop)
        config = self.config
        pop = max(pushed + 1, ready, self.last, self.free)
        outputs = command.chunks * command.out_h * command.out_w
        own = 1 if command.residual and command.from_activation else 0
        elements = outputs * (config.win_h * config.win_w + own)
        self.last = pop + elements
        inside = (
            inside_pairs(command.iy0, 1, config.win_h, config.stride_y, command.out_h, config.in_h)
            * inside_pairs(command.ix0, 1, config.win_w, config.stride_x, command.out_w, config.in_w)
            * command.chunks
        )
        events = {
            Event.ACC_READS: 0 if command.from_activation else inside,
            Event.ACT_READS: (inside if command.from_activation else 0) + (outputs if command.residual else 0),
            Event.ACT_WRITES: outputs,
            Event.PARAM_READS: 0 if command.uniform else outputs,
            Event.POST_OUTPUTS: outputs,
        }
        return Step(pop, self.last, self.last + POST_CYCLES, elements, events)
