"""Files of int8 networks: written and read back, by hand from the page of formats, and what is refused."""

from __future__ import annotations

import json
import struct
import zlib
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from accel.compile import compile_network
from accel.design import load as load_design
from accel.models.compress.share import share
from accel.models.encode import integer_file, record_tables
from accel.models.encode.encoded_layer import FORMATS
from accel.models.encode.stored import stored_bytes
from accel.models.errors import InputError
from accel.models.graph import Linear, build
from accel.models.integers.network import AnyLayer, ChannelLayer, IntegerNetwork, MatrixLayer
from accel.models.quantisation.quantise import quantise
from accel.models.reference import int8
from accel.sim.result import simulate
from tests.benches.counted import accepted, counted
from tests.benches.fuzz.mutate import mutate_bytes
from tests.benches.model_networks import draw_inputs, draw_network
from tests.benches.wide import draws

PAGE = Path(__file__).parent.parent / "docs" / "formats.md"


def drawn(rng: Random) -> IntegerNetwork:
    """A random network, quantised or shared."""
    while True:
        network = draw_network(rng, quantisable=True)
        inputs = draw_inputs(rng, network, 4)
        try:
            return quantise(network, inputs) if rng.random() < 0.5 else share(network, inputs, rng.randint(1, 8))
        except InputError:  # a network without a layer that the accelerator runs
            continue


def ends(network: IntegerNetwork) -> tuple[object, ...]:
    """Everything but the layers."""
    tensors = network.tensors, network.host_layers
    return network.name, network.input, network.output, network.more_inputs, network.more_outputs, *tensors


def same(a: IntegerNetwork, b: IntegerNetwork) -> None:
    """Equal in everything but the order of codebooks."""
    assert ends(a) == ends(b)
    for x, y in zip(a.layers, b.layers, strict=True):
        same_layer(x, y)


def same_layer(x: AnyLayer, y: AnyLayer) -> None:
    """Equal in everything but the order of the codebook."""
    if isinstance(x, ChannelLayer):
        assert x == y
        return
    for name in ("bias", "multiplier", "shift"):
        ours, theirs = getattr(x.requantise, name), getattr(y.requantise, name)
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)
    tables = [x.requantise.table, y.requantise.table]
    assert [table is None for table in tables] in ([True, True], [False, False])
    np.testing.assert_array_equal(*tables)
    rest = ("name", "input", "output", "window", "residual", "source")
    assert all(getattr(x, name) == getattr(y, name) for name in rest)
    assert [(o.zero_point, o.low, o.high) for o in (x.requantise,)] == [
        (o.zero_point, o.low, o.high) for o in (y.requantise,)
    ]
    if isinstance(x, MatrixLayer):
        assert isinstance(y, MatrixLayer)
        assert x.groups == y.groups
        np.testing.assert_array_equal(x.weights, y.weights)
        assert (x.shared is None) == (y.shared is None)
        if x.shared and y.shared:
            assert (x.shared.bits, set(x.shared.codebook)) == (y.shared.bits, set(y.shared.codebook))
            np.testing.assert_array_equal(y.shared.codebook[y.shared.indices], x.weights)
    else:
        assert x.reduce == y.reduce  # type: ignore[union-attr]


@settings(deadline=None, max_examples=50)
@given(st.randoms(use_true_random=False))
def test_round_trip(rng: Random) -> None:
    network = drawn(rng)
    formats = rng.choice([("dense",), ("dense", "sparse"), FORMATS])
    content = integer_file.to_bytes(network, formats)
    back = integer_file.from_bytes(content, "n")
    same(network, back)
    assert integer_file.to_bytes(back, formats) == content
    assert stored_bytes(network, formats) == len(content)


@settings(deadline=None, max_examples=draws(30))
@given(st.randoms(use_true_random=False))
def test_what_is_changed_is_refused(rng: Random) -> None:
    """By the checksum, whatever it was."""
    content = integer_file.to_bytes(drawn(rng), (rng.choice(FORMATS),))
    for _ in range(20):
        changed = mutate_bytes(rng, content)
        if changed != content:
            with pytest.raises(InputError):
                integer_file.from_bytes(changed, "n")


@counted(draws(20))
@settings(deadline=None, max_examples=draws(30))
@given(st.randoms(use_true_random=False))
def test_whoever_mends_the_checksum_has_another_number(rng: Random) -> None:
    """A bit behind the graph is a number of one layer, and of nothing else; or the same one, written another way."""
    network = drawn(rng)
    content = bytearray(integer_file.to_bytes(network, (rng.choice(FORMATS),))[:-4])
    begin = 16 + int.from_bytes(content[12:16], "little")
    assume(begin < len(content))
    content[rng.randrange(begin, len(content))] ^= 1 << rng.randrange(8)
    read = accepted(integer_file.from_bytes, bytes(content) + zlib.crc32(content).to_bytes(4, "little"), "n")
    assert ends(read) == ends(network)
    pairs = list(zip(network.layers, read.layers, strict=True))
    assert sum(differ(*pair) for pair in pairs) <= 1
    same(integer_file.from_bytes(integer_file.to_bytes(read), "again"), read)


def differ(x: AnyLayer, y: AnyLayer) -> bool:
    """Whether two layers are not the same."""
    try:
        same_layer(x, y)
    except AssertionError:
        return True
    return False


