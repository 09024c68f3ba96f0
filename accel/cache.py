"""Where files are kept that make later runs faster and may be deleted at any time."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["cache_folder", "folder"]

OFF = ("off", "0")


def folder() -> Path | None:
    """$ACCEL_CACHE, else accel in $XDG_CACHE_HOME, else ~/.cache/accel; None to keep nothing (ACCEL_CACHE=off)."""
    given = os.environ.get("ACCEL_CACHE", "")
    if given in OFF:
        return None
    if given:
        return Path(given)
    top = os.environ.get("XDG_CACHE_HOME", "")
    try:
        return (Path(top) if os.path.isabs(top) else Path.home() / ".cache") / "accel"
    except RuntimeError:  # no home
        return None


def cache_folder(name: str) -> Path | None:
    """The folder `name` of compiled code in it, or in $ACCEL_KERNELS if that is given; made if need be.

    None if nothing can be or shall be kept. What lies there is executed, so a folder that others can write is not used.
    """
    own = os.environ.get("ACCEL_KERNELS", "")
    top = Path(own) if own else folder()
    if top is None:
        return None
    found = top / name
    return found if is_private(found) and os.access(found, os.W_OK) else None


def is_private(place: Path) -> bool | None:
    """Whether only this user can write the folder, which is made if need be; None if it cannot be."""
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        about = place.stat()
    except OSError:
        return None
    return not hasattr(os, "getuid") or (about.st_uid == os.getuid() and not about.st_mode & 0o022)
