"""What a network is calibrated and measured on: the MNIST that ships, the user's own arrays, or random numbers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models import reference_float, reference_integer, zoo
from models.errors import InputError
from models.graph import Network
from models.integer import IntegerNetwork

Array = NDArray[Any]
RANDOM_INPUTS = 16
MNIST = "mnist"


@dataclass(frozen=True)
class Data:
    """Float inputs (n, *input shape) for calibration and test, labels of the test inputs, and where they come from."""

    calibration: Array
    test: Array | None
    labels: Array | None
    source: str
    warning: str = ""


def resolve(network: Network, from_zoo: bool, calibration: str = "", test: str = "", labels: str = "") -> Data:
    """The data for `network`: what the user names, MNIST for the zoo's networks, else random calibration.

    `calibration` and `test` are .npy files or "mnist" (its images as pixel / 255); `labels` belongs to a test file.

    Raises InputError for a file that is not what it should be, and for labels without test or the reverse.
    """
    if from_zoo:
        calibration, test = calibration or MNIST, test or MNIST
    if bool(labels) != (test not in ("", MNIST)):
        raise InputError(
            f"--labels must go with a --test file, and {f'--test is {test!r}' if test else 'there is no --test'}"
        )
    sources, warning = [], ""
    if calibration == MNIST:
        ranges: Array = zoo.preprocess(zoo.mnist_calibration())
        sources.append(f"calibrated on {len(ranges)} MNIST training images")
    elif calibration:
        ranges = _inputs(network, calibration)
        sources.append(f"calibrated on {len(ranges)} inputs of {Path(calibration).name}")
    else:
        shape = (RANDOM_INPUTS, *network.shapes[network.input])
        ranges = np.random.default_rng(0).standard_normal(shape, np.float32)
        sources.append(f"calibrated on {RANDOM_INPUTS} random inputs")
        warning = (
            f"{network.name} is calibrated on random inputs: cycles and bytes are right, its outputs mean nothing "
            "(give --calibration)"
        )
    if not test:
        return Data(ranges, None, None, sources[0], warning)
    if test == MNIST:
        images, digits = zoo.mnist_test()
        inputs, classes = zoo.preprocess(images), digits
        sources.append(f"accuracy on {len(digits):,} MNIST test images")
    else:
        inputs, classes = _inputs(network, test), _array(labels)
        if classes.dtype.kind not in "iu" or len(classes.shape) < 1 or len(classes) != len(inputs):
            raise InputError(
                f"{labels}: labels must be integers, one for each of the {len(inputs)} test inputs, "
                f"not {classes.dtype} of shape {classes.shape}"
            )
        sources.append(f"accuracy on {len(classes):,} inputs of {Path(test).name}")
    reference_float.check_inputs(network, inputs)
    return Data(ranges, inputs, classes, ", ".join(sources), warning)


def _array(path: str) -> Array:
    """The array in a .npy file. Raises InputError."""
    try:
        found = np.load(path, allow_pickle=False)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from None
    except (ValueError, EOFError):
        found = None
    if not isinstance(found, np.ndarray):
        raise InputError(f"{path} must be a .npy file of numbers, and is damaged or something else")
    return found


def _inputs(network: Network, path: str) -> Array:
    """Finite float inputs of `network` from a .npy file. Raises InputError."""
    found = _array(path)
    if found.dtype.kind != "f":
        raise InputError(f"{path} must hold floats, as the network reads them, not {found.dtype}")
    if not found.size:
        raise InputError(f"{path} must hold at least one input, not none")
    try:
        reference_float.check_inputs(network, found)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    if not np.isfinite(found).all():
        raise InputError(f"{path} must be finite, and holds NaN or Inf")
    return found.astype(np.float32)


def accuracy_percent(network: IntegerNetwork, data: Data) -> float | None:
    """Accuracy of the integer reference on the test inputs, None without any. Raises InputError."""
    if data.test is None or data.labels is None:
        return None
    codes = reference_integer.quantise_input(network, data.test)
    output = reference_integer.run(network, codes)[network.output]
    return _right_percent(network.name, reference_integer.dequantise_output(network, output), data.labels)


def float_accuracy_percent(network: Network, data: Data) -> float | None:
    """As `accuracy_percent`, of the float network."""
    if data.test is None or data.labels is None:
        return None
    return _right_percent(network.name, reference_float.run(network, data.test), data.labels)


def _right_percent(name: str, outputs: Array, labels: Array) -> float:
    chosen = outputs.argmax(1)
    if chosen.shape != labels.shape:
        raise InputError(f"{name}: labels must have the shape {chosen.shape} of the predictions, not {labels.shape}")
    return 100 * int((chosen == labels).sum()) / labels.size
