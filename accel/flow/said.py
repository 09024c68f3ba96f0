"""One line of text on standard error, whatever is in it and whoever reads it."""

from __future__ import annotations

import os
import sys
from typing import TextIO

from accel.models.errors import printable


def say(line: str) -> None:
    """Print a line, without the characters that move a terminal's cursor."""
    try:
        print(printable(line), file=sys.stderr, flush=True)
    except BrokenPipeError:  # who reads it has gone
        drop(sys.stderr)


def drop(stream: TextIO) -> None:
    """What is left of a stream must not be flushed at exit, where it would fail again and make the status 120."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
