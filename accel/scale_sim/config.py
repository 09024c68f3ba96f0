"""SCALE-Sim's configuration (.cfg) as a Design.

Array, dataflow and buffers are the file's: its IFMAP buffer is our activation buffer, which holds outputs as well, its
OFMAP buffer our accumulators. Bandwidth is the widest AXI beat that is not above the file's words (bytes) a cycle where
the file sets it (`InterfaceBandwidth: USER`), below 4 an interval between beats, and 64 bytes where SCALE-Sim would say
what is needed (CALC). What SCALE-Sim has no word for (clock, latency, parameters, program) is as in the design `edge`.
Weights enter a row a cycle.
"""

from __future__ import annotations

import configparser
import math
from pathlib import Path
from typing import Any

from accel.models.errors import InputError, printable
from accel.models.files import read_whole

SUFFIX = ".cfg"
MOST_BYTES = 2**20
PRESETS, RUN = "architecture_presets", "run_presets"
KEYS = {  # by the field of the Design
    "name": "run_name",
    "array.rows": "ArrayHeight",
    "array.cols": "ArrayWidth",
    "buffers.activation_bytes": "IfmapSramSzkB",
    "buffers.weight_bytes": "FilterSramSzkB",
    "buffers.accumulator_bytes": "OfmapSramSzkB",
}
BEATS = (64, 32, 16, 8, 4)  # bytes


def values(path: str | Path) -> dict[str, Any]:
    """The fields of a Design that a configuration gives. Raises InputError."""
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(read_whole(path, MOST_BYTES).decode())
    except (UnicodeDecodeError, configparser.Error):
        raise InputError(f"{path} must be a configuration of SCALE-Sim, and is something else") from None

    def text(section: str, key: str) -> str:
        if not parser.has_option(section, key):
            raise InputError(f"{path}: [{section}] must have {key}, and has not")
        return parser.get(section, key).strip()

    def whole(key: str) -> int:
        found = text(PRESETS, key).split(",")[0].strip()
        if not (found.isascii() and found.isdigit() and 0 < len(found) < 10 and int(found)):
            raise InputError(f"{path}: {key} must be a whole number above 0, not {printable(found)!r}")
        return int(found)

    dataflow = text(PRESETS, "Dataflow")
    if dataflow not in ("ws", "os"):
        more = ": there is no array that holds inputs (--conventions scale-sim shows its cycles all the same)"
        raise InputError(
            f"{path}: Dataflow must be ws or os, not {printable(dataflow)}{more if dataflow == 'is' else ''}"
        )
    if parser.get("sparsity", "SparsitySupport", fallback="false").strip().lower() == "true":
        raise InputError(f"{path}: SparsitySupport must be false: SCALE-Sim's sparse formats are others than ours")
    mode = text(RUN, "InterfaceBandwidth")
    if mode not in ("USER", "CALC"):
        raise InputError(f"{path}: InterfaceBandwidth must be USER or CALC, not {printable(mode)}")
    given = whole("Bandwidth") if mode == "USER" else BEATS[0]
    beat = next((size for size in BEATS if size <= given), BEATS[-1])
    rows, cols = whole("ArrayHeight"), whole("ArrayWidth")
    name = parser.get("general", "run_name", fallback="").strip().strip('"')
    return {
        "name": name or Path(path).stem,
        "engine": {"kind": "systolic", "dataflow": dataflow},
        "array": {"rows": rows, "cols": cols, "weight_rows": 1},
        "buffers": {
            "activation_bytes": whole("IfmapSramSzkB") << 10,
            "weight_bytes": whole("FilterSramSzkB") << 10,
            "accumulator_bytes": whole("OfmapSramSzkB") << 10,
            "parameter_bytes": 1 << 14,
        },
        "memory": {"axi_bits": 8 * beat, "latency_cycles": 40, "beat_interval_cycles": math.ceil(beat / given)},
        "clock_mhz": 400,
    }


def message(path: str | Path, field: str, wrong: str) -> str:
    """What is wrong with a field of the Design, in the file's own words."""
    scale = " (bytes: the file counts 1024)" if field.startswith("buffers.") else ""
    return f"{path}: {KEYS.get(field, field)} {wrong}{scale}"
