"""Sequencer, queues and waits against "Timing contract" in docs/architecture.md, one command at a time."""

from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from accel.commands import COMMAND_BYTES, Command, Compute, ConfigCompute, ConfigPost, End, Nop, Post
from accel.design import load
from accel.latency import (
    ADDRESS_CYCLES,
    COMPLETE_CYCLES,
    DONE_CYCLES,
    FETCHED_CYCLES,
    FIRST_PUSH_CYCLE,
    SEQUENCER_INTERVAL,
)
from accel.timing.recurrence import time_commands
from tests.benches.draw import with_memory

LATENCY = 20
NANO = with_memory(load("nano"), LATENCY, 1)  # a beat a cycle, four beats a command


def written(index: int) -> int:
    """Cycle in which command `index` of the hardware's own fetch is in the program buffer."""
    address = FIRST_PUSH_CYCLE + 1 + ADDRESS_CYCLES  # popped in the cycle after the push
    beats = COMMAND_BYTES // NANO.beat_bytes
    return address + LATENCY + beats * (index + 1) - 1 + 1


@settings(max_examples=100, deadline=None)
@given(st.randoms(use_true_random=False))
def test_every_push_is_the_earliest_that_the_contract_allows(rng: Random) -> None:
    commands: list[Command] = [ConfigCompute(), ConfigPost()]
    counts = {"compute": 0, "post": 0}
    for _ in range(rng.randint(1, 11)):
        kind = rng.choice(["compute", "post", "nop"])
        if kind == "compute":
            wait = rng.randint(0, counts["post"])
            commands.append(Compute(out_h=rng.choice([1, 1, 30]), out_w=rng.randint(1, 5), wait_post=wait, wait_load=1))
        elif kind == "post":
            commands.append(Post(out_h=rng.choice([1, 1, 30]), wait_compute=rng.randint(0, counts["compute"])))
        else:
            commands.append(Nop())
        counts[kind] = counts.get(kind, 0) + 1
    commands.append(End())
    depth = rng.randint(1, 5)
    design = NANO.model_copy(update={"buffers": NANO.buffers.model_copy(update={"queue_commands": depth})})
    timing = time_commands(design, commands, 0, len(commands))
    pushed = 0
    pops: dict[str, list[int]] = {"compute": [], "post": []}
    done: dict[str, list[int]] = {"load": [timing.first_fetch.step.complete], "compute": [], "post": []}
    for index, (command, timed) in enumerate(zip(commands, timing.commands, strict=True)):
        earliest = written(index) + FETCHED_CYCLES
        if index:
            earliest = max(earliest, pushed + SEQUENCER_INTERVAL)
        if timed is None:
            pushed = earliest
            continue
        queue = pops[timed.unit]
        if len(queue) >= depth:  # the place of the command so many before is free the cycle after it was popped
            earliest = max(earliest, queue[-depth] + 1)
        assert timed.pushed == earliest
        pushed = earliest
        seen = [
            (done[unit][getattr(command, f"wait_{unit}") - 1] + 1, unit)
            for unit in done
            if unit != timed.unit and getattr(command, f"wait_{unit}", 0)
        ]
        assert timed.ready == max([cycle for cycle, _ in seen], default=0)
        assert not seen or (timed.ready, timed.awaited) in seen
        assert timed.step.pop > timed.pushed
        assert timed.step.pop >= timed.ready
        queue.append(timed.step.pop)
        if not isinstance(command, (ConfigCompute, ConfigPost)):
            done[timed.unit].append(timed.step.complete)
    assert timing.cycles == DONE_CYCLES + max(
        pushed, *(cycle + COMPLETE_CYCLES for cycles in done.values() for cycle in cycles)
    )


def test_what_stands_behind_the_end_takes_no_time() -> None:
    commands = [ConfigPost(), Post(), End()]
    alone = time_commands(NANO, commands, 0, 8)
    behind = time_commands(NANO, [*commands, ConfigPost(), Post(out_h=4000), Nop()], 0, 8)
    assert (behind.cycles, behind.events) == (alone.cycles, alone.events)
    assert list(behind.commands)[3:] == [None, None, None]
