"""Sparse constants of a .tflite file: the dense array that they stand for.

The values lie in the order of a tree of dimensions, each dense (all its indices) or compressed (segments and indices,
as in CSR). Blocks of some dimensions may follow as dimensions of their own. Source: SparsityParameters in the schema.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tflite

from accel.models.exchange.onnx_reading import Array

VECTORS: dict[int, type] = {1: tflite.Int32Vector, 2: tflite.Uint16Vector, 3: tflite.Uint8Vector}
MOST_VALUES = 2**28


def dense(values: Array, shape: tuple[int, ...], sparsity: Any) -> Array:
    """The array of `shape` that `values` (n,) stand for. Raises ValueError for what does not fit."""
    order = [int(sparsity.TraversalOrder(i)) for i in range(sparsity.TraversalOrderLength())]
    blocked = [int(sparsity.BlockMap(i)) for i in range(sparsity.BlockMapLength())]
    levels = [sparsity.DimMetadata(i) for i in range(sparsity.DimMetadataLength())]
    rank = len(shape)
    if sorted(order) != list(range(rank + len(blocked))) or len(levels) != len(order) or len({*blocked}) < len(blocked):
        raise ValueError("its dimensions must each be stored once")
    if not {*blocked} <= {*range(rank)}:
        raise ValueError("its blocks must be of its dimensions")
    places = np.zeros(1, np.int64)
    found = np.zeros((len(order), 1), np.int64)  # coordinates by dimension, a column a place
    for axis, level in zip(order, levels, strict=True):
        if level.Format() == tflite.DimensionType.DENSE:
            counts = np.full(len(places), level.DenseSize())
            here = np.tile(np.arange(level.DenseSize()), len(places))
            places = np.repeat(places, counts) * level.DenseSize() + here
        else:
            segments, indices = (_vector(level, what) for what in ("Segments", "Indices"))
            counts = segments[places + 1] - segments[places]
            if (counts < 0).any() or counts.sum() > len(values):
                raise ValueError("its segments must follow each other")
            bounds = zip(segments[places], segments[places + 1], strict=True)
            places = np.concatenate([np.arange(begin, end) for begin, end in bounds])
            here = indices[places]
        if len(places) > MOST_VALUES:
            raise ValueError("it has too many values")
        found = np.repeat(found, counts, axis=1)
        found[axis] = here
    if len(places) != len(values):
        raise ValueError(f"it has {len(values)} values, and {len(places)} places for them")
    sizes = {axis: level.DenseSize() for axis, level in zip(order, levels, strict=True)}
    for number, axis in enumerate(blocked):
        found[axis] = found[axis] * sizes[rank + number] + found[rank + number]
    result = np.zeros(shape, values.dtype)
    result[tuple(found[:rank])] = values
    return result


def _vector(level: Any, what: str) -> Array:
    kind = getattr(level, f"Array{what}Type")()
    vector = VECTORS[kind]()
    table = getattr(level, f"Array{what}")()
    vector.Init(table.Bytes, table.Pos)
    return np.asarray(vector.ValuesAsNumpy()).astype(np.int64)
