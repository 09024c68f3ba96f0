"""One line of text on standard error, whatever is in it and whoever reads it."""

from __future__ import annotations

import sys
from contextlib import suppress

from accel.models.errors import printable


def say(line: str) -> None:
    """Print a line, without the characters that move a terminal's cursor."""
    with suppress(BrokenPipeError):  # who reads it has gone
        print(printable(line), file=sys.stderr, flush=True)
