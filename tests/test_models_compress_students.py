import numpy as np
import pytest

from accel.models.compress.prune import matrix_layers
from accel.models.compress.students import (
    MOST_CONVOLUTIONS,
    TOLERANCE,
    convolutional,
    mlp,
    named,
    shallow,
    widths,
)
from accel.models.errors import InputError
from accel.models.graph import Conv, Linear, Pool
from accel.models.reference import float32


def generator():
    return np.random.default_rng(7)


def test_hinton_networks_have_the_sizes_of_the_paper():
    # 784 * 1200 + 1200 * 1200 + 1200 * 10 weights, 1200 + 1200 + 10 biases; the paper says "about 2.4 million" of it.
    assert mlp((784, 1200, 1200, 10), generator()).parameters == 2_395_210
    student = mlp((784, 800, 800, 10), generator())
    assert student.parameters == 1_276_810
    assert student.name == "mlp-784-800-800-10"
    assert student.shapes[student.output] == (10,)
    assert [type(x).__name__ for x in student.layers] == [
        "Reshape", "Linear", "Activation", "Linear", "Activation", "Linear",
    ]  # fmt: skip


@pytest.mark.parametrize("sizes", [(784,), (100, 10), (784, 0, 10)])
def test_mlp_refuses_sizes(sizes):
    with pytest.raises(InputError, match="sizes must be positive, from 784 inputs to classes, not"):
        mlp(sizes, generator())


def test_a_bottleneck_is_linear_and_saves_parameters():
    plain, narrow = shallow(1000, generator()), shallow(1000, generator(), bottleneck=50)
    assert plain.parameters == 785 * 1000 + 1001 * 10
    assert narrow.parameters == 785 * 50 + 51 * 1000 + 1001 * 10
    first, second = (x for x in narrow.layers if isinstance(x, Linear) and x.output != "logits")
    assert second.inputs == (first.output,)  # no activation between them
    # What the two compute is one linear map, through the ReLU and the last layer.
    images = generator().random((3, 1, 28, 28)).astype(np.float32)
    joined = np.maximum(images.reshape(3, 784) @ (second.weights @ first.weights).T, 0)
    last = narrow.layers[-1]
    np.testing.assert_allclose(float32.run(narrow, images), joined @ last.weights.T, rtol=1e-4, atol=1e-4)


def test_shallow_refuses_sizes():
    with pytest.raises(InputError, match="hidden must be at least 1 and bottleneck at least 0, not 0 and 0"):
        shallow(0, generator())
    with pytest.raises(InputError, match="not 5 and -1"):
        shallow(5, generator(), bottleneck=-1)


@pytest.mark.parametrize("budget", [20_000, 50_000, 100_000, 300_000, 1_000_000])
@pytest.mark.parametrize("convolutions", range(MOST_CONVOLUTIONS + 1))
def test_students_meet_their_budget(convolutions, budget):
    channels, bottleneck, hidden = widths(convolutions, budget)
    student = convolutional(convolutions, budget, generator())
    assert abs(student.parameters - budget) <= TOLERANCE * budget
    convs = [x for x in student.layers if isinstance(x, Conv)]
    assert tuple(len(x.weights) for x in convs) == channels
    assert len(channels) == convolutions
    assert hidden >= 2 * bottleneck
    if convolutions:
        assert channels == (channels[0],) + (2 * channels[0],) * (convolutions - 1)
        assert bottleneck == 4 * channels[0]
    assert [len(x.weights) for x in student.layers if isinstance(x, Linear)] == [bottleneck, hidden, 10]
    assert student.shapes[student.output] == (10,)
    # Every convolution keeps height and width; each pooling halves them.
    assert all(student.shapes[x.output][1:] == student.shapes[x.inputs[0]][1:] for x in convs)
    assert sum(isinstance(x, Pool) for x in student.layers) == min(convolutions, 3)


def test_students_of_other_images():
    student = convolutional(4, 200_000, generator(), image=(3, 32, 32), classes=100)
    assert abs(student.parameters - 200_000) <= TOLERANCE * 200_000
    assert student.shapes[student.output] == (100,)


def test_students_refuse_counts_and_budgets():
    with pytest.raises(InputError, match=r"convolutions must be 0\.\.4, not 5"):
        convolutional(5, 50_000, generator())
    with pytest.raises(InputError, match="a student of 4 convolutions cannot have 100 parameters: too few"):
        convolutional(4, 100, generator())


def test_a_seed_gives_one_network():
    first, again, other = (convolutional(2, 50_000, np.random.default_rng(s)) for s in (1, 1, 2))
    images = generator().random((2, 1, 28, 28)).astype(np.float32)
    np.testing.assert_array_equal(float32.run(first, images), float32.run(again, images))
    assert not np.array_equal(float32.run(first, images), float32.run(other, images))


@pytest.mark.parametrize(
    ("name", "same"),
    [
        ("mlp-800-700", lambda random: mlp((784, 800, 700, 10), random)),
        ("shallow-90", lambda random: shallow(90, random)),
        ("shallow-20-90", lambda random: shallow(90, random, 20)),
        ("student-2-43000", lambda random: convolutional(2, 43_000, random)),
    ],
)
def test_students_by_name(name, same):
    found, expected = named(name, np.random.default_rng(3)), same(np.random.default_rng(3))
    assert [type(x) for x in found.layers] == [type(x) for x in expected.layers]
    for a, b in zip(matrix_layers(found), matrix_layers(expected), strict=True):
        np.testing.assert_array_equal(a.weights, b.weights)


@pytest.mark.parametrize(
    "name", ["lenet-5", "mlp", "mlp-a", "mlp-0", "shallow-1-2-3", "student-2", "student--1-2", "x.onnx"]
)
def test_other_names_are_no_students(name):
    assert named(name, np.random.default_rng(0)) is None
