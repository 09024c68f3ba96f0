"""Words that cover the bytes under a window: each byte once, in the lanes, and as few words and writes as said."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.compiler.covering import Plane, coverings
from accel.compiler.first_layer import unfold
from accel.compiler.geometry import matrix_geometry
from accel.design import load
from accel.models.integers.network import MatrixLayer, Requantise
from accel.models.window import Window


def of_window(planes: tuple[Plane, ...], rows: int) -> list[set[tuple[int, int]]]:
    """(row, byte) of each word of a window, from the docstring of `Plane`."""
    found = []
    for p in planes:
        for word in range(p.words):
            top = p.top + word * p.tall
            found.append({(y, x) for y in range(top, min(rows, top + p.tall)) for x in range(p.first, p.first + p.run)})
    return found


@settings(max_examples=300, deadline=None)
@given(st.integers(1, 60), st.integers(1, 8), st.integers(1, 33), st.integers(1, 4), st.booleans())
def test_every_byte_is_in_one_word(row: int, rows: int, lanes: int, stride: int, shared: bool) -> None:
    found = coverings(row, rows, lanes, stride, shared)
    for planes in found:
        words = of_window(planes, rows)
        assert sum(map(len, words)) == row * rows
        assert set().union(*words) == {(y, x) for y in range(rows) for x in range(row)}
        assert all(p.run * p.tall <= lanes for p in planes)
        for p in planes:  # the word below is that of the window `step` rows below
            assert p.words == 1 or (shared and p.step * stride == p.tall)
    costs = [(sum(p.words for p in planes), sum(p.tall for p in planes)) for planes in found]
    assert costs == sorted(set(costs))
    assert [writes for _, writes in costs] == sorted((writes for _, writes in costs), reverse=True)


def test_known_windows() -> None:
    """SqueezeNet's 3 x 3 of fire2 takes 5 words of 32 instead of 6, its fire6 14 instead of 15; ResNet's conv1 5."""

    def words(row: int, rows: int, stride: int) -> tuple[int, int]:
        planes = coverings(row, rows, 32, stride, True)[0]
        return sum(p.words for p in planes), sum(p.tall for p in planes)

    assert words(3 * 16, 3, 1) == (5, 3)
    assert words(3 * 48, 3, 1) == (14, 6)
    assert words(7 * 3, 7, 2) == (5, 9)
    assert words(11 * 3, 11, 4) == (12, 22)
    assert words(5 * 24, 5, 1) == (19, 13)
    assert coverings(21, 7, 32, 2, True)[0] == (
        Plane(0, 21, 0, 1), Plane(0, 16, 1, 2, words=3, step=1), Plane(16, 5, 1, 6),
    )  # fmt: skip


def test_bytes_that_are_read_again_count() -> None:
    """LeNet-5's first layer on 8 lanes: four words instead of five, if the bus has time for its rows once more."""
    record = Requantise(np.zeros(1, np.int32), np.ones(1, np.uint16), np.zeros(1, np.uint8), 0)
    layer = MatrixLayer("conv", "x", "y", np.ones((20, 1, 5, 5), np.int8), Window((5, 5)), record)
    nano = load("nano")
    slow = nano.model_copy(
        update={"memory": nano.memory.model_copy(update={"axi_bits": 32, "beat_interval_cycles": 4})}
    )
    words = []
    for design in (nano, slow):
        made = unfold(layer, matrix_geometry(layer, (1, 28, 28), None), design, 0, True)
        assert made
        words.append(made.geometry.taps * -(-made.geometry.channels // 8))
    assert words == [4, 5]
