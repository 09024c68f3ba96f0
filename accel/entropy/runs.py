"""Codes of a lane as entries: a run byte each, which stands for zeros and for how many values follow.

    sparse    n (0..127): n zeros, then a value            128 + n: n zeros and no value
    literal   n (1..127): n values                         128 + n: n zeros and no value

Which lengths are used is the encoder's choice: few different ones make a small table, and a run that is longer is cut.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from accel.entropy.stream import MOST_RUN, NO_VALUE
from accel.entropy.tables import RUN_SYMBOLS

LONGEST_RUNS = (7, 15, 23, 31, RUN_SYMBOLS - 3)  # of the zeros before a value: those that are tried
PIECES = (64, 32, 16, 8, 4, 2, 1)  # of literal entries
FREQUENT = 16  # lengths of each kind that have a symbol of their own
LEAST_ZEROS = (2, 4)  # in a row, that are worth an entry of their own among literals


@dataclass(frozen=True)
class Entries:
    """The entries of L lanes of n codes, lane by lane.

    Of each entry its `bytes`, its `lanes`, the place in its lane where it begins (`starts`), and how many values come
    before it in all lanes (`before`). An entry at place n is what stands behind a lane that ends with an entry.
    `values` are the codes that are no run, `places` where they are, lane * n + place.
    """

    bytes: NDArray[np.int64]
    lanes: NDArray[np.int64]
    starts: NDArray[np.int64]
    before: NDArray[np.int64]
    values: NDArray[np.int64]
    places: NDArray[np.int64]


class Gaps(NamedTuple):
    """The zeros before each value of L lanes of n codes, and behind the last one of each lane (`tail`): `number`.

    `lanes` of each; `places` of the values, lane * n + place; `kinds`, `counts`: of each number, twice itself and one
    more if it is a tail's, how often it occurs.
    """

    number: NDArray[np.int64]
    tail: NDArray[np.bool_]
    lanes: NDArray[np.int64]
    places: NDArray[np.int64]
    kinds: NDArray[np.int64]
    counts: NDArray[np.int64]

    def runs(self, longest: int) -> NDArray[np.int64]:
        """How often each run byte occurs (256) if runs before a value have at most so many zeros."""
        far, near, run = _pieces(self.kinds >> 1, longest)
        filler = NO_VALUE + longest + 1
        found = np.bincount(np.where(self.kinds & 1, filler, run), self.counts, 256)
        found[filler] += (near * self.counts).sum()
        found[NO_VALUE + MOST_RUN] += (far * self.counts).sum()
        return found.astype(np.int64)


def gaps_of(zero: NDArray[np.bool_]) -> Gaps:
    """The gaps of (L, n) codes, of which some are zeros."""
    lanes, count = zero.shape
    places = np.flatnonzero(~zero)
    # The end of each lane is treated as a value that is never reached.
    ends = np.arange(1, lanes + 1) * (count + 1) - 1
    items = np.sort(np.concatenate([places + places // count, ends]), kind="stable")  # merges what is in order
    number = np.diff(items, prepend=-1) - 1
    tail = items % (count + 1) == count
    found = np.bincount(2 * number + tail)
    kinds = np.flatnonzero(found)
    return Gaps(number, tail, items // (count + 1), places, kinds, found[kinds])


def _pieces(gaps: NDArray[np.int64], longest: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Of each gap: entries of 127 zeros, entries of `longest` + 1 zeros, and the zeros that are left."""
    far, rest = gaps // MOST_RUN, gaps % MOST_RUN
    return far, rest // (longest + 1), rest % (longest + 1)


def sparse_entries(codes: NDArray[np.uint8], gaps: Gaps, longest: int) -> Entries:
    """(L, n) codes as runs of zeros of at most `longest` before a value, longer ones with entries without a value."""
    far, near, run = _pieces(gaps.number, longest)
    number = far + near + 1
    item = np.repeat(np.arange(len(number)), number)
    within = np.arange(len(item)) - np.repeat(np.cumsum(number) - number, number)
    filler = NO_VALUE + longest + 1
    bytes_ = np.where(gaps.tail, filler, run)[item]
    bytes_[within < (far + near)[item]] = filler
    bytes_[within < far[item]] = NO_VALUE + MOST_RUN
    more = (bytes_ < NO_VALUE).astype(np.int64)
    lanes = gaps.lanes[item]
    return _laid_out(bytes_, bytes_ & MOST_RUN, more, lanes, codes.reshape(-1), gaps.places, codes.shape[1])


