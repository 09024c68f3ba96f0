"""Where inputs lie in DRAM: pieces of every source as text, and every byte in its lane."""

from __future__ import annotations

from itertools import product
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.commands import Load, Target
from accel.compiler.ops import Segment
from accel.compiler.sources import FlatSource, Piece, RowSource, Source, WordSource
from accel.compiler.text import command_text
from accel.compiler.transfers import words_of
from accel.rows import check_fields, command_of
from tests.benches.layers import design_of

WORDS = words_of(design_of(8, 8, 128), Target.ACTIVATION)  # two words a beat


def text(source: Source, piece: Piece) -> list[str]:
    return [command_text(row, Segment.DATA) for row in source.loads(piece)]


@pytest.mark.parametrize(
    ("source", "piece", "expected"),
    [
        (  # whole rows of two groups: a row of the LOAD is a plane
            WordSource(WORDS, 1000, 6, 24), Piece((0, 2), (1, 3), (0, 6), 50, 12, 6),
            ["Load dram_addr=data+1048 ACTIVATION dst_addr=50 row_beats=6 rows=2 dram_pitch=192 dst_pitch=12"],
        ),
        (  # whole planes, which lie side by side here and there
            WordSource(WORDS, 1000, 6, 24), Piece((0, 2), (0, 4), (0, 6), 50, 24, 6),
            ["Load dram_addr=data+1000 ACTIVATION dst_addr=50 row_beats=24"],
        ),
        (  # some columns: a LOAD for each group
            WordSource(WORDS, 1000, 6, 24), Piece((1, 3), (1, 3), (2, 6), 50, 8, 4),
            [
                "Load dram_addr=data+1256 ACTIVATION dst_addr=50 row_beats=2 rows=2 dram_pitch=48 dst_pitch=4",
                "Load dram_addr=data+1448 ACTIVATION dst_addr=58 row_beats=2 rows=2 dram_pitch=48 dst_pitch=4",
            ],
        ),
        (  # some columns of one row: a row of the LOAD is a group
            WordSource(WORDS, 1000, 6, 24), Piece((1, 3), (1, 2), (2, 6), 50, 8, 4),
            ["Load dram_addr=data+1256 ACTIVATION dst_addr=50 row_beats=2 rows=2 dram_pitch=192 dst_pitch=8"],
        ),
        (  # byte rows: two kernel rows side by side in the lanes, every second input row; each row is read once
            RowSource(16, 1000, 32, 2, 2, 1, 9, 3, 1), Piece((0, 1), (1, 3), (6, 8), 50, 4, 2),
            [
                "Load dram_addr=data+1080 ACTIVATION dst_addr=50 rows=4 dram_pitch=32 dst_pitch=2 window=1 "
                "run=9 step=3 row_words=2 skip_bytes=2 zero_code=2 code_bits=2",
            ],
        ),
        (  # two rows of a dilated kernel, three rows apart: a LOAD for each
            RowSource(16, 1000, 32, 2, 2, 3, 8, 3, 1), Piece((0, 1), (1, 3), (6, 8), 50, 4, 2),
            [
                "Load dram_addr=data+1080 ACTIVATION dst_addr=50 rows=2 dram_pitch=64 dst_pitch=2 window=1 "
                "run=8 step=3 row_words=2 skip_bytes=2 zero_code=1 code_bits=1",
                "Load dram_addr=data+1176 ACTIVATION dst_addr=50 rows=2 dram_pitch=64 dst_pitch=2 window=1 "
                "run=8 step=3 lane=8 row_words=2 skip_bytes=2 zero_code=1 code_bits=1",
            ],
        ),
        (  # bytes in a row that are words as they lie
            FlatSource(WORDS, 8, 16, 1000), Piece((2, 5), (0, 1), (0, 1), 50, 1, 1),
            ["Load dram_addr=data+1016 ACTIVATION dst_addr=50 row_beats=2"],
        ),
        (  # that begin within a beat
            FlatSource(WORDS, 8, 16, 1000), Piece((3, 5), (0, 1), (0, 1), 50, 1, 1),
            [
                "Load dram_addr=data+1016 ACTIVATION dst_addr=50 row_beats=2 window=1 run=8 step=8 row_words=2 "
                "skip_bytes=8 zero_code=1 code_bits=1"
            ],
        ),
    ],
    ids=["rows", "planes", "columns", "columns of a row", "byte rows", "dilated rows", "flat", "flat within a beat"],
)  # fmt: skip
def test_pieces(source: Source, piece: Piece, expected: list[str]) -> None:
    assert text(source, piece) == expected


