"""What compiling ends in, as text: the order of commands, their fetches, waits and addresses, of two small networks.

When a text changes, read what changed: `python -m tests.test_accel_schedule_text` writes the texts as they are now.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from accel.compile import compile_network
from accel.models.reference.int8 import run
from accel.models.window import Window
from accel.program import Program
from accel.sim.execute import execute
from tests.benches.layers import SAME, design_of, matrix, max_pool, network_of

FOLDER = Path(__file__).parent / "data" / "programs"
SQUARE = Window((3, 3), (1, 1), (1, 1, 1, 1))
CASES = {
    # A convolution and the pooling that it takes along, in two strips: the second one's rows come while the first runs.
    "pooled": (network_of((2, 4, 4), matrix(2, SQUARE), max_pool(Window((2, 2), (2, 2)))), design_of(2, 2, 64)),
    # Banks of 20 words for maps of 36: the tensor between the layers goes to DRAM, and comes back twice.
    "spilled": (
        network_of((4, 6, 6), SAME, matrix(4, Window((1, 1)), residual="layer0:out")),
        design_of(4, 4, 64, activation_bytes=2 * 4 * 20),
    ),
}


def compiled(name: str) -> Program:
    network, design = CASES[name]
    return compile_network(network, design)


@pytest.mark.parametrize("name", CASES)
def test_a_program_is_the_text_that_was_read(name: str) -> None:
    program, (network, _) = compiled(name), CASES[name]
    assert program.text() == (FOLDER / f"{name}.txt").read_text(encoding="utf-8")
    codes = np.random.default_rng(1).integers(-128, 128, (1, *network.tensors[network.input].shape)).astype(np.int8)
    np.testing.assert_array_equal(execute(program, codes), run(network, codes)[network.output])


if __name__ == "__main__":
    for each in CASES:
        (FOLDER / f"{each}.txt").write_text(compiled(each).text(), encoding="utf-8")
