"""Long rows, wide strides and full buffers: whatever a command cannot hold is cut or refused in one line."""

from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from accel.compile import time_network
from accel.design import Design
from accel.models.integers.network import IntegerNetwork
from accel.models.window import Window
from tests.benches.counted import accepted, counted
from tests.benches.layers import SAME, design_of, matrix, max_pool, network_of

LONG = (4095, 4096, 9000, 16384, 65535, 65536, 70000, 140_000)


def draw_network(rng: Random) -> IntegerNetwork:
    """A layer on a map of one to three rows or columns of extreme length."""
    across, short, long = rng.random() < 0.6, rng.randint(1, 3), rng.choice(LONG)

    def pair(small: int, large: int) -> tuple[int, int]:
        return (small, large) if across else (large, small)

    pool = rng.random() < 0.4
    kernel = pair(rng.randint(1, min(2, short)), rng.choice([1, 2, 3, 31, 64, 127]))
    stride = pair(rng.choice([1, 15]), rng.choice([1, 2, 3, 15, 31 if pool else 14]))
    dilation = pair(1, 1 if pool else rng.choice([1, 1, 2, 32]))
    window = Window(kernel, stride, dilation=dilation)
    layer = max_pool(window) if pool else matrix(rng.choice([1, 3, 20]), window, rng.choice([None, [0, 1], [3, 5]]))
    shape = (rng.choice([1, 3, 9]), *pair(short, long))
    return network_of(shape, *([SAME] if rng.random() < 0.5 else []), layer)


def draw_design(rng: Random) -> Design:
    """Few or many words, in narrow or wide beats."""
    rows, cols = rng.choice([1, 4, 8, 63, 64]), rng.choice([1, 4, 32])
    words = rng.choice([200, 5000, 100_000, (1 << 19) - 1])
    return design_of(
        rows, cols, rng.choice([32, 128, 512]), activation_bytes=min(1 << 24, max(64, 2 * rows * words)),
        weight_bytes=cols * rng.choice([2000, 20_000]), accumulator_bytes=8 * cols * rng.choice([64, 16_000]),
    )  # fmt: skip


@counted(10)
@settings(max_examples=15, deadline=None)
@given(st.randoms(use_true_random=False))
def test_extreme_networks_run_or_are_refused_in_one_line(rng: Random) -> None:
    """Every field of every command is checked when a network is timed; nothing but InputError may be raised."""
    assert accepted(time_network, draw_network(rng), draw_design(rng)).cycles > 0
