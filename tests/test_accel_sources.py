"""Where inputs lie in DRAM: pieces of every source as text, and every byte in its lane."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.commands import Load, Target
from accel.compiler.ops import Segment
from accel.compiler.sources import FlatSource, Lanes, Piece, RowSource, Source, WordSource
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
        (  # byte rows: two kernel rows side by side in the lanes, every second input row
            RowSource(16, 1000, 32, 2, 3, (Lanes(0, 0, 9, 0, 0), Lanes(0, 9, 9, 0, 1))),
            Piece((0, 1), (1, 3), (6, 8), 50, 4, 2),
            [
                "Load dram_addr=data+1080 ACTIVATION dst_addr=50 rows=2 dram_pitch=64 dst_pitch=2 window=1 "
                "run=9 step=3 row_words=2 skip_bytes=2",
                "Load dram_addr=data+1112 ACTIVATION dst_addr=50 rows=2 dram_pitch=64 dst_pitch=2 window=1 "
                "run=9 step=3 lane=9 row_words=2 skip_bytes=2",
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
                "skip_bytes=8"
            ],
        ),
    ],
    ids=["whole rows", "whole planes", "columns", "columns of a row", "byte rows", "flat", "flat within a beat"],
)  # fmt: skip
def test_pieces(source: Source, piece: Piece, expected: list[str]) -> None:
    assert text(source, piece) == expected


def test_columns_are_whole_beats() -> None:
    source = WordSource(WORDS, 0, 7, 28)
    assert source.align == 2
    assert [source.columns(cols) for cols in ((0, 1), (1, 2), (3, 6), (6, 7))] == [(0, 2), (0, 2), (2, 6), (6, 7)]
    assert RowSource(16, 0, 32, 1, 3, ()).columns((1, 2)) == (1, 2)


def bytes_of(rows: list[list[int]], beat: int) -> dict[tuple[int, int], int]:
    """(word, lane) -> DRAM byte, from the docstring of LOAD's window mode."""
    found: dict[tuple[int, int], int] = {}
    check_fields(np.array(rows))
    for row in rows:
        c = command_of(row)
        assert isinstance(c, Load)
        assert c.window
        for y in range(c.rows):
            for i in range(c.row_words):
                for k in range(c.run):
                    at = c.skip_bytes + i * c.step + k
                    assert at < c.row_beats * beat
                    key = (c.dst_addr + y * c.dst_pitch + i, c.lane + k)
                    assert key not in found
                    found[key] = c.dram_addr + y * c.dram_pitch + at
    return found


@settings(max_examples=100, deadline=None)
@given(st.randoms(use_true_random=False))
def test_byte_rows_reach_their_lanes(rng: Random) -> None:
    beat, step, row_step, pitch = rng.choice([4, 16, 64]), rng.randint(1, 9), rng.randint(1, 3), 64 * rng.randint(1, 4)
    lanes = [Lanes(0, 0, rng.randint(1, 5), rng.randint(0, 9), 0), Lanes(1, 5, rng.randint(1, 3), rng.randint(0, 9), 1)]
    y0, x0 = rng.randint(0, 5), rng.randint(0, 5)
    rows, cols = (y0, y0 + rng.randint(1, 3)), (x0, x0 + rng.randint(1, 4))
    groups = rng.choice([(0, 1), (1, 2), (0, 2)])
    piece = Piece(groups, rows, cols, 200, 40, 8)
    found = bytes_of(RowSource(beat, 128, pitch, row_step, step, tuple(lanes)).loads(piece), beat)
    expected = {
        (200 + (lane.group - groups[0]) * 40 + (y - y0) * 8 + x - x0, lane.lane + k): 128
        + (y * row_step + lane.row) * pitch
        + x * step
        + lane.start
        + k
        for lane in lanes
        if groups[0] <= lane.group < groups[1]
        for y in range(*rows)
        for x in range(*cols)
        for k in range(lane.run)
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
