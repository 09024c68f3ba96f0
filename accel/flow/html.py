"""The HTML report: one file that needs no other, and no network."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from string import Template
from typing import TypeVar

from accel.flow import overview
from accel.flow.compare import Comparison, Row, rows_on
from accel.flow.tables import (
    AREA_COLUMNS,
    LAYER_REMARKS,
    Column,
    area_rows,
    cause_legend,
    deciding_columns,
    dram_line,
    other_columns,
    part_columns,
    remarks,
)
from accel.flow.verdict import headline, verdict
from accel.sim.cost.constants import CONSTANTS, SRAM_SOURCE, Constant

T = TypeVar("T")

ANSWER, NARROW = "answer.svg", "answer-narrow.svg"
CAPTIONS = {
    ANSWER: "Left: latency and energy over those of the first row on the first design. Right: accuracy against energy; "
    "nothing beats the dark marks in both.",
    "time.svg": "Latency of one inference, by what limits it, on one axis for all designs.",
    "energy.svg": "Energy of one inference by part, on one axis. The line reaches from the low to the high total.",
    "layers.svg": "The layers of the first row, and of what pays most, by what limits them.",
    "tornado.svg": "What the energy of the first row and of the cheapest depends on: each constant at its two ends.",
    "roofline.svg": "Products a second against products for each byte of DRAM. Dark: the front of accuracy and energy.",
}
CONSTANT_COLUMNS: tuple[Column[Constant], ...] = (
    Column("constant", "", lambda c: c.what, left=True),
    Column("low", "", lambda c: f"{c.low:.3g}"),
    Column("nominal", "", lambda c: f"{c.nominal:.4g}"),
    Column("high", "", lambda c: f"{c.high:.3g}"),
    Column("unit", "", lambda c: c.unit, left=True),
    Column("node", "nm", lambda c: str(c.node_nm) if c.node_nm else ""),
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
            f"<p class={'note' if line.startswith('note:') else 'how'}>{escape(line)}</p>"
            for line in remarks(comparison)
        ),
        verdict=_verdict(comparison),
        answer="".join(_answer(data, pictures[NARROW]) for name, data in pictures.items() if name == ANSWER),
        tables=_all(comparison) + "".join(_design_table(comparison, design.name) for design in comparison.designs),
        charts="".join(_picture(name, pictures[name]) for name in CAPTIONS if name in pictures and name != ANSWER),
        layers="".join(_layers(comparison)),
        designs="".join(
            f"<details><summary>{escape(d.name)}</summary><pre>{escape(d.to_yaml())}</pre></details>"
            for d in comparison.designs
        ),
        sram=escape(SRAM_SOURCE),
        constants=table(CONSTANT_COLUMNS, CONSTANTS),
    )


def table(columns: Sequence[Column[T]], rows: Sequence[T], total: bool = False) -> str:
    """An HTML table that a click on a heading sorts; `total` sets the last row apart."""
    head = "".join(
        f"<th{_left(c)} scope=col aria-sort=none><button type=button>{escape(c.name)}"
        f"{f'<br><small>{escape(c.unit)}</small>' if c.unit else ''}</button></th>"
        for c in columns
    )
    lines = [f"<tr>{''.join(f'<td{_left(c)}>{escape(c.cell(row))}</td>' for c in columns)}</tr>" for row in rows]
    foot = f"<tfoot>{lines.pop()}</tfoot>" if total else ""
    body = "\n".join(lines)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody>{foot}</table></div>'


def _left(column: Column[T]) -> str:
    return " class=left" if column.left else ""


def _design_table(comparison: Comparison, design: str) -> str:
    rows = rows_on(comparison, design)
    sentence = f"<p>{escape(verdict(rows))}</p>" if len(comparison.designs) > 1 else ""
    name, rest = escape(design), table(other_columns(), rows)
    area = table(AREA_COLUMNS, area_rows(rows[0].run), total=True)
    return (
        f"<h2>On {name}</h2>{sentence}{table(deciding_columns(comparison), rows)}<p>{escape(dram_line(rows))}.</p>"
        f"<details><summary>Cycles, bytes, energy, power and rates on {name}</summary>{rest}</details>"
        f"<details><summary>Area of {name}, mm2</summary>{area}</details>"
    )


def _verdict(comparison: Comparison) -> str:
    """What stands first: over all designs, or of the only one."""
    line = headline(comparison) or verdict(comparison.rows)
    return f"<p class=headline>{escape(line)}</p>"


def _all(comparison: Comparison) -> str:
    if len(comparison.designs) < 2:
        return ""
    lines = table(overview.columns(comparison), overview.across(comparison))
    return f"<h2>On all designs</h2><p>{escape(overview.TITLE)}.</p>{lines}"


def _data(svg: bytes) -> str:
    """As an image with its data inside: the ids of several SVG files in one page would collide."""
    return f"data:image/svg+xml;base64,{b64encode(svg).decode()}"


def _answer(wide: bytes, narrow: bytes) -> str:
    """The picture in the form that the window has room for."""
    caption = escape(CAPTIONS[ANSWER])
    return (
        f'<figure><picture><source media="(max-width: 700px)" srcset="{_data(narrow)}">'
        f'<img alt="{caption}" src="{_data(wide)}"></picture><figcaption>{caption}</figcaption></figure>'
    )


def _picture(name: str, svg: bytes) -> str:
    caption = escape(CAPTIONS[name])
    image = f'<div class="scroll"><img alt="{caption}" src="{_data(svg)}"></div>'
    return f"<figure>{image}<figcaption>{caption}</figcaption></figure>"


def _layers(comparison: Comparison) -> list[str]:
    legend = cause_legend(row.run for row in comparison.rows)
    parts = [f"<p>{escape(line)}</p>" for line in (*LAYER_REMARKS, *legend)]
    for design in comparison.designs:
        rows = "".join(map(_of_row, rows_on(comparison, design.name)))
        parts.append(f"<details><summary>On {escape(design.name)}</summary>{rows}</details>")
    return parts


def _of_row(row: Row) -> str:
    tables = "".join(
        f"<h3>{escape(title)}</h3>{table(columns, [*row.run.layers, row.run.total], total=True)}"
        for title, columns in part_columns(row.run).items()
    )
    return f"<details><summary>{escape(f'{row.title} on {row.design}')}</summary>{tables}</details>"
