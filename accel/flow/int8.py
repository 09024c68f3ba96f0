"""Int8 networks of the command line: quantised here, from a file of `accel quantise`, or one layer by its sizes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from accel.flow import data
from accel.flow.data import Data
from accel.flow.techniques import find
from accel.models import zoo
from accel.models.encode import integer_file
from accel.models.encode.encoded_layer import FORMATS
from accel.models.errors import InputError, printable
from accel.models.graph import Network, Shape
from accel.models.integers.network import IntegerNetwork
from accel.one_layer import is_layer, parse

SUFFIX = ".int8"


@dataclass(frozen=True)
class Source:
    """A network and how it becomes int8: by a technique, or as it stands in a file; `formats` are those of its file."""

    technique: str
    title: str
    formats: tuple[str, ...]
    data: Callable[[str], Data]  # what it is calibrated on, from the option --calibration
    make: Callable[[Data], IntegerNetwork]
    float_network: Network | None = None


def source(network: str, technique: str, input_shape: Shape | None = None, quantisation: str = "") -> Source:
    """The network as `technique` ("" is dense) makes it int8, or as it stands in a file NAME.int8 or in words.

    `input_shape`: see `zoo.resolve`; `quantisation`: see `data.resolve`.

    Raises InputError for what `find` and `zoo.resolve` refuse, and for a technique with an int8 file.
    """
    if is_layer(network) or Path(network).suffix == SUFFIX:
        for name, option in (("--technique", technique), ("--quantisation", quantisation)):
            if option:
                raise InputError(f"{name} must be left out with {network}, whose weights are int8 codes already")
        found, title = _given(network)
        return Source("as-is", title, FORMATS, lambda given: _inputs(found, given), lambda _: found)
    chosen = find(technique or "dense", network)
    float_network, from_zoo = zoo.resolve(network, input_shape=input_shape), zoo.trained_on_mnist(network)
    return Source(
        chosen.name, chosen.title, chosen.formats,
        lambda given: data.resolve(float_network, from_zoo, given, quantisation=quantisation),
        lambda given: chosen.apply(float_network, given.calibration, method=given.method),
        float_network,
    )  # fmt: skip


def _given(network: str) -> tuple[IntegerNetwork, str]:
    """What is int8 already, and what it is: a layer given by its sizes, or a file."""
    if is_layer(network):
        return parse(network).network(), "random int8 weights"
    return integer_file.load(network), "int8 from a file"


def _inputs(network: IntegerNetwork, path: str) -> Data:
    """Inputs of an int8 network: those of a file, or random ones. Raises InputError."""
    shape = network.tensors[network.input].shape
    if not path:
        inputs = np.random.default_rng(0).standard_normal((data.RANDOM_INPUTS, *shape), np.float32)
        return Data(inputs, None, None, "random inputs")
    inputs = data.inputs_of(path)
    if inputs.ndim != 4 or inputs.shape[1:] != shape or not len(inputs):
        raise InputError(f"{path}: inputs must have shape (n, {', '.join(map(str, shape))}), not {inputs.shape}")
    return Data(inputs, None, None, f"inputs of {printable(Path(path).name)}")


def save(chosen: Source, made: IntegerNetwork, out: Path) -> int:
    """Write what the source made; the bytes of the file. Raises InputError if it cannot be written."""
    integer_file.save(made, out, chosen.formats)
    return out.stat().st_size
