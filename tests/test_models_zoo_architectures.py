from pathlib import Path

import numpy as np
import onnx
import pytest

from accel.compile import time_network
from accel.design import load
from accel.flow.cli import run as accel
from accel.flow.zoo_table import replace
from accel.models import zoo
from accel.models.errors import InputError
from accel.models.exchange import onnx_write
from accel.models.graph import Activation, Conv, Linear
from accel.models.macs import macs
from accel.models.quantisation.quantise import quantise, shapes_alone
from accel.models.reference import float32
from accel.models.zoo.networks import sketch
from tests.benches.model_networks import onnxruntime_output

# Parameters as their authors count them (torchvision 0.20's documentation and weights' metadata for its seven, Caffe's
# model zoo, Keras for MobileNet v1, timm for EfficientNet-Lite0, NVIDIA's flownet2-pytorch), and millions of MACs.
PUBLISHED = {
    "alexnet": (60_965_224, 724.4),  # Sze et al., arXiv 1703.09039, table 1: 666 M and 58.6 M
    "alexnet-lrn": (60_965_224, 724.4),
    "alexnet-torchvision": (61_100_840, 714),
    "vgg-16": (138_357_544, 15_470),
    "googlenet": (6_624_904, 1_498),
    "googlenet-lrn": (6_998_552, 1_582),
    "squeezenet-1.0": (1_248_424, 819),
    "squeezenet-1.1": (1_235_496, 349),
    "resnet-18": (11_689_512, 1_814),
    "resnet-50": (25_557_032, 4_089),
    "mobilenet-v1": (4_231_976, 569),
    "mobilenet-v2": (3_504_872, 301),
    "efficientnet-lite0": (4_652_008, None),  # 407 M in its README, which counts more than multiplications
    "flownet-c": (39_175_298, None),
}
WHOLE = (  # without an operator that only the host runs
    *("alexnet", "alexnet-torchvision", "vgg-16", "resnet-18", "resnet-50", "mobilenet-v1", "mobilenet-v2"),
    *("efficientnet-lite0", "googlenet", "squeezenet-1.0", "squeezenet-1.1"),
)


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_counts(name):
    found = sketch(name)
    parameters, millions = PUBLISHED[name]
    assert found.parameters == parameters
    if millions is not None:
        assert sum(found.macs.values()) / 1e6 == pytest.approx(millions, rel=1e-3)


def test_published_counts_that_are_round_or_differ():
    for name in ("fcn-32s", "fcn-8s"):  # table 1 of the paper: 134 M, without the transposed convolutions
        up = {"fcn-32s": 21**2 * 64**2, "fcn-8s": 21**2 * (2 * 4**2 + 16**2)}[name]
        assert sketch(name).parameters - up == pytest.approx(134e6, abs=0.5e6)
    assert sketch("segnet").parameters == pytest.approx(29.4e6, rel=2e-3)  # timosaemann/ENet, 117.8 MB
    # 38,676,504 in a comment of flownet2-pytorch, which has a bias for each predicted flow now, and none behind it.
    assert sketch("flownet-s").parameters == 38_676_504 + 5 * 2 - 4 * 2
    # 0.407 G of the authors' README; the layers of table 1 without squeeze-and-excite have 5 % less.
    assert sum(sketch("efficientnet-lite0").macs.values()) == pytest.approx(407e6, rel=0.06)


@pytest.mark.parametrize("name", zoo.ARCHITECTURES)
def test_onnx_infers_the_same_shapes(name):
    """The sketch's shapes beside those of ONNX, operator by operator; inference reads no weights."""
    found = sketch(name)
    model, _ = found.model(None)
    inferred = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    shapes = {v.name: tuple(d.dim_value for d in v.type.tensor_type.shape.dim) for v in inferred.graph.value_info}
    compared = [value for value in shapes if value in found.shapes]
    assert len(compared) >= len(found.nodes) - 1
    for value in compared:
        assert shapes[value][1:] == found.shapes[value], value


@pytest.mark.parametrize("name", ["alexnet-lrn", "googlenet-lrn"])
def test_the_host_normalises_and_nothing_else(name):
    network = zoo.architecture(name, seed=None)
    assert [node for _, part in network.host.parts for node in part.nodes] == ["norm1 (LRN)", "norm2 (LRN)"]
    assert macs(network) == sketch(name).macs
    with pytest.raises(InputError, match=f"^{name}: a program must be of a stretch"):
        time_network(shapes_alone(network), load("large"))


@pytest.mark.parametrize("name", sorted(zoo.ARCHITECTURES.keys() - set(WHOLE)))
def test_every_architecture_can_be_read(name):
    """Whatever the host has of it: all multiplications are somewhere."""
    network = zoo.architecture(name, seed=None)
    assert network.name == name
    parts = network.host.parts if network.host else ()  # fewer with every operator that is added
    on_host = sum(part.macs for _, part in parts)
    assert sum(macs(network).values()) + on_host >= sum(sketch(name).macs.values())


@pytest.mark.parametrize("name", WHOLE)
def test_the_network_is_the_sketch(name):
    """Layers, shapes and multiplications; a batch normalisation's two numbers are one bias."""
    found, network = sketch(name), zoo.architecture(name, seed=None)
    assert network.name == name
    assert network.host is None
    assert macs(network) == found.macs
    assert network.shapes == {tensor: found.shapes[tensor] for tensor in network.shapes}
    assert network.shapes[network.output] == (1000,)
    for layer in network.layers:
        if isinstance(layer, Conv | Linear):
            assert layer.weights.strides == (0,) * layer.weights.ndim  # one number in memory


