"""Loader and storer in front of an AXI memory: commands go in at given cycles, what happens is kept with its cycle."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from accel.commands import Command
from tests.benches.axi import ReadMemory, WriteMemory
from tests.benches.simulator import Bench, put


class Run:
    """What the hardware did with a list of commands pushed in given cycles; waits hold from `ready` on.

    An error halts the unit one cycle later. A subclass says in `waits` whose commands are waited for, sees every cycle
    in `observe`, and answers it in `answer`.
    """

    waits = ""

    def __init__(
        self,
        bench: Bench,
        commands: Sequence[Command],
        pushed: Sequence[int],
        ready: Sequence[int],
        memory: ReadMemory | WriteMemory,
        size: int,
    ) -> None:
        self.bench, self.commands, self.pushed, self.ready = bench, commands, pushed, ready
        self.memory, self.size = memory, size
        self.pops: list[int] = []
        self.dones: list[int] = []
        self.error = 0
        bench.run(self.body)

    def observe(self, ctx: Any, cycle: int) -> None:
        """What the unit does in a cycle, before its edge."""

    def answer(self, ctx: Any) -> None:
        """What it finds after the edge."""

    async def body(self, ctx: Any) -> None:
        unit = self.bench.unit
        put(ctx, unit, dram_base=self.memory.channel.base, dram_size=self.size)
        outputs = [unit.i.ready, unit.done, unit.idle, unit.error, *self.memory.watched(unit.axi)]
        halted = False
        for cycle in range(40000):
            current = len(self.pops)
            valid = current < len(self.commands) and cycle > self.pushed[current]
            payload = int.from_bytes(self.commands[current].encode(), "little") if valid else 0
            put(ctx, unit.i, valid=valid, payload=payload)
            held = current < len(self.ready) and cycle >= self.ready[current]
            put(ctx, unit, halt=halted, **{f"completed_{self.waits}": held})
            self.memory.drive(ctx, unit.axi, cycle)
            ready, done, idle, error, *seen = (ctx.get(value) for value in outputs)
            self.memory.observe(tuple(seen), cycle)
            self.observe(ctx, cycle)
            await ctx.tick()
            self.answer(ctx)
            if valid and ready:
                self.pops.append(cycle)
            if done:
                self.dones.append(cycle)
            self.error = self.error or error
            if idle and (halted or len(self.dones) == len(self.commands)):
                assert self.memory.in_flight == 0
                return
            halted = halted or bool(error)
        raise AssertionError("the unit hangs")