def test_columns_are_whole_beats() -> None:
    source = WordSource(WORDS, 0, 7, 28)
    assert source.align == 2
    assert [source.columns(cols) for cols in ((0, 1), (1, 2), (3, 6), (6, 7))] == [(0, 2), (0, 2), (2, 6), (6, 7)]
    assert RowSource(16, 0, 32, 1, 1, 1, 3, 3, 2).columns((1, 3)) == (0, 4)  # whole pixels of two parts


def bytes_of(rows: list[list[int]], beat: int) -> dict[tuple[int, int], int]:
    """(word, lane) -> DRAM byte, from the docstring of LOAD's window mode."""
    found: dict[tuple[int, int], int] = {}
    check_fields(np.array(rows))
    for row in rows:
        c = command_of(row)
        assert isinstance(c, Load)
        assert c.window
        windows = [y for y in range(c.rows) if y == 0 or (y - 1) * c.code_bits + c.zero_code < c.rows]
        for y, k, i, byte in product(windows, range(c.zero_code), range(c.row_words), range(c.run)):
            row_of_load, (x, part) = y * c.code_bits + k, divmod(i, c.parts + 1)
            if row_of_load < c.rows:
                at = c.skip_bytes + x * c.step + part * c.run + byte
                assert at < c.row_beats * beat
                key = (c.dst_addr + y * c.dst_pitch + i, c.lane + k * c.run + byte)
                assert key not in found
                found[key] = c.dram_addr + row_of_load * c.dram_pitch + at
    return found


@settings(max_examples=100, deadline=None)
@given(st.randoms(use_true_random=False))
def test_byte_rows_reach_their_lanes(rng: Random) -> None:
    beat, step, pitch, parts = rng.choice([4, 16, 64]), rng.randint(1, 9), 64 * rng.randint(1, 4), rng.randint(1, 3)
    tall, apart, dilation, run = rng.randint(1, 4), rng.randint(1, 3), rng.randint(1, 3), rng.randint(1, 5)
    y0, x0 = rng.randint(0, 5), parts * rng.randint(0, 5)
    rows, cols = (y0, y0 + rng.randint(1, 3)), (x0, x0 + parts * rng.randint(1, 4))
    source = RowSource(beat, 128, pitch, tall, apart, dilation, run, step, parts)
    found = bytes_of(source.loads(Piece((0, 1), rows, cols, 200, 40, 13)), beat)
    expected = {
        (200 + (y - y0) * 13 + i - x0, k * run + byte): 128
        + (y * apart + k * dilation) * pitch
        + i // parts * step
        + i % parts * run
        + byte
        for y in range(*rows)
        for i in range(*cols)
        for k in range(tall)
        for byte in range(run)
    }
    assert found == expected


@pytest.mark.parametrize("words", [10, 16383, 16384, 40000])
@pytest.mark.parametrize(("axi_bits", "words_of_a_load"), [(32, 4160), (512, 16383)])
def test_flat_bytes_that_are_no_words_reach_their_lanes(words: int, axi_bits: int, words_of_a_load: int) -> None:
    """63 bytes a word: a LOAD holds 16,383 words, and 65,535 beats, which are fewer words if a beat has four bytes."""
    design = design_of(63, 7, axi_bits)
    beat = design.beat_bytes
    source = FlatSource(words_of(design, Target.ACTIVATION), 63, beat, 64)
    loads = source.loads(Piece((0, words), (0, 1), (0, 1), 9, 1, 1))
    check_fields(np.array(loads))
    at = 0
    for row in loads:
        c = command_of(row)
        assert isinstance(c, Load)
        assert (c.dst_addr, c.dram_addr + c.skip_bytes) == (9 + at, 64 + 63 * at)
        assert c.row_beats * beat >= c.skip_bytes + 63 * c.row_words > (c.row_beats - 1) * beat
        at += c.row_words
    assert at == words
    assert len(loads) == -(-words // words_of_a_load)
