"""SCALE-Sim 3.0.0 itself, in an environment of its own (its traces need numpy < 2.4), and how it is run."""

from __future__ import annotations

import csv
import os
import resource
import subprocess
import tempfile
import venv
from collections.abc import Sequence
from pathlib import Path

from accel.cache import cache_folder

WANTS = ("scalesim==3.0.0", "numpy<2.4")
HEADER = "Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, Strides,"
# The convolutions of topologies/conv_nets/alexnet.csv of its repository.
ALEXNET = (
    ("Conv1", 224, 224, 11, 11, 3, 96, 4),
    ("Conv2", 27, 27, 5, 5, 96, 256, 1),
    ("Conv3", 13, 13, 3, 3, 256, 384, 1),
    ("Conv4", 13, 13, 3, 3, 384, 384, 1),
    ("Conv5", 13, 13, 3, 3, 384, 256, 1),
)
RUN = """
import sys
from scalesim.scale_sim import scalesim
config, topology, layout, out = sys.argv[1:]
run = scalesim(save_disk_space=True, verbose=False, config=config, topology=topology, layout=layout)
run.run_scale(top_path=out)
"""


def python() -> Path:
    """Its interpreter, made in the user's cache when first asked for. Raises CalledProcessError without a network."""
    where = cache_folder("scale-sim-3.0.0") or Path(tempfile.mkdtemp())
    found = where / "bin" / "python"
    if not (where / "complete").exists():
        venv.create(where, with_pip=True, clear=True)
        subprocess.run([found, "-m", "pip", "install", "-q", *WANTS], check=True, capture_output=True)
        (where / "complete").touch()
    return found


def topology(rows: Sequence[Sequence[object]]) -> str:
    """The text of a topology file."""
    return "\n".join([HEADER, *(", ".join(map(str, row)) + "," for row in rows)]) + "\n"


def config(rows: int, cols: int, dataflow: str, kib: int = 256) -> str:
    """The text of a configuration whose bandwidth is what is needed: nothing stalls."""
    return f"""[general]
run_name = run
[architecture_presets]
ArrayHeight = {rows}
ArrayWidth = {cols}
IfmapSramSzkB = {kib}
FilterSramSzkB = {kib}
OfmapSramSzkB = {kib}
IfmapOffset = 0
FilterOffset = 10000000
OfmapOffset = 20000000
Bandwidth = 10
Dataflow = {dataflow}
MemoryBanks = 1
ReadRequestBuffer = 32
WriteRequestBuffer = 32
[layout]
IfmapCustomLayout = False
IfmapSRAMBankBandwidth = 10
IfmapSRAMBankNum = 10
IfmapSRAMBankPort = 2
FilterCustomLayout = False
FilterSRAMBankBandwidth = 10
FilterSRAMBankNum = 10
FilterSRAMBankPort = 2
[sparsity]
SparsitySupport = false
SparseRep = ellpack_block
OptimizedMapping = false
BlockSize = 8
RandomNumberGeneratorSeed = 40
[run_presets]
InterfaceBandwidth = CALC
UseRamulatorTrace = False
"""


def run(folder: Path, layers: str, settings: str) -> tuple[list[tuple[int, int]], float, float]:
    """Cycles and stalls of each layer, CPU seconds and peak memory in MiB of SCALE-Sim on a topology."""
    cells = [line.split(",") for line in layers.splitlines()[1:]]
    names = [row[0].strip() for row in cells for _ in range(int(row[5]) if "DP" in row[0] else 1)]
    layout = "\n".join(["header", *(", ".join([name, *"1" * 20]) + "," for name in names)])
    for name, text in (("t.csv", layers), ("c.cfg", settings), ("l.csv", layout), ("run.py", RUN)):
        (folder / name).write_text(text)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [python(), "run.py", "c.cfg", "t.csv", "l.csv", "out"], cwd=folder, check=True, capture_output=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    with open(folder / "out" / "run" / "COMPUTE_REPORT.csv") as file:
        rows = list(csv.reader(file))[1:]
    return [(int(float(row[2])), int(float(row[3]))) for row in rows], seconds, after.ru_maxrss / 1024
