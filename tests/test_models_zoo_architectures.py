import numpy as np
import onnx
import pytest

from accel.models import zoo
from accel.models.errors import InputError
from accel.models.exchange import onnx_write
from accel.models.graph import Activation, Conv, Linear
from accel.models.macs import macs
from accel.models.reference import float32
from tests.benches.model_networks import onnxruntime_output

NAMES = ("alexnet", "vgg-16")


@pytest.fixture(scope="module")
def networks():
    return {name: zoo.architecture(name) for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_shapes_alone_are_those_of_the_network(networks, name):
    bare = zoo.architecture(name, seed=None)
    assert bare.shapes == networks[name].shapes
    for ours, theirs in zip(bare.layers, networks[name].layers, strict=True):
        assert (ours.name, type(ours)) == (theirs.name, type(theirs))
        if isinstance(ours, Conv | Linear):
            assert (ours.weights.shape, ours.bias.shape) == (theirs.weights.shape, theirs.bias.shape)
            assert ours.weights.strides == (0,) * ours.weights.ndim  # one number in memory


@pytest.mark.parametrize(
    ("name", "parameters", "conv_macs", "linear_macs"),
    [
        # Parameters as Caffe and torchvision count them; MACs as in the tables of Sze et al., arXiv 1703.09039.
        ("alexnet", 60_965_224, 665_784_864, 58_621_952),
        ("vgg-16", 138_357_544, 15_346_630_656, 123_633_664),
    ],
)
def test_counts(networks, name, parameters, conv_macs, linear_macs):
    network = networks[name]
    assert (network.name, network.parameters) == (name, parameters)
    counted = macs(network)
    assert sum(n for layer, n in counted.items() if layer.startswith("conv")) == conv_macs
    assert sum(n for layer, n in counted.items() if layer.startswith("fc")) == linear_macs
    assert network.shapes[network.output] == (1000,)


def test_shapes(networks):
    """The maps that the papers give."""
    alexnet, vgg = networks["alexnet"], networks["vgg-16"]
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


def test_weights(networks):
    alexnet = networks["alexnet"]
    for layer in alexnet.layers:
        if isinstance(layer, Conv | Linear):
            assert layer.weights.dtype == layer.bias.dtype == np.float32
            fan_in = layer.weights[0].size
            variance = 1 if layer.name == "fc8" else 2  # fc8 alone is in front of no ReLU
            assert layer.weights.std() == pytest.approx(np.sqrt(variance / fan_in), rel=0.02)
            assert not layer.bias.any()
    first = alexnet.layers[0].weights
    np.testing.assert_array_equal(zoo.architecture("alexnet", seed=0).layers[0].weights, first)
    assert (zoo.architecture("alexnet", seed=1).layers[0].weights != first).all()


def test_alexnet_runs(networks):
    """Through ONNX Runtime too; random weights of this size keep the logits' magnitude."""
    network = networks["alexnet"]
    image = np.random.default_rng(5).standard_normal((1, 3, 227, 227)).astype(np.float32)
    logits = float32.run(network, image)
    assert 0.1 < logits.std() < 10
    model = onnx_write.to_model(network)
    assert isinstance(model, onnx.ModelProto)
    np.testing.assert_allclose(onnxruntime_output(model, image), logits, atol=1e-3 * np.abs(logits).max())


def test_names_of_trained_networks_stay():
    assert zoo.names() == ("lenet-5", "lenet-300-100")
    with pytest.raises(InputError, match="network must be one of"):
        zoo.load("alexnet")
    with pytest.raises(InputError, match="architecture must be one of alexnet, vgg-16, not 'resnet'"):
        zoo.architecture("resnet")
