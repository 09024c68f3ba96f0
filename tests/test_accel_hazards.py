"""Waits are complete: whatever two commands of different units share, a chain of waits puts them in order.

The oracle takes nothing from the compiler: it lists the words that a command touches one by one, from the docstrings of
the commands, and follows waits with one counter for each unit.
"""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.commands import (
    Command,
    Compute,
    ConfigCompute,
    ConfigPost,
    Load,
    Post,
    Store,
    Target,
)
from accel.compile import compile_network
from accel.compiler import schedule
from accel.design import Design, load
from accel.gemm import gemm_network
from accel.layout import beats_per_word, words_per_beat
from accel.models.errors import InputError
from accel.program import Program
from tests.benches.counted import accepted, counted
from tests.benches.draw import draw_depthwise, draw_design, draw_network
from tests.benches.layers import design_of
from tests.benches.unit_designs import ACCUMULATOR_BANK, ACTIVATION_BANK
from tests.benches.wide import draws

UNITS = ("load", "compute", "post", "store")
Words = set[tuple[str, int]]


def unit_of(command: Command) -> str | None:
    names = {Load: "load", Compute: "compute", Post: "post", Store: "store"}
    return names.get(type(command))


def act(address: int) -> tuple[str, int]:
    return f"act{address // ACTIVATION_BANK}", address % ACTIVATION_BANK


