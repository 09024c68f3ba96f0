"""A user's own inputs: what of them is learnt, what judges, and what is refused."""

from __future__ import annotations

import pickle
import shutil
from dataclasses import replace
from zipfile import ZipFile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from accel.models import entry
from accel.models.build import Chain
from accel.models.errors import InputError
from accel.models.graph import Network
from accel.models.parting import parted
from accel.models.reference import float32
from accel.models.training import judge, own_data
from accel.models.training.idx import write_idx
from accel.models.training.images import floats
from accel.models.window import Window
from tests.benches.onnx_models import floats as numbers
from tests.benches.onnx_models import model_of


def network(shape=(3, 6, 5), outputs=4) -> Network:
    chain = Chain(np.random.default_rng(0), shape)
    if len(shape) == 3:
        chain.conv("conv", 4, Window((3, 3)), relu="relu")
        chain.flatten()
    chain.linear("fc", outputs, tensor="logits")
    return chain.network("small")


def places(shape=(3, 6, 5), classes=4) -> Network:
    """A class for each pixel."""
    chain = Chain(np.random.default_rng(0), shape)
    chain.conv("conv", classes, Window((3, 3), pads=(1, 1, 1, 1)))
    return chain.network("places")


RNG = np.random.default_rng(1)
PIXELS = RNG.integers(0, 256, (12, 3, 6, 5)).astype(np.uint8)
CLASSES = np.arange(12) % 4


def saved(folder, **arrays):
    path = folder / "data.npz"
    np.savez(path, **arrays)
    return path


@pytest.mark.parametrize("names", own_data.NAMES)
def test_arrays_by_name(tmp_path, names):
    found = own_data.read(
        saved(tmp_path, **dict(zip(names, (PIXELS, CLASSES, PIXELS[:5], CLASSES[:5]), strict=True))), network()
    )
    np.testing.assert_array_equal(found.train_images, PIXELS)
    np.testing.assert_array_equal(found.train_labels, CLASSES)
    np.testing.assert_array_equal(found.judged_images, PIXELS[:5])
    np.testing.assert_array_equal(found.judged_labels, CLASSES[:5])
    assert found.part == "test"
    np.testing.assert_allclose(floats(found.train_images), PIXELS / 255, rtol=1e-6)


def test_every_sixth_input_judges_where_nothing_else_does(tmp_path):
    path = saved(tmp_path, x=PIXELS, y=CLASSES)
    for validation in (False, True):
        found = own_data.read(path, network(), validation=validation)
        np.testing.assert_array_equal(found.judged_images, PIXELS[[5, 11]])
        np.testing.assert_array_equal(found.train_labels, np.delete(CLASSES, [5, 11]))
        assert found.part == "validation"
    with pytest.raises(InputError, match="there must be 6 inputs or more to hold some out, not 5"):
        own_data.read(saved(tmp_path, x=PIXELS[:5], y=CLASSES[:5]), network())


def test_channels_last_maps_of_one_row_and_labels_of_their_own(tmp_path):
    last = own_data.read(saved(tmp_path, x=np.moveaxis(PIXELS, 1, -1), y=CLASSES[:, None]), network())
    np.testing.assert_array_equal(last.train_images, np.delete(PIXELS, [5, 11], 0))
    np.testing.assert_array_equal(last.train_labels, np.delete(CLASSES, [5, 11]))
    rows = RNG.standard_normal((12, 3, 8))
    chain = Chain(np.random.default_rng(0), (3, 1, 8))
    chain.conv("conv", 4, Window((1, 8)))
    chain.flatten()
    np.save(tmp_path / "x.npy", rows)
    np.save(tmp_path / "y.npy", CLASSES.astype(np.uint8))
    found = own_data.read(tmp_path / "x.npy", chain.network("row"), tmp_path / "y.npy")
    np.testing.assert_array_equal(found.train_images, np.delete(rows[:, :, None], [5, 11], 0).astype(np.float32))


