"""The one exception for input that the user can correct."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Blocked", "Blocker", "InputError"]


class InputError(ValueError):
    """Bad user input, described in one line: the thing, its value, and what would be right.

    The command line prints the message and ends with status 2; anything else that escapes is a defect.
    """


@dataclass(frozen=True)
class Blocker:
    """What keeps one node or layer of a network from running: its name, its operator and the reason.

    A `fault` keeps it from running anywhere; all others the host may run.
    """

    node: str
    operator: str
    reason: str
    fault: bool = False

    def __str__(self) -> str:
        return f"{self.node!r} ({self.operator}): {self.reason}"


class Blocked(InputError):
    """A network that cannot run, with everything that keeps it from running: a line each if there are several."""

    def __init__(self, what: str, blockers: tuple[Blocker, ...]) -> None:
        self.blockers = blockers
        if len(blockers) == 1:
            text = f"{what} {blockers[0]}"
        else:
            lines = [f"  {blocker}" for blocker in blockers[:MOST_LINES]]
            more = len(blockers) - MOST_LINES
            lines += [f"  and {more} more"] if more > 0 else []
            text = "\n".join((f"{what}s that cannot run, {len(blockers)}:", *lines))
        super().__init__(text)


MOST_LINES = 50  # of a list of blockers in a message


def printable(text: str) -> str:
    """`text` with "?" for every character that no terminal and no file shows: names come from files, and go to both."""
    return "".join(c if c.isprintable() else "?" for c in text)
