"""Training of the zoo's networks on MNIST, with torch (the extra `train`).

The training set is not part of the project: the user names a folder with its IDX files.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models import onnx_write
from models.errors import InputError
from models.graph import Activation, Conv, Layer, Linear, Network, Pool, Reshape, build
from models.idx import read_idx
from models.integer import Window

BATCH = 64
LEARNING_RATE = 0.05
MOMENTUM = 0.9
WEIGHT_DECAY = 1e-4
LARGEST_SHIFT = 2  # pixels that a training image may move each way

Progress = Callable[["Epoch"], None]
Array = NDArray[Any]


@dataclass(frozen=True)
class Epoch:
    """What one epoch reached: mean training loss (nats) and accuracy on the test set (percent)."""

    number: int
    epochs: int
    loss: float
    accuracy_percent: float


def lenet5(random: np.random.Generator) -> Network:
    """LeNet-5 as in Caffe: 431,080 parameters, no ReLU after the convolutions; input (1, 28, 28)."""
    pool = Window((2, 2), (2, 2))
    return build(
        "lenet-5",
        "image",
        (1, 28, 28),
        (
            Conv("conv1", ("image",), "conv1", *_initial(random, 20, 1, 5, 5), Window((5, 5))),
            Pool("pool1", ("conv1",), "pool1", "max", pool),
            Conv("conv2", ("pool1",), "conv2", *_initial(random, 50, 20, 5, 5), Window((5, 5))),
            Pool("pool2", ("conv2",), "pool2", "max", pool),
            Reshape("flatten", ("pool2",), "flatten", (800,)),
            Linear("ip1", ("flatten",), "ip1", *_initial(random, 500, 800)),
            Activation("relu1", ("ip1",), "relu1"),
            Linear("ip2", ("relu1",), "logits", *_initial(random, 10, 500)),
        ),
    )


def lenet_300_100(random: np.random.Generator) -> Network:
    """LeNet-300-100: three fully connected layers, 266,610 parameters; input (1, 28, 28)."""
    return build(
        "lenet-300-100",
        "image",
        (1, 28, 28),
        (
            Reshape("flatten", ("image",), "flatten", (784,)),
            Linear("ip1", ("flatten",), "ip1", *_initial(random, 300, 784)),
            Activation("relu1", ("ip1",), "relu1"),
            Linear("ip2", ("relu1",), "ip2", *_initial(random, 100, 300)),
            Activation("relu2", ("ip2",), "relu2"),
            Linear("ip3", ("relu2",), "logits", *_initial(random, 10, 100)),
        ),
    )


ARCHITECTURES = {"lenet-5": lenet5, "lenet-300-100": lenet_300_100}


def _initial(random: np.random.Generator, *shape: int) -> tuple[Array, Array]:
    """Weights of variance 1 / fan-in, and zeros for the bias."""
    weights = random.standard_normal(shape) / math.sqrt(math.prod(shape[1:]))
    return weights.astype(np.float32), np.zeros(shape[0], np.float32)


def read_mnist(folder: str | Path) -> dict[str, NDArray[np.uint8]]:
    """The four MNIST arrays, `train_images` (60000, 28, 28) and so on, from IDX files in `folder`."""
    files = {
        "train_images": "train-images-idx3-ubyte",
        "train_labels": "train-labels-idx1-ubyte",
        "test_images": "t10k-images-idx3-ubyte",
        "test_labels": "t10k-labels-idx1-ubyte",
    }
    data = {key: read_idx(Path(folder) / file) for key, file in files.items()}
    for part in ("train", "test"):
        images, labels = data[f"{part}_images"], data[f"{part}_labels"]
        if images.shape != (len(labels), 28, 28) or not len(labels) or labels.max(initial=0) > 9:
            raise InputError(f"{folder}: {part} set must be images of 28 x 28 with labels 0..9, not {images.shape}")
    return data


def train(
    name: str,
    data_folder: str | Path,
    out: str | Path,
    seed: int = 0,
    epochs: int = 10,
    progress: Progress | None = None,
) -> Network:
    """Train network `name` on the MNIST files in `data_folder` and save it as the ONNX file `out`.

    After each epoch the whole state goes to `out` + ".state"; a second call with the same name, seed and
    epochs goes on from there, and the state is removed at the end. `progress` is called after each epoch.

    Raises InputError for an unknown name, a missing or damaged data file, a state of another run, a
    folder that cannot be written, or when torch is not installed.
    """
    if name not in ARCHITECTURES:
        raise InputError(f"network must be one of {', '.join(ARCHITECTURES)}, not {name!r}")
    if epochs < 1:
        raise InputError(f"epochs must be at least 1, not {epochs}")
    try:
        import torch
    except ImportError:
        raise InputError("training needs torch: pip install 'accel[train]'") from None
    data = read_mnist(data_folder)
    out = Path(out)
    if not out.parent.is_dir() or not os.access(out.parent, os.W_OK):
        raise InputError(f"{out.parent} must be a folder that can be written")
    torch.manual_seed(seed)
    network = ARCHITECTURES[name](np.random.default_rng(seed))
    module = _module(network)
    optimiser = torch.optim.SGD(
        module.parameters(), lr=LEARNING_RATE, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY, nesterov=True
    )
    steps = epochs * (len(data["train_labels"]) // BATCH)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: 0.5 * (1 + math.cos(math.pi * min(step, steps) / steps))
    )
    parts = {"module": module, "optimiser": optimiser, "schedule": schedule}
    state_file = out.with_name(out.name + ".state")
    run = {"name": name, "seed": seed, "epochs": epochs}
    done = _resume(state_file, run, parts)
    for epoch in range(done, epochs):
        # Each epoch draws from a seed of its own, so a resumed run sees the same batches as an unbroken one.
        random = np.random.default_rng([seed, epoch])
        loss = _epoch(module, optimiser, schedule, data["train_images"], data["train_labels"], random)
        _save(state_file, run, epoch + 1, parts)
        if progress:
            accuracy = _accuracy_percent(module, data["test_images"], data["test_labels"])
            progress(Epoch(epoch + 1, epochs, loss, accuracy))
    trained = _trained(network, module)
    onnx_write.write(trained, out)
    state_file.unlink(missing_ok=True)
    return trained


def shift(images: Array, random: np.random.Generator) -> Array:
    """Each image of `images` (n, 28, 28) moved by up to LARGEST_SHIFT pixels each way, zeros moving in."""
    n, height, width = images.shape
    k = LARGEST_SHIFT
    padded = np.pad(images, ((0, 0), (k, k), (k, k)))
    dy, dx = random.integers(0, 2 * k + 1, (2, n))
    rows = dy[:, None] + np.arange(height)
    columns = dx[:, None] + np.arange(width)
    return padded[np.arange(n)[:, None, None], rows[:, :, None], columns[:, None, :]]


def _inputs(images: Array) -> Any:
    import torch

    return torch.from_numpy(images[:, None].astype(np.float32) / np.float32(255))


def _epoch(module: Any, optimiser: Any, schedule: Any, images: Array, labels: Array, random: Any) -> float:
    """One pass over the training set; the mean loss in nats."""
    import torch

    module.train()
    order = random.permutation(len(labels))
    losses = []
    for start in range(0, len(order) - BATCH + 1, BATCH):
        chosen = order[start : start + BATCH]
        logits = module(_inputs(shift(images[chosen], random)))
        loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(labels[chosen].astype(np.int64)))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        losses.append(loss.item())
    return float(np.mean(losses))


def _accuracy_percent(module: Any, images: Array, labels: Array) -> float:
    import torch

    module.eval()
    with torch.no_grad():
        logits = torch.cat([module(_inputs(images[i : i + 1000])) for i in range(0, len(images), 1000)])
    return float((logits.argmax(1).numpy() == labels).mean() * 100)


def _module(network: Network) -> Any:
    """`network` as a torch module with its initial weights; the architectures above are plain sequences."""
    from torch import from_numpy, nn

    parts: list[tuple[str, Any]] = []
    for layer in network.layers:
        match layer:
            case Conv():
                channels = layer.weights.shape[1]
                parts.append((layer.name, nn.Conv2d(channels, len(layer.weights), layer.window.kernel)))
            case Linear():
                parts.append((layer.name, nn.Linear(*layer.weights.shape[::-1])))
            case Pool():
                parts.append((layer.name, nn.MaxPool2d(layer.window.kernel, layer.window.stride)))
            case Activation():
                parts.append((layer.name, nn.ReLU()))
            case Reshape():
                parts.append((layer.name, nn.Flatten()))
        if isinstance(layer, Conv | Linear):
            parts[-1][1].weight.data = from_numpy(layer.weights.copy())
            parts[-1][1].bias.data = from_numpy(layer.bias.copy())
    module = nn.Sequential()
    for name, part in parts:
        module.add_module(name, part)
    return module


def _trained(network: Network, module: Any) -> Network:
    """`network` with the weights of `module`."""
    values = {key: value.detach().numpy().copy() for key, value in module.state_dict().items()}
    layers: list[Layer] = []
    for layer in network.layers:
        if isinstance(layer, Conv):
            arrays = values[f"{layer.name}.weight"], values[f"{layer.name}.bias"]
            layer = Conv(layer.name, layer.inputs, layer.output, *arrays, layer.window, layer.groups)
        elif isinstance(layer, Linear):
            arrays = values[f"{layer.name}.weight"], values[f"{layer.name}.bias"]
            layer = Linear(layer.name, layer.inputs, layer.output, *arrays)
        layers.append(layer)
    return build(network.name, network.input, network.shapes[network.input], tuple(layers))


def _save(path: Path, run: dict[str, Any], done: int, parts: dict[str, Any]) -> None:
    """Write the state after `done` epochs; a crash leaves the former state in place."""
    import torch

    part = path.with_name(path.name + ".part")
    try:
        torch.save({"run": run, "done": done} | {k: v.state_dict() for k, v in parts.items()}, part)
        os.replace(part, path)
    except (OSError, RuntimeError) as error:
        raise InputError(f"{path} cannot be written: {error}") from None


def _resume(path: Path, run: dict[str, Any], parts: dict[str, Any]) -> int:
    """Load the state into `parts` if there is one; the number of epochs that are done."""
    import torch

    if not path.exists():
        return 0
    try:
        state = torch.load(path, weights_only=True)
        saved, done = state["run"], int(state["done"])
    except Exception:  # torch raises many kinds for a damaged file
        raise InputError(f"{path} must be a state of an earlier run, and is damaged: remove it") from None
    if saved != run:
        raise InputError(f"{path} belongs to another run ({saved}): remove it, or name another output")
    for key, part in parts.items():
        part.load_state_dict(state[key])
    return done
