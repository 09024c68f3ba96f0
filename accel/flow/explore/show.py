"""What `accel explore` prints and writes: the front as a table, CSV, JSON and a chart; all points as CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure
from rich.console import Console
from rich.text import Text

from accel.flow import tables
from accel.flow.charts.style import FAINT, INK, plain_numbers, saved
from accel.flow.explore.evaluate import Outcome
from accel.flow.explore.explore import Explored
from accel.flow.explore.metrics import METRICS, Metric
from accel.flow.tables import Column, figure
from accel.resources.clock import clock_notes

FORMAT = 1
FILES = ("front.csv", "front.json", "points.csv", "front.png", "front.svg")
SHOWN = 20  # rows of the front on a terminal


def columns(explored: Explored) -> list[Column[Outcome]]:
    """The point's number, its objectives, and its values where points of the space differ."""
    space = explored.space

    def of_metric(one: Metric) -> Column[Outcome]:
        return Column(*one.heading, lambda outcome: text(one, outcome.metrics[one.name]))

    def of_axis(name: str) -> Column[Outcome]:
        section, _, last = name.rpartition(".")
        return Column(last, section, lambda outcome: space.labels(outcome.number)[name], left=True)

    return [
        Column("point", "", lambda outcome: str(outcome.number)),
        *(of_metric(METRICS[name]) for name in shown(explored)),
        *(of_axis(one.name) for one in space.axes if len(one.values) > 1),
    ]


def shown(explored: Explored) -> list[str]:
    """The metrics that the command is about: objectives, then those of constraints."""
    limited = (name for one in explored.space.constraints for name in one.metrics if name != "ff")
    return list(dict.fromkeys((*explored.space.objectives, *limited)))


def text(one: Metric, value: float) -> str:
    """A metric's value for a reader."""
    return figure(value) if one.digits is None else f"{value:,.{one.digits}f}"


def show(where: Console, explored: Explored) -> None:
    """Everything that `accel explore` prints."""
    space, known = explored.space, len(explored.outcomes)
    facts = f"{known:,} of {space.size:,} points, {explored.refused:,} cannot be built or run"
    if space.constraints:
        facts += f", {explored.feasible:,} keep the constraints"
    where.print(Text.assemble((explored.network, "bold"), f": {facts}; {len(explored.front):,} are on the front"))
    rows = [explored.outcomes[number] for number in explored.front]
    tables.show(where, "", columns(explored), spread(rows, SHOWN))
    if len(rows) > SHOWN:
        where.print()
        where.print(f"{len(rows):,} points are on the front, {SHOWN} of them are shown: front.csv has all")


def notes(explored: Explored) -> list[str]:
    """Warnings of what the front's figures stand on: clocks that a point's FPGA is predicted not to reach."""
    warned = {number: found for number in explored.front if (found := clock_notes(explored.space.point(number).design))}
    if not warned:
        return []
    first = next(iter(warned))
    count = f"{len(warned):,} of the {len(explored.front):,} points on the front have a clock that is too high"
    return [f"warning: {count}; point {first}: {warned[first][0].removeprefix('warning: ')}"]


def spread(rows: Sequence[Outcome], most: int) -> list[Outcome]:
    """At most so many of the rows, the first and the last among them."""
    if len(rows) <= most:
        return list(rows)
    return [rows[round(k * (len(rows) - 1) / (most - 1))] for k in range(most)]


def record(explored: Explored) -> dict[str, Any]:
    """What front.json holds."""
    space = explored.space
    return {
        "format": FORMAT,
        "network": explored.network,
        "base": space.base,
        "objectives": list(space.objectives),
        "constraints": [one.text for one in space.constraints],
        "axes": {one.name: list(one.values) for one in space.axes},
        "points": len(explored.outcomes),
        "points_of_space": space.size,
        "refused": explored.refused,
        "feasible": explored.feasible,
        "notes": notes(explored),
        "front": [
            {"point": number, "values": space.values(number), "metrics": dict(explored.outcomes[number].metrics)}
            for number in explored.front
        ],
    }


def csv_text(explored: Explored, numbers: Sequence[int]) -> str:
    """A line for each point: number, values, metrics, and the reason why there are none."""
    space = explored.space
    names = [name for name in METRICS if any(name in one.metrics for one in explored.outcomes.values())]
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["point", *(one.name for one in space.axes), *names, "reason"])
    for number in numbers:
        one = explored.outcomes[number]
        found = [one.metrics.get(name, "") for name in names]
        writer.writerow([number, *space.labels(number).values(), *found, one.reason])
    return file.getvalue()


def files(explored: Explored) -> dict[str, bytes]:
    """Every file by name."""
    return {
        "front.csv": csv_text(explored, explored.front).encode(),
        "front.json": (json.dumps(record(explored), indent=1, allow_nan=False) + "\n").encode(),
        "points.csv": csv_text(explored, list(explored.outcomes)).encode(),
        **chart(explored),
    }


def chart(explored: Explored) -> dict[str, bytes]:
    """The first two objectives of all points that keep the constraints, and of the front, as PNG and SVG."""
    return {f"front.{kind}": data for kind, data in saved(lambda: _front(explored)).items()}


def _front(explored: Explored) -> Figure:
    objectives = explored.space.objectives
    x = METRICS[objectives[0]]
    y = METRICS[objectives[1] if len(objectives) > 1 else objectives[0]]
    done = [one.metrics for one in explored.outcomes.values() if one.metrics]
    best = [explored.outcomes[number] for number in explored.front]
    picture = Figure(figsize=(8, 5), layout="constrained")
    panel = picture.subplots()
    panel.scatter(
        [m[x.name] for m in done], [m[y.name] for m in done], s=6, color=FAINT, label="all points", rasterized=True
    )
    panel.plot(
        [one.metrics[x.name] for one in best], [one.metrics[y.name] for one in best], "o", markersize=5, color=INK,
        label="front",
    )  # fmt: skip
    for one in spread(best, 10):
        at = (one.metrics[x.name], one.metrics[y.name])
        panel.annotate(str(one.number), at, xytext=(4, 4), textcoords="offset points", fontsize=8)
    for axis, of in ((panel.xaxis, x), (panel.yaxis, y)):
        axis.set_label_text(", ".join(word for word in of.heading if word))
    if all(m[x.name] > 0 for m in done):
        panel.set_xscale("log")
        plain_numbers(panel.xaxis)
    if y.least and all(m[y.name] > 0 for m in done):
        panel.set_yscale("log")
        plain_numbers(panel.yaxis)
    panel.set_title(f"{explored.network}: {len(done):,} points; numbers are those of points")
    panel.legend(frameon=False)
    panel.grid(alpha=0.7)
    return picture
