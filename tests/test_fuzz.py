"""Mutated files: one line, or the right answer; never another exception, a crash, a lot of memory or a long time.

More: `pytest tests/test_fuzz.py --fuzz-cases 5000 --fuzz-seed 7`. A failure names the command that runs its case again.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.benches.fuzz.worker import GOOD

ROOT = Path(__file__).parent.parent
# The least share of cases that must be accepted, and so compared, and that must be refused: else nothing is tested.
KINDS = {"onnx_files": (0.15, 0.4), "designs": (0.15, 0.3), "recipes": (0.15, 0.3), "encoded_files": (0.05, 0.4)}


@pytest.mark.parametrize("kind", KINDS)
def test_fuzz(kind: str, pytestconfig: pytest.Config, tmp_path: Path) -> None:
    seed, cases = pytestconfig.getoption("--fuzz-seed"), pytestconfig.getoption("--fuzz-cases")
    command = [sys.executable, "-m", "tests.benches.fuzz.worker", kind, str(seed)]
    run = subprocess.run(
        [*command, "0", str(cases), str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    found = dict(json.loads(line) for line in run.stdout.splitlines())
    wrong = {number: text for number, text in found.items() if text not in GOOD}
    again = " ".join(command[1:])
    assert not wrong, "\n".join(f"python {again} {number} 1 .: {text}" for number, text in wrong.items())
    assert run.returncode == 0, f"python {again} {len(found)} 1 .: the process died\n{run.stderr[-2000:]}"
    assert len(found) == cases
    counts = Counter(found.values())
    accepted, refused = KINDS[kind]
    assert counts["accepted"] >= accepted * cases - 10
    assert counts["refused"] >= refused * cases - 10
