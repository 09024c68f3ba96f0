"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

from accel.models.errors import InputError

PARTS = ".accel-*.part"  # names of files that are not whole yet; a process that is killed can leave one


def write_whole(path: str | Path, content: bytes) -> None:
    """Write `content` to `path`: an existing file is replaced only by a complete one.

    Until then the bytes are in a file of another name in the same folder, one for each call: of two processes that
    write one path at the same time the last wins, whole. A pipe or a device is written to, not replaced.

    Raises InputError if the file cannot be written; what was there is there still, and nothing else.
    """
    path = Path(path)
    part = path.parent / PARTS.replace("*", secrets.token_hex(8))
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            path.write_bytes(content)
            return
        try:
            with open(part, "xb") as file:
                file.write(content)
            os.replace(part, path)
        except BaseException:
            with suppress(OSError):
                part.unlink()
            raise
    except (OSError, ValueError) as error:  # ValueError: a name with a null byte
        raise InputError(f"{path} cannot be written: {getattr(error, 'strerror', None) or error}") from None
