"""Addresses at the ends of every memory: hardware and simulator refuse the same programs, and agree on the others.

A program is one command near an end of a memory and a STORE that waits for it. If it is refused, DRAM is as before.
"""

from __future__ import annotations

from pathlib import Path
from random import Random

import numpy as np
import pytest

from accel.commands import (
    Command,
    Compute,
    ConfigCompute,
    ConfigPost,
    End,
    ErrorCode,
    Load,
    Post,
    Store,
    Target,
)
from accel.design import Design
from accel.latency import least_line
from accel.layout import WordTensor, beats_per_word, target_depth
from accel.program import Placement, Program
from accel.records import filter_side, filter_words
from accel.sim.execute import ExecutionError, execute_memory
from accel.timing.recurrence import time_commands
from tests.benches.draw_windows import draw_window
from tests.benches.unit_designs import ACCUMULATOR_BANK, ACTIVATION_BANK, LINE
from tests.benches.verilator import Built, case_of
from tests.benches.wide import wide

IMAGE, DRAM = 2048, 4096
CASES = 1000
AROUND = [0, 0, 0, 1, 2, 5, -1, -7]


def design_of(rows: int, cols: int, activations: int, weights: int, accumulators: int, records: int) -> Design:
    """Of so many words (a bank)."""
    return Design.model_validate(
        {
            "name": f"ranges-{rows}x{cols}",
            "array": {"rows": rows, "cols": cols},
            "buffers": {
                "activation_bytes": 2 * rows * activations,
                "weight_bytes": cols * weights,
                "accumulator_bytes": 8 * cols * accumulators,
                "parameter_bytes": 8 * records,
                "program_commands": 12,
            },
            "post_lanes": 1,
            "filter_multipliers": 9,
            "filter_side": 5,
            "filter_line": LINE,
            "memory": {"axi_bits": 64, "latency_cycles": 9, "burst_beats": 4},
            "clock_mhz": 100,
        }
    )


DESIGNS = [
    design_of(4, 6, 90, 70, 33, 20),
    design_of(1, 1, ACTIVATION_BANK, 1 << 18, ACCUMULATOR_BANK, 1 << 14),  # every address exists: all may wrap around
]


def near(rng: Random, end: int, extent: int, size: int) -> int:
    """An address from which `extent` words end at `end`, or somewhat before or behind it, modulo `size`."""
    return (end - extent + rng.choice(AROUND)) % size


def draw_load(rng: Random, design: Design) -> list[Command]:
    target = rng.choice([t for t in Target if t not in (Target.PROGRAM, Target.RUN_TABLE, Target.VALUE_TABLE)])
    rows, words, depth = rng.randint(1, 3), rng.randint(1, 4), target_depth(design, target)
    bank = ACTIVATION_BANK * rng.randint(0, 1) if target is Target.ACTIVATION else 0
    pitch = rng.choice([words, 9, (1 << 20) - 1, ACTIVATION_BANK])
    values = {"target": target, "dst_addr": (bank + near(rng, depth, words, depth + 8)) % (1 << 20)}
    values |= {"rows": rows, "dst_pitch": pitch, "row_beats": words * beats_per_word(design, target), "dram_pitch": 64}
    if target is Target.ACTIVATION and rng.random() < 0.5:
        values |= draw_window(rng, design, words)
    return [Load(**values)]


