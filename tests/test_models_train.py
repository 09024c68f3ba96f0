import sys

import numpy as np
import pytest

from accel.models.errors import InputError
from accel.models.exchange import onnx_read
from accel.models.reference import float32
from accel.models.training.fit import Epoch
from accel.models.training.idx import write_idx
from accel.models.training.images import count, draw, read_images, view
from accel.models.zoo.architectures import lenet5, lenet_300_100
from accel.models.zoo.train import train
from tests.benches.halves import halves


@pytest.fixture
def small_mnist(tmp_path):
    random = np.random.default_rng(0)
    for part, size in (("train", 640), ("t10k", 100)):
        images, labels = halves(random, size)
        write_idx(tmp_path / f"{part}-images-idx3-ubyte", images)
        write_idx(tmp_path / f"{part}-labels-idx1-ubyte", labels)
    return tmp_path


def test_architectures():
    random = np.random.default_rng(0)
    assert lenet5(random).parameters == 431_080
    assert lenet_300_100(random).parameters == 266_610


def test_views_are_moved_and_mirrored_images():
    images = np.zeros((1000, 28, 28), np.uint8)
    images[:, 10, 12] = 7
    views = draw(np.random.default_rng(0), 1000, 2, True)
    assert set(views) == set(range(count(2, True)))
    moved = view(images, views, 2, True)
    assert moved.shape == images.shape
    assert (moved.sum((1, 2)) == 7).all()
    _, rows, columns = np.nonzero(moved)
    k = 2
    assert {(v % 2, r - 10, c - 12) for v, r, c in zip(views, rows, columns, strict=True)} == {
        (m, y, x + m * (15 - 12)) for m in (0, 1) for y in range(-k, k + 1) for x in range(-k, k + 1)
    }
    assert (view(images, draw(np.random.default_rng(0), 1000, 0, False), 0, False) == images).all()


def test_bad_arguments(small_mnist, tmp_path, monkeypatch):
    out = tmp_path / "n.onnx"
    with pytest.raises(InputError, match="network must be one of lenet-5, lenet-300-100, not 'lenet'"):
        train("lenet", small_mnist, out)
    with pytest.raises(InputError, match="epochs must be at least 1, not 0"):
        train("lenet-5", small_mnist, out, epochs=0)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(InputError, match=r"training needs torch: pip install 'accel\[train\]'"):
        train("lenet-5", small_mnist, out)


def test_folder_without_the_files(small_mnist):
    (small_mnist / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(InputError, match="t10k-labels-idx1-ubyte cannot be read: No such file"):
        read_images(small_mnist)


def test_labels_that_do_not_fit(small_mnist):
    write_idx(small_mnist / "train-labels-idx1-ubyte", np.zeros(3, np.uint8))
    with pytest.raises(InputError, match="train set must be images of 28 x 28 with labels"):
        read_images(small_mnist)


def test_held_out_images_are_the_last_sixth_of_the_training_set(small_mnist):
    whole, split = read_images(small_mnist), read_images(small_mnist, validation=True)
    assert (whole.part, split.part) == ("test", "validation")
    assert len(split.judged_labels) == 640 // 6
    for part in ("images", "labels"):
        both = np.concatenate([getattr(split, f"train_{part}"), getattr(split, f"judged_{part}")])
        np.testing.assert_array_equal(both, getattr(whole, f"train_{part}"))
    write_idx(small_mnist / "train-images-idx3-ubyte", whole.train_images[:5])
    write_idx(small_mnist / "train-labels-idx1-ubyte", whole.train_labels[:5])
    with pytest.raises(InputError, match="train set must have 6 images or more to hold some out, not 5"):
        read_images(small_mnist, validation=True)


@pytest.mark.train
def test_validation_learns_what_is_not_held_out_and_judges_on_the_rest(small_mnist, tmp_path, monkeypatch):
    split = read_images(small_mnist, validation=True)
    seen: list[Epoch] = []
    learnt = train("lenet-300-100", small_mnist, tmp_path / "v.onnx", 1, 1, seen.append, validation=True)
    outputs = float32.run(learnt, split.judged_images[:, None].astype(np.float32) / 255)
    assert seen[0].accuracy_percent == pytest.approx(100 * (outputs.argmax(1) == split.judged_labels).mean())
    # A training set that ends before them gives the same network: they were not learnt.
    whole = read_images(small_mnist)
    write_idx(small_mnist / "train-images-idx3-ubyte", whole.train_images[: len(split.train_labels)])
    write_idx(small_mnist / "train-labels-idx1-ubyte", whole.train_labels[: len(split.train_labels)])
    same = train("lenet-300-100", small_mnist, tmp_path / "t.onnx", 1, 1)
    np.testing.assert_array_equal(same.layers[1].weights, learnt.layers[1].weights)


@pytest.mark.train
@pytest.mark.parametrize("name", ["lenet-5", "lenet-300-100"])
def test_trains_and_resumes_to_the_same_network(small_mnist, tmp_path, name):
    epochs: list[Epoch] = []
    whole = train(name, small_mnist, tmp_path / "whole.onnx", 1, 3, epochs.append)
    assert [e.number for e in epochs] == [1, 2, 3]
    assert epochs[-1].accuracy_percent > 95
    assert not (tmp_path / "whole.onnx.state").exists()

    def interrupt(epoch):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(name, small_mnist, tmp_path / "resumed.onnx", 1, 3, interrupt)
    assert not (tmp_path / "resumed.onnx").exists()
    with pytest.raises(InputError, match="belongs to another run"):
        train(name, small_mnist, tmp_path / "resumed.onnx", 2, 3)
    resumed = train(name, small_mnist, tmp_path / "resumed.onnx", 1, 3)
    data = read_images(small_mnist).judged_images[:, None].astype(np.float32) / 255
    np.testing.assert_array_equal(float32.run(whole, data), float32.run(resumed, data))
    written = onnx_read.read(tmp_path / "whole.onnx")
    np.testing.assert_array_equal(float32.run(whole, data), float32.run(written, data))