def test_shapes():
    """The maps that the papers give."""
    alexnet, vgg = zoo.architecture("alexnet", seed=None), zoo.architecture("vgg-16", seed=None)
    shapes = {name: alexnet.shapes[name] for name in ("conv1", "conv2", "conv3", "conv4", "conv5", "pool5")}
    assert shapes == {
        "conv1": (96, 55, 55),
        "conv2": (256, 27, 27),
        "conv3": (384, 13, 13),
        "conv4": (384, 13, 13),
        "conv5": (256, 13, 13),
        "pool5": (256, 6, 6),
    }
    grouped = [layer.name for layer in alexnet.layers if isinstance(layer, Conv) and layer.groups == 2]
    assert grouped == ["conv2", "conv4", "conv5"]
    assert [vgg.shapes[f"pool{i}"] for i in range(1, 6)] == [
        *((64, 112, 112), (128, 56, 56), (256, 28, 28), (512, 14, 14), (512, 7, 7)),
    ]
    # A ReLU after every layer with weights but the last.
    for network, count in ((alexnet, 8), (vgg, 16)):
        kinds = [type(layer) for layer in network.layers if isinstance(layer, Conv | Linear | Activation)]
        assert len(kinds) == 2 * count - 1
        assert all(kind is Activation for kind in kinds[1::2])
        assert Activation not in kinds[::2]
    assert [zoo.architecture("resnet-50", seed=None).shapes[f"layer{i}.0.relu"] for i in range(1, 5)] == [
        (256, 56, 56), (512, 28, 28), (1024, 14, 14), (2048, 7, 7)
    ]  # fmt: skip
    assert sketch("googlenet").shapes["5b_output"] == (1024, 7, 7)
    assert sketch("fcn-8s").shapes["score"] == (21, 500, 500)
    assert sketch("segnet").shapes["conv1_1_D"] == (11, 352, 480)
    assert sketch("flownet-c").shapes["in3_1"] == (473, 48, 64)


def test_alexnet():
    """Weights of the variances that they should have; through ONNX Runtime too: the logits keep their magnitude."""
    network = zoo.architecture("alexnet")
    for layer in network.layers:
        if isinstance(layer, Conv | Linear):
            assert layer.weights.dtype == layer.bias.dtype == np.float32
            fan_in = layer.weights[0].size
            variance = 1 if layer.name == "fc8" else 2  # fc8 alone is in front of no ReLU
            assert layer.weights.std() == pytest.approx(np.sqrt(variance / fan_in), rel=0.02)
            assert not layer.bias.any()
    image = np.random.default_rng(5).standard_normal((1, 3, 227, 227)).astype(np.float32)
    logits = float32.run(network, image)
    assert 0.1 < logits.std() < 10
    model = onnx_write.to_model(network)
    assert isinstance(model, onnx.ModelProto)
    np.testing.assert_allclose(onnxruntime_output(model, image), logits, atol=1e-3 * np.abs(logits).max())


def test_seeds():
    first = zoo.architecture("squeezenet-1.1").layers[0].weights
    np.testing.assert_array_equal(zoo.architecture("squeezenet-1.1", seed=0).layers[0].weights, first)
    assert (zoo.architecture("squeezenet-1.1", seed=1).layers[0].weights != first).all()


def test_weights_of_a_file(tmp_path: Path):
    ours = zoo.architecture("mobilenet-v2", seed=3)
    path = tmp_path / "mine.onnx"
    path.write_bytes(onnx_write.to_model(ours).SerializeToString())
    found = zoo.architecture("mobilenet-v2", weights=path)
    assert found.name == "mobilenet-v2"
    pairs = [(a, b) for a, b in zip(found.layers, ours.layers, strict=True) if isinstance(b, Conv | Linear)]
    assert len(pairs) == 53
    for theirs, mine in pairs:
        np.testing.assert_array_equal(theirs.weights, mine.weights)
    with pytest.raises(InputError, match=r"weights of layer 3 must have shape .* as in mobilenet-v1, not \(16, 32"):
        zoo.architecture("mobilenet-v1", weights=path)


def test_time_of_shapes_alone():
    """As of the network with numbers."""
    network = zoo.architecture("mobilenet-v2")
    inputs = np.random.default_rng(0).standard_normal((1, 3, 224, 224)).astype(np.float32)
    bare = shapes_alone(zoo.architecture("mobilenet-v2", seed=None))
    large = load("large")
    assert time_network(bare, large).cycles == time_network(quantise(network, inputs), large).cycles


def test_names_of_trained_networks_stay():
    assert zoo.names() == ("lenet-5", "lenet-300-100")
    with pytest.raises(InputError, match="network must be one of"):
        zoo.load("alexnet")
    with pytest.raises(InputError, match=r"architecture must be one of alexnet, .*, flownet-c, not 'resnet'"):
        zoo.architecture("resnet")


def test_a_verb_takes_the_name(capsys: pytest.CaptureFixture[str]):
    assert accel(["check", "resnet-18"]) == 0
    assert capsys.readouterr().out == (
        "resnet-18 runs: 8 Add, 20 Conv, 1 Gemm, 1 GlobalAveragePool, 1 MaxPool, 17 Relu (1,814,073,344 "
        "multiplications)\n"
    )


def test_the_page_is_current():
    page = (Path(__file__).parent.parent / "docs" / "zoo.md").read_text(encoding="utf-8")
    assert replace(page) == page
    assert all(f"`{name}`" in page for name in zoo.ALL)
