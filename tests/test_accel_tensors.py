"""Loading the input as far as it is needed, and storing the output in runs that are worth a command."""

from __future__ import annotations

import pytest

from accel.commands import Target
from accel.compiler.geometry import Geometry
from accel.compiler.ops import Segment, Stream
from accel.compiler.output_storer import OutputStorer
from accel.compiler.plan import Place, Region
from accel.compiler.tensors import InputLoader, View, residual_loads, stores, view_of, word_source
from accel.compiler.text import command_text, log_text
from accel.compiler.transfers import words_of
from accel.layout import WordTensor
from tests.benches.layers import design_of

DESIGN = design_of(8, 8, 128, latency=2)  # two words a beat; sixteen words are worth a STORE
WORDS = words_of(DESIGN, Target.ACTIVATION)


def place(channels: int, height: int, width: int, pitch: int | None = None) -> Place:
    pitch = pitch or width
    layout = WordTensor(channels, height, width, pitch, height * pitch)
    return Place(layout, Region(1, 10, layout.words(8)), 320)


def geometry(tensor: Place) -> Geometry:
    """A step that makes the tensor pixel by pixel."""
    size = (tensor.layout.height, tensor.layout.width)
    return Geometry(tensor.layout.channels, (1, 1), (1, 1), (1, 1), (0, 0), False, *size, *size)


def stream() -> Stream:
    made = Stream(DESIGN, 1000)
    made.new_layer(0)
    return made


def test_addresses() -> None:
    view = View(1, 10, 6, 24, 2, 1, 3)
    assert view.address(2, 1, 3) == 10
    assert view.address(3, 3, 2) == 10 + 24 + 12 - 1
    assert view.at(2, 1, 4) == (1 << 19) + 11
    assert view.around(2, 0, 0) == (1 << 19) + 10 - 6 - 3
    assert view._replace(word=2).around(2, 0, 3) == (2 << 19) - 4  # before the bank's first word: modulo the bank
    assert view_of(place(8, 4, 6), flat=False) == View(1, 10, 6, 24)
    assert view_of(place(8, 4, 6), flat=True) == View(1, 10, 24, 24)


def test_the_input_comes_as_it_is_needed() -> None:
    made, tensor = stream(), place(16, 4, 6)
    loader = InputLoader(made, word_source(WORDS, tensor, True), tensor, 8, 2, by_rows=False)
    assert [loader.need(end) for end in (3, 4, 12, 1, 24, 24)] == [0, 0, 1, 1, 2, 2]
    assert loader.need_all() == 2
    assert log_text(made.finish()) == (
        "0 item 0   Load dram_addr=data+320 ACTIVATION dst_addr=524298 row_beats=2 rows=2 dram_pitch=192 dst_pitch=24\n"
        "0 item 1   Load dram_addr=data+352 ACTIVATION dst_addr=524302 row_beats=4 rows=2 dram_pitch=192 dst_pitch=24\n"
        "0 item 2   Load dram_addr=data+416 ACTIVATION dst_addr=524310 row_beats=6 rows=2 dram_pitch=192 dst_pitch=24"
    )


def test_channel_groups_come_as_they_are_needed() -> None:
    """An item may be older than the last one: what brings a group is found again, whatever came since."""
    made, tensor = stream(), place(32, 4, 6)
    loader = InputLoader(made, word_source(WORDS, tensor, True), tensor, 8, 2, by_rows=False)
    needs = ((12, (0, 1)), (12, (1, 3)), (12, (0, 1)), (24, (0, 2)), (12, (0, 4)), (24, (2, 4)), (24, (0, 4)))
    assert [loader.need(*need) for need in needs] == [0, 1, 0, 2, 3, 4, 4]
    assert loader.need_all() == 4
    assert log_text(made.finish()) == (
        "0 item 0   Load dram_addr=data+320 ACTIVATION dst_addr=524298 row_beats=6\n"
        "0 item 1   Load dram_addr=data+512 ACTIVATION dst_addr=524322 row_beats=6 rows=2 dram_pitch=192 dst_pitch=24\n"
        "0 item 2   Load dram_addr=data+416 ACTIVATION dst_addr=524310 row_beats=6 rows=2 dram_pitch=192 dst_pitch=24\n"
        "0 item 3   Load dram_addr=data+896 ACTIVATION dst_addr=524370 row_beats=6\n"
        "0 item 4   Load dram_addr=data+800 ACTIVATION dst_addr=524358 row_beats=6 rows=2 dram_pitch=192 dst_pitch=24"
    )


