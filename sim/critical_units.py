"""Inside a unit: why a pixel, an element or a beat of a command came no earlier.

Each function takes a command (or a burst) and the last cycle not yet accounted for, puts cycles down to causes, and
gives the moment before them. See `accel.sim.critical`.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass

import numpy as np

from accel.commands import Compute, Load, Store, Target
from accel.events import Event
from accel.latency import ADDRESS_CYCLES, MIN_TILE_CYCLES
from accel.program import Program
from accel.sim.causes import ARRAY, BROADCAST, DECODE, ELEMENTS, FILL, LATENCY, PACK, PROGRAM, READ, UNPACK, WRITE
from accel.sim.history import History, tail_cycles
from accel.timing.load import beat_spacing
from accel.timing.recurrence import Timing

Path = list[tuple[int, str, int]]  # command (-1: the hardware's own fetch), cause, cycles


@dataclass(frozen=True)
class Moment:
    """The last cycle not yet accounted for, and what was going on in it.

    `phase`: "done" up to the completion of command `at`, "work" inside its data, stream or elements, "pop" when it is
    taken, "push" when it is dispatched; "beat" inside the beats of burst `at`, "address" when it is asked for, "cut"
    when it is cut.
    """

    at: int
    phase: str
    cycle: int


class UnitWalk(History):
    """The part of a walk that stays inside units; `found` is the path so far."""

    def __init__(self, program: Program, timing: Timing) -> None:
        super().__init__(program, timing)
        self.found: Path = []

    def _add(self, at: int, cause: str, cycles: int) -> None:
        if cycles:
            self.found.append((at - 1, cause, cycles))

    def _to(self, at: int, cycle: int, cause: str, target: Moment) -> Moment:
        """Everything from `target` up to `cycle` has that cause."""
        self._add(at, cause, cycle - target.cycle)
        return target

    def _done(self, i: int, cycle: int) -> Moment:
        """Back over what follows a command's last pixel, element or beat."""
        timed = self.timed_at(i)
        after = 0 if timed.unit == "load" else tail_cycles(self.machine, self.commands[i], timed.step)
        return self._to(i, cycle, LATENCY, Moment(i, "work", timed.step.complete - after))

    def _work(self, i: int, cycle: int) -> Moment:
        command = self.commands[i]
        if isinstance(command, Compute):
            return self._stream(i, cycle)
        if isinstance(command, Load):
            return self._load(i, cycle)
        if isinstance(command, Store):
            return self._store(i, cycle)
        return self._to(i, cycle, ELEMENTS, Moment(i, "pop", self.timed_at(i).step.pop))

    def _stream(self, i: int, cycle: int) -> Moment:
        """Back to the first pixel of the first tile, and to what it had to wait for."""
        if self.design.is_sparse:  # from when it is taken on
            step = self.timed_at(i).step
            self._add(i, ARRAY, step.busy)
            return self._to(i, cycle - step.busy, BROADCAST, Moment(i, "pop", step.pop))
        pixels, period, start, _ = self.tiles(i)
        whole, rest = divmod(max(0, cycle - start + 1), period)
        streamed = whole * pixels + min(rest, pixels)
        idle = whole * (period - pixels) + max(0, rest - pixels)
        self._add(i, ARRAY, streamed)
        self._add(i, FILL if self.design.fill_cycles >= period else LATENCY, idle)
        cycle = min(cycle, start - 1)
        pop, previous = self.timed_at(i).step.pop, self.before(i)
        if previous >= 0:
            before_pixels, _, _, before = self.tiles(previous)
            if before + before_pixels >= start:  # the pixel before is in the cycle before
                return self._to(i, cycle, LATENCY, Moment(previous, "work", min(cycle, before + before_pixels - 1)))
            if self.design.output_stationary:  # weights come with the activations
                return self._to(i, cycle, LATENCY, Moment(i, "pop", pop))
            weights = max(pop + 1, before)
            if weights + self.design.fill_cycles >= start:
                self._add(i, FILL, cycle - weights + 1)
                if before > pop:
                    return Moment(previous, "work", weights - 1)
                return self._to(i, weights - 1, LATENCY, Moment(i, "pop", pop))
            if before + MIN_TILE_CYCLES >= start:
                return self._to(i, cycle, LATENCY, Moment(previous, "work", before - 1))
        elif not self.design.output_stationary and pop + 1 + self.design.fill_cycles >= start:
            self._add(i, FILL, cycle - pop)
            return Moment(i, "pop", pop)
        return self._to(i, cycle, LATENCY, Moment(i, "pop", pop))

    def _load(self, i: int, cycle: int) -> Moment:
        """To the burst of LOAD `i` whose beats were under way in `cycle`."""
        number = self.counted[i] - 1
        at = bisect_left(self.firsts, cycle) - 1
        while self.bursts[at].load > number:
            at -= 1
        burst = self.bursts[at]
        if cycle > burst.last:  # the last beats are unpacked
            cause = self.use_of(at) if burst.gap > self.interval else LATENCY
            return self._to(i, cycle, self.cause_of(at, cause), Moment(at, "beat", burst.last))
        return Moment(at, "beat", cycle)

    def use_of(self, at: int) -> str:
        """What beats of a burst are used for."""
        return DECODE if self.bursts[at].coded else UNPACK

    def cause_of(self, at: int, cause: str) -> str:
        """What a fetch takes is the program's, whatever it takes it for."""
        return PROGRAM if self.load_of(at).target == Target.PROGRAM else cause

    def _beat(self, at: int, cycle: int) -> Moment:
        """Back over the beats of a burst to those of the one before, or to its address."""
        burst, before = self.bursts[at], self.bursts[at - 1] if at else None
        i = self.work["load"][burst.load]
        if burst.pace is None:
            self._add(i, self.cause_of(at, UNPACK if burst.gap > self.interval else READ), cycle - burst.first)
        else:
            starts = np.append(0, np.cumsum(np.where(burst.pace, burst.pace, self.interval)))
            inside = np.clip(cycle - burst.first - starts[:-1], 0, np.diff(starts))
            using = int(inside[burst.pace > 0].sum())
            self._add(i, self.use_of(at), using)
            self._add(i, READ, cycle - burst.first - using)
        cycle = burst.first
        gap = before.gap if before else 0
        pace = self.cause_of(at, self.use_of(at) if gap > self.interval else READ)
        if before and before.load == burst.load and before.last + max(gap, self.interval) >= cycle:
            return self._to(i, cycle, pace, Moment(at - 1, "beat", before.last))
        if before and before.load < burst.load:
            if before.last + self.interval >= cycle:
                return self._to(i, cycle, self.cause_of(at, READ), Moment(at - 1, "beat", before.last))
            previous = self.work["load"][before.load]
            done = self.timed_at(previous).step.complete
            if done + 1 >= cycle:
                return self._to(i, cycle, self.cause_of(at, LATENCY), Moment(previous, "done", done))
        return self._to(i, cycle, self.cause_of(at, LATENCY), Moment(at, "address", burst.address))

    def _address(self, at: int, cycle: int) -> Moment:
        """Why a burst was not asked for earlier: too many were, its command was not there, or the one before it."""
        burst, number = self.bursts[at], self.bursts[at].load
        i = self.work["load"][number]
        outstanding = at - self.design.memory.outstanding_bursts
        if outstanding >= 0 and self.bursts[outstanding].last + 1 >= burst.address:
            last = self.bursts[outstanding].last
            return self._to(i, cycle, self.cause_of(at, LATENCY), Moment(outstanding, "beat", last))
        before = self.bursts[at - 1] if at else None
        if before and before.address >= burst.checked and (before.load == number or before.address > burst.cut + 1):
            return self._to(i, cycle, self.cause_of(at, UNPACK), Moment(at - 1, "address", before.address))
        return self._to(i, cycle, self.cause_of(at, LATENCY), Moment(at, "cut", burst.cut))

    def _cut(self, at: int, cycle: int) -> Moment:
        """Why a burst was not cut earlier: those before it were still there, or its command was not."""
        burst, before = self.bursts[at], self.bursts[at - 1] if at else None
        i = self.work["load"][burst.load]
        pop = self.timed_at(i).step.pop
        if before and before.checked >= burst.cut > pop + 1:
            older = self.bursts[at - 2] if at > 1 else None
            if older and older.address >= before.checked:
                return self._to(i, cycle, self.cause_of(at, UNPACK), Moment(at - 2, "address", older.address))
            return self._to(i, cycle, self.cause_of(at, UNPACK), Moment(at - 1, "cut", before.cut))
        if before and before.load == burst.load:
            return self._to(i, cycle, self.cause_of(at, UNPACK), Moment(at - 1, "cut", before.cut))
        return self._to(i, cycle, self.cause_of(at, LATENCY), Moment(i, "pop", pop))

    def _store(self, i: int, cycle: int) -> Moment:
        """Back over the beats of a STORE to those of the one before, or to its own start."""
        command, timed = self.commands[i], self.timed_at(i)
        interval, gap = self.interval, self.machine.words_per_beat[Target.ACTIVATION]
        spacing = beat_spacing(self.machine, gap)
        assert isinstance(command, Store)
        last = timed.step.complete - tail_cycles(self.machine, command, timed.step)
        beats, bursts = timed.step.busy, timed.step.events[Event.WRITE_BURSTS]
        addresses = (bursts - 1) * 2 if spacing < 2 else 0  # an address goes before a burst and takes its turn
        first = last - (beats - bursts if addresses else beats - 1) * spacing - addresses
        cause = PACK if gap > interval else WRITE
        self._add(i, cause, cycle - first - addresses)
        self._add(i, LATENCY, addresses)
        previous = self.before(i)
        if previous >= 0:
            done = self.timed_at(previous).step
            before = done.complete - tail_cycles(self.machine, command, done)
            own = timed.step.pop + max(gap + self.machine.store_read, ADDRESS_CYCLES + 1)
            if before + interval >= first > own:
                return self._to(i, first, cause, Moment(previous, "work", before))
        return self._to(i, first, LATENCY, Moment(i, "pop", timed.step.pop))
