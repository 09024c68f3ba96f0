"""Parts of pages that a program writes, between two marks: the rest of the page is written by hand."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path


def with_part(page: str, begin: str, end: str, part: str) -> str:
    """The page with `part` between the marks, which stand once each."""
    head, rest = page.split(begin)
    return head + begin + "\n" + part + "\n" + end + rest.split(end)[1]


def rewrite(replace: Callable[[str], str]) -> None:
    """Replace parts of the page whose path is the program's argument."""
    page = Path(sys.argv[1])
    page.write_text(replace(page.read_text(encoding="utf-8")), encoding="utf-8")
