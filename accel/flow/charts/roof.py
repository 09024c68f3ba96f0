"""Roofline: products a second against products for each byte of DRAM, below what array and bus allow."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure

from accel.design import Design, OnChip
from accel.flow.charts.front import pareto
from accel.flow.charts.style import SOFT, mark, marks, name_marks, plain_numbers, short
from accel.flow.compare import Comparison, Row
from accel.flow.verdict import cheapest


def peak_gmacs(design: Design) -> float:
    """Products a second that the array can do, in 10^9; with 2:4 those of the zeros that it skips are among them."""
    return design.rows * design.cols * (2 if design.two_of_four else 1) * design.clock_mhz / 1e3


def bandwidth_gb(design: Design) -> float:
    """Bytes a second of each data channel, in 10^9."""
    return design.bytes_per_cycle * design.clock_mhz / 1e3


def point(row: Row) -> tuple[float, float] | None:
    """Products for each byte of the busier data channel, and 10^9 products a second; None if no byte is moved."""
    work = row.work
    bytes_ = max(work.dram_read_bytes, work.dram_write_bytes)
    if not bytes_ or not work.useful_macs:
        return None
    return work.useful_macs / bytes_, work.useful_macs / row.run.result.latency_us / 1e3


def roofline(comparison: Comparison) -> Figure | None:
    """Every row below the roof of its design, those on the front of accuracy and energy dark; None without DRAM."""
    rows = [row for row in comparison.rows if not isinstance(row.run.result.design.memory, OnChip)]
    points = {id(row): at for row in rows if (at := point(row))}
    designs = [d for d in comparison.designs if any(r.design == d.name and id(r) in points for r in rows)]
    if not designs:
        return None
    chart = Figure(figsize=(8, 5), layout="constrained")
    panel = chart.subplots()
    xs, ys = zip(*points.values(), strict=True)
    roofs: dict[tuple[float, float], list[str]] = {}
    for design in designs:
        roofs.setdefault((peak_gmacs(design), bandwidth_gb(design)), []).append(design.name)
    ridges = [peak / bandwidth for peak, bandwidth in roofs]
    left, right = min(*xs, *ridges) / 2, max(*xs, *ridges) * 8
    for (peak, bandwidth), names in roofs.items():
        _roof(panel, peak, bandwidth, ", ".join(names), left, right)
    best, forms = pareto(rows), marks(comparison.designs)
    for row in rows:
        if id(row) in points:
            mark(panel, points[id(row)], any(row is each for each in best), forms[row.design])
    for row in {id(row): row for row in (comparison.rows[0], cheapest(comparison)) if id(row) in points}.values():
        panel.annotate(f"{short(row.title)} on {row.design}", points[id(row)], (0, -9), textcoords="offset points",
                       ha="center", va="top", fontsize=7.5)  # fmt: skip
    floor = min(*ys, left * min(bandwidth for _, bandwidth in roofs)) / 1.5
    panel.set(xscale="log", yscale="log", xlim=(left, right), ylim=(floor, None), ylabel="10^9 products a second",
              xlabel="products for each byte of DRAM (busier direction)")  # fmt: skip
    panel.set_title(f"{short(comparison.network)}: how near each row is to its roof")
    panel.grid(alpha=0.7)
    for axis in (panel.xaxis, panel.yaxis):
        plain_numbers(axis)
    name_marks(panel, {design.name: forms[design.name] for design in designs})
    chart.legend(loc="outside lower left", ncols=6, frameon=False, handletextpad=0.2, columnspacing=1.2)
    return chart


def _roof(panel: Any, peak: float, bandwidth: float, names: str, left: float, right: float) -> None:
    ridge = peak / bandwidth
    panel.plot([left, ridge, right], [left * bandwidth, peak, peak], color=SOFT, linewidth=1.2, zorder=2, label="_")
    panel.annotate(f"{names}: {peak:g}, {bandwidth:g} GB/s", (right, peak), (-2, 3), textcoords="offset points",
                   ha="right", fontsize=7.5)  # fmt: skip
