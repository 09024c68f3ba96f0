"""The one exception for input that the user can correct."""

from __future__ import annotations

__all__ = ["InputError"]


class InputError(ValueError):
    """Bad user input, described in one line: the thing, its value, and what would be right.

    The command line prints the message and ends with status 2; anything else that escapes is a defect.
    """


def printable(text: str) -> str:
    """`text` with "?" for every character that no terminal and no file shows: names come from files, and go to both."""
    return "".join(c if c.isprintable() else "?" for c in text)
