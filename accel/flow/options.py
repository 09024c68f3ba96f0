"""Options that are given too often, of which click takes the last and says nothing, or with an empty value."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import typer

from accel.models.errors import InputError


def check_once(app: typer.Typer, arguments: Sequence[str]) -> None:
    """Raise InputError for an option of `app` that must have one value and has several, or an empty one.

    An empty path would be the current folder.
    """
    command = getattr(typer.main.get_command(app), "commands", {}).get(arguments[0] if arguments else "")
    words = list(itertools.takewhile(lambda word: word != "--", arguments[1:]))
    for option in command.params if command else ():
        single = option.param_type_name == "option" and not option.multiple and not option.is_flag
        count = sum(_names(word, option.opts) for word in words) if single else 0
        if count > 1:
            raise InputError(f"{' or '.join(option.opts)} must be given once, not {count} times")
        if option.param_type_name == "option" and not option.is_flag and _is_empty(words, option.opts):
            raise InputError(f"{' or '.join(option.opts)} must have a value, and is empty")


def _names(word: str, names: Sequence[str]) -> bool:
    """Whether `word` is an option of these names, with or without its value: --out, --out=DIR, -o, -oDIR."""
    return any(word.split("=")[0] == name if name.startswith("--") else word[:2] == name for name in names)


def _is_empty(words: Sequence[str], names: Sequence[str]) -> bool:
    """Whether one of these options has an empty value: --out "", --out=, -o ""."""
    pairs = itertools.pairwise((*words, "."))
    return any(
        (word in names and value == "") or (word[:2] == "--" and word[:-1] in names and word[-1] == "=")
        for word, value in pairs
    )
