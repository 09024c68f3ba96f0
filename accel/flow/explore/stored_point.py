"""A point out of a storage: the network and the design that it is, for `accel emit --point`."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

from accel.compiler.choose import Formats
from accel.design import Design
from accel.flow.explore import candidates as networks
from accel.flow.explore.axes import Axis
from accel.flow.explore.candidates import Source
from accel.flow.explore.space import Space
from accel.flow.explore.storage import opened
from accel.flow.progress import silent
from accel.flow.sources import version
from accel.models.errors import InputError
from accel.models.integers.network import IntegerNetwork


@dataclass(frozen=True)
class StoredPoint:
    """What is emitted for a point."""

    network: IntegerNetwork
    design: Design
    formats: Formats


def load(path: Path, source: Source, number: int) -> StoredPoint:
    """The point of that number in the storage at `path`, of the network `source`.

    Raises InputError for a storage that is none or of something else, and for a point that is not in it or cannot be.
    """
    with opened(path, new=False) as storage:
        about, outcome = storage.about(), storage.outcome(number)
    if not about:
        raise InputError(f"storage {path} must be a file that accel explore wrote, and has nothing in it")
    if about["network"] != source.name:
        raise InputError(f"storage {path} holds points of {about['network']}, not of {source.name}")
    if about["version of accel"] != version():
        raise InputError(
            f"storage {path} holds points of another version of accel, {about['version of accel']}, whose programs may "
            f"be others, not of {version()}: explore again, or emit with that version"
        )
    axes = tuple(Axis(name, tuple(values)) for name, values in json.loads(about["space"]).items())
    bases = {name: Design.model_validate(values) for name, values in json.loads(about["base design"]).items()}
    space = Space(next(iter(bases)), axes, bases=bases)
    if not 0 <= number < space.size:
        raise InputError(f"--point must be 0..{space.size - 1}, not {number}")
    if outcome is None:
        raise InputError(f"point {number} is not in {path}: it was not explored")
    if not outcome.metrics:
        raise InputError(f"point {number} cannot be emitted: {outcome.reason}")
    one = tuple(replace(axis, values=(value,)) for axis, value in zip(axes, space.values(number).values(), strict=True))
    (made,) = networks.candidates(
        source, replace(space, axes=one), None, path.with_suffix(".recipes"), silent, silent
    ).values()  # fmt: skip
    if made.fingerprint != json.loads(about["weights"])[made.name]:
        raise InputError(
            f"storage {path} holds points of other weights of {source.name}, {made.name}: "
            "the file or its calibration has changed"
        )
    point = space.point(number)
    return StoredPoint(made.network, point.design, made.formats(point))
