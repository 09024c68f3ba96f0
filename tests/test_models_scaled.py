"""One codebook a layer with a scale for each output, in float: found in the weights, written, trained, in int8."""

from __future__ import annotations

from dataclasses import replace
from math import isqrt
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from accel.models import zoo
from accel.models.build import Chain
from accel.models.compress import recipe
from accel.models.compress.cluster import share_weights
from accel.models.compress.grid import put_on_grid
from accel.models.compress.prune import matrix_layers, to_density, with_weights
from accel.models.compress.scaled import nearest_shared, share_scaled
from accel.models.compress.share import share
from accel.models.compress.standard import shared as standard
from accel.models.compress.training_step import Context
from accel.models.encode import encoded_file, integer_file
from accel.models.encode.accounting import account
from accel.models.encode.encoded import decode, encode
from accel.models.encode.encoded_layer import FORMATS
from accel.models.exchange import onnx_read, onnx_write
from accel.models.graph import Linear, Network, build
from accel.models.integers.network import MatrixLayer
from accel.models.quantisation.shared import quantise_compressed, quantised
from accel.models.reference import float32, int8
from accel.models.scaled import scale_above, scaled_of
from accel.models.training.fit import Schedule, fit
from accel.models.training.images import ImageSet, floats
from accel.models.window import Window

BITS = {"first": 4, "deep": 4, "point": 4, "fc": 4}


def depthwise(seed: int = 0, spread: float = 1.0) -> Network:
    """With outputs of one layer over `spread` orders of magnitude either way, which what reads them takes back."""
    rng = np.random.default_rng(seed)
    chain = Chain(rng, (3, 8, 8))
    chain.conv("first", 16, Window((3, 3), pads=(1, 1, 1, 1)), relu="relu1")
    chain.conv("deep", 16, Window((3, 3), pads=(1, 1, 1, 1)), groups=16, relu="relu2")
    chain.conv("point", 24, Window((1, 1)), relu="relu3")
    chain.pool("pool", Window((4, 4), (4, 4)))
    chain.flatten()
    chain.linear("fc", 3, tensor="logits")
    plain = chain.network("depthwise")
    weights = {layer.name: layer.weights.copy() for layer in matrix_layers(plain)}
    sizes = (10.0 ** rng.uniform(-spread, spread, 16)).astype(np.float32)
    weights["first"] *= sizes[:, None, None, None]
    turned = rng.permutation(sizes)
    weights["deep"] *= (turned / sizes)[:, None, None, None]
    weights["point"] /= turned[:, None, None]
    return with_weights(plain, weights)


