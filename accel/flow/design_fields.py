"""The fields of a design in words, from the schema: comments in a design's YAML, and the tables of docs/design.md.

Run as `python -m accel.flow.design_fields docs/design.md`.
"""

from __future__ import annotations

import inspect

import yaml
from pydantic import BaseModel

from accel.design import Design, legal_set, section
from accel.models.pages import rewrite, with_part

BEGIN, END = "<!-- design fields -->\n", "<!-- end of design fields -->\n"


def commented(design: Design) -> str:
    """The design as YAML that `accel.design.load` reads back, with what each field means behind its value."""
    notes = [note for name, info in Design.model_fields.items() for note in _notes(name, Design, section(info))]
    lines = design.to_yaml().splitlines()
    width = max(map(len, lines))
    return "".join(
        f"{line:{width}}  # {note}".rstrip(" #") + "\n" for line, note in zip(lines, notes, strict=True)
    )  # fmt: skip


def _notes(name: str, model: type[BaseModel], part: type[BaseModel] | None) -> list[str]:
    """The comments of a field, or of a section and its fields, in the order of the YAML."""
    if part:
        return ["", *(note for inner in part.model_fields for note in _notes(inner, part, None))]
    info = model.model_fields[name]
    legal = legal_set(name, info).removeprefix("an integer in ").replace("'", "")
    only = "only " if " " not in legal and ".." not in legal else ""
    return [f"{info.description} ({only}{legal})"]


def tables() -> str:
    """A table of the fields of a design itself, and one a section, with what its docstring says."""
    parts = [_table(Design)]
    for name, info in Design.model_fields.items():
        if part := section(info):
            assert part.__doc__ is not None
            default = "" if info.is_required() else " The section may be left out."
            parts += [f"### {name}", inspect.cleandoc(part.__doc__) + default, _table(part)]
    return "\n\n".join(parts) + "\n"


def _table(model: type[BaseModel]) -> str:
    lines = ["| field | what it is | what it may be | default |", "|---|---|---|---|"]
    for name, info in model.model_fields.items():
        if not section(info):
            default = "" if info.is_required() else yaml.safe_dump(info.default).splitlines()[0]
            lines.append(f"| `{name}` | {info.description} | {legal_set(name, info)} | {default} |")
    return "\n".join(lines)


def replace(text: str) -> str:
    """A page with its tables made anew."""
    return with_part(text, BEGIN, END, tables())


if __name__ == "__main__":
    rewrite(replace)
