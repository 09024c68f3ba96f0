"""How well outputs agree with labels: the share of right classes, or how much of values' variance is explained."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel.models.errors import InputError
from accel.models.graph import Shape, channel_axis

Array = NDArray[Any]


def check(name: str, shape: Shape, labels: Array) -> None:
    """Raise InputError unless `labels` are for outputs of `shape` of the network `name`: see `percent`."""
    if labels.dtype.kind == "f":
        if labels.shape[1:] != shape:
            raise InputError(f"{name}: values to learn must have the output's shape {shape}, not {labels.shape[1:]}")
        return
    if labels.ndim == 1:
        classes = math.prod(shape)
    else:
        classes, places = classes_and_places(shape)
        if labels.shape[1:] != places:
            raise InputError(f"{name}: labels must be a class, or one for each place {places}, not {labels.shape[1:]}")
    low, high = int(labels.min(initial=0)), int(labels.max(initial=0))
    if low < 0:
        raise InputError(f"{name}: labels must be classes from 0 on, not {low}")
    if high >= classes:
        raise InputError(f"{name}: output must have a value for each of {high + 1} classes, not {classes}")


def classes_and_places(shape: Shape) -> tuple[int, Shape]:
    """How many classes an output of `shape` has values for, and the shape of the places that have one each."""
    at = channel_axis(shape)
    return shape[at], (*shape[:at], *shape[at + 1 :])


def values(labels: Array, shape: Shape) -> Array | None:
    """Labels that are as outputs of `shape`, or flat, or with other dimensions of 1, as (n, *shape); else None."""
    if not labels.ndim or labels.size != len(labels) * math.prod(shape):
        return None
    ours, theirs = (tuple(x for x in one if x != 1) for one in (labels.shape[1:], shape))
    if ours != theirs and (len(ours) > 1 or labels.ndim == 1):
        return None  # the same numbers in another order, as with channels last
    return labels.reshape(len(labels), *shape)


def from_one_hot(labels: Array, shape: Shape) -> Array | None:
    """The classes that labels say by a single 1 among zeros, of several classes an output has values for; else None.

    One for each input, or place. Nobody means values by such numbers: they would be judged by their variance.
    """
    held = values(labels, shape) if labels.dtype.kind in "iubf" else None
    at = channel_axis(shape)
    if held is None or not len(held) or shape[at] < 2:
        return None
    ones = held == 1
    if not ((ones.sum(1 + at) == 1).all() and ((held == 0) | ones).all()):
        return None
    return classes_at(held)


def classes_at(outputs: Array) -> Array:
    """The class of the largest of outputs (n, *shape), for each input or place."""
    found = outputs.argmax(1 + channel_axis(outputs.shape[1:]))
    return found.ravel() if found[:1].size == 1 else found


def by_class(outputs: Any, labels: Array) -> Any:
    """Outputs (n, *shape), of numpy or torch, with the classes along axis 1 and the labels' places behind it."""
    if labels.ndim == 1:
        return outputs.reshape(len(outputs), -1)
    return outputs.swapaxes(1, 2) if outputs.ndim == 3 else outputs


def percent(outputs: Array, labels: Array) -> float:
    """How well `outputs` (n, *shape) agree with `labels`, at most 100.

    Classes, integers (n,) or (n, *places): the share of places where the largest value is the label's. Values,
    floats (n, *shape): the share of their variance about each element's mean that the outputs explain (R squared).
    """
    if labels.dtype.kind != "f":
        return 100 * float((by_class(outputs, labels).argmax(1) == labels).mean())
    wanted = labels.astype(np.float64)
    error = float(np.square(outputs.reshape(wanted.shape) - wanted).sum())
    variance = float(np.square(wanted - wanted.mean(0)).sum())
    return 100 * (1 - error / variance) if variance else 100.0 * (error == 0)
