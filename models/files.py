"""Files that are read within a bound, and written whole or not at all."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from contextlib import suppress
from io import BufferedReader
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


def read_whole(path: str | Path, most_bytes: int) -> bytes:
    """The bytes of a regular file. Raises InputError for what `read_regular` refuses."""
    try:
        return read_regular(path, most_bytes)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None


def read_regular(path: str | Path, most_bytes: int) -> bytes:
    """The bytes of a regular file.

    Raises OSError as `open_regular` does, and for a file of more than `most_bytes`.
    """
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            if size > most_bytes:
                raise OSError(errno.EFBIG, f"it must have at most {most_bytes:,} bytes, not {size:,}")
            content = file.read(size + 1)
            if len(content) > size:  # it is being written, or is no file on a disk
                raise OSError(errno.EINVAL, f"it must have as many bytes as its size says, {size:,}")
            return content
    except MemoryError:
        raise OSError(errno.ENOMEM, "it must fit in memory, and does not") from None


def open_regular(path: str | Path) -> BufferedReader:
    """A regular file, to be read.

    Raises OSError, its `strerror` in words, if there is none, for a folder, and for a pipe or a device: those may have
    no end, or never begin.
    """
    try:
        # A pipe without a writer would be waited for.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except ValueError as error:
        raise OSError(errno.EINVAL, str(error)) from None  # a name with a null byte
    mode = os.fstat(handle).st_mode
    if stat.S_ISREG(mode):
        return os.fdopen(handle, "rb")
    os.close(handle)
    if stat.S_ISDIR(mode):
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
    raise OSError(errno.EINVAL, "it must be a regular file, and is a pipe, a device or a socket")
