"""The fields of a design in words: in docs/design.md, and as comments in what `accel designs` prints."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accel.design import Design, load, names, parse
from accel.flow.cli import run
from accel.flow.design_fields import commented, replace
from accel.sections import section, sections
from tests.benches.draw import draw_design

PAGE = (Path(__file__).parent.parent / "docs" / "design.md").read_text(encoding="utf-8")


def test_the_page_is_current() -> None:
    assert replace(PAGE) == PAGE


def test_every_field_says_what_it_is() -> None:
    parts = [part for info in Design.model_fields.values() for part in sections(info)]
    for model in (Design, *parts):
        for name, info in model.model_fields.items():
            assert section(info) or info.description, name
            assert section(info) or f"| `{name}` | {info.description} |" in PAGE


@given(st.randoms(use_true_random=False))
def test_comments_change_nothing(rng: Random) -> None:
    design = draw_design(rng, largest=64)
    text = commented(design)
    assert parse(text) == design
    for line, plain in zip(text.splitlines(), design.to_yaml().splitlines(), strict=True):
        value, _, comment = line.partition("#")
        assert value.rstrip() == plain
        assert bool(comment) != plain.endswith(":")
        assert len(line) <= 140


@pytest.mark.parametrize("name", names())
def test_what_is_printed_is_a_design_file(name: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run(["designs", name]) == 0
    printed = capsys.readouterr().out
    assert "rows R: input channels" in printed
    (tmp_path / "mine.yaml").write_text(printed, encoding="utf-8")
    assert load(tmp_path / "mine.yaml") == load(name)
