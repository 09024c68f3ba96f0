"""The main job: one row for each technique on each design."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

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

__all__ = ["Comparison", "Row", "compare"]


@dataclass(frozen=True)
class Row:
    """One technique on one design; the fields are the columns of the CSV file, in this order.

    `stored_bytes` is what the technique's own encoder writes for the weights; `weights_bytes`, in `weights_format`,
    what of them lies in the DRAM of the hardware, which may decode less. Ratios are to the first technique on the
    same design. `energy_ratio` is of the totals with the high figure for
    compute, which flatters compression least. `accuracy_percent` is None without test data.
    """

    design: str
    technique: str
    title: str
    accuracy_percent: float | None
    stored_bytes: int
    weights_format: str
    weights_bytes: int
    dram_bytes: int
    cycles: int
    bound_cycles: int
    latency_us: float
    efficiency: float
    dram_uj: float
    sram_uj: float
    compute_low_uj: float
    compute_high_uj: float
    static_uj: float
    total_low_uj: float
    total_high_uj: float
    latency_ratio: float
    energy_ratio: float


@dataclass(frozen=True)
class Comparison:
    """All rows, design by design, with the simulation behind each, and what a reader must know about them."""

    network: str
    parameters: int
    float_accuracy_percent: float | None
    designs: tuple[Design, ...]
    rows: tuple[Row, ...]
    simulations: tuple[simulate.Simulation, ...]
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
            runs[design.name, technique.name] = simulate.run(integer[-1], design)
    advance("accuracy in float")
    exact = data_module.float_accuracy_percent(network, data)
    accuracy, stored = {}, {}
    for technique, quantised in zip(techniques, integer, strict=True):
        advance(f"{technique.title}: accuracy")
        accuracy[technique.name] = data_module.accuracy_percent(quantised, data)
        stored[technique.name] = stored_bytes(quantised, technique.formats)
    rows = []
    for design in designs:
        base: Row | None = None
        for technique in techniques:
            run = runs[design.name, technique.name]
            row = _row(design, technique, accuracy[technique.name], stored[technique.name], run)
            base = base or row
            rows.append(
                replace(
                    row,
                    latency_ratio=row.latency_us / base.latency_us,
                    energy_ratio=row.total_high_uj / base.total_high_uj,
                )
            )
    found = tuple(runs[row.design, row.technique] for row in rows)
    notes = dict.fromkeys(note for simulation in found for note in simulation.total.energy.notes)
    return Comparison(
        network.name, network.parameters, exact, tuple(designs), tuple(rows), found, integer[0].host_layers,
        data.source, ((data.warning,) if data.warning else ()) + tuple(notes),
    )  # fmt: skip


def _row(
    design: Design, technique: Technique, accuracy_percent: float | None, stored: int, run: simulate.Simulation
) -> Row:  # fmt: skip
    total = run.total
    return Row(
        design=design.name,
        technique=technique.name,
        title=technique.title,
        accuracy_percent=accuracy_percent,
        stored_bytes=stored,
        weights_format=total.weights_format,
        weights_bytes=total.weights_bytes,
        dram_bytes=total.dram_read_bytes + total.dram_write_bytes,
        cycles=total.cycles,
        bound_cycles=total.bound_cycles,
        latency_us=run.result.latency_us,
        efficiency=total.efficiency,
        **simulate.energy_record(total.energy),
        latency_ratio=1.0,
        energy_ratio=1.0,
    )
