"""The networks of a space: what each technique, recipe or file makes of the network that is explored."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel import design as designs
from accel.compiler.choose import Formats
from accel.design import Design
from accel.events import Event
from accel.flow import data as data_module
from accel.flow import int8 as int8_files
from accel.flow import simulate
from accel.flow.compress import own_rows
from accel.flow.data import Data
from accel.flow.explore.space import Point, Space
from accel.flow.progress import Advance
from accel.flow.techniques import Technique, find
from accel.models import zoo
from accel.models.encode import integer_file
from accel.models.encode.encoded_layer import FORMATS
from accel.models.errors import InputError
from accel.models.graph import Network, Shape
from accel.models.integers.formats import Word, readable
from accel.models.integers.network import IntegerNetwork
from accel.models.quantisation.method import parse
from accel.models.reference.int8 import quantise_input, stretch_codes

DENSE = "dense"
RECIPES, FILES = (".yaml", ".yml"), (".onnx", ".weights")
AXES, QUANTISATION = ("technique", "recipe"), "quantisation"


@dataclass(frozen=True)
class Candidate:
    """An int8 network, and all of it that no design changes.

    `parts` are its stretches with the inputs of which the first is executed where time depends on it. `products`: of
    these inputs the mean number of products of which neither operand is zero, the same in each systolic array; None if
    it is not known. `fingerprint`: of its files. `runs_as`: how its recipe has hardware read the weights of layers.
    """

    name: str
    network: IntegerNetwork
    stored_bytes: int
    fingerprint: str
    parts: tuple[tuple[IntegerNetwork, NDArray[np.int8]], ...]
    products: int | None
    runs_as: Mapping[str, Word] = field(default_factory=dict)

    def formats(self, point: Point) -> Formats:
        """Those of the space, if it says any, else the recipe's, as far as the point's design can."""
        if "formats" in point.values or not self.runs_as:
            return point.formats
        return readable(self.runs_as, bool(point.design.decoder_lanes))


@dataclass(frozen=True)
class Source:
    """The network that is explored: a float network with its data, or an int8 network from a file."""

    name: str
    data: Data
    float_network: Network | None = None
    integer: IntegerNetwork | None = None


def source(network: str, calibration: str = "", test: str = "", labels: str = "", shape: Shape | None = None) -> Source:
    """NETWORK of the command line. `shape`, and what it raises, as of `zoo.resolve` and `data.resolve`."""
    if Path(network).suffix == int8_files.SUFFIX:
        if test or labels:
            raise InputError(f"--test and --labels must be left out with {network}, whose accuracy is not measured")
        chosen = int8_files.source(network, "")
        given = chosen.data(calibration)
        found = chosen.make(given)
        return Source(found.name, given, integer=found)
    float_network, from_zoo = zoo.resolve(network, input_shape=shape), zoo.trained_on_mnist(network)
    judged = test or ("mnist" if from_zoo else "")
    given = data_module.resolve(float_network, from_zoo, calibration, judged, labels)
    return Source(network if from_zoo else float_network.name, given, float_network)


def names(space: Space) -> tuple[str, ...]:
    """What the space has for the network: techniques, recipes, files; "dense" unless it says something else."""
    found = [one for one in space.axes if one.name in AXES]
    if len(found) > 1:
        raise InputError("technique and recipe must not both be in a space: give the recipes' files as techniques too")
    return found[0].values if found else (DENSE,)


def choices(space: Space) -> tuple[dict[str, str], ...]:
    """The values, by name of axis, on which a candidate depends: one mapping for each candidate. Raises InputError."""
    named = next((one.name for one in space.axes if one.name in AXES), AXES[0])
    methods = next((one.values for one in space.axes if one.name == QUANTISATION), None)
    if methods is None:
        return tuple({named: name} for name in names(space))
    return tuple({named: name, QUANTISATION: method} for name in names(space) for method in methods)


def name_of(values: Mapping[str, Any]) -> str:
    """The candidate's name for a point with these values by name of axis: "dense", or "dense, mse"."""
    name = _technique(values)
    return f"{name}, {values[QUANTISATION]}" if QUANTISATION in values else name