def test_without_labels_the_float_network_says_what_is_right(tmp_path):
    inputs = RNG.standard_normal((12, 3, 6, 5)).astype(np.float32)
    np.save(tmp_path / "x.npy", inputs)
    found = own_data.read(tmp_path / "x.npy", network())
    wanted = float32.run(network(), inputs)
    np.testing.assert_allclose(found.train_labels, np.delete(wanted, [5, 11], 0), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(found.judged_labels, wanted[[5, 11]].argmax(1))
    assert judge.percent(wanted[[5, 11]], found.judged_labels) == 100
    single = own_data.read(tmp_path / "x.npy", network(outputs=1))
    assert single.judged_labels.dtype == np.float32
    assert judge.percent(float32.run(network(outputs=1), inputs[[5, 11]]), single.judged_labels) > 99.999


def test_a_class_for_each_place_and_values(tmp_path):
    maps = RNG.integers(0, 4, (12, 6, 5))
    found = own_data.read(saved(tmp_path, x=PIXELS, y=maps), places())
    assert found.judged_labels.shape == (2, 6, 5)
    values = RNG.standard_normal((12, 2))
    found = own_data.read(saved(tmp_path, x=PIXELS, y=values), network(outputs=2))
    np.testing.assert_array_equal(found.judged_labels, values[[5, 11]].astype(np.float32))


@pytest.mark.parametrize("kind", ["f4", "f8", "i8", "u1", "?"])
def test_one_hot_rows_are_classes(tmp_path, kind):
    """They were learnt as values, and judged by their variance."""
    rows = np.eye(4).astype(kind)
    found = own_data.read(saved(tmp_path, x=PIXELS, y=rows[CLASSES]), network())
    assert found.train_labels.dtype == np.int64
    np.testing.assert_array_equal(found.train_labels, np.delete(CLASSES, [5, 11]))
    np.testing.assert_array_equal(found.judged_labels, CLASSES[[5, 11]])
    maps = RNG.integers(0, 4, (12, 6, 5))
    found = own_data.read(saved(tmp_path, x=PIXELS, y=np.moveaxis(rows[maps], -1, 1)), places())
    np.testing.assert_array_equal(found.judged_labels, maps[[5, 11]])
    with pytest.raises(InputError, match="there must be a label for each of 12 inputs, not 11"):
        own_data.read(saved(tmp_path, x=PIXELS, y=rows[CLASSES[:11]]), network())


@pytest.mark.parametrize("other", [2, 0.9, -1, 0])
def test_rows_that_are_not_all_one_hot_are_values(tmp_path, other):
    rows = np.eye(4)[CLASSES]
    rows[3, CLASSES[3]] = other
    found = own_data.read(saved(tmp_path, x=PIXELS, y=rows), network())
    np.testing.assert_array_equal(found.train_labels, np.delete(rows, [5, 11], 0).astype(np.float32))
    found = own_data.read(saved(tmp_path, x=PIXELS, y=np.ones((12, 1))), network(outputs=1))
    assert found.train_labels.dtype == np.float32


def test_idx_files(tmp_path):
    for part, count in (("train", 12), ("t10k", 4)):
        write_idx(tmp_path / f"{part}-images-idx3-ubyte", RNG.integers(0, 256, (count, 28, 28)).astype(np.uint8))
        write_idx(tmp_path / f"{part}-labels-idx1-ubyte", (np.arange(count) % 4).astype(np.uint8))
    assert len(own_data.read(tmp_path, network((1, 28, 28))).judged_labels) == 4
    with pytest.raises(InputError, match=r"inputs must have the shape \(3, 6, 5\) that small reads, not \(28, 28\)"):
        own_data.read(tmp_path, network())


def write_images(folder, classes=("ant", "bee"), count=6, mode="RGB", size=(5, 6)):
    for number, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for k in range(count):
            pixels = np.full((size[1], size[0], 3), 20 * number + k, np.uint8)
            Image.fromarray(pixels).convert(mode).save(folder / name / f"{k}.png")


def test_folders_of_images(tmp_path):
    write_images(tmp_path / "flat")
    found = own_data.read(tmp_path / "flat", network())
    assert found.train_images.shape == (10, 3, 6, 5)
    assert found.judged_labels.tolist() == [0, 1]
    assert found.judged_images[:, 0, 0, 0].tolist() == [5, 25]
    write_images(tmp_path / "parts" / "train", mode="L")
    write_images(tmp_path / "parts" / "val", count=2)
    found = own_data.read(tmp_path / "parts", network())
    assert (len(found.train_labels), len(found.judged_labels), found.part) == (12, 4, "test")
    grey = own_data.read(tmp_path / "parts" / "train", network((1, 6, 5)))
    assert grey.train_images.shape == (10, 1, 6, 5)


def pack(folder):
    """The folder in a .zip file beside it, and no longer itself."""
    with ZipFile(folder.with_suffix(".zip"), "w") as packed:
        for path in [*folder.rglob("*.png")]:
            packed.write(path, path.relative_to(folder.parent))
    shutil.rmtree(folder)
    return folder.with_suffix(".zip")


def test_parts_in_zip_files_are_the_same(tmp_path):
    write_images(tmp_path / "train")
    write_images(tmp_path / "test", count=2)
    plain = own_data.read(tmp_path, network())
    for part in ("train", "test"):
        pack(tmp_path / part)
    assert pickle.dumps(own_data.read(tmp_path, network())) == pickle.dumps(plain)


TRANSPOSED = ("Transpose", "x", "t", {"perm": [0, 3, 1, 2]})
NORMALISED = ("LRN", "t", "l", {"size": 3, "alpha": 0.5})


def behind(folder, shape, *head) -> Network:
    """A network of maps (3, 6, 5) behind nodes that only the host runs."""
    last = head[-1][2]
    nodes = [*head, ("Conv", f"{last},w", "c", {}), ("Flatten", "c", "f", {}), ("Gemm", "f,v", "y", {})]
    path = folder / "cut.onnx"
    path.write_bytes(
        model_of(nodes, {"w": numbers(2, 3, 3, 3), "v": numbers(24, 4)}, ("n", *shape)).SerializeToString()
    )
    found = parted.read(path)
    assert found.shapes[found.input] == (3, 6, 5)
    assert found.host is not None
    assert found.host.head is not None
    return found


def test_a_network_that_reads_channels_last(tmp_path):
    """Whatever lies where in the file, what is learnt lies as the accelerator takes it, and pixels stay bytes."""
    cut = behind(tmp_path, (6, 5, 3), TRANSPOSED)
    for inputs in (PIXELS, (PIXELS / 255).astype(np.float32)):
        for form in (np.moveaxis(inputs, 1, -1), inputs):
            found = own_data.read(saved(tmp_path, x_train=form, y_train=CLASSES, x_test=form, y_test=CLASSES), cut)
            for made in (found.train_images, found.judged_images):
                assert made.dtype == inputs.dtype
                np.testing.assert_array_equal(made, inputs)
    with pytest.raises(InputError, match=r"inputs must have the shape \(6, 5, 3\) that cut reads, not \(3, 6, 4\)"):
        own_data.read(saved(tmp_path, x=PIXELS[..., :4], y=CLASSES), cut)
    write_images(tmp_path / "images")
    plain, last = (own_data.read(tmp_path / "images", one) for one in (network(), cut))
    assert pickle.dumps(last) == pickle.dumps(plain)


@pytest.mark.parametrize("shape", [(3, 6, 5), (6, 5, 3)])
def test_what_the_host_computes_in_front_is_computed_once(tmp_path, monkeypatch, shape):
    """In batches, whose ends do not matter; outputs without labels are the whole network's."""
    normalised = ("LRN", "x", *NORMALISED[2:]) if shape[0] == 3 else NORMALISED
    cut = behind(tmp_path, shape, *([TRANSPOSED] if shape[0] == 6 else []), normalised)
    inputs = (PIXELS / 255).astype(np.float32)
    (wanted,) = cut.host.head.run([inputs if shape[0] == 3 else np.moveaxis(inputs, 1, -1)])
    assert np.abs(wanted - inputs).max() > 0.01
    for at_once in (5, 100):
        monkeypatch.setattr(entry, "AT_ONCE", at_once)
        for form in (PIXELS, inputs, np.moveaxis(inputs, 1, -1)):
            np.save(tmp_path / "x.npy", form)
            found = own_data.read(tmp_path / "x.npy", cut)
            np.testing.assert_allclose(found.train_images, np.delete(wanted, [5, 11], 0), rtol=1e-5)
            np.testing.assert_allclose(found.train_labels, float32.run(cut, found.train_images), rtol=1e-4, atol=1e-5)


def test_idx_files_behind_what_the_host_runs(tmp_path):
    images = RNG.integers(0, 256, (12, 28, 28)).astype(np.uint8)
    for part in ("train", "t10k"):
        write_idx(tmp_path / f"{part}-images-idx3-ubyte", images)
        write_idx(tmp_path / f"{part}-labels-idx1-ubyte", (np.arange(12) % 4).astype(np.uint8))
    nodes = [TRANSPOSED, ("Conv", "t,w", "c", {}), ("Flatten", "c", "f", {}), ("Gemm", "f,v", "y", {})]
    model = model_of(nodes, {"w": numbers(1, 1, 9, 9), "v": numbers(400, 4)}, ("n", 28, 28, 1))
    (tmp_path / "grey.onnx").write_bytes(model.SerializeToString())
    found = own_data.read(tmp_path, parted.read(tmp_path / "grey.onnx"))
    for made in (found.train_images, found.judged_images):
        np.testing.assert_array_equal(made, images[:, None])


@pytest.mark.parametrize("computed", [np.abs, lambda x: x - 0 * x[:, ::-1], lambda x: x[..., ::-1], lambda x: x[:, :2]])
def test_only_a_move_keeps_the_type(tmp_path, computed):
    """What leaves counting numbers as they are, or some of them, is not one."""
    cut = behind(tmp_path, (6, 5, 3), TRANSPOSED)
    inputs, shape = numbers(4, 6, 5, 3), cut.shapes[cut.input]
    head = replace(cut.host.head, run=lambda given: [computed(np.moveaxis(given[0], -1, 1))])
    wanted = computed(np.moveaxis(inputs, -1, 1))
    if wanted[0].size == inputs[0].size:
        cut = replace(cut, host=replace(cut.host, head=head))
        np.testing.assert_array_equal(entry.entered(cut, inputs), wanted.reshape(-1, *shape))
    is_move = entry._order(head, (6, 5, 3)) is not None
    assert is_move == np.array_equal(np.sort(wanted, None), np.sort(inputs, None))


def bad_folder(folder, how):
    write_images(folder / "train")
    if how == "one":
        return folder / "train" / "ant"
    if how == "size":
        Image.new("RGB", (7, 6)).save(folder / "train" / "bee" / "odd.png")
    if how == "damaged":
        (folder / "train" / "bee" / "odd.png").write_bytes(b"\x89PNG\r\n\x1a\n nothing")
    if how == "empty":
        (folder / "train" / "cat").mkdir()
    if how == "no zip":
        (folder / "test.zip").write_bytes(b"PK\3\4 nothing")
    if how == "another zip":
        pack(folder / "train").rename(folder / "test.zip")
        write_images(folder / "train")
    if how == "damaged zip":
        packed = pack(folder / "train")
        content = bytearray(packed.read_bytes())
        content[content.index(b"IDAT") + 6] ^= 255  # of a file in it, whose checksum is wrong then
        packed.write_bytes(content)
    if how == "other":
        write_images(folder / "val", ("ant", "cow"))
    return folder


@pytest.mark.parametrize(
    ("how", "shape", "message"),
    [
        ("one", (3, 6, 5), "must hold a folder of images for each of two classes or more, not 0"),
        ("size", (3, 6, 5), "odd.png: images must have 5 x 6 pixels, not 7 x 6"),
        ("damaged", (3, 6, 5), "odd.png must be an image"),
        ("no zip", (3, 6, 5), "test.zip must be a .zip file, and is damaged or something else"),
        ("another zip", (3, 6, 5), "test.zip must hold a folder called test, and does not"),
        ("damaged zip", (3, 6, 5), "train.zip.*png must be an image, and"),
        ("empty", (3, 6, 5), r"cat must hold images \(.png"),
        ("other", (3, 6, 5), "classes must be those of .*train: ant, bee"),
        ("grey", (1, 6, 5), "0.png: images must be grey, as the network reads one channel, not RGB"),
        ("two", (2, 6, 5), "images must be for a network that reads 1 or 3 channels of pixels"),
    ],
)
def test_folders_that_are_refused(tmp_path, how, shape, message):
    with pytest.raises(InputError, match=message):
        own_data.read(bad_folder(tmp_path, how), network(shape))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"a": PIXELS}, "must hold arrays called x_train, .*, and holds a"),
        ({"x": PIXELS, "y": CLASSES[:3]}, "there must be a label for each of 12 inputs, not 3"),
        ({"x": PIXELS, "y": CLASSES + 1}, "output must have a value for each of 5 classes, not 4"),
        ({"x": PIXELS, "y": CLASSES - 1}, "labels must be classes from 0 on, not -1"),
        ({"x": PIXELS, "y": CLASSES.astype("U2")}, "labels must be integers or floats, not <U2"),
        ({"x": PIXELS, "y": np.zeros((12, 3))}, r"values to learn must have the output's shape \(4,\), not \(3,\)"),
        (
            {"x": PIXELS, "y": np.zeros((12, 2, 2))},
            r"values to learn must have the output's shape \(4,\), not \(2, 2\)",
        ),
        ({"x": PIXELS, "y": np.full((12, 4), np.nan)}, "values to learn must be finite"),
        ({"x": PIXELS, "y": np.zeros((12, 2, 2), int)}, "labels must be a class, or one for each place"),
        ({"x": PIXELS[:, :, :5], "y": CLASSES}, r"inputs must have the shape \(3, 6, 5\) that small reads"),
        ({"x": PIXELS.astype(np.int32), "y": CLASSES}, "inputs must be floats, or pixels of uint8, not int32"),
        ({"x": np.full(PIXELS.shape, np.inf), "y": CLASSES}, "inputs must be finite as float32"),
        ({"x": PIXELS[:0], "y": CLASSES[:0]}, "there must be at least one input"),
        ({"x": np.array(1.0)}, "x must be an array of inputs or labels, not one number"),
    ],
)
def test_arrays_that_are_refused(tmp_path, arrays, message):
    with pytest.raises(InputError, match=message):
        own_data.read(saved(tmp_path, **arrays), network())


