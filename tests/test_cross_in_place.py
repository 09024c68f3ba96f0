"""Sums that a POST writes over its operand, at every distance between the chunks of a word.

A word has three chunks here, a tile of the array two. A chunk is written `output_cycles` after its operand was read;
chunks of maps whose pixels divide that time would be written in the very cycle in which a later chunk of the same word
is read. The benches' memories give random bits for what is read while it is written.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from accel.commands import Post
from accel.compile import compile_network
from accel.compiler import memory_plan
from accel.compiler.plan import Region
from accel.compiler.residency import Regions, Residency
from accel.latency import post_cycles, table_cycles
from accel.models.integers.network import IntegerNetwork
from accel.models.window import Window
from tests.benches.cross import Trial, check
from tests.benches.layers import add, design_of, matrix, network_of
from tests.benches.verilator import Built

ONE = Window((1, 1))
TABLE = np.arange(-128, 128).astype(np.int8)[::-1].copy()


@pytest.fixture
def over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sums are written over their operand also where there is room beside it, and where that is estimated slower."""
    beside = Residency._region

    def region(self: Residency, name: str, regions: Regions) -> Region | None:
        return self._over_operand(name, regions) or beside(self, name, regions)

    monkeypatch.setattr(Residency, "_region", region)
    monkeypatch.setattr(memory_plan, "WORTH", 1e9)


def added(pixels: int, kind: str) -> IntegerNetwork:
    """The input of a convolution of one pixel is added to what it makes: by another one, or by POST alone."""
    record = {"table": TABLE} if kind == "table" else {}
    sums = add("x") if kind == "by post" else matrix(7, ONE, residual="x", **record)
    return network_of((7, 1, pixels), matrix(7, ONE), sums)


@pytest.mark.rtl
@pytest.mark.usefixtures("over")
def test_an_operand_is_read_while_other_chunks_of_its_word_are_written(tmp_path: Path) -> None:
    design = design_of(6, 4, axi_bits=64, lanes=2, activation_bytes=1 << 12, weight_bytes=1 << 12)
    built, distances = Built(design, tmp_path), set()
    for pixels in range(1, post_cycles(design) + 2):
        for kind in ("plain", "table", "by post"):
            network = added(pixels, kind)
            program = compile_network(network, design)
            *_, post = (command for command in program.commands if isinstance(command, Post))
            assert (post.residual, post.res_addr) == (1, post.dst_addr)
            behind = post_cycles(design) + table_cycles(design) * int(kind == "table")
            passing = pixels * (1 + post.from_activation)  # cycles of a chunk
            distances.add(behind // passing if behind % passing == 0 else 0)
            codes = np.random.default_rng(pixels).integers(-128, 128, (7, 1, pixels)).astype(np.int8)
            check(built, Trial(design, network, codes, pixels), program)
    assert {1, 2} <= distances  # a word has three chunks: one or two further on