def colours(count: int = 240) -> ImageSet:
    """Images of 3 channels of which the brightest is the class."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, count + 120)
    images = rng.integers(0, 150, (count + 120, 3, 8, 8)).astype(np.uint8)
    images[np.arange(count + 120), labels] += 80
    return ImageSet(images[120:], labels[120:], images[:120], labels[:120])


@settings(deadline=None, max_examples=200)
@given(st.lists(st.floats(1e-25, 1e25), min_size=1, max_size=5))
def test_a_scale_is_a_prime_times_a_power_of_128(wanted: list[float]) -> None:
    for scale, want in zip(scale_above(np.array(wanted)), wanted, strict=True):
        assert want <= scale <= 1.035 * want
        whole = int(scale * 2**210)  # exact: a power of 128
        while whole % 128 == 0:
            whole //= 128
        assert 2**9 < whole < 2**16
        assert all(whole % divisor for divisor in range(2, isqrt(whole) + 1))


@settings(deadline=None, max_examples=200)
@given(st.integers(0, 2**32 - 1))
def test_codes_and_scales_are_found(seed: int) -> None:
    """Also where all codes of an output have a divisor in common, and where it is all zeros."""
    rng = np.random.default_rng(seed)
    book = rng.choice(np.arange(-127, 128), rng.integers(2, 9), replace=False)
    if rng.random() < 0.5:
        book = np.unique(np.fix(book / 8).astype(int) * 8)
    shape = (int(rng.integers(1, 12)), int(rng.integers(8, 20)))
    codes = rng.choice(book, shape) * (rng.random((shape[0], 1)) < 0.9)
    count = np.count_nonzero(codes)
    assume((codes != 0).any(1).sum() > 1 and count > shape[0] and 2 * np.count_nonzero(np.unique(codes)) <= count)
    scales = scale_above(10.0 ** rng.uniform(-6, 3, shape[0]))
    weights = (codes * scales[:, None]).astype(np.float32)
    assert (weights == codes * scales[:, None]).all()
    found = scaled_of(weights)
    assert found is not None
    np.testing.assert_array_equal(found.codes, codes)
    np.testing.assert_array_equal(found.steps, np.where(codes.any(1), scales, 1))
    # In int8 they are the codes and scales, and one codebook; an output that needs a larger scale keeps to the book.
    made, scale, shared = quantised(weights, np.zeros(shape[0]))
    np.testing.assert_array_equal(made, codes)
    np.testing.assert_array_equal(scale, found.steps)
    assert shared is not None
    assert 2 ** (shared.bits - 1) < max(2, len(np.unique(codes))) <= 2**shared.bits
    smallest = np.zeros(shape[0])
    smallest[0] = 1.7 * found.steps[0]
    made, scale, shared = quantised(weights, smallest)
    assert scale[0] == smallest[0]
    entries = np.unique(codes)
    lost = np.abs(made[0] * scale[0] - weights[0])
    assert np.allclose(lost, np.abs(entries * scale[0] - weights[0][:, None]).min(1), rtol=1e-5)


def test_other_weights_have_none() -> None:
    generator = np.random.default_rng(0)
    for shape in ((3, 4), (40, 30), (8, 4, 3, 3)):
        assert scaled_of(generator.standard_normal(shape).astype(np.float32)) is None
    assert scaled_of(np.zeros((2, 3), np.float32)) is None
    one_step = generator.integers(-6, 7, (20, 30)) * scale_above(np.array([0.01]))
    assert scaled_of(one_step.astype(np.float32)) is None  # a grid
    whole = depthwise()
    assert all(scaled_of(x.weights) is None for x in matrix_layers(share_weights(whole, 4)))
    by_output = put_on_grid(whole, dict.fromkeys(BITS, 7), {}, per_output=True)
    assert all(scaled_of(x.weights) is None for x in matrix_layers(by_output))
    for name in ("lenet-5-deep", "lenet-5-grid", "lenet-300-100-deep"):
        assert all(scaled_of(x.weights) is None for x in matrix_layers(zoo.load(name)))


def test_a_layer_has_what_loses_less() -> None:
    """Uneven outputs get scales; a layer that one codebook holds without loss, and what is shared already, stay."""
    whole = depthwise()
    found = share_scaled(whole, BITS)
    one = share_weights(whole, BITS)
    for layer, before, other in zip(*map(matrix_layers, (found, whole, one)), strict=True):
        scaled = scaled_of(layer.weights)
        if layer.name in ("first", "deep"):
            assert scaled is not None
            assert len(np.unique(scaled.codes)) <= 16
            rows = [x.reshape(len(x), -1).astype(float) for x in (before.weights, layer.weights, other.weights)]
            lost = [(np.square(x - rows[0]).sum(1) / np.square(rows[0]).sum(1)).mean() for x in rows[1:]]
            assert lost[0] < lost[1] / 4
    again = share_scaled(found, BITS)
    for layer, same in zip(*map(matrix_layers, (found, again)), strict=True):
        assert layer.weights is same.weights
    alike = with_weights(whole, {"point": np.resize(np.array([-0.5, 0.1, 0.7], np.float32), (24, 16, 1, 1))})
    assert len(np.unique(matrix_layers(share_scaled(alike, {"point": 2}))[2].weights)) == 3
    pruned = share_scaled(to_density(whole, {"point": 0.3}), {"point": 3})
    scaled = scaled_of(matrix_layers(pruned)[2].weights)
    if scaled is not None:
        assert len(np.unique(scaled.codes)) <= 8
    assert np.count_nonzero(matrix_layers(pruned)[2].weights) <= round(0.3 * 384)


def test_of_two_networks_the_nearer_with_means_put_right() -> None:
    """Outputs decide, not weights; biases take back what is shifted, layer behind layer."""
    whole, data = depthwise(), colours()
    inputs = floats(data.train_images)
    ways = share_scaled(whole, dict.fromkeys(BITS, 2)), share_weights(whole, dict.fromkeys(BITS, 2))
    found = nearest_shared(whole, data, *ways)

    def lost(network: Network) -> float:
        return float(np.square(float32.run(network, inputs) - float32.run(whole, inputs)).sum())

    assert lost(found) < min(map(lost, ways))
    assert nearest_shared(whole, data, ways[1], whole) is whole  # nothing is nearer
    some = inputs[np.arange(64) * 240 // 64]
    wanted, had = float32.run_all(whole, some), float32.run_all(found, some)
    for layer in matrix_layers(whole):
        axes = (0, 2, 3) if wanted[layer.output].ndim == 4 else (0,)
        np.testing.assert_allclose(
            had[layer.output].mean(axes), wanted[layer.output].mean(axes),
            atol=1e-4 * float(np.abs(wanted[layer.output]).max()),
        )  # fmt: skip


@pytest.mark.parametrize("format", FORMATS)
def test_files_hold_codes_and_scales(format: str) -> None:
    """Bit for bit, in every format, with a byte an entry and four a scale; and the checks of a reader."""
    found = share_scaled(to_density(depthwise(), {"point": 0.4}), BITS)
    lanes = 1 if format.endswith("arithmetic") else 3
    encoded = encode(found, {"first": format, "deep": format}, pes=lanes)
    content = encoded_file.to_bytes(encoded)
    back = decode(encoded_file.from_bytes(content, "n"))
    for layer, same in zip(*map(matrix_layers, (found, back)), strict=True):
        np.testing.assert_array_equal(layer.weights, same.weights)
    assert account(encoded).total.total_bits == 8 * len(content)
    first = encoded.layers[0]
    assert (first.format, len(first.scales), first.number_bits) == (format, 16, 8)
    assert content[8] == 4
    plain = encoded_file.to_bytes(encode(depthwise()))
    assert plain[8] == 3  # what older readers read
    for wrong in (0.0, -1.0, np.inf, np.nan):
        scales = np.where(np.arange(16) == 3, np.float32(wrong), first.scales)
        bad = replace(encoded, layers=(replace(first, scales=scales), *encoded.layers[1:]))
        with pytest.raises(Exception, match="layer 'first' must have scales that are finite and above 0"):
            encoded_file.from_bytes(encoded_file.to_bytes(bad), "n")


def test_onnx_files_keep_them(tmp_path: Path) -> None:
    found = share_scaled(depthwise(), BITS)
    path = tmp_path / "n.onnx"
    onnx_write.write(found, path)
    back = onnx_read.read(path)
    for layer, same in zip(*map(matrix_layers, (found, back)), strict=True):
        np.testing.assert_array_equal(layer.weights, same.weights)


@pytest.mark.train
@pytest.mark.parametrize("keep", ["values", "number"])
def test_an_entry_gets_its_members_gradients_times_their_scales(keep: str) -> None:
    """One step of descent against the gradients of a network that is free."""
    pytest.importorskip("torch")
    images, rate = colours(96), 2e-2
    whole = share_scaled(depthwise(spread=0.2), dict.fromkeys(("first", "deep", "point"), 3))
    step = Schedule(1, rate, 96, momentum=0.0, weight_decay=0.0, shift=0)
    free = fit(whole, images, step)
    tied = fit(whole, images, step, keep=keep)  # type: ignore[arg-type]
    moved = 0
    for before, after, alone in zip(*map(matrix_layers, (whole, tied, free)), strict=True):
        was, now = scaled_of(before.weights), scaled_of(after.weights)
        if was is None or now is None:
            continue
        np.testing.assert_array_equal(was.steps, now.steps)
        if keep == "number":  # the centroids of the first forward pass are still the codes: nothing has moved yet
            np.testing.assert_array_equal(np.unique(now.codes), np.unique(was.codes))
            continue
        steps = np.broadcast_to(was.steps.reshape(-1, *[1] * (was.codes.ndim - 1)), was.codes.shape).astype(float)
        unit = np.sqrt(np.square(was.steps.astype(float)).mean())
        for code in np.unique(was.codes):
            members = was.codes == code
            (reached,) = np.unique(now.codes[members])
            pull = ((alone.weights - before.weights).astype(float) * steps / unit)[members].sum() / unit
            assert reached == pytest.approx(code + pull if code else 0, abs=0.51)
            moved += reached != code
    assert moved >= 4 or keep == "number"


@pytest.mark.train
@pytest.mark.parametrize("bits", [3, 2])
def test_trained_it_is_not_below_what_is_not_trained(bits: int) -> None:
    """Of a network with a depthwise layer; its int8 codes are those of the file that is written of it."""
    pytest.importorskip("torch")
    examples = colours(480)
    inputs, images = floats(examples.train_images[:64]), floats(examples.judged_images)
    whole = fit(depthwise(spread=0.3), examples, Schedule(4, 0.01, shift=0))

    def right(network: Network) -> float:
        integer = quantise_compressed(network, inputs)
        codes = int8.run(integer, int8.quantise_input(integer, images))[integer.output]
        return float((codes.reshape(len(codes), -1).argmax(1) == examples.judged_labels).mean())

    untrained = share(whole, inputs, bits)
    codes = int8.run(untrained, int8.quantise_input(untrained, images))[untrained.output]
    without = float((codes.reshape(len(codes), -1).argmax(1) == examples.judged_labels).mean())
    made, reports = recipe.apply(standard(bits).recipe(2), whole, Context(examples))
    assert "deep" in reports[0][1]["scale_an_output"]
    assert right(made) >= without
    found = quantise_compressed(made, inputs)
    again = quantise_compressed(decode(encoded_file.from_bytes(encoded_file.to_bytes(encode(made)), "n")), inputs)
    read = integer_file.from_bytes(integer_file.to_bytes(found), "n")
    for layer in matrix_layers(made):
        scaled = scaled_of(layer.weights)
        if scaled is not None:
            ways = [next(x for x in one.layers if x.name == layer.name) for one in (found, again, read)]
            for way in ways:
                assert isinstance(way, MatrixLayer)
                assert way.shared is not None
                assert way.shared.bits <= bits
                np.testing.assert_array_equal(way.weights.reshape(scaled.codes.shape), scaled.codes)
                assert len(way.requantise.multiplier) == len(layer.weights)


def test_too_few_weights_have_no_codebook() -> None:
    weights = np.random.default_rng(0).standard_normal((4, 3)).astype(np.float32)
    few = build("few", "x", (3,), (Linear("l", ("x",), "y", weights, np.zeros(4, np.float32)),))
    assert scaled_of(matrix_layers(share_scaled(few, {"l": 3}))[0].weights) is None
