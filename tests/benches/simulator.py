"""Hardware in Amaranth's simulator: the one way in which tests run it, and the words that they set and read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from amaranth.sim import Simulator
from numpy.typing import NDArray

Testbench = Callable[[Any], Awaitable[None]]


class Bench:
    """A unit that is built once and run again and again, each time from reset: `run(body)` awaits `body(ctx)`."""

    def __init__(self, unit: Any) -> None:
        self.unit = unit
        self.simulator = Simulator(unit)
        self.simulator.add_clock(1e-6)
        self.body: Testbench | None = None
        self.simulator.add_testbench(self._bench)

    async def _bench(self, ctx: Any) -> None:
        assert self.body
        await self.body(ctx)

    def run(self, body: Testbench) -> None:
        """Run to the end of `body`."""
        if self.body is not None:
            self.simulator.reset()
        self.body = body
        self.simulator.run()


def simulate(unit: Any, body: Testbench) -> None:
    """Run a unit once."""
    Bench(unit).run(body)


def put(ctx: Any, unit: Any, **values: Any) -> None:
    """Set ports of a unit by their names."""
    for name, value in values.items():
        ctx.set(getattr(unit, name), value)


async def write_all(ctx: Any, port: Any, words: Sequence[int], start: int = 0) -> None:
    """Write words to ascending addresses."""
    put(ctx, port, en=1, mask=-1)
    for k, word in enumerate(words):
        put(ctx, port, addr=start + k, data=int(word))
        await ctx.tick()
    put(ctx, port, en=0)


async def read_all(ctx: Any, port: Any, count: int, start: int = 0, cycles: int = 1) -> list[int]:
    """Read words from ascending addresses, each `cycles` after it was asked for."""
    words = []
    for k in range(count + cycles - 1):
        put(ctx, port, en=int(k < count), addr=start + min(k, count - 1))
        await ctx.tick()
        words.append(ctx.get(port.data))
    put(ctx, port, en=0)
    return words[cycles - 1 :]


def check_sums(array: Any, inputs: Callable[[int], dict[str, int]], expected: Mapping[int, NDArray]) -> None:
    """Run an array with the `inputs` of each cycle; in those of `expected` its `sums` are such lanes."""

    async def body(ctx: Any) -> None:
        for cycle in range(max(expected) + 1):
            put(ctx, array, **inputs(cycle))
            _, _, sums = await ctx.tick().sample(array.sums)
            if cycle in expected:
                lanes = len(expected[cycle])
                assert to_lanes(sums, lanes, len(array.sums) // lanes) == expected[cycle].tolist(), f"cycle {cycle}"

    simulate(array, body)


def to_lanes(word: int, lanes: int, bits: int = 8) -> list[int]:
    """The signed lanes of a word."""
    raw = [word >> bits * k & (1 << bits) - 1 for k in range(lanes)]
    return [value - (value >> bits - 1 << bits) for value in raw]


def from_lanes(values: Sequence[int], bits: int = 8) -> int:
    """A word from its lanes."""
    return sum((int(value) & (1 << bits) - 1) << bits * k for k, value in enumerate(values))
