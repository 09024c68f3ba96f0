"""A unit in Amaranth's simulator: commands go in at given cycles, what comes out is logged with its cycle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring

from accel.commands import Command
from accel.events import Event
from accel.units import UNIT_NAMES


@dataclass(frozen=True)
class Offer:
    """A command, the cycle in which it is pushed into the unit's queue, and the first cycle in which its waits hold."""

    command: Command
    pushed: int
    ready: int = 0


@dataclass
class Log:
    """Cycles of pops, of done pulses, and of errors (with their codes); what the event outputs added up to."""

    pops: list[int] = field(default_factory=list)
    dones: list[int] = field(default_factory=list)
    errors: list[tuple[int, int]] = field(default_factory=list)
    events: dict[Event, int] = field(default_factory=dict)


class Counted(wiring.Component):
    """The unit and its memories, with a counter for each event output of the unit."""

    def __init__(self, unit: Any, memories: dict[str, Any], connections: Sequence[tuple[Any, Any]]) -> None:
        self.unit, self.memories, self.connections = unit, memories, connections
        names = [name for name in unit.signature.members if name.startswith("event_")]
        self.counters = {Event[name.removeprefix("event_").upper()]: Signal(32, name=name) for name in names}
        super().__init__({})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.unit = self.unit
        for name, memory in self.memories.items():
            m.submodules[name] = memory
        for ours, theirs in self.connections:
            wiring.connect(m, ours, theirs)
        for event, counter in self.counters.items():
            m.d.sync += counter.eq(counter + getattr(self.unit, f"event_{event.name.lower()}"))
        return m


async def run_commands(
    ctx: Any, bench: Counted, offers: Sequence[Offer], halt_at: int | None = None, limit: int = 20000
) -> Log:
    """Offer the commands as a queue would, for as long as not all of them are done; checks `idle` on the way.

    A command is offered from the cycle after `pushed`. Its waits, whatever they are, hold from `ready` on: the
    completion counts jump from 0 to what it waits for (commands that come later must not be ready earlier).
    """
    unit, log = bench.unit, Log()
    counted = [offer for offer in offers if any(hasattr(offer.command, f"wait_{name}") for name in UNIT_NAMES)]
    last = max((offer.pushed for offer in offers), default=0) + 30
    position = 0
    cycle = 0
    while (len(log.dones) < len(counted) if halt_at is None else cycle < halt_at + last) or position < len(offers):
        assert cycle < limit, f"not done after {limit} cycles: {log}"
        offered = position < len(offers) and offers[position].pushed < cycle
        ctx.set(unit.i.valid, offered)
        if offered:
            offer = offers[position]
            ctx.set(unit.i.payload, int.from_bytes(offer.command.encode(), "little"))
        for name in UNIT_NAMES:
            waits = [getattr(offer.command, f"wait_{name}", 0) for offer in counted if offer.ready <= cycle]
            ctx.set(getattr(unit, f"completed_{name}"), max(waits, default=0))
        if halt_at is not None and cycle >= halt_at:
            ctx.set(unit.halt, 1)
            if offered and cycle > halt_at + 20:
                break
        _, _, ready, done, idle, error = await ctx.tick().sample(unit.i.ready, unit.done, unit.idle, unit.error)
        popped = sum(hasattr(offer.command, "wait_load") for offer in offers[:position])
        if halt_at is None:
            assert not (idle and len(log.dones) < popped), f"cycle {cycle}: idle with a command under way"
        if offered and ready:
            log.pops.append(cycle)
            position += 1
        if done:
            log.dones.append(cycle)
        if error:
            log.errors.append((cycle, error))
        cycle += 1
    ctx.set(unit.i.valid, 0)
    if halt_at is None:
        if offers[-1].command in [offer.command for offer in counted]:
            assert ctx.get(unit.idle), "not idle after the last command"
        else:  # a configuration may be taken a little later
            await ctx.tick().until(unit.idle)
    log.events = {event: ctx.get(counter) for event, counter in bench.counters.items()}
    return log


def draw_offers(rng: Random, commands: Sequence[Any]) -> list[Offer]:
    """Mostly as fast as the sequencer pushes, sometimes late, sometimes waiting."""
    offers, pushed, ready = [], -1, 0
    for index, command in enumerate(commands):
        pushed += rng.choice([1, 2, 2, 2, rng.randint(1, 60)])
        waits = {}
        if hasattr(command, "wait_load") and rng.random() < 0.4:
            ready = max(ready, pushed + rng.randint(-5, 120))
            names = [
                name for name in ("wait_load", "wait_compute", "wait_post", "wait_store") if hasattr(command, name)
            ]
            waits = {name: 700 * index + rng.randint(1, 700) for name in rng.sample(names, rng.randint(1, 2))}
        offers.append(Offer(replace(command, **waits), pushed, ready if waits else 0))
    return offers


def round_shift(value: int, shift: int) -> int:
    return (value + (1 << shift - 1) >> shift) if shift else value
