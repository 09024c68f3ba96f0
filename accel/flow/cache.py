"""What was computed before, kept in a folder of the user's: values by a digest of everything that they follow from.

The folder is $ACCEL_CACHE, else accel in $XDG_CACHE_HOME, else ~/.cache/accel; ACCEL_CACHE=off keeps nothing. A value
is a file, named by its key: a line that says what it is, a digest of key and content, the content (a pickle). The key
holds the package's own source, so another version finds nothing of this one. A file that is not what its digest says is
said to be damaged and removed, and its value computed again. Files are complete before they get their names, so that
several processes may use the folder; the oldest go when it grows too large.
"""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from pydantic import BaseModel

from accel.cache import is_private
from accel.flow import sources
from accel.flow.said import say
from accel.models.errors import InputError
from accel.models.files import write_whole

T = TypeVar("T")
HEADER = b"accel cache 1\n"
DIGEST_BYTES = 20
LARGEST_BYTES = 1 << 28  # of all files together; down to half of it when it is exceeded
LOOK_EVERY = 50  # values that a process keeps between two looks at the size, the first of them at once


class Cache:
    """Values in `place`, or none without it. A folder that others can write is not used: a pickle is a program."""

    def __init__(self, place: Path | None, largest_bytes: int = LARGEST_BYTES) -> None:
        self.largest_bytes = largest_bytes
        self.kept = 0
        private = is_private(place) if place else None
        self.place = place if private else None
        if private is False:
            say(f"accel: warning: the cache {place} is not used, because others can write it")

    @property
    def is_on(self) -> bool:
        """Whether anything is kept."""
        return self.place is not None

    def value(self, make: Callable[[], T], *parts: object) -> T:
        """What `make` gives, from the folder if it was computed before from the same `parts` (as `digest` takes)."""
        if self.place is None:
            return make()
        path = self.place / digest(source_digest(), *parts)
        found, known = _read(path)
        if not known:
            found = make()
            self._keep(path, found)
        result: T = found
        return result

    def _keep(self, path: Path, value: object) -> None:
        """Write the value, unless the disk is full or the folder cannot be written: then nothing is kept."""
        content = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
        try:
            write_whole(path, HEADER + _seal(path.name, content) + content)
        except InputError:
            return
        if self.kept % LOOK_EVERY == 0:
            self._bound(path.parent)
        self.kept += 1

    def _bound(self, place: Path) -> None:
        """Remove what was not used for longest, once all together are too large."""
        found = []
        with suppress(OSError):
            for entry in os.scandir(place):
                with suppress(OSError):  # another process removed it
                    status = entry.stat()
                    found.append((status.st_mtime_ns, status.st_size, entry.path))
        total = sum(size for _, size, _ in found)
        if total <= self.largest_bytes:
            return
        for _, size, path in sorted(found):
            with suppress(OSError):
                os.unlink(path)
            total -= size
            if total <= self.largest_bytes // 2:
                return


NO_CACHE = Cache(None)


def _seal(key: str, content: bytes) -> bytes:
    return blake2b(key.encode() + content, digest_size=DIGEST_BYTES).digest()


def _read(path: Path) -> tuple[Any, bool]:
    """The value in a file, and whether there is one."""
    try:
        data = path.read_bytes()
    except OSError:
        return None, False
    begin = len(HEADER) + DIGEST_BYTES
    content = data[begin:]
    if data[:begin] == HEADER + _seal(path.name, content):
        with suppress(OSError):
            os.utime(path)  # used: it goes last
        with suppress(Exception):  # of another version of a library, whose classes are gone
            return pickle.loads(content), True
    else:
        say(f"accel: warning: {path} was damaged, and what it held is computed again")
    with suppress(OSError):
        path.unlink()
    return None, False


@lru_cache(1)
def source_digest() -> str:
    """What results depend on: a digest of the package's own files but for those of the hardware, and versions."""
    return f"{sys.version} {np.__version__} {sources.digest('rtl')}"


def digest(*parts: object) -> str:
    """Hex digits that tell apart whatever differs in types, names or numbers.

    Numbers, texts, bytes, arrays, enumerations, designs, dataclasses, and sequences and mappings of them. Raises
    TypeError for anything else, functions among them.
    """
    total = blake2b(digest_size=DIGEST_BYTES)
    for piece in _pieces(parts):
        total.update(len(piece).to_bytes(8, "little"))
        total.update(piece)
    return total.hexdigest()


def _pieces(value: object) -> Iterable[bytes | memoryview]:
    """The value as pieces, each behind the name of its type, and how many there are where that is open."""
    yield type(value).__name__.encode()
    if value is None or isinstance(value, bool | int | float | str):
        yield repr(value).encode()
    elif isinstance(value, bytes):
        yield value
    elif isinstance(value, np.ndarray):
        if value.dtype.hasobject:
            raise TypeError("an array of objects has no digest")
        yield f"{value.dtype.str} {value.shape}".encode()
        yield np.ascontiguousarray(value).reshape(-1).view(np.uint8).data
    elif isinstance(value, np.generic):
        yield value.dtype.str.encode() + value.tobytes()
    elif isinstance(value, Enum):
        yield value.name.encode()
    elif isinstance(value, BaseModel):
        yield value.model_dump_json().encode()
    elif is_dataclass(value) and not isinstance(value, type):
        for each in fields(value):
            yield each.name.encode()
            yield from _pieces(getattr(value, each.name))
    elif isinstance(value, Mapping):
        yield str(len(value)).encode()
        for key, item in value.items():
            yield from _pieces(key)
            yield from _pieces(item)
    elif isinstance(value, tuple | list):
        yield str(len(value)).encode()
        for item in value:
            yield from _pieces(item)
    else:
        raise TypeError(f"{type(value).__name__} has no digest")
