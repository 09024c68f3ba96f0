"""Programs of drawn commands, such as no compiler writes: for timing, which asks only how large they are."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from accel.commands import Command, Compute, ConfigCompute, ConfigPost, End, Load, Nop, Post, Store, Target
from accel.design import Design
from accel.layout import words_per_beat
from tests.benches.draw_windows import draw_window

KINDS = ("load", "window", "compute", "post", "store", "config", "config")


def draw_program(rng: Random, design: Design, kinds: Sequence[str] = KINDS) -> tuple[list[Command], int]:
    """Legal commands with any waits on commands before them (now and then on one after), fetched in time (or not)."""
    beat = design.beat_bytes
    unit = words_per_beat(design, Target.PROGRAM)
    counts = {"load": 1, "compute": 0, "post": 0, "store": 0}
    commands: list[Command] = [ConfigCompute(), ConfigPost()]
    first = fetched = 8 * unit

    def waits(own: str) -> dict[str, int]:
        extra = 1 if rng.random() < 0.006 else 0
        chosen = [u for u in counts if u != own and rng.random() < 0.4]
        return {f"wait_{u}": rng.randint(max(0, counts[u] - 3), counts[u] + extra) for u in chosen}

    def rectangle() -> dict[str, int]:
        return {
            "iy0": rng.randint(-3, 3),
            "ix0": rng.randint(-3, 3),
            "out_h": rng.randint(1, 5),
            "out_w": rng.randint(1, 7),
        }

    def rows() -> dict[str, int]:
        return {
            "rows": rng.randint(1, 4),
            "dram_addr": beat * rng.randint(0, 99),
            "dram_pitch": beat * rng.randint(0, 70),
        }

    for _ in range(rng.randint(1, 60)):
        if len(commands) + 3 > fetched and rng.random() < 0.995:
            size = 8 * unit
            commands.append(Load(target=Target.PROGRAM, row_beats=-(-32 * size // beat), **waits("load")))
            counts["load"], fetched = counts["load"] + 1, fetched + size
        kind = rng.choice(kinds)
        if kind == "load":
            target = rng.choice([t for t in Target if t < Target.PROGRAM])
            commands.append(Load(target=target, row_beats=rng.randint(1, 80), **rows(), **waits("load")))
        elif kind == "window":
            commands.append(Load(**draw_window(rng, design, 9), **rows(), **waits("load")))
        elif kind == "compute":
            sizes = {"groups": rng.choice([1, rng.randint(1, 4)]), "n_tiles": rng.choice([1, rng.randint(1, 3)])}
            flags = {"use_codebook": rng.randint(0, 1), "accumulate": rng.randint(0, 1)}
            flags["weight_bits"] = rng.randint(1, 8)
            commands.append(Compute(**sizes, **flags, **rectangle(), **waits("compute")))
        elif kind == "post":
            flags = {name: rng.randint(0, 1) for name in ("from_activation", "residual", "uniform")}
            commands.append(Post(**flags, chunks=rng.randint(1, 4), **rectangle(), **waits("post")))
        elif kind == "store":
            commands.append(Store(row_words=rng.randint(1, 50), **rows(), **waits("store")))
        else:
            window = {"in_h": rng.randint(1, 9), "in_w": rng.randint(1, 9), "stride_y": rng.randint(1, 3)}
            kernel_size = {"kernel_h": rng.randint(1, 3), "kernel_w": rng.randint(1, 3)}
            post_size = {"win_h": rng.randint(1, 3), "win_w": rng.randint(1, 3)}
            commands.append(rng.choice([ConfigCompute(**window, **kernel_size), ConfigPost(**window, **post_size)]))
        if kind in ("load", "window"):
            counts["load"] += 1
        elif kind in counts:
            counts[kind] += 1
    return [*commands, End(), *[Nop()] * rng.randint(0, 3)], first
