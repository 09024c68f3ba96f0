"""The columns of every table, once, and how they look on a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from accel.design import Design, OnChip
from accel.flow.compare import Comparison, Row, is_measured, rows_on
from accel.flow.simulate import Part, Simulation
from accel.flow.verdict import judge, verdict
from accel.models.integers.network import HostLayer
from accel.sim.causes import CAUSES
from accel.sim.cost import Energy, Range, sensitivity
from accel.sim.result import LayerResult

T = TypeVar("T")

PLAIN_WIDTH = 320  # of tables that go to a file or a pipe
TEXT_WIDTH = 120  # of sentences, however wide the tables are
UNLIMITED = 1 << 20
NARROW, NARROW_NAME = 100, 28  # on fewer columns a long name takes two lines, so that the verdict stands beside it


@dataclass(frozen=True)
class Column(Generic[T]):
    """A heading of two lines (name, unit) and the text of a cell."""

    name: str
    unit: str
    cell: Callable[[T], str]
    left: bool = False


def figure(value: float) -> str:
    """Three significant digits for a reader of energies and times, whole above 100, and below 1 three decimals."""
    size = abs(float(f"{value:.3g}"))  # as it will be read: 99.96 is 100
    if size == 0 or size >= 100:
        return f"{value:,.0f}"
    if size < 0.001:
        return f"{value:.1e}"
    return f"{value:.{1 if size >= 10 else 2 if size >= 1 else 3}f}"


def _uj(energy_pj: Range) -> str:
    return figure(energy_pj.nominal / 1e6)


def _span(energy_pj: Range) -> str:
    return f"{figure(energy_pj.low / 1e6)} .. {figure(energy_pj.high / 1e6)}"


_SUMS: Mapping[str, Callable[[Energy], Range]] = {
    "DRAM": lambda e: e.dram_pj,
    "SRAM": lambda e: e.sram_pj,
    "compute": lambda e: e.compute_pj,
    "clock": lambda e: e.clock_pj,
    "static": lambda e: e.static_pj,
    "total": lambda e: e.total_pj,
}


def _sum_column(name: str, unit: str) -> Column[Any]:
    """A sum of the energy of a row or a part, in uJ."""
    return Column(name, unit, lambda priced: _uj(_SUMS[name](priced.energy)))


RATIO = "/ first"  # in ROW_COLUMNS, for the name of the first technique

# What a reader decides by, behind the technique and its verdict; and all else.
DECIDING_COLUMNS: tuple[Column[Row], ...] = (
    Column("latency", RATIO, lambda r: f"{r.latency_ratio:.2f}"),
    Column("energy", RATIO, lambda r: f"{r.energy_ratio:.2f}"),
    Column("accuracy", "%", lambda r: "" if r.accuracy_percent is None else f"{r.accuracy_percent:.2f}"),
    Column("stored", "bytes", lambda r: f"{r.stored_bytes:,}"),
    Column("latency", "us", lambda r: figure(r.run.result.latency_us)),
    Column("total", "uJ", lambda r: _uj(r.energy.total_pj)),
    Column("limited by", "", lambda r: limit(r.work), left=True),
    Column("effic.", "%", lambda r: _percent(r.work.efficiency)),
)
OTHER_COLUMNS: tuple[Column[Row], ...] = (
    Column("runs as", "", lambda r: r.work.info.weight_format, left=True),
    Column("cycles", "", lambda r: f"{r.work.cycles:,}"),
    Column("DRAM", "bytes", lambda r: f"{r.work.dram_bytes:,}"),
    Column("moved", "/ must", lambda r: _ratio(r.work.moved_ratio)),
    *(_sum_column(name, "uJ") for name in ("DRAM", "SRAM", "compute", "clock", "static")),
    Column("low to high", "uJ", lambda r: _span(r.energy.total_pj)),
    Column("DRAM", "%", lambda r: _percent(r.energy.dram_share)),
    Column("area", "mm2", lambda r: figure(r.run.cost.area.total_mm2.nominal)),
    Column("power", "mW", lambda r: figure(r.run.cost.average_mw.nominal)),
    Column("peak", "mW", lambda r: figure(r.run.cost.peak_mw.nominal)),
    Column("inferences", "/ s", lambda r: figure(r.run.cost.inferences_per_s)),
    Column("GOPS", "", lambda r: figure(r.run.cost.gops or 0)),
)


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def _ratio(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def limit(work: LayerResult) -> str:
    """What limits a layer or a network most, and in how many of its cycles; nothing if it adds none."""
    cause = work.limited_by
    return f"{cause} {100 * work.limits[cause] / work.cycles:.0f}%" if cause else ""


def row_columns(comparison: Comparison) -> list[Column[Row]]:
    """Every column: the verdict, and what is behind it."""
    return [*deciding_columns(comparison), *OTHER_COLUMNS]


def deciding_columns(comparison: Comparison) -> list[Column[Row]]:
    """Technique, verdict, ratios with the name of what they are to, accuracy if it was measured, and why."""
    judged = {id(j.row): j for design in comparison.designs for j in judge(rows_on(comparison, design.name))}
    measured = is_measured(comparison)
    ratio = f"/ {comparison.rows[0].technique}"
    columns = [c for c in DECIDING_COLUMNS if measured or c.name != "accuracy"]
    return [
        _TECHNIQUE,
        Column("verdict", "", lambda r: judged[id(r)].word, left=True),
        *(replace(c, unit=ratio) if c.unit == RATIO else c for c in columns[: 3 + measured]),
        Column("because", "", lambda r: judged[id(r)].why, left=True),
        *columns[3 + measured :],
    ]


def other_columns() -> list[Column[Row]]:
    """Technique, and all that `deciding_columns` leaves out."""
    return [_TECHNIQUE, *OTHER_COLUMNS]


_TECHNIQUE: Column[Row] = Column("technique", "", lambda r: r.title, left=True)
_NAME: Column[Part] = Column("layer", "", lambda p: p.name, left=True)


def _cause_column(cause: str) -> Column[Part]:
    first, _, second = cause.partition(" ")
    return Column(first, second, lambda p: f"{p.work.limits.get(cause, 0):,}")


def _bytes_column(memory: str) -> Column[Part]:
    return Column(memory, "buffer", lambda p: f"{p.memory_bytes[memory]:,}")


def _memory_energy_column(memory: str) -> Column[Part]:
    return Column(memory, "buffer", lambda p: _uj(p.energy.parts_pj[memory]))


def _causes(simulation: Simulation) -> list[str]:
    """What limits the run anywhere."""
    return list(simulation.total.work.limits)


def cause_legend(simulations: Iterable[Simulation]) -> list[str]:
    """A line for each cause that has a column."""
    shown = {cause for simulation in simulations for cause in _causes(simulation)}
    return [f"{cause}: {what}" for cause, what in CAUSES.items() if cause in shown]


def part_columns(simulation: Simulation) -> dict[str, list[Column[Part]]]:
    """Four tables of a simulation by title: what takes the time, how well, bytes by memory, energy by part."""
    time: list[Column[Part]] = [
        _NAME,
        Column("kind", "", lambda p: p.work.info.kind, left=True),
        Column("cycles", "", lambda p: f"{p.work.cycles:,}"),
        Column("limited by", "", lambda p: limit(p.work), left=True),
        *(_cause_column(cause) for cause in _causes(simulation)),
    ]
    efficiency: list[Column[Part]] = [
        _NAME,
        Column("at work", "cycles", lambda p: f"{p.work.work_cycles:,}"),
        Column("bound", "cycles", lambda p: f"{p.work.bound_cycles:,}"),
        Column("effic.", "%", lambda p: _percent(p.work.efficiency) if p.work.bound_cycles else ""),
        Column("MACs", "network", lambda p: f"{p.work.info.must.macs:,}"),
        Column("of array", "%", lambda p: _percent(p.work.utilisation)),
        Column("MACs", "array", lambda p: f"{p.work.array_macs:,}"),
        Column("of array", "%", lambda p: _percent(p.work.array_utilisation)),
    ]
    bytes_: list[Column[Part]] = [
        _NAME,
        Column("weights", "format", lambda p: p.work.info.weight_format, left=True),
        Column("weights", "stored", lambda p: f"{p.work.info.weight_bytes:,}"),
        Column("DRAM", "read", lambda p: f"{p.work.dram_read_bytes:,}"),
        Column("DRAM", "written", lambda p: f"{p.work.dram_write_bytes:,}"),
        Column("DRAM", "must", lambda p: f"{p.work.compulsory_bytes:,}"),
        Column("moved", "/ must", lambda p: _ratio(p.work.moved_ratio)),
        *(_bytes_column(memory) for memory in simulation.total.memory_bytes),
    ]
    return {
        "Cycles, by what limits them": time,
        "Efficiency": efficiency,
        "Bytes moved": bytes_,
        "Energy, uJ": [_NAME, *_energy_columns(simulation.total.energy)],
    }


def _energy_columns(total: Energy) -> list[Column[Part]]:
    return [
        _sum_column("DRAM", ""),
        *(_memory_energy_column(memory) for memory in total.sram_parts_pj),
        *(_sum_column(name, "") for name in ("compute", "clock", "static", "total")),
        Column("low to high", "", lambda p: _span(p.energy.total_pj)),
    ]


DESIGN_COLUMNS: tuple[Column[Design], ...] = (
    Column("design", "", lambda d: d.name, left=True),
    Column("array", "", lambda d: f"{d.rows} x {d.cols}"),
    Column("clock", "MHz", lambda d: f"{d.clock_mhz:g}"),
    Column("activations", "bytes", lambda d: f"{d.buffers.activation_bytes:,}"),
    Column("weights", "bytes", lambda d: f"{d.buffers.weight_bytes:,}"),
    Column("accumulators", "bytes", lambda d: f"{d.buffers.accumulator_bytes:,}"),
    Column("DRAM", "bytes a cycle", lambda d: "none" if isinstance(d.memory, OnChip) else f"{d.bytes_per_cycle:g}"),
    Column("DRAM latency", "cycles", lambda d: "" if isinstance(d.memory, OnChip) else f"{d.memory.latency_cycles}"),
)


def console(stderr: bool = False) -> Console:
    """Standard output or error: as wide as the terminal, or wide enough for every table when it is none."""
    plain = Console(stderr=stderr)
    return plain if plain.is_terminal else Console(width=PLAIN_WIDTH, stderr=stderr)


def show(where: Console, title: str, columns: Sequence[Column[T]], rows: Sequence[T], last_apart: bool = False) -> None:
    """Print a table; one that is too wide is continued below with its first column again, never cut."""
    longest = NARROW_NAME if where.width < NARROW else UNLIMITED
    for part in _fitting(where, list(columns), rows, longest):
        table = _table(part, rows, last_apart, longest)
        table.title = title
        table.width = _width(where, table)
        where.print()
        where.print(table, crop=False)
        title = ""


def _table(
    columns: Sequence[Column[T]], rows: Sequence[T], last_apart: bool = False, longest: int = UNLIMITED
) -> Table:
    """`longest`: letters of the first column before it goes on in the next line."""
    table = Table(
        box=SIMPLE_HEAD, show_edge=False, title_justify="left", title_style="bold", padding=(0, 1, 0, 0), pad_edge=False
    )
    for index, column in enumerate(columns):
        heading = f"{column.name}\n{column.unit}" if any(c.unit for c in columns) else column.name
        fold = index == 0 and longest < UNLIMITED
        table.add_column(
            heading, justify="left" if column.left else "right", no_wrap=not fold, overflow="fold",
            max_width=longest if fold else None,
        )  # fmt: skip
    for index, row in enumerate(rows):
        apart = last_apart and index == len(rows) - 2
        # As Text, because a layer's name may hold what rich reads as markup.
        table.add_row(*(Text(column.cell(row)) for column in columns), end_section=apart)
    return table


def _width(where: Console, table: Table) -> int:
    """What the table takes when nothing is cut."""
    return where.measure(table, options=where.options.update(max_width=UNLIMITED)).maximum


def _fitting(where: Console, columns: list[Column[T]], rows: Sequence[T], longest: int) -> list[list[Column[T]]]:
    """The columns in as many tables as the width asks for."""
    first, rest = columns[0], columns[1:]
    alone = _width(where, _table([first], rows, longest=longest))
    parts: list[list[Column[T]]] = [[first]]
    taken = alone
    for column in rest:
        more = _width(where, _table([first, column], rows, longest=longest)) - alone
        if taken + more > where.width and len(parts[-1]) > 1:
            parts.append([first])
            taken = alone
        parts[-1].append(column)
        taken += more
    return parts


def _store(design: Design) -> str:
    """What the columns "DRAM" are about: a core without DRAM moves the same bytes out of and into its own memory."""
    return "the core's own memory" if isinstance(design.memory, OnChip) else "DRAM"


def show_comparison(where: Console, comparison: Comparison) -> None:
    """Everything that `accel compare` prints."""
    exact = comparison.float_accuracy_percent
    facts = [f"{comparison.parameters:,} parameters", comparison.data_source]
    if exact is not None:
        facts.insert(1, f"float {exact:.2f} %")
    where.print(Text.assemble((comparison.network, "bold"), f": {', '.join(facts)}"))
    for design in comparison.designs:
        title = (
            f"{design.name}: {design.rows} x {design.cols} at {design.clock_mhz:g} MHz, "
            f"{design.bytes_per_cycle:g} bytes a cycle from {_store(design)}"
        )
        rows = rows_on(comparison, design.name)
        where.print()
        where.print(Text(verdict(rows)), width=min(where.width, TEXT_WIDTH))
        show(where, title, row_columns(comparison), rows)
        where.print(Text(dram_line(rows)), soft_wrap=True)
    where.print()
    for line in remarks(comparison):
        where.print(Text(line), soft_wrap=True)


def dram_line(rows: Sequence[Row]) -> str:
    """The literature's question: what of the energy DRAM takes, priced by device and at the flat price of papers."""
    shares = [row.energy.dram_share for row in rows]
    flat = [_flat_share(row.energy) for row in rows]
    design = rows[0].run.result.design
    if isinstance(design.memory, OnChip):
        return "no DRAM: everything lies in the core's own memory"
    others = f", {100 * min(shares):.0f} to {100 * max(shares):.0f} % of all techniques" if len(rows) > 1 else ""
    return (
        f"DRAM ({design.technology.dram}) takes {100 * shares[0]:.0f} % of the energy of {rows[0].title}{others}; "
        f"at 640 pJ for 32 bits {100 * flat[0]:.0f} %"
    )


