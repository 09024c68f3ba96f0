"""CPU time against SCALE-Sim's: `OMP_NUM_THREADS=1 python -m tests.benchmarks.scale_sim`. Status 1 if missed.

AlexNet's five convolutions, as its repository has them, on 32 x 32, ws and os: SCALE-Sim 3.0.0 in an environment of its
own, which is made when it is first needed, beside compiling and timing the same layers with its configuration as the
design; medians of five, the kernel compiled before. Its cycles must be those of `accel.scale_sim.cycles`.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from accel.compile import compile_network, time_network
from accel.design import Design, load
from accel.one_layer import LayerShape
from accel.scale_sim import topology
from accel.scale_sim.cycles import cycles
from accel.timing.recurrence import time_program
from tests.benches import scale_sim
from tests.benchmarks.limits import report_missed

WANTED = 3000
SIDE = 32


def ours(layers: Sequence[LayerShape], design: Design) -> tuple[float, float, int]:
    """CPU seconds of compiling and timing all layers, with their programs and for the cycles alone, and the cycles."""
    networks = [layer.network() for layer in layers]
    found, alone, total = [], [], 0
    for run in range(6):
        # Another latency each time, so that no tiling is remembered.
        memory = design.memory.model_copy(update={"latency_cycles": 40 + run})
        varied = design.model_copy(update={"memory": memory})
        began = time.process_time()
        total = sum(time_program(compile_network(network, varied)).cycles for network in networks)
        found.append(time.process_time() - began)
        memory = design.memory.model_copy(update={"latency_cycles": 60 + run})
        varied = design.model_copy(update={"memory": memory})
        began = time.process_time()
        for network in networks:
            time_network(network, varied)
        alone.append(time.process_time() - began)
    return statistics.median(found[1:]), statistics.median(alone[1:]), total


def main() -> int:
    """A line for each dataflow; the status."""
    os.environ["ACCEL_COMPILED"] = "1"
    worst = float("inf")
    for flow in ("ws", "os"):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            text = scale_sim.topology(scale_sim.ALEXNET)
            theirs, took, megabytes = scale_sim.run(folder, text, scale_sim.config(SIDE, SIDE, flow))
            layers, design = topology.load(folder / "t.csv"), load(folder / "c.cfg")
        assert [total for total, _ in theirs] == [cycles(layer, flow, SIDE, SIDE) for layer in layers]
        own, alone, total = ours(layers, design)
        worst = min(worst, took / own)
        print(
            f"AlexNet, {flow}: SCALE-Sim {took:.1f} s, {megabytes:,.0f} MiB, {sum(c for c, _ in theirs):,} cycles; "
            f"ours {own:.4f} s, {total:,} cycles: {took / own:,.0f} times ({took / alone:,.0f} without programs)"
        )
    return report_missed({"times slower than wanted": WANTED / worst}, {"times slower than wanted": 1})


if __name__ == "__main__":
    sys.exit(main())
