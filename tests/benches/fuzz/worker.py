"""Runs fuzzed cases of one kind in a process with bounds, and prints what came of each as a line of JSON.

    python -m tests.benches.fuzz.worker KIND SEED FIRST COUNT [FOLDER]

A case is made from "KIND SEED NUMBER" alone; those that fail are kept in FOLDER. The bounds are on what one case may
take beyond what the process has when it starts: memory that it asks for, touched or not, and processor time.
"""

from __future__ import annotations

import importlib
import json
import resource
import signal
import sys
import tempfile
import traceback
import warnings
from pathlib import Path
from random import Random
from typing import Any

from accel.models.errors import Blocked, InputError

MEMORY_BYTES = 1 << 30
SECONDS = 20  # of processor time
LONGEST_LINE = 1500
GOOD = ("refused", "accepted", "not compared")  # the last: accepted, and too large or too old for the comparison


class TooSlow(BaseException):
    """A case has taken SECONDS."""


def _slow(*_: object) -> None:
    raise TooSlow


def bound_memory() -> None:
    """No more than MEMORY_BYTES above what the process has now."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    now = 1024 * int(status["VmData"].split()[0])
    resource.setrlimit(resource.RLIMIT_DATA, (now + MEMORY_BYTES, resource.RLIM_INFINITY))


def check_refusal(error: InputError) -> None:
    """A refusal is one short line, or a list of them, and not for lack of memory: sizes are checked before."""
    text = str(error)
    lines = text.split("\n")
    many = len(lines) > 1 and not isinstance(error, Blocked)
    if many or not text or max(map(len, lines)) > LONGEST_LINE or "fit in memory" in text:
        raise AssertionError(f"a refusal that is none: {text[:LONGEST_LINE]}")


def outcome(kind: Any, name: str, folder: Path) -> tuple[str, bytes]:
    """What came of the case `name`: one of GOOD or why it fails; and its content."""
    rng = Random(name)
    content: bytes = b""
    try:
        content = kind.make(rng)
        signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
        try:
            compared = kind.judge(content, rng, folder)
        except InputError as error:
            check_refusal(error)
            return "refused", content
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        return "accepted" if compared else "not compared", content
    except TooSlow:
        return f"takes more than {SECONDS} s", content
    except BaseException as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__} in {Path(where.filename).name}:{where.lineno}: {error}"[:600], content


def main(kind_name: str, seed: str, first: str, count: str, keep: str = "") -> None:
    """Run the cases FIRST .. FIRST + COUNT - 1."""
    kind = importlib.import_module(f"tests.benches.fuzz.{kind_name}")
    warnings.simplefilter("error")
    signal.signal(signal.SIGVTALRM, _slow)
    kind.warm_up()
    bound_memory()
    with tempfile.TemporaryDirectory() as folder:
        for number in range(int(first), int(first) + int(count)):
            found, content = outcome(kind, f"{kind_name} {seed} {number}", Path(folder))
            print(json.dumps([number, found]), flush=True)
            if keep and found not in GOOD:
                Path(keep, f"{kind_name}-{seed}-{number}").write_bytes(content)


if __name__ == "__main__":
    main(*sys.argv[1:])
