"""LOADs and STOREs of rows: every word goes where it belongs, in commands that their fields can hold."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.commands import Command, Load, Store, Target
from accel.compiler.transfers import load_rows, load_words, store_rows, store_words, words_of
from accel.layout import beats_per_word, stride_bytes, words_per_beat
from accel.rows import check_fields, command_of
from tests.benches.layers import design_of


def commands(rows: Iterable[list[int]]) -> list[Command]:
    """The commands; ValueError if a field cannot hold its value."""
    made = list(rows)
    check_fields(np.array(made))
    return [command_of(row) for row in made]


def moved(found: list[Command], beat_bytes: int, stride: int, per_beat: int, beats: int) -> dict[int, int]:
    """DRAM offset of each word and where it lies on chip, from the docstrings of LOAD and STORE."""
    where: dict[int, int] = {}
    for c in found:
        assert isinstance(c, Load | Store)
        words = c.row_beats * per_beat // beats if isinstance(c, Load) else c.row_words
        chip, pitch = (c.dst_addr, c.dst_pitch) if isinstance(c, Load) else (c.src_addr, c.src_pitch)
        for row in range(c.rows):
            for word in range(words):
                at = c.dram_addr + row * c.dram_pitch + word * stride
                assert at not in where
                where[at] = chip + row * pitch + word
    return where


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from([(8, 32), (8, 128), (5, 128), (40, 32), (64, 512), (7, 64)]),
    st.integers(1, 40), st.integers(1, 6), st.integers(0, 9), st.integers(0, 9), st.booleans(),
)  # fmt: skip
def test_every_word_of_every_row_once(
    shape: tuple[int, int], count: int, rows: int, more: int, gap: int, store: bool
) -> None:
    design = design_of(shape[0], 4, shape[1])
    per_beat, beats = words_per_beat(design, Target.ACTIVATION), beats_per_word(design, Target.ACTIVATION)
    stride = stride_bytes(design.rows, design.beat_bytes)
    count = -(-count // per_beat) * per_beat
    far, near = count + more * per_beat, count + gap
    make = store_rows if store else load_rows
    found = commands(make(words_of(design, Target.ACTIVATION), 1024, 100, count, rows, far, near))
    expected = {
        1024 + (row * far + word) * stride: 100 + row * near + word for row in range(rows) for word in range(count)
    }
    assert moved(found, design.beat_bytes, stride, per_beat, beats) == expected


@pytest.mark.parametrize("words", [65534, 65535, 65536, 65537, 131070, 131071, 200000])
def test_long_runs_fill_the_fields_and_no_more(words: int) -> None:
    """A beat a word: 65,535 fit a LOAD, and 65,535 a STORE; with four words a beat, four times as many fit a LOAD."""
    narrow, wide = design_of(4, 4, 32), design_of(4, 4, 128)
    loads = commands(load_words(words_of(narrow, Target.ACTIVATION), 0, 7, words))
    assert [c.row_beats for c in loads if isinstance(c, Load)] == [
        min(65535, words - first) for first in range(0, words, 65535)
    ]
    assert len(load_words(words_of(wide, Target.ACTIVATION), 0, 7, words)) == 1
    stores = commands(store_words(words_of(narrow, Target.ACTIVATION), 0, 7, words))
    assert sum(c.row_words for c in stores if isinstance(c, Store)) == words
    assert len(stores) == (1 if words <= 65535 else -(-words // 32768))
    for found in (loads, stores):
        assert moved(found, 4, 4, 1, 1) == {4 * word: 7 + word for word in range(words)}


@pytest.mark.parametrize(("count", "commands_of_a_row"), [(65535, 0.5), (65536, 2)])
def test_two_long_rows(count: int, commands_of_a_row: float) -> None:
    """Rows of 65,536 words used to overflow LOAD.row_beats."""
    words = words_of(design_of(4, 4, 32), Target.ACTIVATION)
    for make in (load_rows, store_rows):
        found = commands(make(words, 0, 0, count, 2, count + 5, count + 1))
        assert len(found) == 2 * commands_of_a_row
        assert len(moved(found, 4, 4, 1, 1)) == 2 * count


@pytest.mark.parametrize(("rows", "expected"), [(4095, 1), (4096, 2), (8191, 3)])
def test_many_rows(rows: int, expected: int) -> None:
    words = words_of(design_of(4, 4, 32), Target.ACTIVATION)
    for make in (load_rows, store_rows):
        found = commands(make(words, 0, 0, 1, rows, 3, 2))
        assert len(found) == expected
        assert len(moved(found, 4, 4, 1, 1)) == rows


@pytest.mark.parametrize(("far", "expected"), [((1 << 26) - 1, 1), (1 << 26, 2)])
def test_rows_that_lie_far_apart_in_dram(far: int, expected: int) -> None:
    """4 bytes a word: from 2**26 words on, the distance does not fit the 28 bits of `dram_pitch`."""
    words = words_of(design_of(4, 4, 32), Target.ACTIVATION)
    for make in (load_rows, store_rows):
        found = commands(make(words, 0, 0, 3, 2, far, 4))
        assert len(found) == expected
        assert moved(found, 4, 4, 1, 1) == {4 * (row * far + k): 4 * row + k for row in range(2) for k in range(3)}


def test_rows_without_gaps_are_one_run() -> None:
    words = words_of(design_of(4, 4, 128), Target.ACTIVATION)
    assert commands(load_rows(words, 0, 0, 8, 5, 8, 8)) == [Load(target=Target.ACTIVATION, row_beats=10)]
    assert commands(store_rows(words, 0, 0, 8, 5, 8, 8)) == [Store(row_words=40)]