def _flat_share(energy: Energy) -> float:
    whole = energy.chip_pj.nominal + energy.dram_flat_pj
    return energy.dram_flat_pj / whole if whole else 0.0


def remarks(comparison: Comparison) -> list[str]:
    """What stands below the table: how to read it, host layers, notes."""
    return [
        "stored: what the technique's own encoder writes; runs as: the formats that the hardware reads",
        "moved / must: DRAM bytes over those that must cross once: weights, records, input and output",
        "limited by: the largest share of the cycles on the critical path",
        "effic.: bound / cycles; the bound is the larger of MACs / array and bytes that must be moved / bandwidth",
        "energies are nominal; low to high: all constants at the ends of their ranges; DRAM %: its share of the energy",
        *_host(comparison.host_layers),
        *(f"note: {note}" for note in comparison.notes),
    ]


LAYER_REMARKS = (
    "cycles: a layer's share of the critical path; what is hidden behind other layers takes none",
    "at work: cycles in which a command of the layer is under way, hidden or not; effic.: bound / at work",
    "MACs network: products with the layer's own values; MACs array: places in the array while pixels stream",
    "must: weights, records, the network's input and output, each once; activations between layers can stay on chip",
)


def _host(layers: Sequence[HostLayer]) -> list[str]:
    """What the accelerator leaves to the host is never silently free."""
    return [f"host: {x.kind} {x.name!r} is not priced; {x.bytes:,} bytes cross to the host" for x in layers]


