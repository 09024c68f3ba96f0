"""How many words of a window LOAD each of its beats completes: closed forms, see `accel.commands.Load`.

After each beat the words that it completes are written, one a cycle, so that a beat takes as many cycles, and one at
least. Words are written in order: those of a pixel come after all of the pixel before.
"""

from __future__ import annotations

from accel.timing.kernel import part


@part
def words_complete(bytes_: int, words: int, run: int, step: int, parts: int) -> int:
    """Words of a row, of `words`, whose bytes are all among the first `bytes_` behind those that are dropped."""
    if bytes_ < run:
        return 0
    pixels = (bytes_ - parts * run) // step + 1 if bytes_ >= parts * run else 0
    return min(words, pixels * parts + max(0, bytes_ - pixels * step) // run)


@part
def windows(rows: int, tall: int, apart: int) -> int:
    """Windows of `tall` rows, `apart` rows apart, that begin among `rows` rows; the last may not have all of them."""
    return max(0, -((tall - rows) // apart)) + 1


@part
def copies(row: int, rows: int, tall: int, apart: int) -> int:
    """Windows in which row number `row` is."""
    last = min(row // apart, windows(rows, tall, apart) - 1)
    return last - max(0, -((tall - 1 - row) // apart)) + 1


@part
def row_writes(rows: int, tall: int, apart: int) -> int:
    """`copies` of all rows together."""
    last = windows(rows, tall, apart) - 1
    return last * tall + min(tall, rows - last * apart)
