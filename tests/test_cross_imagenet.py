"""Networks of ImageNet's size, whole on the emitted Verilog: one image of 224 x 224 each, seeded weights.

`pytest -m slow tests/test_cross_imagenet.py`: minutes of one core. The same hardware for all, built once.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from accel.compile import compile_network
from accel.design import load
from accel.models import zoo
from accel.models.quantisation.quantise import quantise
from accel.models.reference.int8 import quantise_input
from accel.timing.recurrence import time_program
from tests.benches.cross import Trial, compare
from tests.benches.verilator import Built, case_of

# Millions of cycles: what g++ takes longer with -O2 (30 s) comes back twice.
OPTIMISE = "-O2"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return Built(load("large"), tmp_path_factory.mktemp("large"), OPTIMISE)


@pytest.mark.slow
@pytest.mark.rtl
@pytest.mark.parametrize("name", ["squeezenet-1.1", "mobilenet-v2", "resnet-18", "efficientnet-lite0"])
def test_an_image_through_the_whole_network(name: str, built: Built) -> None:
    network = zoo.resolve(name)
    assert network.shapes[network.input] == (3, 224, 224)
    images = np.random.default_rng(1).standard_normal((1, 3, 224, 224)).astype(np.float32)
    integer = quantise(network, images)
    codes = quantise_input(integer, images)[0]
    program = compile_network(integer, built.design)
    cycles = time_program(program).cycles
    outcomes = built.run([replace(case_of(program, codes), max_cycles=2 * cycles)])
    compare(program, Trial(built.design, integer, codes, 0), outcomes)
    assert len(np.unique(program.unpack_output(outcomes[0].memory))) > 20
