"""What a POST writes in its last cycles is there for the next one behind a CONFIG_POST only: programs keep to it.

The post-process unit reads and writes the activation banks by itself, so no wait orders its own commands. Whatever a
compiler writes, no POST may read a word of which another one has written a chunk since the unit was last drained. What
a LOAD has overwritten since then is not meant: that one has waited until the word was written (test_accel_hazards.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from accel.commands import ConfigPost, Load, Post, Target
from accel.compile import compile_network
from accel.design import Design
from accel.layout import beats_per_word, words_per_beat
from accel.memories import ACTIVATION
from accel.models.integers.network import IntegerNetwork
from accel.models.window import Window
from accel.program import Program, bound
from tests.benches.counted import accepted, counted
from tests.benches.draw import draw_design, draw_inverted, draw_network, draw_sparse_design
from tests.benches.layers import design_of, max_pool, network_of
from tests.benches.wide import draws

Words = set[int]


def grid(first: int, planes: NDArray[np.int64], rows: NDArray[np.int64], cols: NDArray[np.int64]) -> Words:
    """Words at all sums of these."""
    return set((first + planes.reshape(-1, 1, 1) + rows.reshape(-1, 1) + cols).ravel().tolist())


def written(design: Design, c: Post, config: ConfigPost) -> Words:
    """Words of the outputs."""
    chunks = (c.dst_chunk + np.arange(c.chunks)) // (design.word_lanes // design.lanes)
    return grid(
        c.dst_addr, chunks * config.dst_plane, np.arange(c.out_h) * config.dst_row_pitch,
        np.arange(c.out_w) * c.dst_step,
    )  # fmt: skip


def operands(c: Post, design: Design, config: ConfigPost) -> Words:
    """Words of the residual operand, which lies as the outputs do or is one pixel."""
    if not c.residual:
        return set()
    if c.res_plane:  # one pixel
        chunks = (c.dst_chunk + np.arange(c.chunks)) // (design.word_lanes // design.lanes)
        return set((c.res_addr + chunks * c.res_plane).tolist())
    return {word - c.dst_addr + c.res_addr for word in written(design, c, config)}


def sources(c: Post, design: Design, config: ConfigPost) -> Words:
    """Words of the source that lie in the activation banks."""
    if not c.from_activation:
        return set()
    planes = (c.src_chunk + np.arange(c.chunks)) // (design.word_lanes // design.lanes) * config.src_plane
    if c.filter:
        rows = [y for y in range(c.stream_h) if max(c.iy0, 0) + y < config.in_h]
        cols = [x for x in range(c.stream_w) if max(c.ix0, 0) + x < config.in_w]
        return grid(c.src_addr, planes, np.array(rows) * config.src_row_pitch, np.array(cols))
    rows = {
        oy * config.src_row_step + wy * config.src_row_pitch
        for oy in range(c.out_h) for wy in range(config.win_h) if 0 <= c.iy0 + oy * config.stride_y + wy < config.in_h
    }  # fmt: skip
    cols = {
        ox * config.stride_x + wx
        for ox in range(c.out_w) for wx in range(config.win_w) if 0 <= c.ix0 + ox * config.stride_x + wx < config.in_w
    }  # fmt: skip
    # It may lie before the tensor: words count within the bank.
    bank = c.src_addr // ACTIVATION.bank_words * ACTIVATION.bank_words
    found = grid(c.src_addr - bank, planes, np.array(sorted(rows), np.int64), np.array(sorted(cols), np.int64))
    return {bank + word % ACTIVATION.bank_words for word in found}


def loaded(c: Load, design: Design) -> Words:
    """Whole words that a LOAD brings to the activation banks."""
    if c.target != Target.ACTIVATION or c.window:
        return set()
    words = c.row_beats * words_per_beat(design, Target.ACTIVATION) // beats_per_word(design, Target.ACTIVATION)
    return grid(c.dst_addr, np.zeros(1, np.int64), np.arange(c.rows) * c.dst_pitch, np.arange(words))


def undrained(program: Program) -> Iterator[tuple[int, Words]]:
    """POSTs that read what was written since the last CONFIG_POST, and those words."""
    fresh: Words = set()
    for at, (command, config) in enumerate(bound(program.commands)):
        if isinstance(command, ConfigPost):
            fresh = set()
        if isinstance(command, Load):
            fresh -= loaded(command, program.design)
        if isinstance(command, Post):
            assert isinstance(config, ConfigPost)
            read = sources(command, program.design, config) | operands(command, program.design, config)
            if read & fresh:
                yield at, read & fresh
            fresh |= written(program.design, command, config)


@pytest.mark.parametrize("draw", [draw_network, draw_inverted])
def test_no_post_reads_what_the_unit_may_still_write(draw: Callable[[Random], IntegerNetwork]) -> None:
    @counted(draws(40))
    @settings(max_examples=draws(60), deadline=None, database=None)
    @given(st.randoms(use_true_random=False))
    def cases(rng: Random) -> None:
        design = (draw_sparse_design if rng.random() < 0.3 else draw_design)(rng)
        program = accepted(compile_network, draw(rng), design)
        assert list(undrained(program)) == []

    cases()


def test_a_layer_of_the_same_configuration_begins_drained() -> None:
    """Three equal poolings in a row: each reads what the one before has just written."""
    pool = max_pool(Window((3, 3), (1, 1), (1, 1, 1, 1)))
    program = compile_network(network_of((8, 6, 6), pool, pool, pool), design_of(8, 8))
    assert sum(isinstance(command, ConfigPost) for command in program.commands) == 3
    assert list(undrained(program)) == []
