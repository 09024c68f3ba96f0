"""A buffer that is allocated round and round."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Hashable
from copy import copy
from typing import Self

from accel.compiler.plan import Region


class Ring:
    """Words `base`..`base + words` of a memory, allocated one after the other and from the start again.

    What is overwritten is forgotten; what is still there is found by its key. Allocations are multiples of `align`.
    """

    def __init__(self, base: int, words: int, align: int = 1, bank: int = 0) -> None:
        self.base, self.words, self.align, self.bank = base, words, align, bank
        self.at = 0
        self._known: dict[Hashable, tuple[int, int]] = {}  # key -> address, item
        self._starts: list[int] = []  # of what is known, ascending
        self._spans: list[tuple[int, Hashable]] = []  # their ends and keys

    @classmethod
    def of(cls, region: Region | None) -> Ring | None:
        """A ring in a region of an activation bank."""
        return cls(region.word, region.words, 1, region.bank) if region else None

    def copied(self) -> Self:
        """Another one that stands where this one does."""
        found = copy(self)
        vars(found).update({name: value.copy() for name, value in vars(self).items() if isinstance(value, dict | list)})
        return found

    def find(self, key: Hashable) -> tuple[int, int] | None:
        """Address and item of what is still there."""
        return self._known.get(key)

    def complete(self, key: Hashable, item: int) -> None:
        """`item` is what fills the allocation of a key, which was not known when it was taken."""
        self._known[key] = self._known[key][0], item

    def reserve(self, words: int) -> None:
        """Start from the beginning if `words` fit the whole ring but not the rest of it."""
        if self.at + words > self.words >= words:
            self.at = 0

    def take(self, words: int, key: Hashable, item: int) -> int:
        """Address of a new allocation that will be filled by `item`; `key` None if nobody will look for it."""
        words = -(-words // self.align) * self.align
        assert words <= self.words, (words, self.words)
        start = self.at if self.at + words <= self.words else 0
        self.at = end = start + words
        low, high = bisect_right(self._starts, start), bisect_left(self._starts, end)
        if low and self._spans[low - 1][0] > start:
            low -= 1
        for _, old in self._spans[low:high]:
            del self._known[old]
        address = self.base + start
        if key is None:
            del self._starts[low:high], self._spans[low:high]
        else:
            assert key not in self._known, key
            self._starts[low:high], self._spans[low:high] = [start], [(end, key)]
            self._known[key] = address, item
        return address


class KeepingRing(Ring):
    """A ring behind which there is room up to `behind`: what comes first and has a key stays there for good."""

    def __init__(self, words: int, behind: int, align: int) -> None:
        super().__init__(0, words, align)
        self.free, self.behind = words, behind
        self._kept: dict[Hashable, tuple[int, int]] = {}

    def find(self, key: Hashable) -> tuple[int, int] | None:
        """Address and item of what is still there."""
        return self._kept.get(key) or super().find(key)

    def complete(self, key: Hashable, item: int) -> None:
        """As `Ring.complete`."""
        if key in self._kept:
            self._kept[key] = self._kept[key][0], item
        else:
            super().complete(key, item)

    def take(self, words: int, key: Hashable, item: int) -> int:
        """As `Ring.take`, behind the ring as long as there is room."""
        size = -(-words // self.align) * self.align
        if key is None or self.free + size > self.behind:
            return super().take(words, key, item)
        address, self.free = self.free, self.free + size
        self._kept[key] = address, item
        return address
