"""The layers of EIE on the sparse engine: `python -m tests.benchmarks.eie`. Status 1 if a limit is missed.

EIE (Han et al., arXiv 1602.01528, table IV) has 64 PEs at 800 MHz, queues of 8, 4-bit weights and 4-bit indices, and
its weights are on chip before it starts: so this is R = 1, C = 64, F = 8, and the time of the COMPUTE alone. Weights
and activations are random with the densities that the paper gives: the structure of trained ones is not in them. Also
how long the simulation of a 4096 x 4096 layer takes, decoding, sums and play included; `--verilog`: in Verilog, too.
"""

from __future__ import annotations

import csv
import io
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from accel.compiler.formats.sparse import encode
from accel.design import Design, load
from accel.program import Program
from accel.timing.machine import DURATION
from accel.timing.sparse import facts_of_play
from tests.benchmarks.limits import processor_seconds, report_missed

# Name, inputs, outputs, densities in percent, and the time that EIE's authors measured in their RTL simulation.
LAYERS = """layer,inputs,outputs,weights,activations,published_us
Alex-6,9216,4096,9,35.1,30.3
Alex-7,4096,4096,9,35.3,12.2
VGG-7,4096,4096,4,37.5,8.7
VGG-8,4096,1000,23,41.1,8.4
NT-We,4096,600,10,100,8.0
NT-Wd,600,8791,11,100,13.9
NT-LSTM,1201,2400,10,100,7.5
"""
NEAR = 0.15
WANTED = 6  # of the seven layers within NEAR


def eie() -> Design:
    """The engine of the paper."""
    values = load("edge-sparse").model_dump()
    values |= {"name": "eie", "clock_mhz": 800.0, "array": {"rows": 1, "cols": 64}}
    values["engine"] |= {"queue_depth": 8, "index_bits": 4, "pointers": 1 << 14, "word_factor": 1}
    values["buffers"] |= {"weight_bytes": 1 << 23}
    return Design.model_validate(values)


def layers() -> list[dict[str, str]]:
    """The rows of LAYERS."""
    return list(csv.DictReader(io.StringIO(LAYERS)))


def facts_of_layer(design: Design, layer: Mapping[str, str], seed: int = 0) -> dict[int, int]:
    """Facts of the COMPUTE of one of the paper's layers, with random weights and activations of its densities."""
    inputs, outputs = int(layer["inputs"]), int(layer["outputs"])
    weights, activations = float(layer["weights"]) / 100, float(layer["activations"]) / 100
    generator = np.random.default_rng(seed)
    cols = design.cols
    codes = generator.integers(1, 16, (-(-outputs // cols) * cols, inputs)).astype(np.uint8)
    present = generator.random(codes.shape) < weights
    present[outputs:] = False
    block = encode(codes, present, cols, run_bits=4, value_bits=4, zero=0)
    zero = (generator.random((1, inputs)) >= activations).astype(np.int64)
    groups = [min(cols, inputs - first) for first in range(0, inputs, cols)]
    return facts_of_play(design, 1, -(-outputs // cols), groups, block.lengths, zero)


def large_layer() -> tuple[Program, NDArray[np.int8]]:
    """A 4096 x 4096 layer with 9 % weights, and an input with 35 % activations."""
    from accel.compile import compile_network
    from accel.models.integers.network import IntegerNetwork, MatrixLayer, Requantise, TensorSpec, Window

    generator = np.random.default_rng(0)
    weights = generator.integers(1, 128, (4096, 4096, 1, 1)).astype(np.int8)
    weights[generator.random(weights.shape) >= 0.09] = 0
    record = Requantise(np.zeros(1, np.int32), np.array([40000], np.uint16), np.array([27], np.uint8), 0)
    layer = MatrixLayer("fc", "x", "y", weights, Window((1, 1)), record)
    tensors = {name: TensorSpec(name, (4096, 1, 1), 1.0, 0) for name in "xy"}
    codes = generator.integers(1, 128, (4096, 1, 1)).astype(np.int8)
    codes[generator.random(codes.shape) >= 0.35] = 0
    return compile_network(IntegerNetwork("fc", "x", "y", tensors, (layer,)), eie()), codes


def simulation_seconds() -> float:
    """The large layer from the DRAM image to outputs and cycles: seconds of processor time."""
    from accel.sim.execute.facts import time_executed

    program, codes = large_layer()
    time_executed(program, codes)
    begun = time.process_time()
    time_executed(program, codes)
    return time.process_time() - begun


def verilog_seconds() -> tuple[float, float]:
    """The large layer in the Verilog: seconds of processor time to build and to run, bytes and cycles checked."""
    from accel.sim.execute import execute_memory
    from accel.sim.execute.facts import time_executed
    from tests.benches.verilator import Built, case_of

    program, codes = large_layer()
    with tempfile.TemporaryDirectory() as folder:
        begun = processor_seconds()
        built = Built(program.design, Path(folder))
        made = processor_seconds()
        (outcome,) = built.run([case_of(program, codes)])
        ended = processor_seconds()
    assert outcome.cycles == time_executed(program, codes).cycles
    np.testing.assert_array_equal(outcome.memory, execute_memory(program, codes))
    return made - begun, ended - made


def main() -> int:
    """Print the table; 1 if a limit is missed."""
    design, far = eie(), 0
    print("layer     cycles     us  published  ratio")
    for row in layers():
        found = facts_of_layer(design, row)[DURATION]
        published = float(row["published_us"])
        ratio = found / design.clock_mhz / published
        far += abs(ratio - 1) > NEAR
        print(f"{row['layer']:<8}{found:>8,}  {found / design.clock_mhz:5.1f}  {published:9.1f}  {ratio:5.2f}")
    seconds = simulation_seconds()
    print(f"simulating 4096 x 4096, 9 % weights, 35 % activations, outputs included: {seconds:.2f} s")
    if "--verilog" in sys.argv[1:]:
        build, ran = verilog_seconds()
        print(f"the same in the Verilog: {ran:.2f} s, and {build:.0f} s to build it")
    return report_missed(
        {"layers apart": far, "simulation, s": seconds}, {"layers apart": 7 - WANTED, "simulation, s": 0.5}
    )


if __name__ == "__main__":
    sys.exit(main())
