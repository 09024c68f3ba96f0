"""Speed-up and energy against density, on equal multipliers: `python -m tests.benchmarks.density`.

LeNet-5's own weights, the smallest taken out, on the dense array, with the decoder, on the sparse engine, and two of
four left on the 2:4 array: cycles and energy against the dense network on `edge`, and the density below which each
design pays. Weights are not retrained, so nothing is said of accuracy; the masks are what magnitude pruning makes of
trained weights. Writes docs/density.svg.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from matplotlib.figure import Figure

from accel.design import load
from accel.flow.charts.style import COLOURS, INK, saved
from accel.flow.simulate import run
from accel.models import zoo
from accel.models.compress.prune import matrix_layers, n_of_m, to_density
from accel.models.graph import Network
from accel.models.quantisation.quantise import quantise

DENSITIES = (1.0, 0.8, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.05)
DESIGNS = ("edge", "edge-coded", "edge-sparse")
STRUCTURED = "edge-2of4"
CHART = Path(__file__).parents[2] / "docs" / "density.svg"
LINES = (INK, *(COLOURS[part] for part in ("DRAM", "SRAM", "compute")))  # one a design
Ratios = tuple[float, float]


def pruned(network: Network, density: float) -> Network:
    """Every layer at one density."""
    return to_density(network, dict.fromkeys((layer.name for layer in matrix_layers(network)), density))


def crossing(densities: Sequence[float], ratios: Sequence[float]) -> float | None:
    """The density below which a falling curve is under 1, between its points by a line; None: never."""
    points = sorted(zip(densities, ratios, strict=True))
    if points[0][1] >= 1:
        return None
    for (low, below), (high, above) in pairwise(points):
        if above >= 1:
            return low + (high - low) * (1 - below) / (above - below)
    return points[-1][0]


def measured(name: str) -> dict[str, dict[float, Ratios]]:
    """By design and density: cycles and energy, over those of the dense network on the first."""
    network, images = zoo.load(name), zoo.preprocess(zoo.mnist_calibration())
    found: dict[str, dict[float, Ratios]] = {}
    base: Ratios | None = None
    for design in map(load, DESIGNS):
        row = found[design.name] = {}
        for density in DENSITIES:
            total = run(quantise(pruned(network, density), images), design, images).total
            cost = (float(total.work.cycles), total.energy.total_pj.nominal)
            base = base or cost
            row[density] = (cost[0] / base[0], cost[1] / base[1])
    total = run(quantise(n_of_m(network, 2, 4), images), load(STRUCTURED), images).total
    assert base is not None
    found[STRUCTURED + ", 2 of 4"] = {0.5: (total.work.cycles / base[0], total.energy.total_pj.nominal / base[1])}
    return found


def draw(found: Mapping[str, Mapping[float, Ratios]], title: str) -> bytes:
    """The chart as SVG."""

    def chart() -> Figure:
        chart = Figure(figsize=(9, 4), layout="constrained")
        chart.suptitle(title)
        for which, (panel, label) in enumerate(
            zip(chart.subplots(1, 2), ("times faster than dense on edge", "times less energy"), strict=True)
        ):
            for (name, row), colour in zip(found.items(), LINES, strict=False):
                panel.plot(list(row), [1 / ratios[which] for ratios in row.values()], "o-", color=colour, label=name)
            panel.axhline(1, color="#999999", linewidth=0.8)
            panel.set(xlabel="density of the weights", ylabel=label, ylim=(0, None))
            panel.grid(alpha=0.3)
        panel.legend(fontsize=8)
        return chart

    return saved(chart, ("svg",))["svg"]


def main() -> int:
    """Print the table, draw the chart; status 0."""
    found = measured("lenet-5")
    print("cycles and energy over those of dense int8 on edge, LeNet-5")
    print(f"{'density':18}" + "".join(f"{density:>14g}" for density in DENSITIES))
    for name, row in found.items():
        cells = [f"{row[d][0]:6.2f} {row[d][1]:6.2f}" if d in row else "" for d in DENSITIES]
        print(f"{name:18}" + "".join(f"{cell:>14}" for cell in cells))
    for name in DESIGNS[1:]:
        for which, what in enumerate(("faster", "more frugal")):
            below = crossing(DENSITIES, [found[name][d][which] for d in DENSITIES])
            print(
                f"{name} is {what} than dense on edge " + ("at no density" if below is None else f"below {below:.2f}")
            )
    CHART.write_bytes(draw(found, "LeNet-5, the smallest weights taken out: 256 multipliers"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