AREA_COLUMNS: tuple[Column[tuple[str, Range]], ...] = (
    Column("component", "", lambda a: a[0], left=True),
    Column("area", "", lambda a: figure(a[1].nominal)),
    Column("low to high", "", lambda a: f"{figure(a[1].low)} .. {figure(a[1].high)}"),
)


def area_rows(simulation: Simulation) -> list[tuple[str, Range]]:
    """Components and their sum."""
    area = simulation.cost.area
    return [*area.components_mm2.items(), ("total", area.total_mm2)]


def cost_line(simulation: Simulation) -> str:
    """Area, rates, power and the share of DRAM in one line."""
    cost, technology = simulation.cost, simulation.result.design.technology
    rates = f"{figure(cost.inferences_per_s)} inferences a second, {figure(cost.gops or 0)} GOPS"
    average, chip, peak = (figure(power.nominal) for power in (cost.average_mw, cost.chip_mw, cost.peak_mw))
    power = f"{average} mW, without DRAM {chip}, at most {peak}"
    dram = f"DRAM {100 * cost.dram_share:.0f} % of {_uj(cost.energy.total_pj)} uJ"
    return f"{figure(cost.area.total_mm2.nominal)} mm2 at {technology.node_nm} nm; {rates}; {power}; {dram}"


