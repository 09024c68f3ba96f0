"""An adaptive binary arithmetic code for matrices of whole numbers that are mostly 0: for storage, not for hardware.

A number is a flag (is it not 0), a sign, and a magnitude. Each bit has a probability of its own in its context and
learns it while it is coded, so that there are no tables to store (Rissanen & Langdon 1979; the flag, sign, magnitude
split and contexts of what stands nearby are those of video coders and of ISO/IEC 15938-17). The order is column by
column, as in `accel.models.encode.relative`. Contexts of a flag: how full its column and its row have been so far (dead
inputs, and outputs of different strength) and whether its left neighbour is 0; of a sign: that neighbour's sign.
docs/formats.md has all of it number by number.

The model is written once, for both directions: `code_bit` gives back the bit that it is given, or the one that it
reads. It runs in Python on lists, or compiled by numba from the same text where that pays.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel.models import compiled as compiled_forms
from accel.models.compiled import Keep
from accel.models.encode.bitstream import DamagedStream

Ints = Any  # a list in Python, an array of int64 when compiled

WHOLE_BITS = 22  # a probability is a number of 2**-22
LEAST = 64  # and neither bit has less than this
SLOWEST = 255  # a bit is averaged over about so many before it
CLASSES = 16  # of how full a row or a column has been
SIGNS = 1 + 2 * CLASSES**2  # contexts: 0 is for bits of probability 1/2, then flags, three for signs, the tree
TREE = SIGNS + 3
LENGTHS = -1  # as `raw_bits`: a magnitude is its length, coded, and as many bits below the highest one
LENGTH_TREE_BITS = 5
MASK = 2**32 - 1
LOW, HIGH, CODE, POSITION, SIZE, READING = range(6)  # of a coder's state
CHUNK = 1 << 15  # numbers that are coded before the output is collected
# In bits: so many take about as long in Python as importing numba and loading or compiling what follows, 0.5 or 1.4 s.
LOAD_AFTER, COMPILE_AFTER = 1 << 18, 1 << 20

_spent = 0  # bits that were coded in Python


def code_bit(bit: int, context: int, coder: Ints, odds: Ints, seen: Ints, data: Ints) -> int:
    """Write `bit` into `data`, or read it there; `odds[context]` is the probability of a 1, `seen` how many it saw."""
    low, high = coder[LOW], coder[HIGH]
    middle = low + ((high - low) * odds[context] >> WHOLE_BITS)
    if coder[READING]:
        bit = 1 if coder[CODE] <= middle else 0
    if bit:
        high = middle
    else:
        low = middle + 1
    if context:
        odds[context] += 2 * ((bit << WHOLE_BITS) - odds[context]) // (2 * seen[context] + 3)
        odds[context] = min(max(odds[context], LEAST), (1 << WHOLE_BITS) - LEAST)
        seen[context] = min(seen[context] + 1, SLOWEST)
    while (low ^ high) >> 24 == 0:
        if coder[READING]:
            byte = data[coder[POSITION]] if coder[POSITION] < coder[SIZE] else 0
            coder[CODE] = coder[CODE] << 8 & MASK | byte
        else:
            data[coder[POSITION]] = high >> 24
        coder[POSITION] += 1
        low = low << 8 & MASK
        high = high << 8 & MASK | 255
    coder[LOW], coder[HIGH] = low, high
    return bit


def fullness(ones: int, count: int) -> int:
    """The class, 0..15, of a row or column of which `ones` of the `count` numbers so far are not 0."""
    ratio, found = (2 * count + 2) // (2 * ones + 1), 0
    while ratio > 1:
        ratio >>= 1
        found += 1
    return min(found, CLASSES - 1)


def code_columns(
    first: int, last: int, rows: int, columns: int, tree_bits: int, raw_bits: int, least: int, most: int,
    numbers: Ints, in_row: Ints, in_column: Ints, coder: Ints, odds: Ints, seen: Ints, data: Ints,
) -> int:  # fmt: skip
    """Code the columns `first`..`last` - 1 of `numbers` (rows x columns, row by row).

    Gives the place of a number that is read and lies outside `least`..`most`, or behind the end of the data; else -1.
    """
    for column in range(first, last):
        for row in range(rows):
            at = row * columns + column
            left = numbers[at - 1] if column else 0
            classes = fullness(in_column[column], row) * CLASSES + fullness(in_row[row], column)
            flag = 1 + 2 * classes + (1 if left else 0)
            if not code_bit(1 if numbers[at] else 0, flag, coder, odds, seen, data):
                numbers[at] = 0
                continue
            in_column[column] += 1
            in_row[row] += 1
            sign = SIGNS + (0 if left == 0 else 1 if left < 0 else 2)
            negative = code_bit(1 if numbers[at] < 0 else 0, sign, coder, odds, seen, data)
            rest = abs(numbers[at]) - (0 if raw_bits == LENGTHS else 1)
            below = raw_bits
            if raw_bits == LENGTHS:
                below = 0
                while rest >> below > 1:
                    below += 1
            top = below if raw_bits == LENGTHS else rest >> below
            node = 1
            for bit in range(tree_bits - 1, -1, -1):
                node = 2 * node + code_bit(top >> bit & 1, TREE + node, coder, odds, seen, data)
            top = node - (1 << tree_bits)
            value = top
            if raw_bits == LENGTHS:
                below, value = top, 1
            for bit in range(below - 1, -1, -1):
                value = 2 * value + code_bit(rest >> bit & 1, 0, coder, odds, seen, data)
            if raw_bits != LENGTHS:
                value += 1
            numbers[at] = -value if negative else value
            if coder[READING] and (not least <= numbers[at] <= most or coder[POSITION] > coder[SIZE] + 4):
                return at
    return -1


@cache
def _compiled(keep: Keep | None) -> Callable[..., int]:
    """`code_columns` by numba, kept by `keep`.

    By itself not kept on disk: files beside an installed package outlive it, and hide an editable one that follows.
    """
    if keep:
        return keep(code_columns, code_bit, fullness)
    import numba
    from numba.extending import register_jitable

    register_jitable(code_bit)
    register_jitable(fullness)
    return numba.njit(code_columns)


def _pays(bits: int) -> bool:
    """Whether to compile, for so many bits more."""
    global _spent
    if compiled_forms.is_wanted("ACCEL_PURE_PYTHON") or not find_spec("numba"):
        return False
    _spent += bits
    if _spent >= COMPILE_AFTER:
        return True
    keep = compiled_forms.keeper()
    return keep is not None and _spent >= compiled_forms.sooner(LOAD_AFTER) and _compiled(keep).is_compiled  # type: ignore[attr-defined]


class _Coder:
    """The state of one stream: what is shared by its matrices."""

    def __init__(self, reading: bool, data: bytes = b"") -> None:
        start = int.from_bytes(data[:4].ljust(4, b"\0"), "big")
        self.state = [0, MASK, start, 4 if reading else 0, len(data), int(reading)]

    def run(
        self, numbers: NDArray[Any], tree_bits: int, raw_bits: int, least: int, most: int, data: bytes,
        collect: Callable[[Any], None],
    ) -> tuple[NDArray[np.int64], int]:  # fmt: skip
        """The matrix (rows, columns) with all numbers, and the place of a wrong one or -1."""
        rows, columns = numbers.shape
        compiled = _pays(numbers.size + 8 * len(data) + (2 + tree_bits) * int(np.count_nonzero(numbers)))

        def form(values: NDArray[Any]) -> Any:
            return values.astype(np.int64) if compiled else values.tolist()

        kernel = _compiled(compiled_forms.keeper()) if compiled else code_columns
        contexts = TREE + (1 << tree_bits)
        flat, state = form(numbers.reshape(-1)), form(np.array(self.state))
        odds, seen = form(np.full(contexts, 1 << WHOLE_BITS - 1)), form(np.zeros(contexts, np.int64))
        in_row, in_column = form(np.zeros(rows, np.int64)), form(np.zeros(columns, np.int64))
        read = form(np.frombuffer(data, np.uint8)) if state[READING] else None
        step, wrong = max(CHUNK // rows, 1), -1
        # A bit takes at most 16, so a number no more than this.
        room = 2 * (2 + tree_bits) + max(raw_bits, 31) // 8 + 2
        for first in range(0, columns, step):
            last = min(first + step, columns)
            written = form(np.zeros(room * rows * (last - first) + 8, np.int64)) if read is None else read
            if read is None:
                state[POSITION] = 0
            wrong = int(
                kernel(
                    first, last, rows, columns, tree_bits, raw_bits, least, most, flat, in_row, in_column, state,
                    odds, seen, written,
                )
            )  # fmt: skip
            if read is None:
                collect(written[: state[POSITION]])
            if wrong >= 0:
                break
        self.state = [int(word) for word in state]
        return np.asarray(flat, np.int64).reshape(rows, columns), wrong

    def tail(self) -> bytes:
        """The fewest bytes that say which numbers the last interval was of, zeros behind them."""
        low, high = self.state[LOW], self.state[HIGH]
        for size in range(4):
            unit = 1 << 32 - 8 * size
            value = -(-low // unit) * unit
            if value <= high:
                return value.to_bytes(5, "big")[1 : 1 + size]
        return low.to_bytes(4, "big")


class Encoder:
    """Matrices to one stream, each with contexts of its own."""

    def __init__(self) -> None:
        self._coder = _Coder(False)
        self._parts: list[bytes] = []

    def write(self, numbers: NDArray[Any], tree_bits: int, raw_bits: int = 0) -> None:
        """Append a matrix (rows, columns).

        Magnitudes less 1 have `tree_bits` coded bits and `raw_bits` below them; with LENGTHS they are below 2**32, and
        `tree_bits` is LENGTH_TREE_BITS.
        """
        collect = lambda part: self._parts.append(np.array(part, np.uint8).tobytes())  # noqa: E731
        self._coder.run(numbers, tree_bits, raw_bits, 0, 0, b"", collect)

    def finish(self) -> bytes:
        """The stream."""
        return b"".join(self._parts) + self._coder.tail()


class Decoder:
    """The matrices of a stream that `Encoder` wrote; `layer` is whose it is."""

    def __init__(self, data: bytes, layer: str = "") -> None:
        self._data = data
        self._layer = layer
        self._coder = _Coder(True, data)

    def read(
        self, shape: tuple[int, int], tree_bits: int, raw_bits: int = 0, least: int = -MASK, most: int = MASK
    ) -> NDArray[np.int64]:
        """The next matrix; its numbers must lie in `least`..`most`. Raises DamagedStream."""
        empty = np.zeros(shape, np.int8)
        numbers, wrong = self._coder.run(empty, tree_bits, raw_bits, least, most, self._data, lambda _: None)
        if wrong >= 0:
            if self._coder.state[POSITION] > len(self._data) + 4:
                raise DamagedStream(self._layer, 0, 8 * len(self._data), "the stream must not end here")
            found = numbers.reshape(-1)[wrong]
            problem = f"number {wrong} must be in {least}..{most}, not {found}"
            raise DamagedStream(self._layer, 0, self._bit(), problem)
        return numbers

    def finish(self) -> None:
        """Raise DamagedStream unless the stream ends here, as its encoder ends it."""
        end = self._coder.state[POSITION] - 4
        if end > len(self._data) or self._data[end:] != self._coder.tail():
            raise DamagedStream(self._layer, 0, self._bit(), "the stream must end here as its numbers do")

    def _bit(self) -> int:
        return min(8 * (self._coder.state[POSITION] - 4), 8 * len(self._data))


def tree_bits_of(numbers: NDArray[Any]) -> int:
    """Bits of the magnitudes less 1."""
    return max(int(np.abs(numbers).max(initial=0)) - 1, 0).bit_length()
