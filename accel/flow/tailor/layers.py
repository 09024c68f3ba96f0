"""What became of each layer in int8: its weights, how the file holds them, and how the design reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from rich.console import Console

from accel.flow import tables
from accel.flow.tables import Column
from accel.models.encode.choose import INT8_BITS
from accel.models.encode.stored import stored_layers
from accel.models.integers.formats import Word
from accel.models.integers.network import IntegerNetwork, MatrixLayer


@dataclass(frozen=True)
class LayerRecord:
    """A layer with weights.

    `values`: different weights. `bits`: of an index into its codebook, 8 without one. `stored_as`: the format of the
    int8 file that takes fewest bytes, and these with its records. `runs_as`: the word for how the design reads it.
    """

    name: str
    weights: int
    density: float
    values: int
    bits: int
    stored_as: str
    stored_bytes: int
    runs_as: Word


def layer_records(network: IntegerNetwork, formats: Mapping[str, Word]) -> tuple[LayerRecord, ...]:
    """Of an int8 network, whose layers are read in `formats`; those that it does not name as they are: plain."""
    stored = stored_layers(network)
    return tuple(
        LayerRecord(
            layer.name,
            layer.weights.size,
            float(np.count_nonzero(layer.weights) / layer.weights.size),
            len(np.unique(layer.weights)),
            layer.shared.bits if layer.shared else INT8_BITS,
            *stored[layer.name],
            formats.get(layer.name, "plain"),
        )
        for layer in network.layers
        if isinstance(layer, MatrixLayer)
    )


COLUMNS: tuple[Column[LayerRecord], ...] = (
    Column("layer", "", lambda x: x.name, left=True),
    Column("weights", "", lambda x: f"{x.weights:,}"),
    Column("density", "%", lambda x: f"{100 * x.density:.1f}"),
    Column("values", "", lambda x: f"{x.values}"),
    Column("bits", "", lambda x: f"{x.bits}"),
    Column("stored as", "", lambda x: x.stored_as, left=True),
    Column("stored", "bytes", lambda x: f"{x.stored_bytes:,}"),
    Column("runs as", "", lambda x: x.runs_as, left=True),
)


def show(where: Console, design: str, records: Sequence[LayerRecord]) -> None:
    """A table with a row for each layer."""
    tables.show(where, f"in int8 on {design}", COLUMNS, records)
