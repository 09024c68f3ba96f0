"""`accel quantise --noise`: signal to noise behind each layer, and the layer that adds most noise to what it reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console

from accel.flow import tables
from accel.flow.data import Data
from accel.flow.int8 import Source
from accel.flow.tables import Column
from accel.models.errors import InputError
from accel.models.integers.network import IntegerNetwork
from accel.models.quantisation.equalise import SUFFIX, equalised
from accel.models.quantisation.noise import LayerNoise, noise, worst

INPUTS = 32  # on so many calibration inputs the networks are compared


def layers(source: Source, made: IntegerNetwork, data: Data) -> tuple[LayerNoise, ...]:
    """What int8 costs each layer. Raises InputError for a source that has no float network."""
    network = source.float_network
    if network is None:
        raise InputError("--noise must be of a float network: an int8 file has none to compare it to")
    if any(tensor.endswith(SUFFIX) for tensor in made.tensors):
        network = equalised(network, data.calibration)
    return noise(network, made, data.calibration[:INPUTS])


def record(found: Sequence[LayerNoise]) -> dict[str, Any]:
    """For JSON: each layer, and the name of the one to blame (null if none loses anything)."""
    blamed = worst(found)
    return {
        "noise": [asdict(one) | {"added": one.added} for one in found],
        "blamed": blamed.layer if blamed else None,
    }


def _db(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def show(where: Console, found: Sequence[LayerNoise]) -> None:
    """The table, and the layer to blame."""
    columns: tuple[Column[LayerNoise], ...] = (
        Column("layer", "", lambda x: x.layer, left=True),
        Column("to", "", lambda x: x.tensor, left=True),
        Column("reads", "dB", lambda x: _db(x.read_db)),
        Column("gives", "dB", lambda x: _db(x.ratio_db)),
        Column("adds", "% of power", lambda x: "" if x.added is None else f"{100 * x.added:.3f}"),
    )
    tables.show(where, "signal to quantisation noise", columns, found)
    blamed = worst(found)
    if blamed:
        line = f"{blamed.layer} adds most noise: it reads {_db(blamed.read_db)} dB and gives {_db(blamed.ratio_db)} dB"
        where.print(line, highlight=False, markup=False, soft_wrap=True)
