"""Chunks that shrink towards the end of a program that waits for its weights.

When weights arrive as slowly as the array uses them, the array can never catch up: the program ends one whole chunk
after the last load, and if chunks are small, their commands fill the bus. But the array gains on the loads by whatever
else the bus carries (the commands themselves), so a chunk may be larger than the last by what follows it. From the last
chunk backwards, with l the cycles of a chunk's load, r those of its computation over l, c the cycles of its commands:

    r * l_i  <=  r * l_last + sum over later chunks j of (l_j * (1 - r) + c)
"""

from __future__ import annotations

from accel.compiler.weights import Chunk

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
    fewest = -(-groups // most)
    for parts in range(fewest, min(fewest + MOST_PARTS, groups) + 1):
        chunks = _backwards(tiles, groups, parts, load, ratio, slope * extra, most, min(height, LARGEST_BAND))
        options.append((len(chunks) * extra + ratio * load * -(-groups // parts), chunks))
    return min(options, key=lambda option: option[0])[1]


def _backwards(
    tiles: int, groups: int, parts: int, load: float, ratio: float, extra: float, most: int, tallest: int
) -> list[Chunk]:
    """Bands of tiles from the last to the first, the last tile in `parts`."""
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
        area, band = 0, (1, parts)
        for height in range(1, min(end, tallest) + 1):
            fewest = -(-height * groups // most)
            for cuts in range(fewest, min(fewest + MOST_PARTS, groups) + 1):
                size = height * -(-groups // cuts)
                if area < size <= min(most, allowed / load):
                    area, band = size, (height, cuts)
    return chunks[::-1]
