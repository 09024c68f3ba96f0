"""Patches of a step that are not alike, for a search: a large one where loads come late, small ones at the ends.

They are cut twice: pixels and in each piece of them output tiles, or tiles and in each of those pixels. A move changes
one cut; those at the beginning and at the end come first, since there the array waits for loads and stores for sums.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise, product

from accel.compiler.estimate import Machine
from accel.compiler.geometry import Range, split, split_with_ends
from accel.compiler.lower.matrix_task import LARGEST_GROUPS, Patch, Task, Tiling, most_tiles, piece_words, region_words

Chunk = tuple[int, int]  # tiles, groups
MIDDLE = (2, 4, 8)  # smallest pieces that those in the middle are as large as


@dataclass(frozen=True)
class Piece:
    """So many pixels (tiles) that are cut into so many tiles (pixels) each, computed in chunks of a size."""

    size: int
    inside: tuple[int, ...]
    chunk: Chunk


@dataclass(frozen=True)
class Patches:
    """Cuts of a step. `by_pixels`: pixels are cut first. Pixels are rows, or columns of a map of one row."""

    machine: Machine
    task: Task
    tiling: Tiling  # what they begin with
    by_pixels: bool
    pieces: tuple[Piece, ...]

    @classmethod
    def of(cls, machine: Machine, task: Task, tiling: Tiling) -> Patches | None:
        """Those of strips that are blocks of whole rows; None of others."""
        height, width = task.geometry.pooled
        flat = height == 1
        streams = task.in_ring is not None or task.out_ring is not None
        if task.grouped or tiling.split_input or (streams and tiling.strip != tiling.block):
            return None
        if not flat and tiling.strip[1] < width:
            return None
        size, most = (width, tiling.strip[1]) if flat else (height, tiling.strip[0])
        align = task.out_align if flat else 1
        pixels = _sizes(split_with_ends(size, most, tiling.first, tiling.last, align))
        tiles = _sizes(split(len(task.reach), tiling.block_tiles))
        outside, inside = (pixels, tiles) if tiling.strips_outside else (tiles, pixels)
        chunk = tiling.chunk_tiles, tiling.chunk_groups
        return cls(machine, task, tiling, tiling.strips_outside, tuple(Piece(n, inside, chunk) for n in outside))

    def seeds(self) -> list[Patches]:
        """Others to begin with, cut in either order, with small patches at the ends."""
        height, width = self.task.geometry.pooled
        tiles, groups, step = len(self.task.reach), max(self.task.reach), self._steps(True)[0]
        total = width if height == 1 else height
        found = []
        for most in MIDDLE:
            ramp = self._ramp(total, step, most)
            for chunk, count in product(dict.fromkeys(((1, groups), (1, 1))), dict.fromkeys((1, tiles))):
                cut = _sizes(split(tiles, count))
                found.append(replace(self, by_pixels=True, pieces=tuple(Piece(n, cut, chunk) for n in ramp)))
        for chunk in dict.fromkeys(((1, groups), (1, 1))):
            for parts in (1, 2):
                pixels = _sizes(split(total, -(-total // parts)))
                if pixels[0] <= step or pixels[-1] <= step:
                    continue
                ends = (step, pixels[0] - step, *pixels[1:]), (*pixels[:-1], pixels[-1] - step, step)
                inside = (ends[0], *[pixels] * (tiles - 2), ends[1])[:tiles]
                found.append(replace(self, by_pixels=False, pieces=tuple(Piece(1, cut, chunk) for cut in inside)))
                for most in dict.fromkeys((tiles, 1)):
                    cut = _sizes(split(tiles, most))
                    found.append(replace(self, by_pixels=True, pieces=tuple(Piece(n, cut, chunk) for n in ends[1])))
        return found

    def _ramp(self, total: int, step: int, most: int) -> list[int]:
        """`total` pixels in pieces of `step` at the ends, each twice as many as the one outside, and `most` steps."""
        ends, size = list[int](), step
        while size < step * most and 2 * (sum(ends) + size) + size <= total:
            ends.append(size)
            size *= 2
        middle = split(total - 2 * sum(ends), size, 1)
        return [*ends, *(high - low for low, high in middle), *reversed(ends)]

    @property
    def made(self) -> Tiling | None:
        """The tiling that they are; None if they do not fit."""
        flat = self.task.geometry.pooled[0] == 1
        width = self.task.geometry.pooled[1]
        patches = list[Patch]()
        if not all(self._chunk_fits(piece.chunk) for piece in self.pieces):
            return None
        for piece, outside in zip(self.pieces, _ranges(p.size for p in self.pieces), strict=True):
            for inside in _ranges(piece.inside):
                pixels, tiles = (outside, inside) if self.by_pixels else (inside, outside)
                rows, cols = ((0, 1), pixels) if flat else (pixels, (0, width))
                if not self._fits(rows, cols, tiles):
                    return None
                chunk_tiles = min(piece.chunk[0], tiles[1] - tiles[0])
                patches.append(Patch(rows, cols, tiles, chunk_tiles, piece.chunk[1]))
        strip = max(y1 - y0 for (y0, y1), *_ in patches), max(x1 - x0 for _, (x0, x1), *_ in patches)
        groups, ring = max(self.task.reach), self.task.in_ring
        if ring is not None and piece_words(self.machine, self.task, strip, groups)[0] > ring:
            return None
        return replace(self.tiling, strip=strip, first=0, last=0, run=1, patches=tuple(patches), cost=0.0)

    def _chunk_fits(self, chunk: Chunk) -> bool:
        words = self.task.words(self.machine, *chunk)
        return chunk[1] <= LARGEST_GROUPS and words <= self.machine.weights // 2

    def _fits(self, rows: Range, cols: Range, tiles: Range) -> bool:
        task, machine = self.task, self.machine
        size, count = (rows[1] - rows[0], cols[1] - cols[0]), tiles[1] - tiles[0]
        groups = machine.out_groups(count if self.tiling.output_by_block else len(task.reach), task.outputs)
        if task.out_ring is not None and region_words(task, size, groups)[0] > task.out_ring:
            return False
        if any(have > most for have, most in zip(size, task.most_pixels, strict=True)):
            return False
        made = task.made(0, size[0]) * task.made(1, size[1])
        aligned = tiles[0] * machine.cols % machine.word_lanes == 0 and cols[0] % task.out_align == 0
        return aligned and made <= machine.block_pixels(count) and count <= most_tiles(machine, task, made)

    def moves(self) -> Iterator[Patches]:
        """What differs in one cut, or in the chunks, the ends first."""
        last = len(self.pieces) - 1
        for at in dict.fromkeys((last, 0, last - 1, 1)):
            if 0 <= at <= last:
                yield from self._cut(at)
        for at in dict.fromkeys((last - 1, 0, last - 2, 1)):
            if 0 <= at < last:
                yield from self._shift(at)
        yield from self._chunks()
        for at in range(1, last):
            for inside in self._insides(self.pieces[at].inside):
                yield self._with(at, replace(self.pieces[at], inside=inside))

    def _with(self, at: int, *pieces: Piece, count: int = 1) -> Patches:
        return replace(self, pieces=(*self.pieces[:at], *pieces, *self.pieces[at + count :]))

    def _steps(self, of_pixels: bool) -> list[int]:
        """Sizes that a cut goes by, and the smallest pieces: some tens of pixels, or a tile."""
        if not of_pixels:
            return [1]
        width = 1 if self.task.geometry.pooled[0] == 1 else self.task.geometry.pooled[1]
        least, align = self.machine.contract.fill_cycles, self.task.out_align if width == 1 else 1
        steps = [max(1, round(part * least / width)) for part in (1, 2, 0.5, 3)]
        return [*dict.fromkeys(-(-step // align) * align for step in steps)]

    def _cut(self, at: int) -> Iterator[Patches]:
        piece = self.pieces[at]
        for step in self._steps(self.by_pixels):
            if step < piece.size:
                head, tail = replace(piece, size=piece.size - step), replace(piece, size=step)
                yield self._with(at, head, tail)
                if at == 0:
                    yield self._with(at, replace(piece, size=step), replace(piece, size=piece.size - step))
        for inside in self._insides(piece.inside):
            yield self._with(at, replace(piece, inside=inside))
        if at + 1 < len(self.pieces):
            other = self.pieces[at + 1]
            yield self._with(at, replace(other, size=piece.size + other.size), count=2)
            yield self._with(at, replace(piece, size=piece.size + other.size), count=2)

    def _shift(self, at: int) -> Iterator[Patches]:
        one, two = self.pieces[at : at + 2]
        for step in self._steps(self.by_pixels):
            for by in (step, -step):
                if one.size + by > 0 and two.size - by > 0:
                    yield self._with(at, replace(one, size=one.size + by), replace(two, size=two.size - by), count=2)

    def _insides(self, inside: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
        """Other cuts of the inside of a piece."""
        total, steps = sum(inside), self._steps(not self.by_pixels)
        found: list[tuple[int, ...]] = [(total,)]
        found += [_sizes(split(total, -(-total // k), 1)) for k in (2, 3, 4, 6, 8) if k <= total]
        for step in steps:
            if step < inside[-1]:
                found.append((*inside[:-1], inside[-1] - step, step))
            if step < inside[0]:
                found.append((step, inside[0] - step, *inside[1:]))
            if len(inside) > 1:
                for by in (step, -step):
                    if inside[0] + by > 0 and inside[1] - by > 0:
                        found.append((inside[0] + by, inside[1] - by, *inside[2:]))
                    if inside[-2] + by > 0 and inside[-1] - by > 0:
                        found.append((*inside[:-2], inside[-2] + by, inside[-1] - by))
        for k in reversed(range(len(inside) - 1)):
            found.append((*inside[:k], inside[k] + inside[k + 1], *inside[k + 2 :]))
        return (cut for cut in dict.fromkeys(found) if cut != inside)

    def _chunks(self) -> Iterator[Patches]:
        groups = max(self.task.reach)
        sizes = [*dict.fromkeys((t, g) for t in (1, 2, 4) for g in (1, 2, 4, 8, groups) if g <= groups)]
        last = len(self.pieces) - 1
        for chunk in sizes:
            if any(piece.chunk != chunk for piece in self.pieces):
                yield replace(self, pieces=tuple(replace(piece, chunk=chunk) for piece in self.pieces))
        for at in dict.fromkeys((0, last)):
            for chunk in sizes:
                if self.pieces[at].chunk != chunk:
                    yield self._with(at, replace(self.pieces[at], chunk=chunk))


def _sizes(ranges: list[Range]) -> tuple[int, ...]:
    return tuple(high - low for low, high in ranges)


def _ranges(sizes: Iterable[int]) -> list[Range]:
    return list(pairwise(accumulate([0, *sizes])))
