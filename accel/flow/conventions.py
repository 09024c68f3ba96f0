"""`--conventions scale-sim`: the stall-free cycles that SCALE-Sim counts, beside ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from accel.design import Design, load
from accel.flow.simulate import Simulation
from accel.flow.tables import Column, show
from accel.models.errors import InputError
from accel.models.integers.network import IntegerNetwork, MatrixLayer
from accel.one_layer import LayerShape
from accel.scale_sim import config
from accel.scale_sim.config import Array
from accel.scale_sim.cycles import DATAFLOWS, cycles, shape_of

NAMES = ("scale-sim",)


@dataclass(frozen=True)
class Line:
    """A layer, or all: our cycles, None without a design, and SCALE-Sim's by dataflow."""

    name: str
    ours: int | None
    theirs: Mapping[str, int]


def check(name: str) -> None:
    """Raise InputError for conventions that are not known; "" is none."""
    if name and name not in NAMES:
        raise InputError(f"--conventions must be {' or '.join(NAMES)}, not {name!r}")


def shapes(network: IntegerNetwork) -> list[LayerShape]:
    """The layers of a network that multiply."""
    return [shape_of(x, network.tensors[x.input]) for x in network.layers if isinstance(x, MatrixLayer)]


def array_of(design: str | Path) -> tuple[Array, Design | None, str]:
    """The array that the option --design names, the Design, and why there is none: SCALE-Sim counts for any array.

    Raises InputError for a design that is neither.
    """
    try:
        found = load(design)
    except InputError as error:
        if Path(design).suffix != config.SUFFIX:
            raise
        return config.array(design), None, str(error)
    # A sparse engine, which SCALE-Sim has not, is compared with ws.
    return Array(found.name, found.rows, found.cols, "os" if found.output_stationary else "ws"), found, ""


def lines(layers: Sequence[LayerShape], array: Array, simulation: Simulation | None) -> list[Line]:
    """A line for each layer that multiplies, and their sums; of other layers SCALE-Sim knows nothing."""
    places: list[int] | list[None] = [None] * len(layers)
    if simulation:
        places = [part.work.cycles for part in simulation.layers if part.work.info.must.macs]
    found = [
        Line(layer.name, ours, {flow: cycles(layer, flow, array.rows, array.cols) for flow in DATAFLOWS})
        for layer, ours in zip(layers, places, strict=True)
    ]
    sums = {flow: sum(line.theirs[flow] for line in found) for flow in DATAFLOWS}
    return [*found, Line("total", sum(line.ours or 0 for line in found) if simulation else None, sums)]


def record(found: Sequence[Line]) -> list[dict[str, Any]]:
    """As JSON."""
    return [{"layer": line.name, "ours": line.ours, **line.theirs} for line in found]


def record_alone(name: str, found: Sequence[Line], array: Array, reason: str) -> dict[str, Any]:
    """As JSON, where there are no cycles of ours, for that reason."""
    return {"network": name, "array": asdict(array), "scale_sim": record(found), "warnings": [reason]}


def show_lines(where: Console, found: Sequence[Line], array: Array) -> None:
    """The table for a terminal."""
    own = array.dataflow

    def column(flow: str) -> Column[Line]:
        return Column("SCALE-Sim", flow, lambda line: f"{line.theirs[flow]:,}")

    columns: list[Column[Line]] = [Column("layer", "", lambda line: line.name, left=True)]
    if found[-1].ours is not None:
        columns.append(Column("ours", "cycles", lambda line: f"{line.ours:,}"))
    columns += map(column, DATAFLOWS)
    if found[-1].ours is not None:
        columns.append(Column(own, "/ ours", lambda line: f"{line.theirs[own] / line.ours:.2f}" if line.ours else ""))
    title = f"SCALE-Sim's stall-free cycles, {array.rows} x {array.cols}"
    if found[-1].ours is None:
        title = f"{title}, {own}"
    show(where, title, columns, found, last_apart=True)
