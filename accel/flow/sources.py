"""Which program this is: its version and a digest of all of its text, for what is kept from one run to the next."""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from pathlib import Path

from accel import __version__

KINDS = (".py", ".csv", ".yaml")
DIGITS = 12


@cache
def version() -> str:
    """The version, and twelve hex digits of the text of everything that a number can depend on.

    Models, compiler, simulator, costs and designs; not what this folder prints, except for what evaluates a point.
    """
    root = Path(__file__).parent.parent
    digest = sha256()
    for folder in (root, root / "models", root / "sim"):
        for path in sorted(folder.rglob("*")):
            name = path.relative_to(root)
            inside = name.parts[:1] not in (("flow",), ("rtl",), ("models",), ("sim",)) or folder != root
            if (path.suffix in KINDS and inside) or name.as_posix() == "flow/explore/evaluate.py":
                digest.update(name.as_posix().encode() + b"\0" + path.read_bytes())
    return f"{__version__}+{digest.hexdigest()[:DIGITS]}"