def literal_entries(codes: NDArray[np.uint8], zero: NDArray[np.bool_], least: int) -> Entries:
    """(L, n) codes as runs of values, zeros among them, and runs of at least so many zeros."""
    lanes, count = codes.shape
    flat = codes.reshape(-1)
    starts, kinds, lengths = _segments(zero.reshape(-1), count)
    # Short runs of zeros are values.
    kinds = kinds & (lengths >= least)
    zeroed = np.repeat(kinds, lengths)
    starts, kinds, lengths = _segments(zeroed, count)
    keys, sizes = [], []
    segments, exact = np.arange(len(lengths)), _frequent(kinds, lengths)
    keys.append(segments[exact] * 8)
    sizes.append(lengths[exact])
    cut = np.where(exact, 0, lengths)
    wholes, rest = cut // PIECES[0], cut % PIECES[0]
    keys.append(np.repeat(segments, wholes) * 8)
    sizes.append(np.full(int(wholes.sum()), PIECES[0]))
    for order, piece in enumerate(PIECES[1:], 1):
        having = segments[(rest & piece) > 0]
        keys.append(having * 8 + order)
        sizes.append(np.full(len(having), piece))
    last = np.flatnonzero(np.append(starts[1:] % count == 0, True))
    keys.append(segments[last] * 8 + 7)  # behind the end of each lane
    sizes.append(np.full(lanes, PIECES[0]))
    key, size = np.concatenate(keys), np.concatenate(sizes)
    order_of = np.argsort(key, kind="stable")
    key, size = key[order_of], size[order_of]
    zeros = kinds[key // 8] & (key % 8 != 7)
    bytes_, lane_of, places = size + NO_VALUE * zeros, starts[key // 8] // count, np.flatnonzero(~zeroed)
    return _laid_out(bytes_, size * zeros, size * ~zeros, lane_of, flat, places, count)


def _frequent(kinds: NDArray[np.bool_], lengths: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Segments of the lengths that occur most often, and that an entry can have: these are worth symbols."""
    found = np.zeros(len(lengths), bool)
    for kind in (False, True):
        mine = (kinds == kind) & (lengths <= MOST_RUN)
        counts = np.bincount(lengths[mine], minlength=MOST_RUN + 1)
        often = np.argsort(-counts, kind="stable")[:FREQUENT]
        found |= mine & np.isin(lengths, often[counts[often] > 1])
    return found


def _segments(flags: NDArray[np.bool_], count: int) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.int64]]:
    """First place, flag and length of each run of equal flags; none leaves its lane of `count` flags."""
    change = np.ones(len(flags), bool)
    change[1:] = flags[1:] != flags[:-1]
    change[::count] = True
    starts = np.flatnonzero(change)
    return starts, flags[starts], np.diff(starts, append=len(flags))


def _laid_out(
    bytes_: NDArray[np.int64], zeros: NDArray[np.int64], more: NDArray[np.int64], lanes: NDArray[np.int64],
    flat: NDArray[np.uint8], places: NDArray[np.int64], count: int,
) -> Entries:  # fmt: skip
    """Entries of `zeros` and then `more` values; those that begin behind the end of their lane are left out."""
    lengths = zeros + more
    begins = np.cumsum(lengths) - lengths
    starts = begins - begins[np.flatnonzero(np.diff(lanes, prepend=-1))][lanes]
    kept = starts <= count
    bytes_, lanes, starts = bytes_[kept], lanes[kept], starts[kept]
    before = np.searchsorted(places, lanes * count + starts)
    return Entries(bytes_, lanes, starts, before, flat[places].astype(np.int64), places)
