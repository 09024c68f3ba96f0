"""Designs whose text and fields are changed.

What is accepted must be written and read back the same, and give finite times and energies for a small network, with
outputs that are the reference's.
"""

from __future__ import annotations

import functools
import math
from pathlib import Path
from random import Random

import numpy as np
import yaml

from accel import design
from accel.compile import compile_network
from accel.models.graph import Activation, Conv, Linear, Reshape, build
from accel.models.integers.network import IntegerNetwork
from accel.models.quantisation.quantise import quantise
from accel.models.reference import int8
from accel.models.window import Window
from accel.sim.execute import execute
from accel.sim.result import simulate
from tests.benches.fuzz.mutate import mutate_bytes, mutate_value

FILES = Path(__file__).parents[2] / "data" / "cases"
TAGS = (
    "!!int ''",
    "!!float x",
    "!!bool x",
    "!!timestamp x",
    "!!binary x",
    "!!set {a}",
    "!!python/name:os.system",
    "<<",
)
TEXTS = (
    "&a [*a]",
    "[" * 50,
    "{" * 50,
    '"\\UFFFFFFFF"',
    '"\\ud800"',
    "0x" + "f" * 5000,
    "1:" * 300 + "1",
    "? {a: 1}",
    "~",
)
WELL = {"rows": 9, "cols": 9, "latency_cycles": 300, "beat_interval_cycles": 16, "outstanding_bursts": 64}


@functools.cache
def network() -> IntegerNetwork:
    """A convolution, a ReLU and a fully connected layer on a map of 2 x 5 x 5."""
    draw = np.random.default_rng(0)
    layers = (
        Conv("conv", ("x",), "c", _floats(draw, 3, 2, 3, 3), _floats(draw, 3), Window((3, 3))),
        Activation("relu", ("c",), "r"),
        Reshape("flat", ("r",), "f", (27,)),
        Linear("fc", ("f",), "y", _floats(draw, 4, 27), _floats(draw, 4)),
    )
    return quantise(build("n", "x", (2, 5, 5), layers), _floats(draw, 8, 2, 5, 5))


def _floats(draw: np.random.Generator, *shape: int) -> np.ndarray:
    return draw.standard_normal(shape).astype(np.float32)


def warm_up() -> None:
    """Everything imported and started once."""
    judge(design.load("nano").to_yaml().encode(), Random(0), Path("/tmp"))


def make(rng: Random) -> bytes:
    """The bytes of a YAML file."""
    if rng.random() < 0.1:
        return mutate_bytes(rng, rng.choice(sorted(FILES.glob("*.yaml"))).read_bytes())
    name = rng.choice(design.names())
    text = design.load(name).to_yaml()
    if rng.random() < 0.2:
        return mutate_bytes(rng, text.encode())
    return mutate_yaml(rng, text, WELL)


def mutate_yaml(rng: Random, text: str, well: dict[str, int]) -> bytes:
    """A YAML text with values, lines or tags changed; `well` are fields that take any number up to one."""
    document = yaml.safe_load(text)
    if rng.random() < 0.4:
        for section in [document, *(v for v in document.values() if isinstance(v, dict))]:
            for field in section.keys() & well.keys():
                if rng.random() < 0.5:
                    section[field] = rng.randint(1, well[field])
    else:
        for _ in range(rng.choice((1, 1, 2))):
            document = mutate_value(rng, document)
            if not isinstance(document, dict):
                break
    lines = yaml.dump(document, sort_keys=False, allow_unicode=rng.random() < 0.5).splitlines()
    if rng.random() < 0.25:
        at = rng.randrange(len(lines))
        head = lines[at].split(":")[0]
        lines[at] = rng.choice(
            (f"{head}: {rng.choice(TAGS)}", f"{head}: {rng.choice(TEXTS)}", lines[at] * 2, f"{head}:")
        )
    return "\n".join(lines).encode(errors="surrogatepass")


def judge(content: bytes, rng: Random, folder: Path) -> bool:
    """Read it, and if it is accepted simulate a network on it. Raises InputError if either is refused."""
    path = folder / "case.yaml"
    path.write_bytes(content)
    found = design.load(path)
    assert design.parse(found.to_yaml()) == found
    program = compile_network(network(), found)
    inputs = int8.quantise_input(network(), _floats(np.random.default_rng(rng.getrandbits(32)), 1, 2, 5, 5))
    expected = int8.run(network(), inputs)[network().output]
    np.testing.assert_array_equal(execute(program, inputs).reshape(expected.shape), expected)
    result = simulate(program)
    assert math.isfinite(result.latency_us)
    assert result.latency_us > 0
    return True
