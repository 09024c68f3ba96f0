"""Where the codes of a tensor lie in the accelerator's memory, and what they stand for. Needs numpy."""

from __future__ import annotations

from typing import Any

import numpy as np


def places(place: dict[str, Any]) -> np.ndarray:
    """The byte of each code (channel, y, x) from the tensor's first byte on."""
    channel, y, x = np.indices(place["shape"])
    if place["layout"] == "rows":
        top, left = place["pads"][:2]
        return (y + top) * place["pitch_bytes"] + (x + left) * place["shape"][0] + channel
    word = channel // place["lanes"] * place["plane"] + y * place["row_pitch"] + x
    return word * place["stride_bytes"] + channel % place["lanes"]


def codes_at(memory: bytes, first: int, place: dict[str, Any]) -> np.ndarray:
    """The codes of a tensor in memory that begins at byte `first`."""
    return np.frombuffer(memory, np.int8)[place["offset"] - first + places(place)]


def real_values(codes: np.ndarray, tensor: dict[str, Any]) -> np.ndarray:
    """What codes (channel, y, x) stand for, in the shape that the host's model has without the batch."""
    values = ((codes.astype(np.float64) - tensor["zero_point"]) * tensor["scale"]).astype(np.float32)
    if len(tensor["shape"]) == 2:  # rows of a matrix lie along x
        values = values[:, 0].T
    return values.reshape(tensor["shape"])


def codes_of(values: np.ndarray, tensor: dict[str, Any]) -> np.ndarray:
    """The inverse; values outside the range of the codes saturate."""
    values = values.reshape(tensor["shape"])
    values = values.T[:, None] if values.ndim == 2 else values.reshape(tensor["codes"])
    return np.clip(np.rint(values / tensor["scale"]) + tensor["zero_point"], -128, 127).astype(np.int8)
