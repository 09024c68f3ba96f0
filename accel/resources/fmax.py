"""The clock that a design reaches on an ECP5 of speed grade 6, from the clocks of its blocks.

Each block was placed and routed alone, small, with each option that its slowest path depends on
(`python -m tests.benchmarks.block_clocks`). A whole design is limited by its slowest block, or by paths from one block
to another, most of which begin or end at a memory: their clock is that of a small design with as many registers behind
its memories that was placed whole (`python -m tests.benchmarks.resources --place NAME`).
"""

from __future__ import annotations

from collections.abc import Iterator

from accel.design import Design
from accel.resources.coefficients import fit

BETWEEN = "paths between blocks"


def blocks(design: Design) -> tuple[str, ...]:
    """The blocks of a design, each with its options: a name, and what its clock depends on."""
    return tuple(_blocks(design))


def _blocks(design: Design) -> Iterator[str]:
    make = "portable" if design.multiplier == "portable" else "block"
    multiplies = f"{make} {design.engine.multiplier_stages}"
    if design.engine.kind == "sparse":
        yield f"sparse-pe {multiplies}"
    elif design.output_stationary:
        yield f"output-array {multiplies}"
        yield f"accumulators {design.memory_stages}"
    else:
        yield f"array {multiplies}"
        yield f"weights {design.memory_stages}"
        yield f"accumulators {design.memory_stages}"
        yield f"feeder {design.memory_stages}"
    yield f"post {make} {design.post_multiplier_stages}"
    yield "loader decoder" if design.decoder_lanes else "loader"
    yield "storer"
    yield "sequencer"


def fmax_mhz(design: Design) -> float:
    """The clock in MHz. Of options that were not placed, that of the nearest number of registers."""
    return min(_clocks(design).values())


def slowest(design: Design) -> str:
    """The block that limits the clock, or BETWEEN."""
    clocks = _clocks(design)
    return min(clocks, key=clocks.__getitem__)


def between(design: Design) -> str:
    """What the clock of the paths between blocks depends on: a key of `between` in the fit."""
    return f"{BETWEEN} {design.memory_stages}"


def _clocks(design: Design) -> dict[str, float]:
    wholes = fit()["between"]
    return {key: _clock(key, fit()["clocks"]) for key in blocks(design)} | {BETWEEN: _clock(between(design), wholes)}


def _clock(key: str, clocks: dict[str, float]) -> float:
    if key in clocks:
        return clocks[key]
    kind, _, number = key.rpartition(" ")
    near = {other: abs(int(other[len(kind) + 1 :]) - int(number)) for other in clocks if other.startswith(f"{kind} ")}
    return clocks[min(near, key=near.__getitem__)] if near else max(clocks.values())
