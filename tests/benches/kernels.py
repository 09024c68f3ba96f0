"""The compiled form of the kernel (`accel.timing.kernel`), made once for all processes of a session."""

from __future__ import annotations

from random import Random

import pytest

from accel.compile import compile_network
from accel.design import load
from accel.gemm import gemm_network
from accel.sim.execute import execute_memory
from accel.timing.recurrence import time_program
from tests.benches.draw import draw_input

WORTH = 1000  # tests of a process, from which on 20 s of compiling are less than what Python alone takes longer


def compile_kernels() -> None:
    """Compile every function of the kernel, into $ACCEL_KERNELS, where other processes find it."""
    network = gemm_network(8, 8, 8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ACCEL_COMPILED", "1")
        for name, formats in (("edge", "plain"), ("edge-coded", "coded"), ("edge-sparse-coded", "coded")):
            program = compile_network(network, load(name), formats)
            assert time_program(program).events
            execute_memory(program, draw_input(Random(0), network, 1)[0])
