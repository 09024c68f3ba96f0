"""Chunks that shrink towards the end of a program that waits for its weights.

When weights arrive as slowly as the array uses them, the array can never catch up: the program ends one whole chunk
after the last load, and if chunks are small, their commands fill the bus. But the array gains on the loads by whatever
else the bus carries (the commands themselves), so a chunk may be larger than the last by what follows it. From the last
chunk backwards, with l the cycles of a chunk's load, r those of its computation over l, c the cycles of its commands:

    r * l_i  <=  r * l_last + sum over later chunks j of (l_j * (1 - r) + c)
"""

from __future__ import annotations

from bisect import bisect_right

from accel.compiler.weights import Chunk

Band = tuple[int, int]  # output tiles that are cut together, and pieces of the channel groups
Bands = tuple[list[int], list[Band]]  # sizes in tiles times groups, ascending, and for each a band of that size

LARGEST_BAND = 6  # output tiles that are cut together
MOST_PARTS = 8  # pieces of the channel groups


def tapered(
    tiles: int, groups: int, load: float, compute: float, extra: float, most: int, height: int, slope: float
) -> list[Chunk]:
    """Chunks of 0..`tiles` output tiles by 0..`groups` channel groups, the last tile apart from the others.

    `load` and `compute` are the cycles of one tile and channel group, `extra` those of a chunk's commands; `slope`: how
    much of what the array gains on the loads is used, about 1; `most` and `height`: the largest chunk in tiles times
    groups, and in tiles.
    """
    ratio = compute / load
    options = []
    bands = _bands(groups, most, min(height, LARGEST_BAND, tiles))
    for parts in _cuts(1, groups, most):
        chunks = _backwards(tiles, groups, parts, load, ratio, slope * extra, most, bands)
        options.append((len(chunks) * extra + ratio * load * -(-groups // parts), chunks))
    return min(options, key=lambda option: option[0])[1]


def _cuts(height: int, groups: int, most: int) -> range:
    """Into how many pieces the groups of so many tiles may be cut."""
    fewest = -(-height * groups // most)
    return range(fewest, min(fewest + MOST_PARTS, groups) + 1)


def _bands(groups: int, most: int, tallest: int) -> list[Bands]:
    """Bands of at most 1, 2, ... `tallest` tiles; of those of one size the lowest, cut least."""
    found: list[Bands] = []
    by_size: dict[int, Band] = {}
    for height in range(1, tallest + 1):
        for cuts in _cuts(height, groups, most):
            by_size.setdefault(height * -(-groups // cuts), (height, cuts))
        sizes = sorted(by_size)
        found.append((sizes, [by_size[size] for size in sizes]))
    return found


def _backwards(
    tiles: int, groups: int, parts: int, load: float, ratio: float, extra: float, most: int, bands: list[Bands]
) -> list[Chunk]:
    """Bands of tiles from the last to the first, the last tile in `parts`, each as large as may be."""
    chunks: list[Chunk] = []
    allowed, end, band = load * -(-groups // parts), tiles, (1, parts)
    while end:
        height, cuts = band
        sizes = [groups // cuts + (k < groups % cuts) for k in range(cuts)]
        at = groups
        for size in reversed(sizes):
            chunks.append(((end - height, end), (at - size, at)))
            at -= size
            allowed += (load * size * height * (1 - ratio) + extra) / ratio
        end -= height
        areas, found = bands[min(end, len(bands)) - 1]
        fitting = bisect_right(areas, min(most, allowed / load))
        band = found[fitting - 1] if fitting else (1, parts)
    return chunks[::-1]
