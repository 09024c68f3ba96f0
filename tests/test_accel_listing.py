"""A program as text: a golden listing of a program made by hand, and the verb that prints one."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest

from accel.commands import COMMANDS, Compute, ConfigCompute, ConfigPost, End, Load, Nop, Post, Store, Target
from accel.compile import compile_network
from accel.design import load
from accel.flow.cli import run
from accel.gemm import gemm_network
from accel.layout import RowTensor, WordTensor
from accel.memories import ACCUMULATOR, ACTIVATION
from accel.program import LayerInfo, Placement, Program

A, C = ACTIVATION.bank_words, ACCUMULATOR.bank_words
COMMANDS_OF_ALL_KINDS = (
    Load(dram_addr=0x40, target=Target.WEIGHT, row_beats=3),
    Load(dram_addr=0x400, dst_addr=A + 5, wait_post=2, window=1, run=3, step=3, row_words=8),
    Load(dram_addr=0x240, target=Target.PROGRAM, row_beats=2),
    ConfigCompute(kernel_h=3, pad_value=-7),
    Compute(wait_load=3, wait_post=1, act_addr=A + 5, iy0=-1, weight_addr=0x12, acc_addr=C, accumulate=1),
    ConfigPost(low=-3),
    Post(wait_compute=1, src_addr=C, dst_addr=0x10, param_addr=0x1F, res_addr=A, residual=1),
    Post(from_activation=1, src_addr=A, dst_addr=2, uniform=1),
    Store(wait_post=2, src_addr=2, dram_addr=0x480, rows=4),
    Store(dram_addr=0x4C0),
    End(),
    Nop(),
)
EXPECTED = """\
program hand on nano: 12 commands, the first 2 fetched from 0x200
image 0x380 bytes of 0x500
input x: 3 x 2 x 8 as rows of bytes at 0x400
output y: 8 x 1 x 4 as words at 0x480

    0  conv  load     LOAD            dram=constants:0x40 weight dst=0x0 row_beats=3
    1  conv  load     LOAD            after post 2; dram=input:0x400 dst=1:0x5 window run=3 step=3 row_words=8
    2  -     load     LOAD            dram=program:0x240 program row_beats=2
    3  conv  compute  CONFIG_COMPUTE  kernel_h=3 pad_value=-7
    4  conv  compute  COMPUTE         after load 3, post 1; act=1:0x5 iy0=-1 weight=0x12 acc=1:0x0 accumulate
    5  conv  post     CONFIG_POST     low=-3
    6  conv  post     POST            after compute 1; src=1:0x0 residual dst=0:0x10 param=0x1f res=1:0x0
    7  p     post     POST            from_activation src=1:0x0 uniform dst=0:0x2
    8  p     store    STORE           after post 2; dram=output:0x480 src=0:0x2 rows=4
    9  p     store    STORE           dram=data:0x4c0 src=0:0x0
   10  -     -        END
   11  -     -        NOP
"""


def program() -> Program:
    layers = tuple(LayerInfo(name, "Conv", 0, 0, "dense") for name in ("conv", "p"))
    return Program(
        "hand", load("nano"), COMMANDS_OF_ALL_KINDS, (0, 0, -1, 0, 0, 0, 0, 1, 1, 1, -1, -1), layers,
        np.zeros(0x380, np.uint8), 0x500, 0x200, 2,
        Placement("x", 0x400, RowTensor(3, 2, 8, (0, 0, 0, 0), 24, 0)),
        Placement("y", 0x480, WordTensor(8, 1, 4, 4, 4)),
    )  # fmt: skip


def test_a_program_by_hand() -> None:
    assert {type(command) for command in COMMANDS_OF_ALL_KINDS} == set(COMMANDS.values())
    assert program().text() == EXPECTED


@pytest.mark.parametrize("command", [c for c in COMMANDS_OF_ALL_KINDS if type(c) is not End], ids=str)
def test_every_field_that_counts_is_seen(command: Load) -> None:
    """Another value of any field, and the text is another one; but for what a command does not use."""
    unused = {Load: {"dst_addr"} if getattr(command, "target", 0) == Target.PROGRAM else set(),
              Post: {"res_addr", "param_addr"} if getattr(command, "uniform", 0) else set()}  # fmt: skip
    before = text_of(command)
    for f in fields(command):
        if f.name in unused.get(type(command), set()):
            continue
        value = getattr(command, f.name)
        other = type(command)(**{**command.__dict__, f.name: value ^ 1})
        assert text_of(other) != before, f.name


def text_of(command: Load) -> str:
    one = program()
    return Program(**{**one.__dict__, "commands": (command,), "layer_of": (0,)}).text()


def test_equal_programs_have_equal_texts_and_others_do_not() -> None:
    texts = [compile_network(gemm_network(5, 9, 7, seed), load("nano")).text() for seed in (0, 0)]
    assert texts[0] == texts[1]
    assert compile_network(gemm_network(5, 9, 8), load("nano")).text() != texts[0]


def test_the_verb_prints_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["program", "lenet-300-100", "--design", "nano"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("program lenet-300-100 on nano: ")
    assert len(lines) == 5 + int(lines[0].split(": ")[1].split()[0])
    assert sum(" COMPUTE " in line for line in lines) > 30
    assert lines[-1].split()[-1] in ("END", "NOP")


def test_the_verb_refuses_as_all_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["program", "lenet-7"]) == 2
    assert "lenet-7" in capsys.readouterr().err
