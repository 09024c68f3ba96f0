"""What is known of a point, by name: unit, whether less is better, and the words of a heading."""

from __future__ import annotations

from dataclasses import dataclass

from accel.models.errors import InputError


@dataclass(frozen=True)
class Metric:
    """A number of a point. `heading` is of two lines: name and unit. `least`: whether less is better."""

    name: str
    heading: tuple[str, str]
    least: bool = True
    digits: int | None = None  # behind the point; None: three significant ones


METRICS = {
    metric.name: metric
    for metric in (
        Metric("latency_us", ("latency", "us")),
        Metric("cycles", ("cycles", ""), digits=0),
        Metric("fps", ("images", "a second"), least=False),
        Metric("energy_uj", ("energy", "uJ")),
        Metric("area_mm2", ("area", "mm2")),
        Metric("power_mw", ("power", "mW")),
        Metric("lut", ("LUTs", ""), digits=0),
        Metric("ff", ("registers", ""), digits=0),
        Metric("dsp", ("multipliers", ""), digits=0),
        Metric("bram", ("block RAMs", ""), digits=0),
        Metric("fmax_mhz", ("Fmax", "MHz"), least=False),
        Metric("dram_bytes", ("DRAM", "bytes"), digits=0),
        Metric("stored_bytes", ("stored", "bytes"), digits=0),
        Metric("accuracy_percent", ("accuracy", "%"), least=False, digits=2),
    )
}
SHORT = {
    "latency": "latency_us", "energy": "energy_uj", "accuracy": "accuracy_percent", "bytes": "stored_bytes",
    "area": "area_mm2", "power": "power_mw",
}  # fmt: skip


def metric(name: str) -> Metric:
    """The metric of that name, which may be short. Raises InputError."""
    found = METRICS.get(SHORT.get(name, name))
    if found is None:
        raise InputError(f"objectives and constraints are about {', '.join(METRICS)}, not {name!r}")
    return found
