"""What a network is calibrated and measured on: the MNIST that ships, the user's own arrays, or random numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel.models import entry, zoo
from accel.models.errors import InputError, printable
from accel.models.graph import Network, Softmax
from accel.models.host import Host, HostPart
from accel.models.integers.network import IntegerNetwork
from accel.models.quantisation.method import DEFAULT, Method, parse
from accel.models.quantisation.quantise import without_scale
from accel.models.reference import float32, int8
from accel.models.training import judge
from accel.models.training.images import floats
from accel.models.training.own_data import array
from accel.models.training.pixels import UNIT, Pixels, check_type

__all__ = ["Data", "resolve"]

Array = NDArray[Any]
RANDOM_INPUTS = 16
MOST_RANDOM = 2**24  # values of a tensor for all random inputs
MNIST = "mnist"
MOST_NAMES = 4  # of nodes in a line about the host


@dataclass(frozen=True)
class Data:
    """Float inputs (n, *input shape) for calibration and test, labels of the test inputs, and where they come from.

    The inputs are the accelerator's: what the host runs before it has been run. `host` is what it runs behind it.
    `method`: how the network becomes int8 on them. `before_tail`: the labels are those of the accelerator's output, as
    what is learnt has them, so that they judge it before the host's tail runs.
    """

    calibration: Array
    test: Array | None
    labels: Array | None
    source: str
    warning: str = ""
    host: Host | None = None
    output_shapes: tuple[tuple[int, ...], ...] = ()
    method: Method = DEFAULT
    before_tail: bool = False

    @property
    def tail(self) -> HostPart | None:
        """What the host runs between the accelerator's outputs and the labels."""
        return self.host.tail if self.host and not self.before_tail else None

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of any result must know."""
        return ((self.warning,) if self.warning else ()) + host_notes(self.host)

    def test_codes(self, network: IntegerNetwork) -> Array:
        """The test inputs as an int8 network takes them; those of one quantisation are kept for the next network."""
        assert self.test is not None
        key = repr(network.tensors[network.input])
        if key not in self._codes:
            self._codes.clear()
            self._codes[key] = int8.quantise_input(network, self.test)
        return self._codes[key]

    @cached_property
    def _codes(self) -> dict[str, Array]:
        return {}


def host_notes(host: Host | None) -> tuple[str, ...]:
    """A line for each part of a network that the host runs: what it is, its share of the MACs and what crosses."""
    if host is None:
        return ()
    return tuple(
        f"the host runs {_few(part.nodes)} {where} the accelerator: "
        f"{100 * part.macs / max(host.macs, 1):.1f} % of the network's MACs, {part.values:,} bytes cross"
        for where, part in host.parts
    )


def _few(names: Sequence[str]) -> str:
    more = len(names) - MOST_NAMES
    return ", ".join(names[:MOST_NAMES]) + (f" and {more} more nodes" if more > 0 else "")


def resolve(
    network: Network,
    from_zoo: bool,
    calibration: str = "",
    test: str = "",
    labels: str = "",
    quantisation: str = "",
    pixels: Pixels = UNIT,
    learns: bool = False,
) -> Data:
    """The data for `network`: what the user names, else for calibration MNIST (the zoo's networks) or random numbers.

    `calibration` and `test` are .npy files of floats, or if `pixels` are not pixel / 255, of uint8 with channels first
    or last, or "mnist", whose images are read as `pixels` says; `learns`: other images are read so as well. `labels`
    belongs to a test file and holds classes, or values of the output's shape (floats) that it should predict;
    `quantisation` is in the words of `accel.models.quantisation.method`.

    Raises InputError for a file that is not what it should be, and for labels without test or the reverse.
    """
    if from_zoo:
        calibration = calibration or MNIST
    own_test = test not in ("", MNIST)
    if own_test and not labels:
        raise InputError(f"--test {test} must come with --labels, the classes of its inputs, and does not")
    if labels and not own_test:
        raise InputError(f"--labels must go with a --test file, and --test is {test or 'missing'}")
    if pixels != UNIT and not learns and all(path == "" or _is_floats(path) for path in (calibration, test)):
        raise InputError("--mean and --std must come with images: uint8 in --calibration, --test or what is learnt")
    sources, warning, method = [], "", parse(quantisation) if quantisation else DEFAULT
    if calibration == MNIST:
        ranges: Array = floats(zoo.mnist_calibration(), pixels)
        sources.append(f"calibrated on {len(ranges)} MNIST training images")
    elif calibration:
        ranges = _inputs(network, calibration, pixels)
        sources.append(f"calibrated on {len(ranges)} inputs of {printable(Path(calibration).name)}")
    else:
        # Fewer of a network that is large: they are computed together.
        largest = max(math.prod(shape) for shape in network.shapes.values())
        shape = (max(1, min(RANDOM_INPUTS, MOST_RANDOM // largest)), *entry.shape_of(network))
        ranges = entry.entered(network, np.random.default_rng(0).standard_normal(shape, np.float32))
        if without_scale(network):
            sources.append(f"calibrated on {RANDOM_INPUTS} random inputs")
            warning = (
                f"{network.name} is calibrated on random inputs: cycles and bytes are right, its outputs mean nothing "
                "(give --calibration)"
            )
        else:
            sources.append("the scales of the file")
    if quantisation:
        sources[-1] += f" ({method})"
    shapes = tuple(network.shapes[name] for name in network.outputs)
    made = partial(Data, ranges, host=network.host, output_shapes=shapes, warning=warning, method=method)
    if not test:
        return made(None, None, sources[0])
    if test == MNIST:
        images, classes = zoo.mnist_test()
        inputs = floats(images, pixels)
        sources.append(f"accuracy on {len(inputs):,} MNIST test images")
    else:
        inputs, classes = _inputs(network, test, pixels), array(labels)
        sources.append(f"accuracy on {len(inputs):,} inputs of {printable(Path(test).name)}")
    float32.check_inputs(network, inputs)
    found = made(inputs, classes, ", ".join(sources))
    return replace(found, labels=_labels(network, found, labels or MNIST))


def inputs_of(path: str) -> Array:
    """The finite floats in a .npy file as float32. Raises InputError."""
    return _finite(path, _floats(path))


def _inputs(network: Network, path: str, pixels: Pixels) -> Array:
    """Finite float inputs of `network` from a .npy file. Raises InputError."""
    wanted = entry.shape_of(network)
    found = _floats(path) if pixels == UNIT or _is_floats(path) else _of_pixels(network, path, pixels)
    if len(wanted) == 3 and wanted[1] == 1 and found.shape[1:] == wanted[::2]:
        found = found[:, :, None]  # a one-dimensional network's, as its file has them
    try:
        float32.check_batch(network.name, wanted, found)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    return entry.entered(network, _finite(path, found))


def _is_floats(path: str) -> bool:
    """Whether a file holds inputs as the network reads them. Raises InputError."""
    return path != MNIST and array(path).dtype.kind == "f"


def _of_pixels(network: Network, path: str, pixels: Pixels) -> Array:
    """What the whole network reads of the uint8 images in a .npy file, channels first or last. Raises InputError."""
    found, wanted = array(path), entry.shape_of(network)
    check_type(found, pixels, path)
    to = -1 if entry.is_channels_last(network) else 1
    if found.ndim == 4 and found.shape[1:] != wanted:
        found = np.moveaxis(found, 1 if to == -1 else -1, to)
    if found.ndim == 3:
        found = np.expand_dims(found, to)
    return pixels.floats(found, to) if found.ndim == 4 else found.astype(np.float32)


def _floats(path: str) -> Array:
    found = array(path)
    if found.dtype.kind != "f":
        raise InputError(f"{path} must hold floats, as the network reads them, not {found.dtype}")
    return found


def _finite(path: str, found: Array) -> Array:
    with np.errstate(over="ignore"):
        single = found.astype(np.float32)
    if not np.isfinite(single).all():
        raise InputError(f"{path} must be finite as float32, and holds NaN, Inf or a number that is too large")
    return single


def _labels(network: Network, data: Data, what: str) -> Array:
    """The labels: classes of `network`, one for each prediction on the test inputs, or values of its outputs.

    Raises InputError if they are neither.
    """
    assert data.test is not None
    assert data.labels is not None
    labels, count = data.labels, len(data.test)
    shape, says_class = network.shapes[network.output], False
    if data.tail:
        zeros = [np.zeros((1, *size), np.float32) for size in data.output_shapes]
        outputs = _behind(data, zeros, np.zeros((1, *network.shapes[network.input]), np.float32))
        says_class = outputs.dtype.kind in "iu"  # the host, itself
        shape = (*((np.iinfo(outputs.dtype).max,) if says_class else ()), *outputs.shape[1:])
    classes, places = judge.classes_and_places(shape)
    expected = (count, *places)
    is_softmax = any(isinstance(layer, Softmax) for layer in network.layers)
    if labels.shape[:1] == (count,) and not says_class:
        one_hot = judge.from_one_hot(labels, shape)
        held = judge.values(labels, shape)
        if one_hot is not None:
            labels = one_hot.reshape(expected)
        elif labels.dtype.kind == "f" and held is not None and not is_softmax:
            return _finite(what, held)
    if labels.dtype.kind not in "iu" or labels.shape != expected:
        values = "" if is_softmax or says_class else f", or floats of shape {(count, *shape)}"
        raise InputError(
            f"{what}: labels must be integers of shape {expected}, one for each prediction on the {count} test inputs"
            f"{values}, not {labels.dtype} of shape {labels.shape}"
        )
    if labels.min() < 0 or labels.max() >= classes:
        raise InputError(f"{what}: labels must be 0..{classes - 1}, not {labels.min()}..{labels.max()}")
    return labels


def accuracy_percent(network: IntegerNetwork, data: Data) -> float | None:
    """Accuracy of the integer reference on the test inputs, None without any. Raises InputError.

    The largest code is the largest value, before softmax as after it; what the host runs behind it is run. Of labels
    that are values: how much of their variance is explained (`judge.percent`).
    """
    if data.test is None or data.labels is None:
        return None
    found = int8.run(network, data.test_codes(network))
    is_values = data.labels.dtype.kind == "f"
    if is_values or data.tail:
        ends = zip(network.outputs, data.output_shapes, strict=True)
        values = [int8.real_values(network.tensors[name], found[name], shape) for name, shape in ends]
        return _percent(_behind(data, values, data.test), data.labels)
    codes = found[network.output]
    # (n, channels, height, width): channels are the classes, except that a flattened tensor is held as it was.
    return _right_percent(codes.reshape(len(codes), -1, *data.labels.shape[1:]).argmax(1), data.labels)


def float_accuracy_percent(network: Network, data: Data) -> float | None:
    """As `accuracy_percent`, of the float network."""
    if data.test is None or data.labels is None:
        return None
    return _percent(_behind(data, float32.run_outputs(network, data.test), data.test), data.labels)


def _percent(outputs: Array, labels: Array) -> float:
    """How well outputs (n, ...) agree with labels, classes or values; integers are classes already."""
    if labels.dtype.kind == "f":
        return judge.percent(outputs, labels)
    is_class = outputs.dtype.kind in "iu"
    return _right_percent(outputs if is_class else judge.by_class(outputs, labels).argmax(1), labels)


def _behind(data: Data, outputs: Sequence[Array], inputs: Array) -> Array:
    """The first output of the whole network, of what the accelerator gives for `inputs`: (n, ...) all."""
    if not data.tail:
        return outputs[0]
    return data.tail.run([*outputs, inputs] if data.tail.reads_input else outputs)[0]


def _right_percent(chosen: Array, labels: Array) -> float:
    return 100 * int((chosen == labels).sum()) / labels.size
