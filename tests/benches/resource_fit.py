"""The fit of `accel.resources.predict` on the table of synthesis runs: for each piece, coefficients of its features.

Least squares of relative errors with coefficients that are not negative, since no feature makes hardware smaller.
"""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Any

import numpy as np
from scipy.optimize import nnls

from accel.models.errors import InputError
from accel.resources.features import FEATURES, Sizes, label
from accel.resources.memory import blocks_and_registers
from accel.resources.predict import ram_features
from accel.synthesis.components import component
from tests.benches.resource_designs import DESIGNS


def fit(table: dict[str, Any], names: list[str]) -> dict[str, Any]:
    """The coefficients, from the rows of these names. Raises InputError for a piece that nothing is known of."""
    by_name = {design.name: design for design, _ in DESIGNS}
    rows: dict[str, list[tuple[tuple[float, ...], int, int]]] = defaultdict(list)
    components: dict[str, str] = {}
    unknown: dict[str, str] = {}
    for name in names:
        row, design = table["runs"][name], by_name[name]
        merged: dict[str, list[int]] = {}
        for piece, (lut, ff, _, _) in row["pieces"].items():
            if piece != "ram":
                key = label(design, piece)
                old = merged.get(key, [0, 0])
                merged[key] = [old[0] + lut, old[1] + ff]
                components[key] = component(tuple(piece.split("/")) if piece else ())
        for key, (lut, ff) in merged.items():
            if key in FEATURES:
                rows[key].append((FEATURES[key](Sizes(design)), lut, ff))
            elif lut or ff:
                unknown[key] = f"{key!r} ({lut} LUTs, {ff} registers in {name})"
    if unknown:
        raise InputError(f"pieces must be named in accel/resources/features.py: {', '.join(unknown.values())}")
    pieces = {
        key: [components[key], *(solve([r[0] for r in found], [r[k] for r in found]) for k in (1, 2))]
        for key, found in sorted(rows.items())
    }
    shapes = {name: [int(n) for n in re.findall(r"[a-z](\d+)", name)] for name in table["rams"]}
    memories = [((bits, words, lanes), table["rams"][name][0]) for name, (words, lanes, bits) in shapes.items()]
    logic = [lut - blocks_and_registers(*shape)[2] for shape, lut in memories]
    return {"pieces": pieces, "ram": solve([ram_features(*shape) for shape, _ in memories], logic)}


def solve(features: list[tuple[float, ...]], amounts: list[int]) -> list[float]:
    """Coefficients of the features, the first ones alone if amounts are few; errors count in parts of the amount.

    A module that several designs have counts once.
    """
    known = len(once := dict.fromkeys(zip(features, amounts, strict=True)))
    features, amounts = [each for each, _ in once], [amount for _, amount in once]
    weights = 1 / np.maximum(np.array(amounts, float), 8)
    matrix = np.array(features, float)[:, :known] * weights[:, None]
    scale = np.maximum(np.abs(matrix).max(axis=0), 1e-12)
    found, _ = nnls(matrix / scale, np.array(amounts) * weights)
    rest = [0.0] * (len(features[0]) - len(found))
    return [round(float(value), 4) for value in found / scale] + rest
