"""The tutorials do what they say: each command runs, and each line of output that they quote comes out of it."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from accel.flow.cli import run as accel
from accel.models.compress.recipe import load as load_recipe
from tests.benches.quoted import quoted_wrongly

ROOT = Path(__file__).parent.parent
TUTORIALS = ROOT / "docs" / "tutorials"


def blocks(page: str) -> list[tuple[str, str]]:
    """Kind and text of each fenced block.

    "" of commands, "text" of beginnings of lines of output, "console" of whole lines whose figures may differ by a
    little (`tests.benches.quoted`), "yaml", "sh" of what a test cannot run.
    """
    text = (TUTORIALS / page).read_text(encoding="utf-8")
    return re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def test_files_that_are_quoted_are_those_of_the_examples() -> None:
    quoted = [text for page in TUTORIALS.glob("*.md") for kind, text in blocks(page.name) if kind == "yaml"]
    assert len(quoted) == 3
    for text in quoted:
        files = [path.read_text(encoding="utf-8") for path in (ROOT / "examples").glob("*.yaml")]
        assert any(text.strip() in file for file in files), text
    assert load_recipe(ROOT / "examples" / "prune.yaml").name == "pruned-shared"


@pytest.mark.parametrize(
    ("quoted", "shown", "is_right"),
    [
        ("pruned, 4 bits  1.41  98.40  142,288", "x pruned, 4 bits\n1.39 97.00 141,000 y", True),
        ("pruned, 4 bits  1.41  98.40  142,288", "pruned, 4 bits 1.38 98.40 142,288", False),  # a ratio
        ("pruned, 4 bits  1.41  98.40  142,288", "pruned, 4 bits 1.41 96.80 142,288", False),  # an accuracy
        ("pruned, 4 bits  1.41  98.40  142,288", "pruned, 4 bits 1.41 98.40 145,200", False),  # bytes
        ("pruned, 4 bits  1.41  98.40  142,288", "pruned, 5 bits 1.41 98.40 142,288", False),  # a name
        ("pruned, 4 bits  1.41  98.40  142,288", "pruned, 4 bits 1.41 98.40", False),
        ("of 3 dB", "of 6 dB", True),
        ("of 3 dB", "of 7 dB", False),
        ("from 98.2 to 77.7 %", "from 98.8 to 59.4 %", True),  # a collapse is one, whatever is left
        ("from 98.2 to 77.7 %", "from 98.2 to 95.9 %", False),
    ],
)
def test_what_may_differ_in_a_console_block(quoted: str, shown: str, is_right: bool) -> None:
    assert quoted_wrongly(quoted, shown) == ([] if is_right else [quoted])


def pages() -> list[Any]:
    """All tutorials; those that train stand behind another mark."""
    trains = {"pytorch.md"}
    names = [path.name for path in sorted(TUTORIALS.glob("*.md"))]
    return [pytest.param(name, marks=pytest.mark.train if name in trains else pytest.mark.slow) for name in names]


@pytest.mark.parametrize("page", pages())
def test_every_command(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    (tmp_path / "models").symlink_to(ROOT / "models")
    printed, quoted = "", 0
    for kind, text in blocks(page):
        if kind == "":
            capsys.readouterr()
            for line in text.splitlines():
                program, *arguments = shlex.split(line)
                if program == "python":
                    ran = subprocess.run([sys.executable, *arguments], check=True, capture_output=True, text=True)
                    print(ran.stdout)
                else:
                    assert program == "accel"
                    assert accel(arguments) == 0, line
            printed = capsys.readouterr().out
        elif kind == "text":
            lines = [" ".join(line.split()) for line in printed.splitlines()]
            for line in text.splitlines():
                assert any(shown.startswith(" ".join(line.split())) for shown in lines), line
                quoted += 1
        elif kind == "console":
            assert not quoted_wrongly(text, printed)
            quoted += len(text.splitlines())
    assert quoted >= 5


def test_figures_of_the_prose_are_those_of_the_blocks() -> None:
    """Of what pytorch.md says from its first table on: each ratio, and each number of bytes, stands in a block."""
    text = (TUTORIALS / "pytorch.md").read_text(encoding="utf-8").split("## 3.")[1]
    fenced = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
    figures = re.compile(r"\b\d\.\d\d\b|\b\d\d\.\d\d?\b|\b\d+,\d\d\d\b(?! images)")
    of_blocks = set(figures.findall(" ".join(fenced.findall(text)))) | {
        "139,494"
    }  # weights, of `accel check`'s network
    found = figures.findall(fenced.sub("", text))
    assert len(found) > 10
    assert not [figure for figure in found if figure not in of_blocks]
