"""The names that Python programs may rely on exist, are documented, and the example of docs/python.md runs."""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path

import numpy as np
import pytest

from accel.flow import api
from accel.flow.python_names import PUBLIC, replace
from tests.benches.flow_networks import inputs, write_network

PAGE = (Path(__file__).parent.parent / "docs" / "python.md").read_text(encoding="utf-8")


def test_the_page_is_current() -> None:
    assert replace(PAGE) == PAGE, "run python -m accel.flow.python_names docs/python.md"


@pytest.mark.parametrize("name", ["accel", *PUBLIC])
def test_exported_names_exist_and_say_what_they_are(name: str) -> None:
    module = importlib.import_module(name)
    assert len(set(module.__all__)) == len(module.__all__) > 0
    for entry in module.__all__:
        value = getattr(module, entry)
        assert not (inspect.isfunction(value) or inspect.isclass(value)) or inspect.getdoc(value), entry
        assert name == "accel" or f"| `{entry}" in PAGE.split(f"### {name}\n")[1].split("###")[0]


def test_whatever_exports_names_is_documented() -> None:
    """No module has an `__all__` that says less, or more, than the page."""
    root = Path(__file__).parent.parent
    found = {
        ".".join(("accel", *path.relative_to(root).with_suffix("").parts)).replace("accel.accel", "accel")
        for folder in ("accel", "models", "rtl", "sim")
        for path in (root / folder).rglob("*.py")
        if re.search(r"^__all__ = ", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert {name.removesuffix(".__init__") for name in found} == {"accel", *PUBLIC}


def test_the_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    example, *_ = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    monkeypatch.chdir(tmp_path)
    write_network(tmp_path / "mine.onnx")
    np.save("images.npy", inputs(8))
    exec(compile(example, "docs/python.md", "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert lines[0] == lines[1]  # cycles do not depend on the clock
    assert re.fullmatch(r"edge \d+ \{'conv': '[A-Za-z -]+', 'fc': '[A-Za-z -]+'\}", lines[0])
    assert (tmp_path / "out" / "accelerator.v").exists()


def test_the_page_of_signatures_is_current() -> None:
    page = (Path(__file__).parent.parent / "docs" / "api.md").read_text(encoding="utf-8")
    assert api.replace(page) == page, "run python -m accel.flow.api docs/api.md"
