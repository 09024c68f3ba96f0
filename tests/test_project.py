"""The rules that hold the project together: who imports whom, generated pages, and what is written where."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from accel.commands import ErrorCode, Target
from accel.flow import command_tables, resource_table
from accel.legal import RULES

ROOT = Path(__file__).parent.parent
FOLDERS = ("accel", "rtl", "sim", "models")
# folder -> the folders of the project that it may import (docs/architecture.md); all are packages inside `accel`
ALLOWED = {
    "models": {"models"},
    "accel": {"accel", "models"},
    "sim": {"sim", "accel", "models"},
    "rtl": {"rtl", "accel", "models"},
    "accel/flow": {"accel", "models", "sim", "rtl"},
}


def imported(path: Path) -> set[str]:
    """Dotted names that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def sources() -> list[Path]:
    return sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize("path", sources(), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports(path: Path) -> None:
    relative = path.relative_to(ROOT)
    folder = "accel/flow" if relative.parts[:2] == ("accel", "flow") else relative.parts[0]
    for name in imported(path):
        parts = name.split(".")
        assert parts[0] not in ALLOWED or parts[0] == "accel", f"{relative}: {name} is imported as accel.{name}"
        if parts[0] == "accel":
            owner = parts[1] if parts[1] in FOLDERS else "accel"
            assert owner in ALLOWED[folder], f"{relative} must not import {name}"
            assert folder == "accel/flow" or parts[1] != "flow", f"{relative} must not import {name}"


def test_table_of_resources_is_current() -> None:
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    assert resource_table.replace(page) == page, "run python -m accel.flow.resource_table README.md"


def test_command_tables_are_current() -> None:
    page = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")
    assert command_tables.replace(page) == page


def test_the_page_says_all_of_every_command() -> None:
    page = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")
    assert all(f"| {code.value} | {code.name} | {code.text} |" in page for kind in (ErrorCode, Target) for code in kind)
    for command, rules in RULES.items():
        assert all(f.metadata["text"] for f in fields(command))
        assert {rule.field for rule in rules} <= {f.name for f in fields(command)}
        section = page.split(f"### {command.OPCODE.name} ")[1].split("###")[0]
        lines = {line.split(" | ")[0].removeprefix("| "): line for line in section.splitlines() if line[:1] == "|"}
        assert all(rule.illegal in lines[rule.field] for rule in rules)


def test_torch_is_only_imported_inside_functions() -> None:
    for path in sources():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in tree.body:
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not any(name.split(".")[0] == "torch" for name in names), path


@pytest.mark.parametrize("tool", [("ruff", "check", "."), ("ruff", "format", "--check", "."), ("mypy",)], ids=" ".join)
def test_lint_and_types(tool: tuple[str, ...]) -> None:
    found = subprocess.run([sys.executable, "-m", *tool], cwd=ROOT, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr


def test_no_test_imports_another_test() -> None:
    """What tests share lies in tests/benches."""
    for path in sorted((ROOT / "tests").rglob("*.py")):
        shared = [name for name in imported(path) if name.startswith("tests.")]
        assert all(name.split(".")[1] in ("benches", "benchmarks") for name in shared), path


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs"])
def test_files_that_texts_name_are_there(name: str) -> None:
    """Paths in backticks, and links, of the pages for readers."""
    pages = [ROOT / name] if name.endswith(".md") else sorted((ROOT / name).glob("*.md"))
    for page in pages:
        text = page.read_text(encoding="utf-8")
        named = set(re.findall(r"`((?:accel|models|rtl|sim|tests|docs)/[\w./-]*)`", text))
        missing = [path for path in named if not (ROOT / path).exists()]
        missing += [link for link in re.findall(r"\]\(([^)#:]+)\)", text) if not (page.parent / link).exists()]
        assert not missing, f"{page.relative_to(ROOT)} names {missing}"


def test_no_test_measures_time_or_swallows_refusals() -> None:
    """Clocks are for tests/benchmarks; drawn cases that may be refused are counted (tests/benches/counted.py)."""
    for path in sorted((ROOT / "tests").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            where = f"{path.name}:{getattr(node, 'lineno', 0)}"
            clock = isinstance(node, ast.Attribute) and node.attr in ("perf_counter", "monotonic", "process_time")
            assert not clock, f"{where} measures time"
            assert not _drops(node), f"{where} returns for a refusal that nobody counts"


def _drops(node: ast.AST) -> bool:
    """Whether what is refused ends unseen: without a value, or the next of a `for` behind which nothing is checked."""
    if isinstance(node, ast.FunctionDef):
        behind = [each.lineno for each in ast.walk(node) if isinstance(each, ast.Assert | ast.Raise)]
        loops = [each for each in ast.walk(node) if isinstance(each, ast.For) and each.end_lineno]
        return any(
            isinstance(handler.body[0], ast.Continue) and max(behind, default=0) <= (loop.end_lineno or 0)
            for loop in loops for part in loop.body if isinstance(part, ast.Try)
            for handler in part.handlers if "InputError" in _caught(handler)
        )  # fmt: skip
    if not isinstance(node, ast.ExceptHandler) or _caught(node).isdisjoint({"InputError", "ValueError", "Exception"}):
        return False  # an InputError is a ValueError
    first = node.body[0]
    return isinstance(first, ast.Pass) or (isinstance(first, ast.Return) and first.value is None)


def _caught(handler: ast.ExceptHandler) -> set[str]:
    """Names of what a handler catches."""
    return {node.id for node in ast.walk(handler.type or ast.Name("Exception")) if isinstance(node, ast.Name)}
