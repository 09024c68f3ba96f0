"""A field that is one of several sections, told apart by `kind`: what is read, and what is said of what is wrong."""

from __future__ import annotations

from typing import Annotated, Literal

import pytest
from pydantic import Field, Tag, ValidationError

from accel.sections import Section, by_kind, field_at, kind_of, legal_set, look_over, section, sections


class Square(Section):
    kind: Literal["square"] = "square"
    side: int = Field(ge=1, le=9)


class Circle(Section):
    kind: Literal["circle"] = "circle"
    radius: int = Field(ge=1, le=5)


class Drawing(Section):
    shape: Annotated[Annotated[Square, Tag("square")] | Annotated[Circle, Tag("circle")], by_kind("square")]


SHAPE = Drawing.model_fields["shape"]


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ({"side": 3}, Square(side=3)),
        ({"kind": "square", "side": 3}, Square(side=3)),
        ({"kind": "circle", "radius": 2}, Circle(radius=2)),
        (Circle(radius=2), Circle(radius=2)),
    ],
)
def test_the_kind_tells_them_apart(given: object, meant: Section) -> None:
    assert Drawing.model_validate({"shape": given}).shape == meant
    assert section(SHAPE, given) is type(meant)


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        ({"kind": "star"}, ("shape.kind", "must be 'square' or 'circle', not 'star'")),
        ({"kind": True}, ("shape.kind", "must be 'square' or 'circle', not True")),
        ({"kind": ["circle"]}, ("shape.kind", "must be 'square' or 'circle', not ['circle']")),
        (
            {"kind": "circle", "side": 3},
            ("shape.side", "is not a field of shape of kind circle, which has kind and radius"),
        ),
        ({"radius": 3}, ("shape.radius", "is not a field of shape of kind square, which has kind and side")),
        (7, ("shape", "must be a mapping of kind and side, not 7")),
        ({"kind": "circle", "radius": True}, ("shape.radius", "must be an integer in 1..5, not True")),
    ],
)
def test_what_is_wrong(given: object, wrong: tuple[str, str]) -> None:
    assert look_over(Drawing, {"shape": given}) == wrong


def test_an_error_of_pydantic_is_placed() -> None:
    with pytest.raises(ValidationError) as caught:
        Drawing.model_validate({"shape": {"kind": "circle", "radius": 6}})
    name, info = field_at(Drawing, [str(part) for part in caught.value.errors()[0]["loc"]])
    assert (name, legal_set("radius", info)) == ("shape.radius", "an integer in 1..5")


def test_words() -> None:
    assert [kind_of(part) for part in sections(SHAPE)] == ["square", "circle"]
    assert legal_set("kind", Square.model_fields["kind"], sections(SHAPE)) == "'square' or 'circle'"
