"""Which program this is: digests of the package's own files, for what is kept from one run to the next."""

from __future__ import annotations

import os
from functools import cache
from hashlib import sha256
from pathlib import Path

from accel import __version__

DIGITS = 12
PACKAGE = Path(__file__).parent.parent


def digest(*without: str) -> str:
    """Hex digits of every file of the package but for those in its folders `without`, and what was compiled."""
    left_out = {PACKAGE / name for name in without}
    found = []
    for where, folders, names in os.walk(PACKAGE, followlinks=True):
        folders[:] = [name for name in folders if name != "__pycache__" and Path(where, name) not in left_out]
        found += [Path(where, name) for name in names]
    total = sha256()
    for path in sorted(found):
        total.update(str(path.relative_to(PACKAGE)).encode() + b"\0" + path.read_bytes())
    return total.hexdigest()


@cache
def version() -> str:
    """The version, and twelve hex digits of everything that a point of a space can depend on.

    Models, compiler, simulator, costs, predictions and designs; not the hardware, and not what this folder prints,
    except for what evaluates a point.
    """
    evaluation = (PACKAGE / "flow" / "explore" / "evaluate.py").read_bytes()
    return f"{__version__}+{sha256(digest('rtl', 'flow').encode() + evaluation).hexdigest()[:DIGITS]}"