def test_what_is_no_data(tmp_path):
    (tmp_path / "text.txt").write_text("hello")
    with pytest.raises(InputError, match=r"data to learn must be a folder that exists, an .npz or a .npy file"):
        own_data.read(tmp_path / "text.txt", network())
    with pytest.raises(InputError, match="cannot be read: No such file"):
        own_data.read(tmp_path / "none.npz", network())
    path = saved(tmp_path, x=PIXELS, y=CLASSES)
    np.save(tmp_path / "y.npy", CLASSES)
    with pytest.raises(InputError, match=r"labels must be left out with .*data.npz, which has its own"):
        own_data.read(path, network(), tmp_path / "y.npy")


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_damaged_file_is_refused_or_read(tmp_path_factory, data):
    folder = tmp_path_factory.getbasetemp()
    content = bytearray(saved(folder, x=PIXELS[:6], y=CLASSES[:6]).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = folder / "damaged.npz"
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))] if data.draw(st.booleans()) else content)
    message = ""
    try:
        found = own_data.read(path, network())
    except InputError as error:
        message = str(error)
    else:
        assert len(found.train_images) == len(found.train_labels) == 5
    assert "\n" not in message


@given(st.integers(1, 5), st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_percent(classes, count, seed):
    rng = np.random.default_rng(seed)
    outputs, labels = rng.standard_normal((count, classes)), rng.integers(0, classes, count)
    right = sum(
        int(max(range(classes), key=lambda k: row[k]) == label) for row, label in zip(outputs, labels, strict=True)
    )
    assert judge.percent(outputs, labels) == pytest.approx(100 * right / count)
    grid = rng.standard_normal((count, classes, 2, 3))
    assert judge.percent(grid, grid.argmax(1)) == 100
    values = rng.standard_normal((count, 3)).astype(np.float32)
    if count > 1:
        mean = np.broadcast_to(values.mean(0), values.shape)
        assert judge.percent(mean, values) == pytest.approx(0, abs=1e-4)
        assert judge.percent(values, values) == 100
