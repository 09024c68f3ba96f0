"""The HTML report: one file that needs no other, and no network."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from string import Template
from typing import TypeVar

from accel.flow import overview
from accel.flow.compare import Comparison
from accel.flow.tables import LAYER_REMARKS, Column, cause_legend, part_columns, remarks, row_columns
from accel.flow.verdict import verdict
from accel.sim.cost_table import CONSTANTS, SRAM_SOURCE, Constant

T = TypeVar("T")

CAPTIONS = {
    "latency.svg": "Latency of one inference, with the roofline bound of the same design.",
    "energy.svg": "Energy of one inference by part. Compute is drawn low; the line reaches to its high figure.",
    "accuracy.svg": "Accuracy against the bytes in which the weights are stored.",
}
CONSTANT_COLUMNS: tuple[Column[Constant], ...] = (
    Column("constant", "", lambda c: c.what, left=True),
    Column("energy", "pJ", lambda c: f"{c.value_pj:g}"),
    Column("node", "nm", lambda c: str(c.node_nm)),
    Column("supply", "V", lambda c: f"{c.voltage:g}" if c.voltage else ""),
    Column("status", "", lambda c: c.status, left=True),
    Column("source", "", lambda c: c.source, left=True),
)


def page(comparison: Comparison, pictures: Mapping[str, bytes]) -> str:
    """The report of `comparison` with these SVG files inside it."""
    template = Template(files("accel.flow").joinpath("templates", "report.html").read_text(encoding="utf-8"))
    exact = comparison.float_accuracy_percent
    facts = [f"{comparison.parameters:,} parameters", comparison.data_source]
    if exact is not None:
        facts.append(f"float accuracy {exact:.2f} %")
    return template.substitute(
        title=escape(f"{comparison.network}: techniques compared"),
        facts=escape(", ".join(facts) + "."),
        notes="".join(
            f"<p{' class=note' if line.startswith('note:') else ''}>{escape(line)}</p>" for line in remarks(comparison)
        ),
        tables="".join(_design_table(comparison, design.name) for design in comparison.designs) + _all(comparison),
        charts="".join(_picture(name, data) for name, data in pictures.items()),
        layers="".join(_layers(comparison)),
        designs="".join(
            f"<details><summary>{escape(d.name)}</summary><pre>{escape(d.to_yaml())}</pre></details>"
            for d in comparison.designs
        ),
        sram=escape(SRAM_SOURCE),
        constants=table(CONSTANT_COLUMNS, CONSTANTS),
    )


def table(columns: Sequence[Column[T]], rows: Sequence[T], total: bool = False) -> str:
    """An HTML table; `total` sets the last row apart."""
    head = "".join(
        f"<th{_left(c)}>{escape(c.name)}{f'<br><small>{escape(c.unit)}</small>' if c.unit else ''}</th>"
        for c in columns
    )
    lines = []
    for index, row in enumerate(rows):
        cells = "".join(f"<td{_left(c)}>{escape(c.cell(row))}</td>" for c in columns)
        lines.append(f"<tr{' class=total' if total and index == len(rows) - 1 else ''}>{cells}</tr>")
    body = "\n".join(lines)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table></div>'


def _left(column: Column[T]) -> str:
    return " class=left" if column.left else ""


def _design_table(comparison: Comparison, design: str) -> str:
    rows = [row for row in comparison.rows if row.design == design]
    return f"<h2>On {escape(design)}</h2><p>{escape(verdict(rows))}</p>{table(row_columns(comparison), rows)}"


def _all(comparison: Comparison) -> str:
    if len(comparison.designs) < 2:
        return ""
    lines = table(overview.columns(comparison), overview.across(comparison))
    return f"<h2>On all designs</h2><p>{escape(overview.TITLE)}.</p>{lines}"


def _picture(name: str, svg: bytes) -> str:
    """As an image with its data inside: the ids of several SVG files in one page would collide."""
    caption = escape(CAPTIONS[name])
    source = f"data:image/svg+xml;base64,{b64encode(svg).decode()}"
    return f'<figure><img alt="{caption}" src="{source}"><figcaption>{caption}</figcaption></figure>'


def _layers(comparison: Comparison) -> list[str]:
    runs = [row.run for row in comparison.rows]
    parts = [f"<p>{escape(line)}</p>" for line in (*LAYER_REMARKS, *cause_legend(runs))]
    for row, run in zip(comparison.rows, runs, strict=True):
        tables = "".join(
            f"<h3>{escape(title)}</h3>{table(columns, [*run.layers, run.total], total=True)}"
            for title, columns in part_columns(run).items()
        )
        parts.append(f"<details><summary>{escape(f'{row.title} on {row.design}')}</summary>{tables}</details>")
    return parts
