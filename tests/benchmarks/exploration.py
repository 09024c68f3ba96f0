"""How many designs a second: `OMP_NUM_THREADS=1 python -m tests.benchmarks.exploration`. Status 1 if a limit is missed.

And how long the predictor takes for what a design needs of an FPGA.

LeNet-5 and a network of ResNet-18's size, compiled, timed exactly and priced for one design after the other. No two
designs are equal: memory latency and buffers change, so that no tiling is remembered from the design before.
Seconds are those of one core's work (`time.process_time`), medians over designs. The compiled form of the kernel is
used from the start, as it is after the first hundreds of designs otherwise (`accel/timing/kernel.py`); compiling it is
not counted.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator

from accel.compile import time_network
from accel.design import Design, load
from accel.models import zoo
from accel.models.integers.network import IntegerNetwork
from accel.resources import predict
from accel.sim.cost import cost_of
from tests.benches.resnet import resnet18
from tests.benchmarks.limits import report_missed

# Seconds a design: 300 and 20 designs a second. Cycles on `edge`, as the schedules of commit 4b26705 had them.
LIMITS = {
    "lenet-5, s": 1 / 300, "resnet-18, s": 1 / 20, "predicted, s": 1e-3,
    "lenet-5, cycles": 49_728, "resnet-18, cycles": 7_508_670,
}  # fmt: skip


def designs(count: int) -> Iterator[Design]:
    """Variants of `edge`, each with a latency and buffers of its own."""
    edge = load("edge")
    for k in range(count):
        memory = edge.memory.model_copy(update={"latency_cycles": 10 + k})
        buffers = edge.buffers.model_copy(update={"weight_bytes": edge.buffers.weight_bytes - 256 * k})
        yield edge.model_copy(update={"memory": memory, "buffers": buffers})


def seconds_a_design(evaluate: Callable[[Design], object], count: int) -> float:
    """Median of `count` designs after one that is not counted."""
    found = []
    for design in designs(count + 1):
        began = time.process_time()
        evaluate(design)
        found.append(time.process_time() - began)
    return statistics.median(found[1:])


def priced(network: IntegerNetwork) -> Callable[[Design], object]:
    """What the network costs on a design."""
    return lambda design: cost_of(design, time_network(network, design))


def main() -> int:
    """Print a line for each network; the status."""
    os.environ["ACCEL_COMPILED"] = "1"
    found: dict[str, float] = {}
    for name, network, count in (("lenet-5", zoo.integer_network("lenet-5"), 100), ("resnet-18", resnet18(), 20)):
        seconds = seconds_a_design(priced(network), count)
        cycles = time_network(network, load("edge")).cycles
        found |= {f"{name}, s": seconds, f"{name}, cycles": cycles}
        print(f"{name:9} {1 / seconds:6.0f} designs a second ({1e3 * seconds:.2f} ms each); {cycles:,} cycles on edge")
    found["predicted, s"] = seconds_a_design(predict, 200)
    print(f"what a design needs of an FPGA is predicted in {1e6 * found['predicted, s']:.0f} us")
    return report_missed(found, LIMITS)


if __name__ == "__main__":
    sys.exit(main())
