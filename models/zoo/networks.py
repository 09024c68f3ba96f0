"""The architectures of the literature by name, as sketches and as networks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from accel.models.errors import InputError
from accel.models.graph import Conv, Linear, Network
from accel.models.parting import parted
from accel.models.zoo import architectures as images
from accel.models.zoo import map_architectures as maps
from accel.models.zoo.sketch import Sketch

ARCHITECTURES: dict[str, Callable[[], Sketch]] = {
    "alexnet": images.alexnet,
    "alexnet-lrn": partial(images.alexnet, lrn=True),
    "alexnet-torchvision": images.alexnet_torchvision,
    "vgg-16": images.vgg16,
    "googlenet": images.googlenet,
    "googlenet-lrn": partial(images.googlenet, caffe=True),
    "squeezenet-1.0": partial(images.squeezenet, 0),
    "squeezenet-1.1": partial(images.squeezenet, 1),
    "resnet-18": partial(images.resnet, 18),
    "resnet-50": partial(images.resnet, 50),
    "mobilenet-v1": images.mobilenet_v1,
    "mobilenet-v2": images.mobilenet_v2,
    "efficientnet-lite0": images.efficientnet_lite0,
    "fcn-32s": partial(maps.fcn, 32),
    "fcn-8s": partial(maps.fcn, 8),
    "segnet": maps.segnet,
    "flownet-s": maps.flownet_s,
    "flownet-c": maps.flownet_c,
}


def sketch(name: str) -> Sketch:
    """The architecture `name`: its nodes, shapes, parameters and multiplications. Raises InputError."""
    if name not in ARCHITECTURES:
        raise InputError(f"architecture must be one of {', '.join(ARCHITECTURES)}, not {name!r}")
    return ARCHITECTURES[name]()


def architecture(name: str, seed: int | None = 0, weights: str | Path | None = None) -> Network:
    """The architecture `name` (one of ARCHITECTURES) with random weights, the same for the same seed.

    Weights are those of `accel.models.build.initial`. Without a seed they are zeros that take no memory, for those who
    want the shapes alone. `weights`: an ONNX file of this architecture, whose weights it has instead.
    What the accelerator does not run of it is the network's `host`, as of a file. Raises InputError for another name,
    a file whose layers have other shapes, and a Blocked if nothing is left for the accelerator.
    """
    of = sketch(name)
    if weights is not None:
        return _from_file(name, parted.read(weights), weights)
    model, values = of.model(None if seed is None else np.random.default_rng(seed))
    return replace(parted.of_model(model, name, values), name=name)


def _from_file(name: str, given: Network, path: str | Path) -> Network:
    """`given` under the architecture's name. Raises InputError if its layers have other shapes."""
    wanted, found = _shapes(architecture(name, seed=None)), _shapes(given)
    for place, (ours, theirs) in enumerate(zip(wanted, found, strict=False), start=1):
        if ours != theirs:
            raise InputError(f"{path}: weights of layer {place} must have shape {ours} as in {name}, not {theirs}")
    if len(wanted) != len(found):
        raise InputError(f"{path}: network must have {len(wanted)} layers with weights as {name}, not {len(found)}")
    return replace(given, name=name)


def _shapes(network: Network) -> list[tuple[int, ...]]:
    return [layer.weights.shape for layer in network.layers if isinstance(layer, Conv | Linear)]
