"""`--conventions scale-sim`: the stall-free cycles that SCALE-Sim counts, beside ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from accel.design import Design
from accel.flow.simulate import Simulation
from accel.flow.tables import Column, show
from accel.models.errors import InputError
from accel.models.integers.network import IntegerNetwork, MatrixLayer
from accel.one_layer import LayerShape
from accel.scale_sim.cycles import DATAFLOWS, cycles, shape_of

NAMES = ("scale-sim",)


@dataclass(frozen=True)
class Line:
    """A layer, or all: our cycles, and SCALE-Sim's by dataflow."""

    name: str
    ours: int
    theirs: Mapping[str, int]


def check(name: str) -> None:
    """Raise InputError for conventions that are not known; "" is none."""
    if name and name not in NAMES:
        raise InputError(f"--conventions must be {' or '.join(NAMES)}, not {name!r}")


def shapes(network: IntegerNetwork) -> list[LayerShape]:
    """The layers of a network that multiply."""
    return [shape_of(x, network.tensors[x.input]) for x in network.layers if isinstance(x, MatrixLayer)]


def lines(layers: Sequence[LayerShape], simulation: Simulation) -> list[Line]:
    """A line for each layer that multiplies, and their sums; of other layers SCALE-Sim knows nothing."""
    design = simulation.result.design
    places = [part.work.cycles for part in simulation.layers if part.work.info.must.macs]
    found = [
        Line(layer.name, ours, {flow: cycles(layer, flow, design.rows, design.cols) for flow in DATAFLOWS})
        for layer, ours in zip(layers, places, strict=True)
    ]
    sums = {flow: sum(line.theirs[flow] for line in found) for flow in DATAFLOWS}
    return [*found, Line("total", sum(line.ours for line in found), sums)]


def dataflow(design: Design) -> str:
    """SCALE-Sim's word for what stays in the array; a sparse engine, which it has not, is compared with ws."""
    return "os" if design.output_stationary else "ws"


def record(found: Sequence[Line]) -> list[dict[str, Any]]:
    """As JSON."""
    return [{"layer": line.name, "ours": line.ours, **line.theirs} for line in found]


def show_lines(where: Console, found: Sequence[Line], design: Design) -> None:
    """The table for a terminal."""
    own = dataflow(design)

    def column(flow: str) -> Column[Line]:
        return Column("SCALE-Sim", flow, lambda line: f"{line.theirs[flow]:,}")

    columns: list[Column[Line]] = [
        Column("layer", "", lambda line: line.name, left=True),
        Column("ours", "cycles", lambda line: f"{line.ours:,}"),
        *(column(flow) for flow in DATAFLOWS),
        Column(own, "/ ours", lambda line: f"{line.theirs[own] / line.ours:.2f}" if line.ours else ""),
    ]
    title = f"SCALE-Sim's stall-free cycles, {design.rows} x {design.cols}"
    show(where, title, columns, found, last_apart=True)
