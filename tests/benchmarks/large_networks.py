"""Large networks: `OMP_NUM_THREADS=1 python -m tests.benchmarks.large_networks`. Status 1 if a limit is missed.

Timing of ResNet-18 and VGG-16 after they were compiled, on 32 x 32 with 16 bytes a cycle (`efficiency.design_of`), by
`time.process_time`: in both forms of the kernel (medians of five), and the first time in a process that compiled it and
chose the form itself, where an earlier one has compiled the kernel; and the peak memory of a process that reads VGG-16
and ResNet-50 from an ONNX file, against one and a half times the float weights and 300 MB.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from accel.compile import compile_network
from accel.models import zoo
from accel.models.exchange import onnx_write
from accel.models.graph import Conv, Linear
from accel.models.quantisation.quantise import shapes_alone
from accel.timing.recurrence import time_program
from tests.benchmarks.efficiency import design_of
from tests.benchmarks.limits import report_missed

WANTED = {"resnet-18": 0.05, "vgg-16": 0.1}  # seconds
FORMS = {"Python": "ACCEL_PURE_PYTHON", "compiled": "ACCEL_COMPILED"}
IMPORT = """
import sys
from accel.models.parting import parted
parted.read(sys.argv[1])
print(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
"""


def seconds(name: str, runs: int = 6) -> list[float]:
    """CPU seconds of each timing of a compiled program."""
    program = compile_network(shapes_alone(zoo.architecture(name, seed=None)), design_of(32))
    found = []
    for _ in range(runs):
        began = time.process_time()
        time_program(program)
        found.append(time.process_time() - began)
    return found


def first_seconds(name: str) -> float:
    """The same of the first timing in a process of its own, which has its kernel in the form that it chose."""
    command = f"from tests.benchmarks.large_networks import seconds; print(seconds({name!r}, 1)[0])"
    environment = {key: value for key, value in os.environ.items() if key not in FORMS.values()}
    done = subprocess.run(
        [sys.executable, "-c", command], check=True, capture_output=True, text=True, env=environment
    )  # fmt: skip
    return float(done.stdout)


def import_megabytes(name: str) -> tuple[float, float]:
    """Peak memory of a process that reads the network from a file, and the float weights alone."""
    network = zoo.architecture(name)
    weights = sum(x.weights.nbytes + x.bias.nbytes for x in network.layers if isinstance(x, Conv | Linear))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "network.onnx")
        path.write_bytes(onnx_write.to_model(network).SerializeToString())
        done = subprocess.run([sys.executable, "-c", IMPORT, path], check=True, capture_output=True, text=True)
    return int(done.stdout) * 1024 / 1e6, weights / 1e6


def main() -> int:
    """A line for each measure; the status."""
    found: dict[str, float] = {}
    limits: dict[str, float] = {}
    for form, variable in FORMS.items():
        os.environ.pop("ACCEL_PURE_PYTHON", None)
        os.environ[variable] = "1"
        for name in WANTED:
            print(f"{name} timed after compilation, {form}: {statistics.median(seconds(name)[1:]):.3f} s")
    for name, limit in WANTED.items():
        took = first_seconds(name)
        print(f"{name} timed after compilation, the first time: {took:.3f} s (wanted {limit})")
        found[f"{name}, s"], limits[f"{name}, s"] = took, limit
    for name in ("resnet-50", "vgg-16"):
        peak, weights = import_megabytes(name)
        limit = 1.5 * weights + 300
        print(f"{name} read from ONNX: {peak:,.0f} MB at the peak, weights {weights:,.0f} MB (wanted {limit:,.0f})")
        found[f"{name}, MB"], limits[f"{name}, MB"] = peak, limit
    return report_missed(found, limits)


if __name__ == "__main__":
    sys.exit(main())
