"""The fields of a design in words, from the schema: comments in a design's YAML, and the tables of docs/design.md.

Run as `python -m accel.flow.design_fields docs/design.md`.
"""

from __future__ import annotations

import inspect

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from accel.design import Design
from accel.models.pages import rewrite, with_part
from accel.sections import kind_of, legal_set, section, sections

BEGIN, END = "<!-- design fields -->\n", "<!-- end of design fields -->\n"


def commented(design: Design) -> str:
    """The design as YAML that `accel.design.load` reads back, with what each field means behind its value."""
    notes: list[str] = []
    for name, info in Design.model_fields.items():
        if part := section(info, getattr(design, name)):
            among = sections(info)
            notes += ["", *(_note(inner, field, among) for inner, field in part.model_fields.items())]
        else:
            notes.append(_note(name, info))
    lines = design.to_yaml().splitlines()
    width = max(map(len, lines))
    return "".join(
        f"{line:{width}}  # {note}".rstrip(" #") + "\n" for line, note in zip(lines, notes, strict=True)
    )  # fmt: skip


def _note(name: str, info: FieldInfo, among: tuple[type[BaseModel], ...] = ()) -> str:
    """The comment of a field; `among` are the sections that it tells apart, if it is their kind."""
    legal = legal_set(name, info, among).removeprefix("an integer in ").replace("'", "")
    only = "only " if " " not in legal and ".." not in legal else ""
    return f"{info.description} ({only}{legal})"


def tables() -> str:
    """A table of the fields of a design itself, and one a section, with what its docstring says."""
    parts = [_table(Design)]
    for name, info in Design.model_fields.items():
        among = sections(info)
        for part in among:
            assert part.__doc__ is not None
            of_kind = f", kind {kind_of(part)}" if len(among) > 1 else ""
            default = "" if info.is_required() else " The section may be left out."
            parts += [f"### {name}{of_kind}", inspect.cleandoc(part.__doc__) + default, _table(part, among)]
    return "\n\n".join(parts) + "\n"


def _table(model: type[BaseModel], among: tuple[type[BaseModel], ...] = ()) -> str:
    lines = ["| field | what it is | what it may be | default |", "|---|---|---|---|"]
    for name, info in model.model_fields.items():
        if not section(info):
            default = "" if info.is_required() else yaml.safe_dump(info.default).splitlines()[0]
            if name == "kind" and len(among) > 1:  # the first one need not be written
                default = str(kind_of(model)) if model is among[0] else ""
            lines.append(f"| `{name}` | {info.description} | {legal_set(name, info, among)} | {default} |")
    return "\n".join(lines)


def replace(text: str) -> str:
    """A page with its tables made anew."""
    return with_part(text, BEGIN, END, tables())


if __name__ == "__main__":
    rewrite(replace)
