"""How fast the simulator is: `OMP_NUM_THREADS=1 python -m tests.benchmarks.simulator`. Status 1 if a limit is missed.

Medians of five runs, but for compiling and the 10,000 images, which run once.

Timing of a 4096 x 4096 x 4096 GEMM on 32 x 32 in both forms of the kernel (memory: in Python, without numba), timing of
LeNet-5, and LeNet-5 bit-exact on the 10,000 test images.
"""

from __future__ import annotations

import os
import resource
import statistics
import sys
import time
from collections.abc import Callable

from accel.compile import compile_network
from accel.design import load
from accel.gemm import gemm_network
from accel.models.quantisation.quantise import quantise
from accel.models.reference.int8 import quantise_input
from accel.models.zoo import load as load_network
from accel.models.zoo import mnist_calibration, mnist_test, preprocess
from accel.sim.execute import execute
from accel.timing.recurrence import time_program
from tests.benchmarks.limits import report_missed


def median_seconds(action: Callable[[], object], runs: int = 5) -> float:
    """Median wall seconds of `runs` calls after one that is not counted."""
    action()
    seconds = []
    for _ in range(runs):
        began = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)


LIMITS = {"GEMM, s": 1.0, "GEMM, MiB": 300, "LeNet-5, s": 0.020, "10,000 images, s": 10.0}


def main() -> int:
    """Run the three benchmarks and print one line each; the status."""
    found = {}
    os.environ["ACCEL_PURE_PYTHON"] = "1"  # numba alone takes 100 MiB
    began = time.perf_counter()
    gemm = compile_network(gemm_network(4096, 4096, 4096), load("large"))
    compiled = time.perf_counter() - began
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds = median_seconds(lambda: time_program(gemm))
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found["GEMM, s"], found["GEMM, MiB"] = seconds, after / 1024
    cycles = time_program(gemm).cycles
    print(f"GEMM 4096^3 on 32 x 32: {cycles:,} cycles timed in {seconds:.3f} s ({len(gemm.commands):,} commands)")
    print(
        f"  compiled in {compiled:.1f} s; peak memory {after // 1024} MiB, {(after - before) // 1024} MiB of it timing"
    )
    os.environ |= {"ACCEL_PURE_PYTHON": "0", "ACCEL_COMPILED": "1"}
    print(f"  compiled form of the kernel: timed in {median_seconds(lambda: time_program(gemm)):.3f} s")
    lenet = quantise(load_network("lenet-5"), preprocess(mnist_calibration()))
    program = compile_network(lenet, load("edge"))
    seconds = median_seconds(lambda: time_program(program))
    found["LeNet-5, s"] = seconds
    print(f"LeNet-5 timing on edge: {time_program(program).cycles:,} cycles in {1e3 * seconds:.2f} ms")
    images, labels = mnist_test()
    codes = quantise_input(lenet, preprocess(images))
    began = time.perf_counter()
    outputs = execute(program, codes)
    seconds = time.perf_counter() - began
    found["10,000 images, s"] = seconds
    right = int((outputs.reshape(len(labels), -1).argmax(axis=1) == labels).sum())
    print(f"LeNet-5 bit-exact, {len(labels):,} images through the program: {seconds:.1f} s, {right:,} right")
    return report_missed(found, LIMITS)


if __name__ == "__main__":
    sys.exit(main())
