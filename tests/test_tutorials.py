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

ROOT = Path(__file__).parent.parent
TUTORIALS = ROOT / "docs" / "tutorials"


def blocks(page: str) -> list[tuple[str, str]]:
    """Kind ("" of commands, "text" of output, "yaml", "sh" of what a test cannot run) and text of each fenced block."""
    text = (TUTORIALS / page).read_text(encoding="utf-8")
    return re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def test_files_that_are_quoted_are_those_of_the_examples() -> None:
    quoted = [text for page in TUTORIALS.glob("*.md") for kind, text in blocks(page.name) if kind == "yaml"]
    assert len(quoted) == 3
    for text in quoted:
        files = [path.read_text(encoding="utf-8") for path in (ROOT / "examples").glob("*.yaml")]
        assert any(text.strip() in file for file in files), text
    assert load_recipe(ROOT / "examples" / "prune.yaml").name == "pruned-shared"


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
    assert quoted >= 5