def test_what_is_read_runs_as_what_was_written(tmp_path: Path) -> None:
    """The same codes and the same cycles, of a network whose codebook has entries that are equal or unused."""
    rng = Random(1)
    network = draw_network(rng, quantisable=True)
    inputs = draw_inputs(rng, network, 4)
    written = share(network, inputs, 8)
    integer_file.save(written, tmp_path / "n.int8")
    read = integer_file.load(tmp_path / "n.int8")
    codes = int8.quantise_input(written, inputs)
    np.testing.assert_array_equal(int8.run(read, codes)[read.output], int8.run(written, codes)[written.output])
    cycles = [simulate(compile_network(one, load_design("nano"))).cycles for one in (read, written)]
    assert cycles[0] == cycles[1]


def small() -> IntegerNetwork:
    """One fully connected layer, 2 to 2."""
    weights = np.array([[1, 0], [-1, 0.5]], np.float32)
    network = build("n", "x", (2,), (Linear("l", ("x",), "y", weights, np.zeros(2, np.float32)),))
    return quantise(network, np.array([[1, -1], [-1, 1]], np.float32))


def test_the_bytes_of_a_small_file() -> None:
    """From docs/formats.md: frame, graph, one dense layer, two records, checksum."""
    network = small()
    (layer,) = network.layers
    content = integer_file.to_bytes(network, ("dense",))
    assert content[:12] == b"ACCELINT" + struct.pack("<HH", 3, 1)
    size = int.from_bytes(content[12:16], "little")
    graph = json.loads(zlib.decompress(content[16 : 16 + size]))
    assert [graph[key] for key in ("name", "input", "output", "host_layers")] == ["n", "x", "y", []]
    assert graph["tensors"][0] == {
        "name": "x", "shape": [2, 1, 1], "scale": network.tensors["x"].scale,
        "zero_point": network.tensors["x"].zero_point,
    }  # fmt: skip
    expected = struct.pack("<BBBBHHI", 0, 0, 4, 1, 1, 0, int(np.count_nonzero(layer.weights)))
    expected += struct.pack("<4I4b", 2, 2, 1, 1, *layer.weights.reshape(-1).tolist())
    to = layer.requantise
    for record in zip(to.bias.tolist(), to.multiplier.tolist(), to.shift.tolist(), strict=True):
        expected += struct.pack("<iHBB", *record, 0)
    assert content[16 + size : -4] == expected
    assert content[-4:] == struct.pack("<I", zlib.crc32(content[:-4]))


def rewritten(content: bytes, change: dict[str, object], magic: bytes = b"ACCELINT") -> bytes:
    """The file with fields of its graph changed, and a right checksum."""
    size = int.from_bytes(content[12:16], "little")
    graph = json.loads(zlib.decompress(content[16 : 16 + size])) | change
    packed = zlib.compress(json.dumps(graph).encode())
    whole = magic + content[8:12] + struct.pack("<I", len(packed)) + packed + content[16 + size : -4]
    return whole + struct.pack("<I", zlib.crc32(whole))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"more": 1}, "graph: more: Extra inputs are not permitted"),
        ({"tensors": []}, "tensor 'x' must be one of the graph's tensors"),
        ({"layers": []}, "must have as many layers with weights as its graph, not 1"),
        ({"name": "x" * 2000}, "graph: name: String should have at most 1000 characters"),
        ({"input": 7}, "graph: input: Input should be a valid string"),
    ],
)
def test_graphs_that_are_refused(change: dict[str, object], message: str) -> None:
    content = rewritten(integer_file.to_bytes(small(), ("dense",)), change)
    with pytest.raises(InputError, match="must be a file of an int8 network of this version: ") as caught:
        integer_file.from_bytes(content, "f")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_numbers_that_are_none() -> None:
    network = small()
    spec = network.tensors["x"]
    tensor = {"name": "x", "shape": [2, 1, 1], "scale": float("inf"), "zero_point": spec.zero_point}
    content = integer_file.to_bytes(network, ("dense",))
    for wrong in ({"scale": float("inf")}, {"scale": 0}, {"zero_point": 128}, {"shape": [2, 1]}, {"scale": True}):
        with pytest.raises(InputError, match="of this version: graph: tensors"):
            integer_file.from_bytes(rewritten(content, {"tensors": [tensor | {"scale": 1.0} | wrong]}), "f")


def test_a_network_is_checked_whoever_wrote_it() -> None:
    """By the integer network itself: here a layer whose zero point is not its tensor's."""
    content = integer_file.to_bytes(small(), ("dense",))
    size = int.from_bytes(content[12:16], "little")
    (layer,) = json.loads(zlib.decompress(content[16 : 16 + size]))["layers"]
    wrong = layer | {"out": layer["out"] | {"zero_point": (layer["out"]["zero_point"] + 1) % 100}}
    with pytest.raises(InputError, match="n: layer 'l': zero point must be that of 'y'"):
        integer_file.from_bytes(rewritten(content, {"layers": [wrong]}), "f")


def test_other_files() -> None:
    content = integer_file.to_bytes(small())
    with pytest.raises(InputError, match="f must be a file of an int8 network, and is damaged or something else"):
        integer_file.from_bytes(b"ACCELWTS" + content[8:], "f")
    for at in range(8, len(content)):
        with pytest.raises(InputError, match="f is damaged: its checksum must be that of its content"):
            integer_file.from_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :], "f")
    with pytest.raises(InputError, match="formats must be some of dense, shared"):
        integer_file.to_bytes(small(), ("zip",))
    layer = replace(small().layers[0], name="x" * 2000)
    with pytest.raises(InputError, match=r"n cannot be written: layers\.0.*at most 1000 characters"):
        integer_file.to_bytes(replace(small(), layers=(layer,)))


def test_tables_of_graphs_are_current() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert record_tables.replace(page) == page
