"""Networks that others published, read out of packages that are installed: what is skipped says which is not."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from accel.models import zoo
from accel.models.graph import Network
from accel.models.parting import parted
from accel.models.reference import float32
from tests.benches import published, published_weights
from tests.benchmarks import networks

LIGHT = [x for x in published.listed() if x.package == "onnx"]
# Small enough for every run; the rest is marked slow.
QUICK = "light_squeezenet"


def test_every_file_is_in_the_page() -> None:
    page = (Path(__file__).parent.parent / "docs" / "networks.md").read_text(encoding="utf-8")
    assert len(published.listed()) >= 40
    for line in networks.the_list():
        assert line in page
    for file in published.listed():
        assert f"| {file.package} {file.version} | {Path(file.file).name} |" in page


@pytest.mark.parametrize(
    "file",
    [pytest.param(x, marks=() if QUICK in x.file else pytest.mark.slow, id=x.name) for x in LIGHT],
)
def test_architectures_that_onnx_ships(file: published.Listed, tmp_path: Path) -> None:
    """As they are, of one repeated weight, and with drawn weights end to end."""
    ((_, path),) = published.fetched([file], tmp_path)
    assert isinstance(path, Path), path
    found = networks.run(file, path)
    assert found.outcome in ("whole", "with host"), found
    assert found.macs > 10**8


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """On a file of an installed package; a file that is another one is refused."""
    out = tmp_path / "found.json"
    arguments = [str(tmp_path), "--only", "light_squeezenet", "--json", str(out)]
    kept = tmp_path / "files" / "onnx" / "light_squeezenet.onnx"
    kept.parent.mkdir(parents=True)
    for file in LIGHT:
        (kept.parent / Path(file.file).name).write_bytes(b"another")
    assert networks.main(arguments) == 1
    assert "SHA-256 must be" in capsys.readouterr().out
    (found,) = json.loads(out.read_text(encoding="utf-8"))
    assert found["outcome"] == "refused"


def test_noise_and_error() -> None:
    """A tenth of the deviation is 20 dB; a wrong output in one of two is seen."""
    signal = np.random.default_rng(0).standard_normal((4, 1000)).astype(np.float32)
    decibels, good = networks.noise(signal, signal + 0.1 * signal[:, ::-1])
    assert (round(decibels), good) == (20, True)
    assert not networks.noise(signal, signal[::-1])[1]
    assert networks.float_error([signal, signal], [signal, signal * 1.01]) == pytest.approx(0.01, rel=1e-3)


def integer_outputs(network: Network, calibration: np.ndarray, inputs: np.ndarray) -> np.ndarray:
    return networks.in_int8(network, networks.calibrated(network, calibration), inputs)[0]


def test_efficientnet_lite0_on_photographs(tmp_path: Path) -> None:
    """It says what they show, in float and in int8, all on the accelerator; calibrated on others and mirror images."""
    path = published_weights.efficientnet_lite0(tmp_path / "lite0.onnx")
    shown, others = published_weights.photographs()
    network = parted.read(path)
    assert network.host is None
    assert zoo.architecture("efficientnet-lite0", weights=path).parameters == network.parameters
    assert network.parameters == 4_652_008 - 21_008  # the published number, with batch normalisation folded away
    (expected,) = published.theirs(path, shown)
    floats = float32.run(network, shown)
    np.testing.assert_allclose(floats, expected, rtol=1e-3, atol=1e-3)
    found = integer_outputs(network, np.concatenate([others, shown[..., ::-1]]), shown)
    for own, one, classes in zip(found, floats, published_weights.SHOWN.values(), strict=True):
        assert one.argmax() in classes
        assert own.argmax() in classes
        assert networks.noise(one, own)[0] > 14


def test_r_net_of_mtcnn_on_faces(tmp_path: Path) -> None:
    """Faces of the subset of LFW against the other images there: calibrated on every fourth, right on the rest."""
    path = published_weights.r_net(tmp_path / "rnet.onnx")
    images, labels = published_weights.faces()
    inputs = published_weights.for_r_net(images)
    network = parted.read(path)
    (expected,) = published.theirs(path, inputs)
    test = np.arange(len(inputs)) % 4 > 0
    assert (expected.argmax(1) == labels).mean() >= 0.98
    np.testing.assert_allclose(float32.run(network, inputs), expected, rtol=1e-3, atol=1e-3)
    found = integer_outputs(network, inputs[~test], inputs[test])
    assert (found.argmax(1) == labels[test]).mean() >= 0.98
    assert networks.noise(expected[test], found)[0] > 20
