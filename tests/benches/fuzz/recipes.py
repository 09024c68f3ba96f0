"""Recipes whose text and fields are changed, applied to a small network.

What is accepted and needs no training must give a network that ONNX Runtime computes as we do, and weights that are
read back as they are.
"""

from __future__ import annotations

import functools
from pathlib import Path
from random import Random

import numpy as np
import yaml

from accel.flow.compress import check_round_trip, resolve
from accel.models.compress import recipe
from accel.models.compress.training_step import Context
from accel.models.exchange import onnx_write
from accel.models.graph import Activation, Conv, Linear, Network, Reshape, build
from accel.models.reference import float32
from accel.models.window import Window
from tests.benches.fuzz.designs import mutate_yaml
from tests.benches.fuzz.mutate import mutate_bytes
from tests.benches.model_networks import onnxruntime_output

GOOD = (
    {"prune": {"density": {"conv": 0.5, "fc": 0.2}, "rounds": 2}},
    {"prune": {"density": 0.3}},
    {"prune": {"threshold": {"fc": 0.8}}},
    {"prune": {"n": 2, "m": 4}},
    {"channels": {"keep": {"conv": 0.5}}},
    {"share": {"bits": 4}},
    {"share": {"bits": {"fc": 3}, "start": "density"}},
    {"grid": {"levels": 5, "rate": {"fc": 0.3}, "per": "output"}},
    {"grid": {"levels": {"conv": 90}, "bias_bits": None}},
    {"tucker": {"ranks": {"conv": [2, 3]}}},
    {"tucker": {"weakening": 0.3, "iterations": 2}},
    {"distil": {"student": "mlp-30", "epochs": 1}},
)
LAST = ({"encode": {"lanes": 2}}, {"arithmetic": {}}, {"huffman": {"index_bits": 4}}, {"huffman": {}}, {"encode": {}})
WELL = {
    "rounds": 4,
    "bits": 8,
    "index_bits": 8,
    "lanes": 9,
    "n": 4,
    "m": 5,
    "iterations": 5,
    "density": 1,
    "levels": 127,
}


@functools.cache
def network() -> Network:
    """A convolution of 8 channels and two fully connected layers on a map of 4 x 6 x 6."""
    draw = np.random.default_rng(0)

    def floats(*shape: int) -> np.ndarray:
        return draw.standard_normal(shape).astype(np.float32)

    layers = (
        Conv("conv", ("x",), "c", floats(8, 4, 3, 3), floats(8), Window((3, 3))),
        Activation("relu", ("c",), "r"),
        Reshape("flat", ("r",), "f", (128,)),
        Linear("fc", ("f",), "h", floats(12, 128), floats(12)),
        Activation("relu2", ("h",), "i"),
        Linear("out", ("i",), "y", floats(5, 12), floats(5)),
    )
    return build("n", "x", (4, 6, 6), layers)


def warm_up() -> None:
    """Everything imported and started once."""
    for step in GOOD[:-1]:
        judge(yaml.safe_dump({"name": "x", "steps": [step, LAST[1]]}).encode(), Random(0), Path("/tmp"))


def make(rng: Random) -> bytes:
    """The bytes of a YAML file."""
    steps = [*rng.choices(GOOD, k=rng.choice((1, 1, 2, 3))), *rng.choice([[], [rng.choice(LAST)]])]
    text = yaml.safe_dump({"name": "drawn", "steps": steps})
    return mutate_bytes(rng, text.encode()) if rng.random() < 0.2 else mutate_yaml(rng, text, WELL)


def judge(content: bytes, rng: Random, folder: Path) -> bool:
    """Read it and apply it. Raises InputError if either refuses."""
    path = folder / "case.yaml"
    path.write_bytes(content)
    chosen = recipe.load(path)
    found = recipe.run(chosen, network(), Context(resolve=lambda name: resolve(0, name)))
    check_round_trip(found.network, found.encoded)
    inputs = np.random.default_rng(rng.getrandbits(32)).standard_normal((2, 4, 6, 6)).astype(np.float32)
    theirs = onnxruntime_output(onnx_write.to_model(found.network), inputs)
    tolerance = 1e-4 * max(float(np.abs(theirs).max()), 1)
    np.testing.assert_allclose(float32.run(found.network, inputs), theirs, rtol=1e-3, atol=tolerance)
    return True
