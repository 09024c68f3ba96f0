"""Functions over numbers in two forms: as they stand, in Python, and compiled by numba from the same text.

`part` marks a function that belongs to the kernel: it takes whole numbers, named tuples of them and flat sequences of
them, gives a whole number, and raises nothing. `call` runs one, in Python on lists or compiled on arrays. What stands
here decides which; see "Two forms of one kernel" in docs/architecture.md for the measurements behind it.

ACCEL_PURE_PYTHON=1 keeps everything in Python, ACCEL_COMPILED=1 compiles at once.
"""

from __future__ import annotations

import hashlib
import inspect
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from accel.cache import cache_folder

Ints = Sequence[int]  # a list in Python, an array of int64 when compiled
MutableInts = Any  # as Ints, and written to
F = TypeVar("F", bound=Callable[..., int])

# In commands, of 4 to 9 us each in Python. Importing numba and loading what an earlier process compiled takes 0.3 s,
# compiling 13 s: each is done when as much time has been spent without it.
LOAD_AFTER = 45_000
COMPILE_AFTER = 1_500_000
# Parts allocate nothing, so numba need not count references to arrays: that took five sixths of the time of `order`.
WITHOUT_REFERENCES: dict[str, Any] = {"_nrt": False}

CONTRACT = tuple(
    f"accel.{name}" for name in ("commands", "entries", "events", "latency", "layout", "memories", "records", "units")
)

_PARTS: list[Callable[..., int]] = []
_compiled: dict[Callable[..., int], Compiled] = {}
_candidates: dict[Callable[..., int], Compiled] = {}  # to be compiled, or loaded, once that is worth its time
_registered: set[Callable[..., int]] = set()
_spent = 0  # commands that have been worked on in Python
_times = 1  # how often as much is to come


def part(function: F) -> F:
    """Mark a function of the kernel."""
    _PARTS.append(function)
    return function


def kept(function: Callable[..., int], *parts: Callable[..., int]) -> Compiled:
    """A function compiled, with the others that it calls; neither need be parts of the kernel."""
    _PARTS.extend(each for each in (function, *parts) if each not in _PARTS)
    return Compiled(function)


def _wanted(name: str) -> bool:
    return os.environ.get(name, "0") not in ("", "0")


@cache
def _has_numba() -> bool:
    return find_spec("numba") is not None


def call(function: Callable[..., int], commands: int, inputs: tuple[Any, ...], outputs: tuple[Any, ...]) -> int:
    """`function(*inputs, *outputs)`. Arrays, or named tuples of them, must be flat and int64; `outputs` may be written.

    `commands`: how much work it is.
    """
    compiled = _form(function, commands)
    if compiled is not None:
        return int(compiled(*inputs, *outputs))
    written = [_listed(value) for value in outputs]
    result = function(*(_listed(value) for value in inputs), *written)
    for value, values in zip(outputs, written, strict=True):
        _write_back(value, values)
    return result


@contextmanager
def repeated(times: int) -> Iterator[None]:
    """What is done inside comes `times` times: what an earlier process compiled is loaded that much sooner."""
    global _times
    before, _times = _times, max(times, 1)
    try:
        yield
    finally:
        _times = before


def _listed(value: Any) -> Any:
    """The value with lists for its arrays: Python reads and writes their numbers faster."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, tuple) and any(isinstance(part, np.ndarray) for part in value):
        return type(value)(*map(_listed, value))
    return value


def _write_back(value: Any, values: Any) -> None:
    if isinstance(value, np.ndarray):
        value[:] = values
    else:
        for part, listed in zip(value, values, strict=True):
            _write_back(part, listed)


def _form(function: Callable[..., int], commands: int) -> Any:
    """The compiled form, if it is there or worth its time, else None."""
    global _spent
    if _wanted("ACCEL_PURE_PYTHON") or not _has_numba():
        return None
    if function not in _compiled:
        _spent += commands
        at_once = _wanted("ACCEL_COMPILED")
        if _times * _spent < LOAD_AFTER and not at_once:
            return None
        if function not in _candidates:
            _candidates[function] = Compiled(function)
        compiled = _candidates[function]
        if _spent < COMPILE_AFTER and not at_once and not compiled.is_compiled:
            return None
        _compiled[function] = compiled
    return _compiled[function]


class Compiled:
    """A function as numba compiles it when it is first called, or as an earlier process left it.

    What numba compiled is kept in the user's cache, in a folder of its own for each text of all parts, place of this
    file, machine, version of numba and of Python: processes that share a folder write the same into it. Nothing is kept
    beside this file, where it would outlive the package. A file beside numba's says that the function was compiled.
    """

    def __init__(self, function: Callable[..., int]) -> None:
        import numba
        from llvmlite.binding import get_host_cpu_name
        from numba.extending import register_jitable

        for other in _PARTS:
            if other not in _registered:
                register_jitable(**WITHOUT_REFERENCES)(other)
                _registered.add(other)
        digest = _digest(function)

        def entry(*arguments: Any) -> int:
            return function(*arguments) if digest >= 0 else 0

        entry.__name__ = entry.__qualname__ = f"{function.__name__}_compiled"
        machine = (numba.__version__, sys.version, get_host_cpu_name())
        what = (digest, str(Path(__file__).resolve()), Path(__file__).stat().st_mtime_ns, *machine)
        key = hashlib.sha256(repr(what).encode()).hexdigest()[:16]
        folder = cache_folder(f"kernel-{key}")
        self.note = folder / f"{function.__name__}.compiled" if folder else None
        self.was_called = False
        self.dispatcher = _kept_in(folder, entry) if folder else numba.njit(**WITHOUT_REFERENCES)(entry)

    @property
    def is_compiled(self) -> bool:
        """Whether this process or an earlier one has compiled it."""
        return self.was_called or (self.note is not None and self.note.exists())

    def __call__(self, *arguments: Any) -> int:
        """The function's result."""
        result = int(self.dispatcher(*arguments))
        if self.note and not self.was_called:
            with suppress(OSError):
                self.note.touch()
        self.was_called = True
        return result


def _kept_in(folder: Path, entry: Callable[..., int]) -> Any:
    """The function for numba, its files in `folder`: which one is decided when it is decorated."""
    import numba

    config: Any = numba.config
    before, config.CACHE_DIR = config.CACHE_DIR, str(folder)
    try:
        return numba.njit(cache=True, **WITHOUT_REFERENCES)(entry)
    finally:
        config.CACHE_DIR = before


def _digest(function: Callable[..., int]) -> int:
    """A number for the text of the parts that the function may use, and of the contract whose constants they hold.

    Parts are those of its own package and of this one, and of the contract.
    """
    packages = (__package__, function.__module__.rpartition(".")[0])
    modules = sorted({part.__module__ for part in _PARTS if part.__module__.rpartition(".")[0] in packages})
    text = "".join(inspect.getsource(import_module(name)) for name in (*modules, *CONTRACT))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "little")