MOVERS = 3  # constants that are named


def movers_line(simulation: Simulation) -> str:
    """What the energy depends on most: constants, and the total with each at the ends of its range."""
    found = sensitivity(simulation.result.design, simulation.result)[:MOVERS]
    bars = [f"{s.constant} ({figure(s.low_pj / 1e6)} .. {figure(s.high_pj / 1e6)} uJ)" for s in found]
    return f"the energy depends most on {', '.join(bars)}: docs/cost.md"


def show_simulation(where: Console, simulation: Simulation) -> None:
    """Everything that `accel simulate` prints."""
    result = simulation.result
    facts = (
        f" on {result.design.name}: {result.cycles:,} cycles, {figure(result.latency_us)} us, "
        f"efficiency {_percent(result.total.efficiency)} %, limited by {limit(result.total)}"
    )
    where.print(Text.assemble((result.network, "bold"), facts))
    where.print(Text(cost_line(simulation)), soft_wrap=True)
    where.print(Text(movers_line(simulation)), soft_wrap=True)
    parts = [*simulation.layers, simulation.total]
    for title, columns in part_columns(simulation).items():
        show(where, title, columns, parts, last_apart=True)
    show(where, "Area, mm2", AREA_COLUMNS, area_rows(simulation), last_apart=True)
    least, most = result.cycles_range
    lines = [
        *([f"on other inputs {least:,} to {most:,} cycles: columns that are zero are skipped"] if least < most else []),
        *LAYER_REMARKS,
        *cause_legend([simulation]),
        *_host(simulation.host_layers),
        *(f"note: {note}" for note in simulation.notes),
    ]
    where.print()
    for line in lines:
        where.print(Text(line), soft_wrap=True)
