"""Digests of what a training begins with, so that a run that is resumed or read back is known to be the same one."""

from __future__ import annotations

from hashlib import sha256

from models.graph import Conv, Linear, Network
from models.images import ImageSet

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


def of_training_images(data: ImageSet) -> str:
    """Sixteen hex digits of the training images and their labels."""
    digest = sha256(repr(data.train_images.shape).encode())
    digest.update(data.train_images.tobytes())
    digest.update(data.train_labels.tobytes())
    return digest.hexdigest()[:DIGITS]


def of_settings(*settings: object) -> str:
    """Sixteen hex digits of the settings' `repr`."""
    return sha256(repr(settings).encode()).hexdigest()[:DIGITS]