def _technique(values: Mapping[str, Any]) -> str:
    """The technique, recipe or file among them."""
    return next((values[axis] for axis in AXES if axis in values), DENSE)


def candidates(
    source: Source, space: Space, images: Path | None, states: Path, advance: Advance, say: Advance
) -> dict[str, Candidate]:  # fmt: skip
    """The candidates by name (`name_of`). Raises InputError for what a technique or a recipe refuses.

    `images` and `states` as `own_rows` takes them, `advance` is called for each with what is done.
    """
    found = {}
    for values in choices(space):
        name = name_of(values)
        advance(f"{name}: compressing")
        network, formats, runs_as = _network(source, values, images, states, say)
        parts = stretch_codes(network, quantise_input(network, source.data.calibration[: simulate.EXECUTED]))
        content = b"".join(integer_file.to_bytes(part, formats) for part, _ in parts)
        said = json.dumps(dict(runs_as), sort_keys=True).encode() if runs_as else b""
        found[name] = Candidate(
            name, network, len(content), sha256(content + said).hexdigest()[:16], tuple(parts),
            _products(network, source.data, space.bases.values()), runs_as,
        )  # fmt: skip
    return found


def _network(
    source: Source, values: Mapping[str, str], images: Path | None, states: Path, say: Advance
) -> tuple[IntegerNetwork, tuple[str, ...], Mapping[str, Word]]:
    """A candidate's network, the formats that its file may have, and how its recipe has hardware read it."""
    name = _technique(values)
    if QUANTISATION in values and (source.integer is not None or Path(name).suffix == int8_files.SUFFIX):
        file = name if source.integer is None else source.name
        raise InputError(f"quantisation must be left out of a space for {file}, whose weights are int8 already")
    if source.integer is not None or source.float_network is None:
        if name != DENSE or source.integer is None:
            raise InputError(f"technique must be left out of a space for {source.name}, whose weights are int8 already")
        return source.integer, FORMATS, {}
    suffix = Path(name).suffix
    if suffix == int8_files.SUFFIX:
        network = integer_file.load(name)
        _check_ends(name, network, source)
        return network, FORMATS, {}
    technique: Technique
    if suffix in RECIPES or suffix in FILES:
        recipes, files = ([Path(name)], []) if suffix in RECIPES else ([], [Path(name)])
        (technique,) = own_rows(source.float_network, recipes, files, images, states, say)
    else:
        technique = find(name, source.name)
    data = source.data
    method = parse(values[QUANTISATION]) if QUANTISATION in values else data.method
    made = technique.apply(source.float_network, data.calibration, method=method)
    return made, technique.formats, technique.runs_as


def _check_ends(name: str, network: IntegerNetwork, source: Source) -> None:
    """Raise InputError if an int8 file is of a network with another input."""
    given, expected = network.tensors[network.input].shape, source.data.calibration.shape[1:]
    if given != expected:
        raise InputError(f"{name}: input must have the shape {expected} of {source.name}'s, not {given}")


def _products(network: IntegerNetwork, data: Data, bases: Iterable[Design]) -> int | None:
    """Products without a zero operand, counted on the first systolic design on which the network runs."""
    known = (designs.load(name) for name in ("edge", "large"))
    plain = (base.model_copy(update={"decoder_lanes": 0}) for base in bases if not base.is_sparse)
    for design in (*plain, *known):
        try:
            events = simulate.run(network, design, data.calibration).result.events
        except InputError:
            continue
        return events[Event.MACS] - events[Event.MACS_ZERO]
    return None


def accuracy_percent(source: Source, network: IntegerNetwork | None) -> float | None:
    """Of an int8 network, or of the float one; None without test data, or without a float network."""
    if network is not None:
        return data_module.accuracy_percent(network, source.data)
    return data_module.float_accuracy_percent(source.float_network, source.data) if source.float_network else None


def dense(source: Source) -> IntegerNetwork | None:
    """The int8 network that nothing compressed; None without a float network."""
    if source.float_network is None:
        return None
    return find(DENSE).apply(source.float_network, source.data.calibration, method=source.data.method)
