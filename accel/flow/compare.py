"""The main job: one row for each technique on each design."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

from accel.design import Design
from accel.flow import collapse, simulate
from accel.flow import data as data_module
from accel.flow.cache import NO_CACHE, Cache, digest
from accel.flow.data import Data
from accel.flow.progress import Advance, silent
from accel.flow.techniques import DENSE, TECHNIQUES, Technique
from accel.models import compiled
from accel.models.compress.channels import few_went
from accel.models.compress.standard import CHANNELS, CHANNELS_TITLE
from accel.models.encode.stored import stored_bytes
from accel.models.errors import InputError
from accel.models.graph import Network
from accel.models.integers.formats import readable
from accel.models.integers.network import HostLayer, IntegerNetwork, MatrixLayer
from accel.models.tabular import Tabular
from accel.sim.cost import Energy
from accel.sim.cost.constants import CONSTANTS, SRAM_SOURCE
from accel.sim.result import LayerResult
from accel.timing import kernel

__all__ = ["Comparison", "Row", "compare"]

FORMAT = 4  # of compare.json
compiled.keep_with(kernel.kept)  # of the coder of checkpoints and of what is stored, and of accuracies


@dataclass(frozen=True)
class Row:
    """One technique on one design: its run, and what no run knows.

    `stored_bytes` is what the technique's own encoder writes for the weights; what of them lies in the DRAM of the
    hardware, which may decode less, is the run's. Ratios are to the first technique on the
    same design; `energy_ratio` is of the nominal totals. `accuracy_percent` is None without test data. `untrained`: the
    recipe would train, and has not.
    """

    technique: str
    title: str
    accuracy_percent: float | None
    stored_bytes: int
    run: simulate.Simulation
    latency_ratio: float = 1.0
    energy_ratio: float = 1.0
    untrained: bool = False

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
        "untrained": row.untrained,
        "stored_bytes": row.stored_bytes,
        **row.work.to_dict(),
        "latency_us": row.run.result.latency_us,
        **simulate.energy_record(row.energy),
        **simulate.cost_record(row.run.cost),
        "latency_ratio": row.latency_ratio,
        "energy_ratio": row.energy_ratio,
    }


@dataclass(frozen=True, repr=False)
class Comparison(Tabular):
    """All rows, design by design, and what a reader must know about them."""

    network: str
    parameters: int
    float_accuracy_percent: float | None
    designs: tuple[Design, ...]
    rows: tuple[Row, ...]
    host_layers: tuple[HostLayer, ...]
    data_source: str
    notes: tuple[str, ...]

    def title(self) -> str:
        """What is compared."""
        names = ", ".join(design.name for design in self.designs)
        return f"{self.network}: {len(self.rows) // len(self.designs)} techniques on {names}"

    def records(self) -> list[dict[str, Any]]:
        """A row for each technique on each design, as in the CSV file."""
        return [row_record(row) for row in self.rows]

    def to_dict(self) -> dict[str, Any]:
        """What compare.json holds."""
        return {
            "format": FORMAT,
            "network": self.network,
            "parameters": self.parameters,
            "float_accuracy_percent": self.float_accuracy_percent,
            "data": self.data_source,
            "designs": {design.name: design.model_dump() for design in self.designs},
            "rows": [
                row_record(row)
                | {
                    "cost": simulate.cost_ranges(row.run),
                    "total": simulate.part_record(row.run.total),
                    "layers": [simulate.part_record(layer) for layer in row.run.layers],
                }
                for row in self.rows
            ],
            "host_layers": [asdict(layer) for layer in self.host_layers],
            "notes": list(self.notes),
            "constants": {"sram": SRAM_SOURCE, "values": [asdict(constant) for constant in CONSTANTS]},
        }


def rows_on(comparison: Comparison, design: str) -> list[Row]:
    """The rows of the design of that name."""
    return [row for row in comparison.rows if row.design == design]


def is_measured(comparison: Comparison) -> bool:
    """Whether there is an accuracy to show."""
    return any(row.accuracy_percent is not None for row in comparison.rows)


def steps(designs: Sequence[Design], techniques: Sequence[Technique] = TECHNIQUES) -> int:
    """How often `compare` calls `advance`."""
    return 1 + len(techniques) * (2 + len(designs))


def compare(
    network: Network,
    data: Data,
    designs: Sequence[Design],
    techniques: Sequence[Technique] = TECHNIQUES,
    advance: Advance = silent,
    cache: Cache = NO_CACHE,
) -> Comparison:
    """Apply each technique to `network` and run it on each design; what `cache` knows is not computed again.

    Raises InputError for what a part refuses, two designs or techniques of one name, or nothing to compare.
    """
    if not designs or not techniques:
        raise InputError("there must be at least one design and one technique to compare")
    for what, names in (("designs", [d.name for d in designs]), ("techniques", [t.name for t in techniques])):
        if len(set(names)) < len(names):
            raise InputError(f"{what} must have different names, not {', '.join(names)}")
    tried = [_Trial(network, data, technique, cache) for technique in techniques]
    # Every design is tried before the slow part, so that one that is too small ends the run at once.
    runs: dict[tuple[str, str], simulate.Simulation] = {}
    trials, left_out = list[_Trial](), list[str]()
    for trial in tried:
        advance(f"{trial.technique.title}: compressing")
        try:
            for design in designs:
                advance(f"{trial.technique.title}: simulating on {design.name}")
                with kernel.repeated(len(designs) * len(techniques)):
                    runs[design.name, trial.technique.name] = trial.run(design)
        except InputError as error:
            if not trial.technique.untrained:
                raise
            left_out.append(f"there is no row {trial.technique.name}: {error}")
        else:
            trials.append(trial)
    advance("accuracy in float")
    judged = _digests(cache, data.test, data.labels)
    exact = cache.value(
        lambda: data_module.float_accuracy_percent(network, data), "float", *judged, *_digests(cache, network)
    )
    accuracy, stored, alike = {}, {}, dict[str, float | None]()
    for trial in trials:
        advance(f"{trial.technique.title}: accuracy")
        accuracy[trial.technique.name] = trial.accuracy_percent(judged, alike)
        stored[trial.technique.name] = trial.stored_bytes()
    rows: list[Row] = []
    for design in designs:
        base: Row | None = None
        for technique in (trial.technique for trial in trials):
            row = Row(
                technique.name, technique.title, accuracy[technique.name], stored[technique.name],
                runs[design.name, technique.name], untrained=technique.untrained,
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
    left = [trial.channels_left() for trial in trials]
    fallen = [trial.fall(exact, accuracy[trial.technique.name]) for trial in trials]
    return Comparison(
        network.name, network.parameters, exact, tuple(designs), tuple(rows), rows[0].run.host_layers,
        data.source, (*data.notes, *notes, *left_out, *filter(None, [*left, *fallen])),
    )  # fmt: skip


class _Trial:
    """A technique applied to a network: int8 only once something is computed that the cache does not know."""

    def __init__(self, network: Network, data: Data, technique: Technique, cache: Cache) -> None:
        self.network, self.data, self.technique, self.cache = network, data, technique, cache
        # The network of a technique that brings its own, else the one that all others have too.
        compressed = technique.given or network
        method = str(technique.method or data.method)
        self.key = (technique.name, technique.given is None, method, *_digests(cache, compressed, data.calibration))

    @cached_property
    def integer(self) -> IntegerNetwork:
        """The int8 network."""
        return self.technique.apply(self.network, self.data.calibration, method=self.data.method)

    def run(self, design: Design) -> simulate.Simulation:
        """It on a design. Raises InputError for what does not fit."""
        formats = readable(self.technique.runs_as, bool(design.decoder_lanes))
        said = (json.dumps(formats, sort_keys=True),) if formats else ()
        return self.cache.value(
            lambda: simulate.run(self.integer, design, self.data.calibration, formats or "auto"),
            "run", *self.key, design, *said,
        )  # fmt: skip

    def accuracy_percent(self, judged: tuple[str, ...], alike: dict[str, float | None]) -> float | None:
        """Its accuracy; `judged`: digests of the images and their classes, `alike`: accuracies by `_computed`."""

        def found() -> float | None:
            which = _computed(self.integer) or self.technique.name
            if which not in alike:
                alike[which] = data_module.accuracy_percent(self.integer, self.data)
            return alike[which]

        return self.cache.value(found, "accuracy", *self.key, *judged)

    def fall(self, exact: float | None, reached: float | None) -> str:
        """A line about an accuracy that collapses, with the layer to blame and the remedy; "" if it does not."""
        if exact is None or reached is None or exact - reached < collapse.POINTS:
            return ""
        found = self.cache.value(
            lambda: collapse.reason(
                self.network, self.integer, self.data.calibration, done_to(self.technique, self.data)
            ),
            "collapse", *self.key,
        )  # fmt: skip
        return f"{self.technique.title}: accuracy falls from {exact:.1f} to {reached:.1f} %{found}"

    def channels_left(self) -> str:
        """A line if of the standard row of dropped channels much fewer went than its title says; "" if not."""
        if self.technique.name != "channels" or not self.technique.title.startswith(CHANNELS_TITLE):
            return ""
        found = self.cache.value(
            lambda: few_went(self.network, collapse.went(self.network, self.integer), CHANNELS),
            "channels", *self.key,
        )  # fmt: skip
        return f"{self.technique.title}: {found}" if found else ""

    def stored_bytes(self) -> int:
        """What its own encoder writes."""
        return self.cache.value(
            lambda: stored_bytes(self.integer, self.technique.formats), "stored", *self.key, self.technique.formats
        )


def done_to(technique: Technique, data: Data) -> collapse.Row:
    """What was done to the network of a row. One of the zoo or of a file counts as trained."""
    if technique.retrain:
        return collapse.Row("untrained", technique.retrain)
    if technique.given is not None:
        return collapse.Row("trained")
    if technique.name != DENSE.name:
        return collapse.Row("untrained")
    if (technique.method or data.method).best:
        return collapse.Row("dense", more="calibrate on more inputs (--calibration), or retrain the float network")
    return collapse.Row("dense")


def _computed(network: IntegerNetwork) -> str:
    """Tells apart networks whose outputs may differ: weights of a codebook are like those without. "" with host steps.

    A codebook of 8 bits holds the very codes of dense int8.
    """
    if network.host_steps:
        return ""
    layers = (replace(layer, shared=None) if isinstance(layer, MatrixLayer) else layer for layer in network.layers)
    return digest(replace(network, layers=tuple(layers)))


def _digests(cache: Cache, *values: object) -> tuple[str, ...]:
    """Of each value, where anything is kept: what is large is read once."""
    return tuple(map(digest, values)) if cache.is_on else ()
