"""The critical path of a timed program: every cycle from start to done belongs to one command and one cause.

Timing is a max-plus recurrence, so each moment of a command follows from the largest of a few earlier ones: the
command's queue, what it waits for, the command before in its unit, the memory. Walked backwards from done, largest
argument by largest argument, these steps form one path to the start, and their lengths sum to the cycles of the run:
time that another cause hides is not on it. Where arguments are equal, the unit's own work is taken before a wait, and
a wait before the dispatch. `CAUSES` says
what each cause is.

What the fetch of a program takes is the program's, its beats and its latency alike.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable

from accel.commands import Compute, ConfigPost, End
from accel.latency import (
    COMPLETE_CYCLES,
    DONE_CYCLES,
    FETCHED_CYCLES,
    SEQUENCER_INTERVAL,
    STORE_PENDING,
)
from accel.program import Program
from accel.sim.causes import CAUSES, FILL, LATENCY, PROGRAM, UNPACK
from accel.sim.critical_units import Moment, Path, UnitWalk
from accel.timing.recurrence import Timing


def critical_path(program: Program, timing: Timing) -> Path:
    """The path from done back to the start. The cycles sum to `timing.cycles`."""
    return Walk(program, timing).path()


def by_cause(path: Iterable[tuple[int, str, int]]) -> dict[str, int]:
    """Cycles of each cause that occurs, in the order of `CAUSES`."""
    total: Counter[str] = Counter()
    for _, cause, cycles in path:
        total[cause] += cycles
    return {cause: total[cause] for cause in CAUSES if total[cause]}


class Walk(UnitWalk):
    """From unit to unit: why a command was not taken, or not dispatched, earlier."""

    def path(self) -> Path:
        """The path, from done back to the start."""
        steps: dict[str, Callable[[int, int], Moment | None]] = {
            "done": self._done, "work": self._work, "beat": self._beat, "address": self._address, "cut": self._cut,
            "pop": self._pop,
            "push": self._push,
        }  # fmt: skip
        moment: Moment | None = self._end()
        while moment:
            moment = steps[moment.phase](moment.at, moment.cycle)
        return self.found

    def _end(self) -> Moment | None:
        """END waits for the last completion, unless it comes later itself."""
        cycle = self.timing.cycles
        ends = [i for i, command in enumerate(self.commands) if isinstance(command, End)]
        last = max((done[-1], self.work[unit][-1]) for unit, done in self.dones.items() if done)
        if last[0] + COMPLETE_CYCLES + DONE_CYCLES >= cycle:
            return self._to(last[1], cycle, LATENCY, Moment(last[1], "done", last[0]))
        end = ends[0] if ends else len(self.commands) - 1
        self._add(end, LATENCY, DONE_CYCLES)
        return self._push(end, cycle - DONE_CYCLES)

    def _pop(self, i: int, cycle: int) -> Moment:
        """Why the unit did not take the command earlier: itself, what it waits for, or the command was not there."""
        timed = self.timed_at(i)
        busy = self._busy(i, cycle)
        if busy:
            return busy
        if timed.awaited and timed.ready >= timed.step.pop:
            count = getattr(self.commands[i], f"wait_{timed.awaited}")
            awaited = self.work[timed.awaited][count - 1]
            return self._to(i, cycle, LATENCY, Moment(awaited, "done", timed.ready - 1))
        return self._to(i, cycle, PROGRAM, Moment(i, "push", timed.pushed))

    def _busy(self, i: int, cycle: int) -> Moment | None:
        """What the unit was still doing when it could have taken the command, if that came last."""
        timed = self.timed_at(i)
        unit, pop, place = timed.unit, timed.step.pop, self.place[i]
        if not place:
            return None
        neighbour, previous = self.queue[unit][place - 1], self.before(i)
        near = self.timed_at(neighbour)
        if unit == "compute":
            return self._array_busy(i, cycle)
        if unit == "post":
            if isinstance(self.commands[i], ConfigPost) and previous >= 0:
                done = self.timed_at(previous).step.complete
                if done + 1 >= pop:
                    return self._to(i, cycle, LATENCY, Moment(previous, "done", done))
            elif previous >= 0 and self.timed_at(previous).step.issued >= pop:
                return Moment(previous, "work", cycle)
            if near.step.issued >= pop and isinstance(self.commands[neighbour], ConfigPost):
                return self._to(i, cycle, PROGRAM, Moment(neighbour, "pop", near.step.pop))
            return None
        if unit == "store":
            if near.step.issued >= pop:
                return self._to(i, cycle, LATENCY, Moment(neighbour, "work", near.step.issued - 1))
            if place >= STORE_PENDING:
                pending = self.queue[unit][place - STORE_PENDING]
                done = self.timed_at(pending).step.complete
                if done + 1 >= pop:
                    return self._to(i, cycle, LATENCY, Moment(pending, "done", done))
            return None
        at, depth = bisect_left(self.numbers, place) - 1, self.design.buffers.queue_commands
        if self.bursts[at].cut + 1 >= pop:
            return self._to(i, cycle, self.cause_of(at, UNPACK), Moment(at, "cut", self.bursts[at].cut))
        if place > depth:
            older = self.queue[unit][place - depth - 1]
            done = self.timed_at(older).step.complete
            if done + 1 >= pop:
                return self._to(i, cycle, LATENCY, Moment(older, "done", done))
        if place >= depth:
            ahead = self.timed_at(self.queue[unit][place - depth]).step.pop
            if ahead + 2 >= pop:
                return self._to(i, cycle, LATENCY, Moment(self.queue[unit][place - depth], "pop", ahead))
        return None

    def _array_busy(self, i: int, cycle: int) -> Moment | None:
        """The unit takes a command when the feeder has the one before, and the weights of that are issued."""
        pop, neighbour, previous = self.timed_at(i).step.pop, self.queue["compute"][self.place[i] - 1], self.before(i)
        near = self.timed_at(neighbour).step.pop
        if self.design.is_sparse:
            if self.timed_at(neighbour).step.issued < pop:
                return None
            if isinstance(self.commands[neighbour], Compute):
                return self._to(i, cycle, LATENCY, Moment(neighbour, "done", pop - 1))
            return self._to(i, cycle, PROGRAM, Moment(neighbour, "pop", near))
        if previous >= 0 and isinstance(self.commands[i], Compute) and not self.design.output_stationary:
            _, period, first, last = self.tiles(previous)
            before, taken = self.before(previous), self.timed_at(previous).step.pop
            start = self.tiles(before)[3] if before >= 0 else -1
            weights = last - period if last > first else max(taken + 1, start)
            if weights + self.design.fill_cycles - 1 >= pop:
                self._add(i, FILL, cycle - weights)
                if last > first:
                    return Moment(previous, "work", weights)
                if start > taken:
                    return Moment(before, "work", weights)
                return self._to(i, weights, LATENCY, Moment(previous, "pop", taken))
        feeding = self.before(neighbour)
        if feeding >= 0:
            pixels, _, _, last = self.tiles(feeding)
            if last + pixels - 1 >= pop:
                return Moment(feeding, "work", cycle)
        if near + 1 >= pop:
            cause = LATENCY if isinstance(self.commands[neighbour], Compute) else PROGRAM
            return self._to(i, cycle, cause, Moment(neighbour, "pop", near))
        return None

    def _push(self, i: int, cycle: int) -> Moment | None:
        """Why the command was not dispatched earlier: its queue was full, the one before, or it was not fetched."""
        timed = self.timed[i]
        if i == 0:
            self._add(i, PROGRAM, cycle)
            return None
        depth = self.design.buffers.queue_commands
        if timed is not None and self.place[i] >= depth:
            ahead = self.queue[timed.unit][self.place[i] - depth]
            popped = self.timed_at(ahead).step.pop
            if popped + 1 >= cycle:
                return self._to(i, cycle, PROGRAM, Moment(ahead, "pop", popped))
        before = i - 1
        while before > 0 and self.timed[before] is None:
            before -= 1
        if before > 0:
            pushed = self.timed_at(before).pushed
            if pushed + SEQUENCER_INTERVAL * (i - before) >= cycle:
                return self._to(i, cycle, PROGRAM, Moment(before, "push", pushed))
        return self._to(i, cycle, PROGRAM, Moment(self.brought[i], "work", cycle - FETCHED_CYCLES))
