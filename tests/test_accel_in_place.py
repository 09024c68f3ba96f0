"""Pieces of POSTs that write over their operand: the same outputs, and no word is read while it is written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from random import Random
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from accel.commands import ConfigPost, Post
from accel.compiler.in_place import pieces
from accel.design import Design
from accel.latency import output_cycles
from accel.memories import ACTIVATION
from accel.rows import CONFIG_POST, POST, row_of
from tests.benches.layers import design_of

Row = Sequence[int]


class Output(NamedTuple):
    """One chunk of one output pixel: the word and chunk of its first sum or code, of its operand, of itself; record."""

    source: tuple[int, int]
    operand: tuple[int, int]
    place: tuple[int, int]
    record: int


def outputs(design: Design, config: Row, post: Row) -> Iterator[Output]:
    """In the order in which they are made."""
    per_word, per_sums = design.word_lanes // design.lanes, design.cols // design.lanes
    per_source = per_word if post[POST.from_activation] else per_sums
    for q in range(post[POST.chunks]):
        source, target = post[POST.src_chunk] + q, post[POST.dst_chunk] + q
        for oy in range(post[POST.out_h]):
            for ox in range(post[POST.out_w]):
                offset = oy * config[CONFIG_POST.dst_row_pitch] + ox * post[POST.dst_step]
                offset += target // per_word * config[CONFIG_POST.dst_plane]
                word = post[POST.src_addr] + source // per_source * config[CONFIG_POST.src_plane]
                yield Output(
                    (word + oy * config[CONFIG_POST.src_row_step] + ox, source % per_source),
                    (post[POST.res_addr] + offset, target % per_word),
                    (post[POST.dst_addr] + offset, target % per_word),
                    0 if post[POST.uniform] else post[POST.param_addr] + q,
                )


def collisions(design: Design, config: Row, post: Row) -> int:
    """Cycles in which an operand's word is read while another one of its chunks is written."""
    each = config[CONFIG_POST.win_h] * config[CONFIG_POST.win_w] + post[POST.from_activation]
    made = list(outputs(design, config, post))
    later = output_cycles(design, config[CONFIG_POST.table], config[CONFIG_POST.multiply])
    written = {k * each + later: output.place[0] for k, output in enumerate(made)}
    return sum(written.get(k * each) == output.operand[0] for k, output in enumerate(made))


@given(st.randoms(use_true_random=False))
def test_no_word_is_read_while_it_is_written(rng: Random) -> None:
    lanes = rng.choice([1, 2, 4])
    rows, cols = lanes * rng.randint(1, 8), lanes * rng.randint(1, 4)
    design = design_of(rows, cols, lanes=lanes).model_copy(update={"post_multiplier_stages": rng.randint(1, 3)})
    per_word, height, width = rows // lanes, rng.choice([1, 1, 2, 3]), rng.randint(1, 7)
    config = row_of(
        ConfigPost, src_row_step=width, src_plane=height * width, win_h=rng.choice([1, 1, 2]), dst_row_pitch=width,
        dst_plane=height * width, table=rng.randint(0, 1), multiply=rng.randint(0, 1),
    )  # fmt: skip
    from_activation = rng.randint(0, 1)
    base = rng.choice([0, ACTIVATION.bank_words]) + 100
    post = row_of(
        Post, from_activation=from_activation, src_addr=3, residual=1, uniform=rng.randint(0, 1), out_h=height,
        src_chunk=rng.randrange(per_word if from_activation else cols // lanes), out_w=width, dst_addr=base,
        dst_chunk=rng.randrange(per_word), chunks=rng.randint(1, 3 * per_word), param_addr=5, res_addr=base,
    )  # fmt: skip
    made = pieces(design, config, post)
    assert [o for piece in made for o in outputs(design, config, piece)] == list(outputs(design, config, post))
    assert not any(collisions(design, config, piece) for piece in made)
    assert (len(made) > 1) == bool(collisions(design, config, post))
    for before, after in pairwise(made):  # none can be longer
        longer = list(before)
        longer[POST.chunks] += 1
        assert collisions(design, config, longer), after
