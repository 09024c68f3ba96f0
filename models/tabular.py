"""How results look where a person or a notebook asks: one line, an HTML table, plain values, a frame of pandas."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from accel.models.errors import InputError

Record = dict[str, Any]


class Tabular:
    """A result that is a title and rows. It says both, and what it is as plain values (`to_dict`); the rest follows."""

    def title(self) -> str:
        """What it is, in a line."""
        raise NotImplementedError

    def records(self) -> list[Record]:
        """Its rows, with the same names in each: numbers, texts, truth values or None."""
        raise NotImplementedError

    def to_dict(self) -> Record:
        """All of it as plain values: what `json.dumps` takes."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.title()})"

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        rows = self.records()
        names = list(rows[0]) if rows else []
        head = "".join(f"<th>{escape(name)}</th>" for name in names)
        body = "".join(f"<tr>{''.join(map(_cell, row.values()))}</tr>" for row in rows)
        return f"<p>{escape(self.title())}</p><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"

    def frame(self) -> Any:
        """The rows as a pandas.DataFrame. Raises InputError without pandas."""
        try:
            import pandas
        except ImportError:
            raise InputError("frame needs pandas, and it is not installed: pip install pandas") from None
        return pandas.DataFrame(self.records())


def _cell(value: Any) -> str:
    if isinstance(value, bool) or value is None or not isinstance(value, int | float):
        return f"<td>{'' if value is None else escape(str(value))}</td>"
    text = f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"
    return f'<td style="text-align:right">{text}</td>'


def flat(record: Mapping[str, Any]) -> Record:
    """Those values of a record that fit in a cell."""
    return {name: value for name, value in record.items() if value is None or isinstance(value, int | float | str)}