def draw_compute(rng: Random, design: Design) -> list[Command]:
    height, width, pitch = rng.randint(1, 4), rng.randint(1, 4), rng.randint(4, 6)
    beside = rng.randint(0, int(design.takes_beside))
    stride, dilation = rng.randint(1, 2), rng.randint(1, 2)
    kernel = rng.randint(1, 3), rng.randint(1, 3)
    config = ConfigCompute(
        plane=rng.choice([0, height * pitch, (1 << 20) - 1]), row_step=stride * pitch, tap_row_step=dilation * pitch,
        stride_x=1 if beside else stride, stride_y=stride, dilation_x=dilation, dilation_y=dilation,
        kernel_h=kernel[0], kernel_w=kernel[1], in_h=height, in_w=width, beside=beside,
    )  # fmt: skip
    iy0, ix0, groups = rng.randint(-2, 2), rng.randint(-2, 2), rng.randint(1, 2)
    first = near(rng, design.activation_words, (height - 1) * pitch + width, design.activation_words)
    shape = {"out_h": rng.randint(1, 3), "out_w": rng.randint(1, 3), "groups": groups, "n_tiles": rng.randint(1, 2)}
    safe = {"act_addr": (iy0 * pitch + ix0) % ACTIVATION_BANK, "weight_addr": 0, "acc_addr": 0}
    bits = rng.randint(1, 8)
    words = -(-shape["n_tiles"] * groups * kernel[0] * kernel[1] * design.fill_cycles * bits // 8)
    sums = shape["n_tiles"] * shape["out_h"] * shape["out_w"]
    ends = {
        "act_addr": (first + iy0 * pitch + ix0) % ACTIVATION_BANK + ACTIVATION_BANK * rng.randint(0, 1),
        "weight_addr": near(rng, design.weight_words, words, 1 << 18),
        "acc_addr": near(rng, design.accumulator_words, sums, ACCUMULATOR_BANK) + ACCUMULATOR_BANK * rng.randint(0, 1),
    }
    name = rng.choice(list(ends))
    return [config, Compute(iy0=iy0, ix0=ix0, weight_bits=bits, **shape, **(safe | {name: ends[name]}))]


def draw_post(rng: Random, design: Design) -> list[Command]:
    height, width, pitch, stride = rng.randint(1, 4), rng.randint(1, 4), rng.randint(4, 6), rng.randint(1, 3)
    config = ConfigPost(
        src_row_step=stride * pitch, src_row_pitch=pitch, src_plane=rng.choice([0, height * pitch]),
        win_h=rng.randint(1, 3), win_w=rng.randint(1, 3), stride_y=stride, stride_x=stride,
        dst_row_pitch=rng.choice([3, 3, 0, 65535]), dst_plane=rng.choice([9, 9, 0, (1 << 20) - 1]),
        in_h=height, in_w=width, table=rng.randint(0, 1), multiply=rng.choice([0, 0, 1]), subtract=rng.randint(0, 1),
    )  # fmt: skip
    activation, iy0, ix0 = rng.randint(0, 1), rng.randint(-2, 2), rng.randint(-2, 2)
    out_h, out_w, chunks = rng.randint(1, 3), rng.randint(1, 3), rng.randint(1, 5)
    depth, bank = (
        (design.activation_words, ACTIVATION_BANK) if activation else (design.accumulator_words, ACCUMULATOR_BANK)
    )
    by_line: dict[str, int] = {}
    if activation and rng.random() < 0.5:
        number = rng.randint(1, 2)
        side = filter_side(number)
        lines = [
            max(first + (count - 1) * stride + side, 1) for first, count in ((min(iy0, 0), out_h), (min(ix0, 0), out_w))
        ]
        lines = [max(size, (count - 1) * stride + 1) for size, count in zip(lines, (out_h, out_w), strict=True)]
        width = min(LINE, max(lines[1], least_line(design)))  # of which those inside are fewer
        by_line = {"filter": number, "reduce_sum": 1, "stream_h": lines[0], "stream_w": width}
    y0, x0 = (max(iy0, 0), max(ix0, 0)) if by_line else (iy0, ix0)
    first = near(rng, depth, (height - 1) * pitch + width, depth) + y0 * pitch + x0
    step = rng.choice([1, 1, 2, 63])
    extent = (out_h - 1) * 3 + (out_w - 1) * step + 1
    safe = {"src_addr": (y0 * pitch + x0) % bank, "dst_addr": ACTIVATION_BANK, "res_addr": 20, "param_addr": 0}
    words = filter_words(by_line.get("filter", 0)) or 1
    ends = {
        "src_addr": first % bank + bank * rng.randint(0, 1),
        "dst_addr": near(rng, design.activation_words, extent, ACTIVATION_BANK) + ACTIVATION_BANK * rng.randint(0, 1),
        "res_addr": near(rng, design.activation_words, extent, ACTIVATION_BANK) + ACTIVATION_BANK * rng.randint(0, 1),
        "param_addr": near(rng, design.parameter_words, chunks * words, 1 << 14),
    }
    name = rng.choice([*ends, "param_addr"])  # the only address that does not wrap around
    command = Post(
        from_activation=activation, residual=0 if by_line else rng.randint(0, 1), iy0=iy0, ix0=ix0,
        uniform=0 if name == "param_addr" else rng.randint(0, 1),
        out_h=out_h, out_w=out_w, chunks=chunks, dst_step=step, res_plane=rng.choice([0, 0, 1, 5]),
        **by_line, **(safe | {name: ends[name]}),
    )  # fmt: skip
    return [config, command]


def draw_store(rng: Random, design: Design) -> list[Command]:
    words, depth = rng.randint(1, 9), design.activation_words
    at = near(rng, depth, words, depth + 8) + ACTIVATION_BANK * rng.randint(0, 1)
    pitch = rng.choice([words, 3, (1 << 20) - 1, ACTIVATION_BANK])
    rows = rng.randint(1, 3)
    return [Store(dram_addr=IMAGE, src_addr=at % (1 << 20), row_words=words, rows=rows, src_pitch=pitch, dram_pitch=72)]


DRAWS = {Load: draw_load, Compute: draw_compute, Post: draw_post, Store: draw_store}
# The hardware's own fetch is the first LOAD.
WAITS = {Load: {"wait_load": 2}, Compute: {"wait_compute": 1}, Post: {"wait_post": 1}}


def program_of(design: Design, commands: list[Command]) -> Program:
    image = (np.arange(IMAGE) % 251).astype(np.uint8)
    text = b"".join(command.encode() for command in commands)
    image[: len(text)] = np.frombuffer(text, np.uint8)
    place = Placement("x", 3840, WordTensor(1, 1, 1, 1, 1))
    count = len(commands)
    return Program("bare", design, tuple(commands), (-1,) * count, (), image, DRAM, 0, count, place, place)


def refusal(program: Program) -> str:
    """What the simulator says, or nothing."""
    try:
        execute_memory(program, np.zeros((1, 1, 1), np.int8))
    except ExecutionError as error:
        return str(error)
    return ""


@pytest.mark.rtl
@pytest.mark.parametrize("design", [DESIGNS[0], pytest.param(DESIGNS[1], marks=wide)], ids=lambda d: d.name)
def test_simulator_and_hardware_refuse_the_same_programs(design: Design, tmp_path: Path) -> None:
    built, programs = Built(design, tmp_path), []
    for seed in range(CASES):
        rng = Random(seed)
        kind = rng.choice(list(DRAWS))
        after = [Store(dram_addr=3072, row_words=8, **WAITS[kind])] if kind in WAITS else []
        programs.append(program_of(design, [*DRAWS[kind](rng, design), *after, End()]))
    codes = np.zeros((1, 1, 1), np.int8)
    refused = dict.fromkeys(DRAWS, 0)
    for program, outcome in zip(programs, built.run([case_of(p, codes) for p in programs]), strict=True):
        command = next(c for c in program.commands if type(c) in DRAWS)
        assert outcome.done, command
        message = refusal(program)
        if message:
            refused[type(command)] += 1
            assert outcome.error == ErrorCode.BUFFER_RANGE, message
            if not isinstance(command, Store):
                assert outcome.memory.tobytes() == program.image_with(codes).tobytes(), command
        else:
            assert outcome.error == 0, (ErrorCode(outcome.error), program.commands)
            timing = time_commands(design, program.commands, 0, program.first_fetch)
            assert outcome.cycles == timing.cycles
            wrong = {e.name: (outcome.events[e], n) for e, n in timing.events.items() if outcome.events[e] != n}
            assert not wrong, (wrong, program.commands)
    assert all(5 <= count <= CASES // 4 - 5 for count in refused.values()), refused