def test_planes_that_do_not_end_with_a_beat_come_at_once() -> None:
    made, tensor = stream(), place(16, 1, 7)
    loader = InputLoader(made, word_source(WORDS, tensor, True), tensor, 8, 2, by_rows=False)
    assert [loader.need(1), loader.need(7)] == [0, 0]
    assert log_text(made.finish()) == ("0 item 0   Load dram_addr=data+320 ACTIVATION dst_addr=524298 row_beats=7")


def test_unfolded_inputs_come_in_whole_rows() -> None:
    made, tensor = stream(), place(8, 4, 6)
    loader = InputLoader(made, word_source(WORDS, tensor, False), tensor, 8, 2, by_rows=True)
    assert [loader.need(end) for end in (1, 6, 7, 24)] == [0, 0, 1, 2]
    assert log_text(made.finish()).count("\n") == 2


@pytest.mark.parametrize(
    ("flat", "rows", "cols", "expected"),
    [
        (False, (0, 4), (0, 6), ["Store dram_addr=data+320 src_addr=524298 row_words=48"]),
        (
            False, (1, 3), (0, 6),
            ["Store dram_addr=data+368 src_addr=524304 row_words=12 rows=2 dram_pitch=192 src_pitch=24"],
        ),
        (
            False, (1, 3), (2, 5),  # the end is rounded up to a beat
            [
                "Store dram_addr=data+384 src_addr=524306 row_words=4 rows=2 dram_pitch=48 src_pitch=6",
                "Store dram_addr=data+576 src_addr=524330 row_words=4 rows=2 dram_pitch=48 src_pitch=6",
            ],
        ),
        (
            True, (0, 1), (4, 9),
            ["Store dram_addr=data+352 src_addr=524302 row_words=6 rows=2 dram_pitch=192 src_pitch=24"],
        ),
    ],
)  # fmt: skip
def test_stores(flat: bool, rows: tuple[int, int], cols: tuple[int, int], expected: list[str]) -> None:
    tensor = place(16, 4, 6)
    found = stores(WORDS, tensor, flat, view_of(tensor, flat), (0, 2), rows, cols)
    assert [command_text(row, Segment.DATA) for row in found] == expected


def storer(made: Stream, tensor: Place) -> OutputStorer:
    return OutputStorer(made, WORDS, tensor, False, 8, None, geometry(tensor))


def test_rows_are_stored_when_enough_is_complete() -> None:
    """Twelve words are not worth a STORE, eighteen are; the rest goes at the end."""
    made = stream()
    out = storer(made, place(8, 5, 6))
    for row in range(5):
        out.done((0, 1), (row, row + 1), (0, 6))
    assert log_text(made.finish()) == "0 -        Store dram_addr=data+320 src_addr=524298 row_words=18"
    out.finish()
    assert log_text(made.finish()).splitlines()[1:] == [
        "0 -        Store dram_addr=data+464 src_addr=524316 row_words=12"
    ]


def test_groups_that_follow_each_other_are_one_store() -> None:
    made = stream()
    out = storer(made, place(24, 1, 6))
    for group in range(3):
        out.done((group, group + 1), (0, 1), (0, 6))
    assert log_text(made.finish()) == "0 -        Store dram_addr=data+320 src_addr=524298 row_words=18"


def test_rows_that_do_not_begin_with_beats_are_stored_at_the_end() -> None:
    made = stream()
    out = storer(made, place(8, 4, 5))
    out.done((0, 1), (0, 4), (0, 5))
    assert len(made.finish().rows) == 0
    out.finish()
    assert log_text(made.finish()) == "0 -        Store dram_addr=data+320 src_addr=524298 row_words=20"


def test_pieces_of_rows_are_stored_at_once() -> None:
    made = stream()
    out = storer(made, place(8, 4, 6))
    out.done((0, 1), (0, 2), (0, 4))
    out.done((0, 0), (2, 4), (0, 6))  # no group is complete
    assert log_text(made.finish()) == (
        "0 -        Store dram_addr=data+320 src_addr=524298 row_words=4 rows=2 dram_pitch=48 src_pitch=6"
    )


def test_what_is_added_comes_to_the_place_of_the_sum() -> None:
    tensor = place(16, 4, 6)
    found = residual_loads(WORDS, tensor, False, View(0, 100, 4, 8, 0, 1, 2), (0, 1), (1, 3), (2, 6))
    assert [command_text(row, Segment.DATA) for row in found] == [
        "Load dram_addr=data+384 ACTIVATION dst_addr=100 row_beats=2 rows=2 dram_pitch=48 dst_pitch=4"
    ]
