"""Logic synthesis of a core without DRAM: it takes block RAM with initial values, and no more than a small FPGA has.

`pytest -m synth tests/test_synthesis.py`; LeNet-5 takes Yosys some minutes.
"""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from accel.compile import compile_network
from accel.design import load
from accel.models import zoo
from accel.models.quantisation.shared import quantise_compressed
from accel.on_chip import constant_words
from accel.resources import PARTS
from accel.rtl.emit import core_text
from accel.rtl.on_chip import rom_verilog
from tests.benches.synthesis import synthesise

pytestmark = pytest.mark.synth


def ones(words: list[int]) -> int:
    """How many bits are 1."""
    return sum(word.bit_count() for word in words)


@pytest.mark.parametrize(("width", "count"), [(32, 1000), (64, 513), (128, 600)])
def test_constants_become_initial_values(tmp_path: Path, width: int, count: int) -> None:
    """Block RAM, no logic; among its initial values are as many ones as in the words."""
    rng = Random(count)
    words = [rng.getrandbits(width) for _ in range(count)]
    found, block_bits = synthesise(rom_verilog(width, words), "rom", tmp_path)
    assert block_bits == ones(words)
    assert 8 * 2304 * found.bram >= width * count
    assert found.lut < 2 * width


def test_lenet_5_fits_the_block_ram_of_an_ecp5_25f(tmp_path: Path) -> None:
    network = quantise_compressed(zoo.load("lenet-5-deep"), zoo.preprocess(zoo.mnist_calibration()))
    program = compile_network(network, load("core"))
    found, block_bits = synthesise(core_text(program), "accelerator", tmp_path)
    assert block_bits == ones(constant_words(program))
    assert found.bram <= PARTS["ecp5-25f"].bram
    assert found.dsp <= PARTS["ecp5-25f"].dsp