def touched(
    design: Design, command: Command, compute: ConfigCompute, post: ConfigPost
) -> tuple[Words, Words, set[str]]:
    """Words read, words written, ports used."""
    beat, reads, writes, ports = design.beat_bytes, set(), set(), set()
    if isinstance(command, Load):
        target = Target(command.target)
        if target is Target.PROGRAM:
            return reads, writes, ports
        words = command.row_beats * words_per_beat(design, target) // beats_per_word(design, target)
        count = command.row_words if command.window else words
        for row in range(command.rows):
            for word in range(count):
                at = command.dst_addr + row * command.dst_pitch + word
                writes.add(act(at) if target is Target.ACTIVATION else (target.name, at))
            for k in range(command.row_beats):
                reads.add(("dram", command.dram_addr // beat + row * command.dram_pitch // beat + k))
        if target is Target.ACTIVATION:
            ports.add(f"{act(command.dst_addr)[0]} write")
    elif isinstance(command, Compute):
        c, cfg = command, compute
        bank, base = divmod(c.act_addr, ACTIVATION_BANK)
        for ky in range(cfg.kernel_h):
            for kx in range(cfg.kernel_w):
                for oy in range(c.out_h):
                    for ox in range(c.out_w):
                        iy = c.iy0 + ky * cfg.dilation_y + oy * cfg.stride_y
                        ix = c.ix0 + kx * cfg.dilation_x + ox * cfg.stride_x
                        if not (0 <= iy < cfg.in_h and 0 <= ix < cfg.in_w):
                            continue
                        word = base + ky * cfg.tap_row_step + kx * cfg.dilation_x
                        word += oy * cfg.row_step + ox * cfg.stride_x
                        reads |= {(f"act{bank}", (word + g * cfg.plane) % ACTIVATION_BANK) for g in range(c.groups)}
        rows = c.n_tiles * c.groups * cfg.kernel_h * cfg.kernel_w * design.fill_cycles
        rows *= 2 if design.two_of_four and not c.structured else 1
        bits = rows * (c.weight_bits + 2 * c.structured)
        reads |= {("WEIGHT", c.weight_addr + k) for k in range(-(-bits // (10 if design.two_of_four else 8)))}
        if c.use_codebook:
            reads |= {("CODEBOOK", 256 * c.codebook_bank + k) for k in range(1 << c.weight_bits)}
        ports = {f"act{bank} read", f"acc{c.acc_addr // ACCUMULATOR_BANK}"}
    elif isinstance(command, Post):
        reads, writes, ports = touched_by_post(design, command, post)
    elif isinstance(command, Store):
        for row in range(command.rows):
            reads |= {act(command.src_addr + row * command.src_pitch + k) for k in range(command.row_words)}
            count = -(-command.row_words // words_per_beat(design, Target.ACTIVATION))
            count *= beats_per_word(design, Target.ACTIVATION)
            first = (command.dram_addr + row * command.dram_pitch) // beat
            writes |= {("dram", first + k) for k in range(count)}
        ports = {f"{act(command.src_addr)[0]} read"}
    return reads, writes, ports


def touched_by_post(design: Design, c: Post, cfg: ConfigPost) -> tuple[Words, Words, set[str]]:
    reads, writes, per = set(), set(), design.word_lanes // design.lanes
    for q in range(c.chunks):
        for oy in range(c.out_h):
            for ox in range(c.out_w):
                offset = (c.dst_chunk + q) // per * cfg.dst_plane + oy * cfg.dst_row_pitch + ox * c.dst_step
                writes.add(act(c.dst_addr + offset))
                if c.residual:
                    reads.add(act(c.res_addr + offset))
                for wy in range(0 if c.filter else cfg.win_h):
                    for wx in range(cfg.win_w):
                        iy, ix = c.iy0 + oy * cfg.stride_y + wy, c.ix0 + ox * cfg.stride_x + wx
                        if c.from_activation and 0 <= iy < cfg.in_h and 0 <= ix < cfg.in_w:
                            bank, word = divmod(c.src_addr, ACTIVATION_BANK)
                            word += (c.src_chunk + q) // per * cfg.src_plane
                            word += (iy - c.iy0) * cfg.src_row_pitch + ix - c.ix0
                            reads.add((f"act{bank}", word % ACTIVATION_BANK))
        for iy in range(max(0, c.iy0), min(cfg.in_h, max(0, c.iy0) + c.stream_h)):  # of a filter
            for ix in range(max(0, c.ix0), min(cfg.in_w, max(0, c.ix0) + c.stream_w)):
                bank, word = divmod(c.src_addr, ACTIVATION_BANK)
                word += (c.src_chunk + q) // per * cfg.src_plane
                word += (iy - max(0, c.iy0)) * cfg.src_row_pitch + ix - max(0, c.ix0)
                reads.add((f"act{bank}", word % ACTIVATION_BANK))
        if c.filter:
            count = (0, 2, 4)[c.filter]
            reads |= {("PARAMETER", c.param_addr + count * q + k) for k in range(count)}
        elif not c.uniform:
            reads.add(("PARAMETER", c.param_addr + q))
    ports = {f"{act(c.dst_addr)[0]} write"}
    ports |= {f"{act(c.res_addr)[0]} read"} if c.residual else set()
    ports |= {f"{act(c.src_addr)[0]} read"} if c.from_activation else {f"acc{c.src_addr // ACCUMULATOR_BANK}"}
    return reads, writes, ports


def unordered(program: Program) -> list[str]:
    """What is wrong with the waits of a program: pairs of commands that could run in either order."""
    wrong: list[str] = []
    compute, post = ConfigCompute(), ConfigPost()
    counts = dict.fromkeys(UNITS, 0) | {"load": 1}  # the hardware's own fetch
    known: dict[str, dict[str, int]] = {u: dict.fromkeys(UNITS, 0) for u in UNITS}
    history: dict[tuple[str, int], dict[str, int]] = {("load", 1): dict.fromkeys(UNITS, 0)}
    seen: dict[tuple[str, object], list[tuple[str, int]]] = {}  # resource -> its users so far
    for index, command in enumerate(program.commands):
        compute = command if isinstance(command, ConfigCompute) else compute
        post = command if isinstance(command, ConfigPost) else post
        unit = unit_of(command)
        if unit is None:
            continue
        before = dict(known[unit])  # commands of each unit that are surely complete when this one starts
        for other in UNITS:
            wait = getattr(command, f"wait_{other}", 0) if other != unit else 0
            if wait > counts[other]:
                wrong.append(f"{index}: waits for {wait} {other} commands, {counts[other]} come before it")
            elif wait:
                before[other] = max(before[other], wait)
                for third, count in history[other, wait].items():
                    before[third] = max(before[third], count)
        known[unit] = before
        counts[unit] += 1
        history[unit, counts[unit]] = before | {unit: counts[unit]}
        reads, writes, ports = touched(program.design, command, compute, post)
        uses = [("r", w) for w in reads] + [("w", w) for w in writes] + [("p", p) for p in ports]
        for kind, what in uses:
            rivals = {"r": ("w",), "w": ("r", "w"), "p": ("p",)}[kind]
            for rival in rivals:
                for other, number in seen.get((rival, what), []):
                    if other != unit and before[other] < number:
                        wrong.append(f"{index}: {command} is not ordered after {other} {number}: {what}")
        for use in uses:
            seen.setdefault(use, []).append((unit, counts[unit]))
    return wrong


@counted(draws(50))
@settings(max_examples=draws(60), deadline=None)
@given(st.integers(0, 1 << 32))
def test_everything_shared_is_ordered(seed: int) -> None:
    rng = Random(seed)
    design = draw_design(rng, largest=8)
    network = draw_network(rng, layers=4, size=6, channels=10)
    program = accepted(compile_network, network, design)
    assert unordered(program) == []


@pytest.mark.parametrize("seed", range(12))
def test_parameters_of_filters_are_ordered(seed: int) -> None:
    """Eight words of parameters: two chunks of 5 x 5, so that all others are loaded where some were read."""
    design = design_of(8, 8, axi_bits=64, lanes=4, activation_bytes=16 * 512, parameter_bytes=8 * 32).model_copy(
        update={"filter_multipliers": 9, "filter_side": 5}
    )
    program = compile_network(draw_depthwise(Random(seed)), design)
    assert unordered(program) == []


@pytest.mark.parametrize("unit", ["compute", "post", "store", "load"])
def test_the_checker_sees_missing_waits(unit: str) -> None:
    """Without the waits on one unit something is unordered."""
    program = compile_network(gemm_network(40, 48, 48), load("nano"))
    assert unordered(program) == []
    fields = {"compute": Post, "post": Store, "store": Load, "load": Compute}
    stripped = tuple(
        c.__class__(**{**c.__dict__, f"wait_{unit}": 0}) if isinstance(c, fields[unit]) else c for c in program.commands
    )
    if unit == "store":  # a resident network never waits for a STORE
        assert stripped == program.commands
    else:
        assert unordered(Program(**{**program.__dict__, "commands": stripped}))


def test_too_many_commands_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedule, "WAIT_BITS", 3)
    with pytest.raises(InputError, match=r"fewer than 2\*\*3 commands of a unit, not \d+"):
        compile_network(gemm_network(40, 48, 48), load("nano"))
