"""What an installation holds, and that a user's own `models`, `sim` and `rtl` do not get in its way."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import zipfile
from importlib import metadata
from pathlib import Path
from shutil import copytree, ignore_patterns

import pytest

import accel
from accel.compile import compile_network
from accel.design import load
from accel.models import zoo
from accel.sim.result import simulate

ROOT = Path(__file__).parent.parent
OURS = ("models", "rtl", "sim")
PARTS = ("accel", *OURS)
CALLS = "from setuptools import build_meta; build_meta.{0}('dist')"


def readme_example() -> str:
    """The README's Python."""
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    (found,) = re.findall(r"^From Python.*?^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    return found


def cycles() -> int:
    """What the example prints."""
    return simulate(compile_network(zoo.integer_network("lenet-5"), load("edge"))).cycles


@pytest.fixture
def user_folder(tmp_path: Path) -> Path:
    """A PyTorch project, say: its own packages have our folders' names."""
    folder = tmp_path / "project"
    for name in ("sim", "rtl"):
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text(f"raise RuntimeError('the user has a {name} of his own')\n")
    (folder / "models.py").write_text("raise RuntimeError('the user has models of his own')\n")
    return folder


def run_there(folder: Path, text: str, path: Path | None = None) -> str:
    """What the text prints as a script in the folder; `path`: an installation to be used instead of this one."""
    (folder / "example.py").write_text(text, encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    if path:
        environment["PYTHONPATH"] = str(path)
    ran = subprocess.run(
        [sys.executable, "example.py"], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_the_readmes_example_runs_beside_a_users_own_models(user_folder: Path) -> None:
    """As installed here, which is in editable mode for who develops."""
    assert run_there(user_folder, readme_example()) == f"{cycles()}\n"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with wheel and source distribution, and in `unpacked` the wheel as installed."""
    pytest.importorskip("setuptools", minversion="77", reason="pip install -e '.[test]' brings it")
    source = tmp_path_factory.mktemp("source")
    copytree(
        ROOT, source, symlinks=True, dirs_exist_ok=True,
        ignore=ignore_patterns(".*", "*.egg-info", "__pycache__", "accel-out", "build", "dist"),
    )  # fmt: skip
    for call in ("build_sdist", "build_wheel"):
        made = subprocess.run(
            [sys.executable, "-c", CALLS.format(call)], cwd=source, capture_output=True, text=True, check=False
        )
        assert made.returncode == 0, made.stderr
    (wheel,) = (source / "dist").glob("*.whl")
    zipfile.ZipFile(wheel).extractall(source / "dist" / "unpacked")
    return source / "dist"


def wanted() -> set[str]:
    """Every file that belongs to an installation, below `accel`."""
    found = {
        path if path.parts[0] == "accel" else "accel" / path
        for part in PARTS
        for path in (p.relative_to(ROOT) for p in (ROOT / part).rglob("*"))
        if (ROOT / path).is_file() and "__pycache__" not in path.parts
    }
    return {path.as_posix() for path in found}


def test_the_wheel_holds_accel_and_nothing_else(built: Path) -> None:
    installed = {p.relative_to(built / "unpacked").as_posix() for p in (built / "unpacked").rglob("*") if p.is_file()}
    own = {name for name in installed if ".dist-info/" not in name}
    assert own == wanted()
    assert {"accel/py.typed", "accel/models/zoo/__init__.py", "accel/sim/result.py", "accel/rtl/top.py"} <= own
    assert {"accel/designs/edge.yaml", "accel/models/zoo/data/lenet-5.onnx", "accel/sim/data/sram_cacti7.csv"} <= own


def test_the_source_distribution_builds_that_wheel(built: Path, tmp_path: Path) -> None:
    (archive,) = built.glob("*.tar.gz")
    with tarfile.open(archive) as content:
        content.extractall(tmp_path, filter="data")
    (source,) = tmp_path.iterdir()
    assert {path.name for path in source.iterdir()}.isdisjoint({*OURS, "tests"})
    made = subprocess.run(
        [sys.executable, "-c", CALLS.format("build_wheel")], cwd=source, capture_output=True, check=False
    )
    assert made.returncode == 0, made.stderr
    names = [set(zipfile.ZipFile(next(folder.glob("*.whl"))).namelist()) for folder in (built, source / "dist")]
    assert names[0] == names[1]


def test_the_wheel_runs_beside_a_users_own_models(built: Path, user_folder: Path) -> None:
    text = "import accel\nprint(accel.__file__)\n" + readme_example()
    place, printed = run_there(user_folder, text, built / "unpacked").splitlines()
    assert Path(place) == built / "unpacked" / "accel" / "__init__.py"
    assert printed == str(cycles())


VERBS = """\
from accel.flow.cli import run
assert run(["compare", "lenet-300-100", "--technique", "dense"]) == 0
assert run(["emit", "lenet-300-100", "--design", "nano", "-o", "out"]) == 0
"""


def test_the_verbs_of_the_wheel_find_their_data(built: Path, user_folder: Path) -> None:
    """Checkpoints, images, tables of costs and templates, with no checkout around them."""
    run_there(user_folder, VERBS, built / "unpacked")
    assert (user_folder / "accel-out" / "lenet-300-100" / "report.html").exists()
    assert (user_folder / "out" / "run.py").exists()


def test_the_metadata_says_what_is_true(built: Path) -> None:
    (folder,) = (built / "unpacked").glob("*.dist-info")
    found = metadata.PathDistribution(folder).metadata
    assert found["Version"] == accel.__version__
    said = {line.rpartition(" ")[2] for line in found.get_all("Classifier") if "Python :: 3." in line}
    assert said == {"3.11", "3.12", "3.13"}
    assert (folder / "top_level.txt").read_text().split() == ["accel"]
