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
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Array:
    """What SCALE-Sim's stall-free cycles follow from: an array of any size, and what stays in it (ws, os, is)."""

    name: str
    rows: int
    cols: int
    dataflow: str


class _File:
    """A configuration that is read; methods raise InputError."""

    def __init__(self, path: str | Path) -> None:
        self.path, self.parser = path, configparser.ConfigParser(interpolation=None)
        try:
            self.parser.read_string(read_whole(path, MOST_BYTES).decode())
        except (UnicodeDecodeError, configparser.Error):
            raise InputError(f"{path} must be a configuration of SCALE-Sim, and is something else") from None
        if self.parser.get("sparsity", "SparsitySupport", fallback="false").strip().lower() == "true":
            raise InputError(f"{path}: SparsitySupport must be false: SCALE-Sim's sparse formats are others than ours")

    def text(self, section: str, key: str) -> str:
        if not self.parser.has_option(section, key):
            raise InputError(f"{self.path}: [{section}] must have {key}, and has not")
        return self.parser.get(section, key).strip()

    def whole(self, key: str) -> int:
        found = self.text(PRESETS, key).split(",")[0].strip()
        if not (found.isascii() and found.isdigit() and 0 < len(found) < 10 and int(found)):
            raise InputError(f"{self.path}: {key} must be a whole number above 0, not {printable(found)!r}")
        return int(found)

    def dataflow(self) -> str:
        found = self.text(PRESETS, "Dataflow")
        if found not in ("ws", "os", "is"):
            raise InputError(f"{self.path}: Dataflow must be ws, os or is, not {printable(found)}")
        return found

    def name(self) -> str:
        found = self.parser.get("general", "run_name", fallback="").strip().strip('"')
        return printable(found) or printable(Path(self.path).stem)


def array(path: str | Path) -> Array:
    """The array of a configuration, whether a Design can have it or not. Raises InputError."""
    file = _File(path)
    return Array(file.name(), file.whole("ArrayHeight"), file.whole("ArrayWidth"), file.dataflow())


def values(path: str | Path) -> dict[str, Any]:
    """The fields of a Design that a configuration gives. Raises InputError."""
    file = _File(path)
    dataflow = file.dataflow()
    if dataflow == "is":
        raise InputError(
            f"{path}: Dataflow must be ws or os, not is: there is no array that holds inputs "
            "(accel simulate --conventions scale-sim shows its cycles all the same)"
        )
    mode = file.text(RUN, "InterfaceBandwidth")
    if mode not in ("USER", "CALC"):
        raise InputError(f"{path}: InterfaceBandwidth must be USER or CALC, not {printable(mode)}")
    given = file.whole("Bandwidth") if mode == "USER" else BEATS[0]
    beat = next((size for size in BEATS if size <= given), BEATS[-1])
    rows, cols = file.whole("ArrayHeight"), file.whole("ArrayWidth")
    return {
        "name": file.name(),
        "engine": {"kind": "systolic", "dataflow": dataflow},
        "array": {"rows": rows, "cols": cols, "weight_rows": 1},
        "buffers": {
            "activation_bytes": file.whole("IfmapSramSzkB") << 10,
            "weight_bytes": file.whole("FilterSramSzkB") << 10,
            "accumulator_bytes": file.whole("OfmapSramSzkB") << 10,
            "parameter_bytes": 1 << 14,
        },
        "memory": {"axi_bits": 8 * beat, "latency_cycles": 40, "beat_interval_cycles": math.ceil(beat / given)},
        "clock_mhz": 400,
    }


def message(path: str | Path, field: str, wrong: str) -> str:
    """What is wrong with a field of the Design, in the file's own words."""
    scale = " (bytes: the file counts 1024)" if field.startswith("buffers.") else ""
    return f"{path}: {KEYS.get(field, field)} {wrong}{scale}"
