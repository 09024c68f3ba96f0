"""The boundary to libraries that are not ours: whatever they raise for bad input is one InputError."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from accel.models.errors import InputError

LONGEST_REASON = 300


@contextmanager
def refused(message: str) -> Iterator[None]:
    """Turn every exception of a foreign function into InputError: `message` and its reason, in one line.

    Parsers, checkers and evaluators raise kinds that their documentation does not list, and change them from one
    version to the next. Nothing of ours may run inside: a defect of ours must stay one.
    """
    try:
        yield
    except MemoryError:
        raise InputError(f"{message}: it must fit in memory, and does not") from None
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{message}: {reason[:LONGEST_REASON]}") from None
