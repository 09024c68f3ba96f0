"""Digests of what a training begins with, so that a run that is resumed or read back is known to be the same one."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from numpy.typing import NDArray

from accel.models.graph import Conv, Linear, Network

DIGITS = 16


def of_networks(*networks: Network) -> str:
    """Sixteen hex digits of the names, weights and biases of all layers."""
    digest = sha256()
    for network in networks:
        for layer in network.layers:
            digest.update(repr((layer.name, type(layer).__name__, layer.inputs)).encode())
            if isinstance(layer, Conv | Linear):
                digest.update(layer.weights.tobytes() + layer.bias.tobytes())
    return digest.hexdigest()[:DIGITS]


def of_images(images: NDArray[Any], labels: NDArray[Any]) -> str:
    """Sixteen hex digits of images and their labels."""
    digest = sha256(repr(images.shape).encode())
    digest.update(images.tobytes())
    digest.update(labels.tobytes())
    return digest.hexdigest()[:DIGITS]


def of_settings(*settings: object) -> str:
    """Sixteen hex digits of the settings' `repr`."""
    return sha256(repr(settings).encode()).hexdigest()[:DIGITS]
