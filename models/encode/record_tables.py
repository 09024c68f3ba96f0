"""The tables of docs/formats.md, "Graphs", from the classes of `records` and `integer_records`.

    python -m accel.models.encode.record_tables docs/formats.md

rewrites the part of the page between the two marks.
"""

from __future__ import annotations

from typing import Any, get_args

from accel.models.encode import integer_records, records
from accel.models.encode.records import Record
from accel.models.pages import rewrite, with_part

BEGIN, END = "<!-- graph tables -->\n", "<!-- end of graph tables -->"


def tables() -> str:
    """Both graphs."""
    floats = _records(records.GraphRecord)
    return "\n".join(
        [
            "### Graph of a float network (`ACCELWTS`)\n",
            *map(_table, floats),
            "### Graph of an int8 network (`ACCELINT`)\n",
            *(_table(kind) for kind in _records(integer_records.IntegerRecord) if kind not in floats),
        ]
    )


def _records(part: Any) -> list[type[Record]]:
    """The classes that a type is made of, each once, and behind each those of its fields."""
    if isinstance(part, type) and issubclass(part, Record):
        inside = [part, *(kind for field in part.model_fields.values() for kind in _records(field.annotation))]
    else:
        inside = [kind for inner in get_args(part) for kind in _records(inner)]
    return list(dict.fromkeys(inside))


def replace(page: str) -> str:
    """The page with current tables."""
    return with_part(page, BEGIN, END, tables())


def _title(kind: type[Record]) -> str:
    return kind.__name__.removesuffix("Record")


def _table(kind: type[Record]) -> str:
    schema = kind.model_json_schema()
    rows = [
        f"| {name} | {_words(part)} | {part.get('description', '')} |" for name, part in schema["properties"].items()
    ]
    return f"**{_title(kind)}**: {kind.__doc__}\n\n| field | value | meaning |\n| --- | --- | --- |\n" + "\n".join(
        [*rows, ""]
    )


def _words(part: dict[str, Any]) -> str:
    """What a field may be, from its JSON schema."""
    match part:
        case {"const": value}:
            return f'"{value}"'
        case {"enum": values}:
            return " or ".join(f'"{value}"' for value in values)
        case {"anyOf": parts}:
            return " or ".join(map(_words, parts))
        case {"oneOf": parts}:
            return " or ".join(map(_words, parts))
        case {"$ref": name}:
            return str(name).rsplit("/", 1)[-1].removesuffix("Record")
        case {"type": "array", "prefixItems": items}:
            return f"list of {len(items)}: {_words(items[0])}"
        case {"type": "array", "items": items}:
            return f"list{_count(part)}: {_words(items)}"
        case {"type": "string"}:
            return f"text of at most {part['maxLength']} characters"
        case {"type": "integer"}:
            return f"integer in {part['minimum']}..{part['maximum']}"
        case {"type": "number", "exclusiveMinimum": low}:
            return f"number above {low}"
        case {"type": "number"}:
            return "finite number"
        case {"type": "boolean"}:
            return "true or false"
        case {"type": "null"}:
            return "null"
    raise AssertionError(f"a field of a kind that has no words: {part}")


def _count(part: dict[str, Any]) -> str:
    if "maxItems" not in part:
        return ""
    return f" of {part['minItems']}..{part['maxItems']}" if "minItems" in part else f" of at most {part['maxItems']}"


if __name__ == "__main__":
    rewrite(replace)
