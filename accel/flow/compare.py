"""The main job: one row for each technique on each design."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from accel.design import Design
from accel.flow import data as data_module
from accel.flow import simulate
from accel.flow.data import Data
from accel.flow.progress import Advance, silent
from accel.flow.techniques import TECHNIQUES, Technique
from accel.models.encode.stored import stored_bytes
from accel.models.errors import InputError
from accel.models.graph import Network
from accel.models.integers.network import HostLayer, IntegerNetwork
from accel.sim.cost import Energy
from accel.sim.result import LayerResult

__all__ = ["Comparison", "Row", "compare"]


@dataclass(frozen=True)
class Row:
    """One technique on one design: its run, and what no run knows.

    `stored_bytes` is what the technique's own encoder writes for the weights; what of them lies in the DRAM of the
    hardware, which may decode less, is the run's. Ratios are to the first technique on the
    same design; `energy_ratio` is of the nominal totals. `accuracy_percent` is None without test data.
    """

    technique: str
    title: str
    accuracy_percent: float | None
    stored_bytes: int
    run: simulate.Simulation
    latency_ratio: float = 1.0
    energy_ratio: float = 1.0

    @property
    def design(self) -> str:
        """The design's name."""
        return self.run.result.design.name

    @property
    def work(self) -> LayerResult:
        """What was counted in all layers."""
        return self.run.total.work

    @property
    def energy(self) -> Energy:
        """What that costs."""
        return self.run.total.energy


def row_record(row: Row) -> dict[str, Any]:
    """The columns of the CSV file, in this order."""
    return {
        "design": row.design,
        "technique": row.technique,
        "title": row.title,
        "accuracy_percent": row.accuracy_percent,
        "stored_bytes": row.stored_bytes,
        **simulate.work_record(row.work),
        "latency_us": row.run.result.latency_us,
        **simulate.energy_record(row.energy),
        **simulate.cost_record(row.run.cost),
        "latency_ratio": row.latency_ratio,
        "energy_ratio": row.energy_ratio,
    }


@dataclass(frozen=True)
class Comparison:
    """All rows, design by design, and what a reader must know about them."""

    network: str
    parameters: int
    float_accuracy_percent: float | None
    designs: tuple[Design, ...]
    rows: tuple[Row, ...]
    host_layers: tuple[HostLayer, ...]
    data_source: str
    notes: tuple[str, ...]


def steps(designs: Sequence[Design], techniques: Sequence[Technique] = TECHNIQUES) -> int:
    """How often `compare` calls `advance`."""
    return 1 + len(techniques) * (2 + len(designs))


def compare(
    network: Network,
    data: Data,
    designs: Sequence[Design],
    techniques: Sequence[Technique] = TECHNIQUES,
    advance: Advance = silent,
) -> Comparison:
    """Apply each technique to `network` and run it on each design.

    Raises InputError for what a part refuses, two designs or techniques of one name, or nothing to compare.
    """
    if not designs or not techniques:
        raise InputError("there must be at least one design and one technique to compare")
    for what, names in (("designs", [d.name for d in designs]), ("techniques", [t.name for t in techniques])):
        if len(set(names)) < len(names):
            raise InputError(f"{what} must have different names, not {', '.join(names)}")
    # Every design is tried before the slow part, so that one that is too small ends the run at once.
    integer: list[IntegerNetwork] = []
    runs: dict[tuple[str, str], simulate.Simulation] = {}
    for technique in techniques:
        advance(f"{technique.title}: compressing")
        integer.append(technique.apply(network, data.calibration))
        for design in designs:
            advance(f"{technique.title}: simulating on {design.name}")
            runs[design.name, technique.name] = simulate.run(integer[-1], design, data.calibration)
    advance("accuracy in float")
    exact = data_module.float_accuracy_percent(network, data)
    accuracy, stored = {}, {}
    for technique, quantised in zip(techniques, integer, strict=True):
        advance(f"{technique.title}: accuracy")
        accuracy[technique.name] = data_module.accuracy_percent(quantised, data)
        stored[technique.name] = stored_bytes(quantised, technique.formats)
    rows: list[Row] = []
    for design in designs:
        base: Row | None = None
        for technique in techniques:
            row = Row(
                technique.name, technique.title, accuracy[technique.name], stored[technique.name],
                runs[design.name, technique.name],
            )  # fmt: skip
            base = base or row
            rows.append(
                replace(
                    row,
                    latency_ratio=row.work.cycles / base.work.cycles,
                    energy_ratio=row.energy.total_pj.nominal / base.energy.total_pj.nominal,
                )
            )
    notes = dict.fromkeys(note for row in rows for note in row.run.notes)
    return Comparison(
        network.name, network.parameters, exact, tuple(designs), tuple(rows), integer[0].host_layers,
        data.source, data.notes + tuple(notes),
    )  # fmt: skip
