"""The bytes under a window, rows of a kernel, covered by words of the array: strips of columns, so many rows a word.

Words that all have the same rows and columns of a window leave lanes unused where these do not divide it. Of 3 rows of
48 bytes words of 32 lanes take 6, though 5 hold them: 32 bytes of each row, and 16 of two rows and of the third one. Of
7 rows of 21 bytes they take 6, though 5 hold them: of six rows 16 bytes of two and two and two, and 5 bytes of all six;
and the seventh row.

A strip's words lie one below the other. Where a word has as many rows as windows are apart, or a multiple of that, what
is a window's second word is the first one of a window below: both are in one *plane*, which is loaded once.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import product
from typing import NamedTuple

Covered = tuple[int, int, tuple[int, ...]]  # words of a window, rows that a LOAD writes for it, rows of each strip


class Plane(NamedTuple):
    """Bytes `first` .. `first` + `run` - 1 of rows of a window, `tall` rows from row `top` on side by side in a word.

    `words` of a window are in it, each `step` rows of the plane below the one before.
    """

    first: int
    run: int
    top: int
    tall: int
    words: int = 1
    step: int = 0


@lru_cache(1 << 10)
def coverings(row: int, rows: int, lanes: int, stride: int, shared: bool) -> tuple[tuple[Plane, ...], ...]:
    """Ways to cover `rows` rows of `row` bytes with words of so many `lanes`, windows `stride` rows apart.

    Each takes more words than the one before, and is loaded in fewer writes. `shared`: planes may have several words.
    """
    found: dict[tuple[int, int], tuple[Plane, ...]] = {}
    whole = _covered(row, rows, lanes, stride, shared)
    for words, writes, talls in whole:
        found[words, writes] = _planes(row, 0, rows, lanes, stride, shared, talls)
    for above in range(1, rows):
        parts = _covered(row, above, lanes, stride, shared), _covered(row, rows - above, lanes, stride, shared)
        for upper, lower in product(*parts):
            cost = upper[0] + lower[0], upper[1] + lower[1]
            if cost not in found:
                found[cost] = (
                    *_planes(row, 0, above, lanes, stride, shared, upper[2]),
                    *_planes(row, above, rows - above, lanes, stride, shared, lower[2]),
                )
    kept, least = list[tuple[Plane, ...]](), 1 << 40
    for (_, writes), planes in sorted(found.items()):
        if writes < least:
            kept.append(planes)
            least = writes
    return tuple(kept)


def _own(rows: int, tall: int, stride: int, shared: bool) -> bool:
    """Whether each word of a strip is a plane of its own."""
    return not shared or rows <= tall or tall % stride > 0


@lru_cache(1 << 12)
def _covered(row: int, rows: int, lanes: int, stride: int, shared: bool) -> list[Covered]:
    """Strips of `row` bytes of `rows` rows, the fewest words first, then ever fewer writes."""
    ways = [
        (lanes // tall, -(-rows // tall), rows if _own(rows, tall, stride, shared) else tall, tall)
        for tall in range(1, min(rows, lanes) + 1)
    ]
    best: list[list[Covered]] = [[(0, 0, ())]]  # of 0, 1, ... bytes
    for size in range(1, row + 1):
        found = sorted(
            (words + more, writes + again, (*talls, tall))
            for run, more, again, tall in ways
            for words, writes, talls in best[max(0, size - run)]
        )
        best.append([way for at, way in enumerate(found) if all(way[1] < other[1] for other in found[:at])])
    return best[row]


def _planes(
    row: int, top: int, rows: int, lanes: int, stride: int, shared: bool, talls: tuple[int, ...]
) -> tuple[Plane, ...]:
    """The planes of strips with so many rows a word; those of the fullest words come first."""
    found, first = list[Plane](), 0
    for tall in sorted(talls):
        run = min(lanes // tall, row - first)
        if _own(rows, tall, stride, shared):
            found += [Plane(first, run, at, min(tall, top + rows - at)) for at in range(top, top + rows, tall)]
        else:
            found.append(Plane(first, run, top, tall, -(-rows // tall), tall // stride))
        first += run
    return tuple(found)
