import contextlib
import struct
import tracemalloc
import zlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.models.codebook import codebook_of
from accel.models.compress.cluster import cluster
from accel.models.encode import huffman
from accel.models.encode.accounting import account, layer_parts
from accel.models.encode.bitstream import DamagedStream, Stream, pack_lanes
from accel.models.encode.bookkeeping import LayerWidths, layer_bits
from accel.models.encode.encoded import decode, encode
from accel.models.encode.encoded_file import from_bytes, header_bytes, load, save, to_bytes
from accel.models.encode.encoded_layer import FORMATS, HUFFMAN, decode_layer, encode_layer
from accel.models.errors import InputError
from accel.models.graph import Conv, Linear, build
from accel.models.zoo import load as load_network
from tests.benches.model_networks import draw_network


def make_weights(generator, shape, values, density):
    """Float32 weights of `values` distinct non-zero values (0: all distinct), of which `density` is not 0."""
    weights = generator.standard_normal(shape)
    if values:
        weights = generator.choice(generator.standard_normal(values), shape)
    return np.where(generator.random(shape) < density, weights, 0).astype(np.float32)


def on_grid(generator, weights, per_output):
    """Whole multiples of a step, or of a step for each output, where `weights` are not 0."""
    steps = generator.integers(1, 2**16, len(weights) if per_output else 1) * np.exp2(generator.integers(-40, 20))
    codes = np.where(weights != 0, generator.integers(-127, 128, weights.shape), 0)
    return (codes * steps.reshape(-1, *[1] * (weights.ndim - 1))).astype(np.float32)


def linear(weights, name="l"):
    return Linear(name, ("x",), "y", weights, np.arange(len(weights), dtype=np.float32))


def formats_for(weights, pes=1):
    """Those that a layer can have in so many lanes."""
    return [f for f in (FORMATS if pes == 1 else HUFFMAN) if len(codebook_of(weights)) or not f.startswith("shared")]


def assert_same_network(a, b):
    assert (a.name, a.input, a.output, a.shapes) == (b.name, b.input, b.output, b.shapes)
    for x, y in zip(a.layers, b.layers, strict=True):
        if not isinstance(x, Conv | Linear):
            assert x == y
            continue
        assert type(x) is type(y)
        assert replace(x, weights=0, bias=0).__dict__ == replace(y, weights=0, bias=0).__dict__
        for p, q in ((x.weights, y.weights), (x.bias, y.bias)):
            assert p.dtype == q.dtype == np.float32
            np.testing.assert_array_equal(p, q)


@settings(deadline=None, max_examples=60)
@given(st.randoms(use_true_random=False))
def test_round_trip_of_networks(rng):
    """Every layer in a format of its own, through a file; and the file is as long as the accounting says."""
    generator = np.random.default_rng(rng.getrandbits(32))
    network = draw_network(rng)
    layers, formats, pes = [], {}, rng.choice([1, 1, 2, 7])
    among = [HUFFMAN, FORMATS] if pes == 1 else [HUFFMAN]
    for layer in network.layers:
        if isinstance(layer, Conv | Linear):
            weights = make_weights(generator, layer.weights.shape, rng.choice([0, 1, 5, 200]), rng.choice([0, 0.1, 1]))
            if rng.random() < 0.3:
                weights = on_grid(generator, weights, per_output=rng.random() < 0.5)
            layer = replace(layer, weights=weights)
            formats[layer.name] = rng.choice(["smallest", *formats_for(weights, pes)])
        layers.append(layer)
    network = build(network.name, network.input, network.shapes[network.input], tuple(layers), network.output)
    encoded = encode(network, formats, index_bits=rng.choice([None, 1, 3, 8]), pes=pes, among=rng.choice(among))
    content = to_bytes(encoded)
    for given_back in (encoded, from_bytes(content, "n")):
        assert_same_network(decode(given_back), network)
    assert to_bytes(from_bytes(content, "n")) == content
    accounting = account(encoded)
    assert accounting.total.total_bits == 8 * len(content)
    assert accounting.total.parameters == network.parameters
    assert account(from_bytes(content, "n")) == accounting


@settings(deadline=None, max_examples=60)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([0, 1, 2, 3, 15, 16, 100, 255, 256]),
    st.sampled_from([0, 0.02, 0.3, 1]),
    st.integers(1, 5),
)
def test_the_smallest_is_the_smallest(seed, values, density, pes):
    generator = np.random.default_rng(seed)
    layer = linear(make_weights(generator, tuple(generator.integers(1, 60, 2)), values, density))

    def content_bits(format):
        encoded = encode_layer(layer, format, pes=pes, among=FORMATS if pes == 1 else HUFFMAN)
        np.testing.assert_array_equal(decode_layer(encoded), layer.weights)
        parts = layer_parts(encoded)
        return parts.total_bits - parts.headers_bits - parts.padding_bits

    assert content_bits("smallest") == min(content_bits(f) for f in formats_for(layer.weights, pes))


@pytest.mark.parametrize("bits", range(1, 9))
def test_codebooks(bits):
    """2**bits values without zeros, 2**bits - 1 and a zero with them, fit in `bits` bits; one more does not."""
    values = np.arange(1, 2**bits + 1, dtype=np.float32) - 1.5
    full = encode_layer(linear(values[None]), "shared")
    assert (full.value_bits, full.codebook.tolist()) == (bits, sorted(values))
    pruned = encode_layer(linear(np.append(values[1:], 0)[None]), "shared")
    assert (pruned.value_bits, pruned.codebook[0], len(pruned.codebook)) == (bits, 0, 2**bits)
    assert list(pruned.codebook[1:]) == sorted(values[1:])
    more = linear(np.append(values, 0)[None])
    if bits < 8:
        assert encode_layer(more, "shared").value_bits == bits + 1
    else:
        with pytest.raises(InputError, match="'l' must have at most 256 distinct values to be shared"):
            encode_layer(more, "shared")


def test_negative_zeros_are_zeros():
    for format in FORMATS:
        encoded = encode_layer(linear(np.array([[-0.0, 1, 0.0, 1]], np.float32)), format)
        np.testing.assert_array_equal(decode_layer(encoded), [[0, 1, 0, 1]])
        assert encoded.nonzeros == 2
        assert len(encoded.codebook) in (0, 1, 2)


def test_the_bytes_of_a_sparse_layer():
    """A file built by hand from docs/formats.md: 2 x 4 weights of 2 PEs, 1-bit indices, 2-bit runs."""
    weights = np.array([[0, 0, 0, 0, 0, 0.5, 0.5, 0.5], [0.5] + 7 * [0]], np.float32)
    weights = np.tile(weights, (1, 4))
    network = build("n", "x", (32,), (linear(weights),))
    encoded = encode(network, "sparse", index_bits=2, pes=2)
    content = to_bytes(encoded)
    assert content[:8] == b"ACCELWTS"
    version, layers, graph_bytes = struct.unpack_from("<HHI", content, 8)
    assert (version, layers) == (3, 1)
    assert zlib.decompress(content[16 : 16 + graph_bytes]).startswith(b'{"name":"n","input":"x","input_shape":[32],')
    # PE 0: five zeros (a filler and one more), three times; PE 1: seven zeros between (a filler and three).
    runs_0, values_0 = [3, 1, 0, 0] * 4, [0, 1, 1, 1] * 4
    runs_1, values_1 = [0] + [3, 3] * 3, [1] + [0, 1] * 3
    expected = struct.pack("<BBBBHHI", 2, 2, 2, 0, 2, 2, 16) + struct.pack("<4I", 2, 32, 16, 7)
    expected += struct.pack("<2f", 0, 0.5)
    for lane, width in ((values_0, 1), (values_1, 1), (runs_0, 2), (runs_1, 2)):
        number = sum(word << width * i for i, word in enumerate(lane))
        expected += number.to_bytes((width * len(lane) + 7) // 8, "little")
    expected += struct.pack("<2f", 0, 1)
    assert content[16 + graph_bytes : -4] == expected
    assert content[-4:] == struct.pack("<I", zlib.crc32(content[:-4]))
    parts = account(encoded).layers[0]
    assert (parts.values_bits, parts.runs_bits, parts.filler_bits) == (16, 32, 21)
    assert (parts.codebooks_bits, parts.biases_bits, parts.code_tables_bits) == (64, 64, 0)
    assert (parts.headers_bits, parts.padding_bits, parts.parameters) == (8 * header_bytes(encoded.layers[0]), 3, 66)
    assert account(encoded).total.ratio == 66 * 32 / (8 * len(content))


def test_the_order_of_a_shared_layer():
    """PE p has outputs p, p + 2, ... one after the other: what column p of an array of two columns takes."""
    weights = np.array([[1, 2], [3, 4], [5, 6]], np.float32)
    encoded = encode_layer(linear(weights), "shared", pes=2)
    # Indices of 3 bits: 0 1 4 5 in lane 0, 2 3 in lane 1.
    lanes = ((0 | 1 << 3 | 4 << 6 | 5 << 9).to_bytes(2, "little"), (2 | 3 << 3).to_bytes(1, "little"))
    assert encoded.values == Stream(b"".join(lanes), (12, 6))


def test_code_tables_of_a_coded_layer():
    """Code lengths are stored as nibbles, the first symbol in the low half, after the codebook."""
    weights = np.array([[1, 1, 1, 1, 2, 2, 3, 0]], np.float32)
    network = build("n", "x", (8,), (linear(weights),))
    encoded = encode(network, "shared+huffman")
    assert encoded.layers[0].value_lengths.tolist() == [3, 1, 2, 3]
    book = np.array([0, 1, 2, 3], "<f4").tobytes()
    # Words 110 0 10 111, first bit lowest: 0 0 0 0 10 10 111 110.
    stream = int("00001010111110"[::-1], 2).to_bytes(2, "little")
    assert book + bytes([0x13, 0x32]) + stream + struct.pack("<f", 0) == to_bytes(encoded)[-4 - 16 - 2 - 2 - 4 : -4]


@pytest.mark.parametrize("pes", [1, 3])
@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("values", [0, 5])
def test_every_flipped_bit_of_a_layer(format, values, pes):
    """It decodes to something of the right shape and number of non-zero weights, or an error says what is wrong."""
    weights = make_weights(np.random.default_rng(0), (6, 12), values, 0.2)
    if format not in formats_for(weights, pes):
        return
    good = encode_layer(linear(weights, "fc"), format, pes=pes, index_bits=3)
    places, counted = set(), 0
    for part in ("values", "runs"):
        stream = getattr(good, part)
        for bit in range(8 * len(stream.data)):
            data = bytearray(stream.data)
            data[bit // 8] ^= 1 << bit % 8
            try:
                assert decode_layer(replace(good, **{part: replace(stream, data=bytes(data))})).shape == weights.shape
            except DamagedStream as error:
                places.add((error.layer, error.lane < pes))
            except InputError as error:
                counted += " non-zero weights, and has " in str(error)
        for size in range(len(stream.data)):
            with pytest.raises(DamagedStream, match="layer 'fc', lane "):
                decode_layer(replace(good, **{part: replace(stream, data=stream.data[:size])}))
    # Floats of whole words have no redundancy at all.
    assert places == (set() if format == "dense" else {("fc", True)})
    assert counted or "+" in format  # where a wrong bit is hardly ever code words of the same number


def test_index_behind_the_codebook():
    good = encode_layer(linear(np.array([[0, 1, 2, 2]], np.float32)), "shared")
    bad = replace(good, values=Stream(bytes([0b11100100]), (8,)))
    with pytest.raises(DamagedStream, match=r"lane 0, bit 6: index must be below 3, .* not 3"):
        decode_layer(bad)


def test_lanes_of_floats_that_are_not_as_long_as_their_entries():
    good = encode_layer(linear(make_weights(np.random.default_rng(0), (6, 12), 0, 0.2)), "sparse", pes=2)
    entries = good.entries[0] + 1, good.entries[1] - 1
    runs = pack_lanes([np.zeros(n, int) for n in entries], good.index_bits)
    with pytest.raises(DamagedStream, match=rf"lane 0, bit .*: must hold {entries[0]} values of 32 bits, not"):
        decode_layer(replace(good, entries=entries, runs=runs))


@pytest.mark.parametrize("values", [0, 5])
def test_the_best_width_of_runs(values):
    weights = make_weights(np.random.default_rng(0), (50, 200), values, 0.02)
    best = {}
    for format in ("sparse", "sparse+huffman"):
        sizes = [layer_parts(encode_layer(linear(weights), format, index_bits=i)) for i in range(1, 9)]
        bits = [p.total_bits - p.headers_bits - p.padding_bits for p in sizes]
        best[format] = 1 + bits.index(min(bits))
        assert encode_layer(linear(weights), format).index_bits == best[format]
    assert best["sparse"] != best["sparse+huffman"]


def test_fillers_of_a_coded_layer():
    """Their bits, counted entry by entry."""
    layer = encode_layer(
        linear(make_weights(np.random.default_rng(0), (50, 200), 5, 0.1)), "sparse+huffman", index_bits=3, pes=2
    )
    runs = huffman.decode(layer.runs, layer.run_lengths, layer.entries)
    indices = huffman.decode(layer.values, layer.value_lengths, layer.entries)
    bits = 0
    for run, index in zip(np.concatenate(runs), np.concatenate(indices), strict=True):
        if index == 0:
            bits += int(layer.run_lengths[run]) + int(layer.value_lengths[index])
    assert layer_parts(layer).filler_bits == bits > 0


@pytest.fixture(scope="module")
def small_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("encoded") / "n.bin"
    weights = make_weights(np.random.default_rng(1), (10, 20), 3, 0.3)
    save(encode(build("n", "x", (20,), (linear(weights),)), "sparse+huffman"), path)
    return path


def test_damaged_files(small_file, tmp_path):
    content = small_file.read_bytes()
    for at in range(len(content)):
        for damaged in (content[:at] + bytes([content[at] ^ 0x10]) + content[at + 1 :], content[:at]):
            with pytest.raises(InputError, match=r"n\.bin .*damaged"):
                from_bytes(damaged, "n.bin")
    path = tmp_path / "n.bin"
    path.write_bytes(content[:-1])
    with pytest.raises(InputError, match=r"n\.bin is damaged: its checksum must be that of its content"):
        load(path)


def test_damage_in_a_stream_is_located(small_file):
    """Checksum or not: a file whose streams are no longer a code names layer, lane and bit; else the checksum tells."""
    content = small_file.read_bytes()
    layer = load(small_file).layers[0]
    streams = len(layer.values.data) + len(layer.runs.data)
    first = len(content) - 4 - 4 * 10 - streams
    found = []
    for at in range(first, first + streams):
        for bit in range(8):
            with pytest.raises(InputError, match=r"n\.bin is damaged: its checksum") as caught:
                from_bytes(content[:at] + bytes([content[at] ^ 1 << bit]) + content[at + 1 :], "n.bin")
            if isinstance(caught.value, DamagedStream):
                found.append(caught.value)
    assert len(found) > 8 * streams / 3  # the others fall back into step with the code before the lane ends
    assert {error.layer for error in found} == {"l"}
    assert len({error.lane for error in found}) == layer.pes
    assert all(error.bit <= max(layer.values.lane_bits + layer.runs.lane_bits) for error in found)


def test_files_with_wrong_fields(small_file):
    """With the checksum put right: another version, or a header that does not fit the rest."""
    content = small_file.read_bytes()[:-4]

    def read(data):
        return from_bytes(data + struct.pack("<I", zlib.crc32(data)), "n")

    with pytest.raises(InputError, match="n must have version 2 or 3 or 4, not 7"):
        read(content[:8] + b"\7" + content[9:])
    for size in range(16, len(content)):
        with pytest.raises(InputError, match="n must be a file of compressed weights of this version"):
            read(content[:size])
    with pytest.raises(InputError, match="of this version"):
        read(content + b"\0")
    start = 16 + struct.unpack_from("<I", content, 12)[0]
    for at in range(8, start + 40):
        for value in (0, 1, 9, 255):
            with contextlib.suppress(InputError):  # some values are right, or change only what is read
                decode(read(content[:at] + bytes([value]) + content[at + 1 :]))
    for field, value in ((0, 5), (1, 0), (1, 9), (2, 4), (3, 2), (4, 0), (7, 2)):
        with pytest.raises(InputError, match="of this version"):
            read(content[: start + field] + bytes([value]) + content[start + field + 1 :])
    # Columns that the graph does not have are refused before memory is taken for them.
    columns = start + 12 + 4 + 3
    with pytest.raises(InputError, match="a file of 235 bytes must have at most 17017856 weights, not 42781901000"):
        read(content[:columns] + b"\xff" + content[columns + 1 :])
    with pytest.raises(InputError, match=r"n: layer 'l': weights \(10, 65556\) do not fit"):
        decode(read(content[: columns - 1] + b"\1" + content[columns:]))


@pytest.mark.parametrize(
    ("format", "wrong"),
    [
        ("sparse", {"index_bits": 0, "runs": Stream(b"", (0,))}),
        ("sparse", {"index_bits": 9, "runs": pack_lanes([np.zeros(4, int)], 9)}),
        ("dense", {"entries": (), "values": Stream(b"", ())}),
        ("shared", {"codebook": np.zeros(257, np.float32), "values": pack_lanes([np.zeros(6, int)], 9)}),
    ],
    ids=["no index", "wide index", "no PE", "large codebook"],
)
def test_files_of_what_no_encoder_makes(format, wrong):
    """Consistent in themselves, but outside the ranges of the format."""
    network = build("n", "x", (6,), (linear(np.array([[1, 2, 1, 0, 0, 1]], np.float32)),))
    encoded = encode(network, format, index_bits=2)
    assert_same_network(decode(from_bytes(to_bytes(encoded), "n")), network)
    bad = replace(encoded, layers=(replace(encoded.layers[0], **wrong),))
    with pytest.raises(InputError, match="n must be a file of compressed weights of this version"):
        from_bytes(to_bytes(bad), "n")


def test_files_that_cannot_be_read_or_written(small_file, tmp_path):
    with pytest.raises(InputError, match=r"none\.bin cannot be read: No such file"):
        load(tmp_path / "none.bin")
    (tmp_path / "other").write_bytes(b"something else")
    with pytest.raises(InputError, match="other must be a file of compressed weights, and is damaged or something"):
        load(tmp_path / "other")
    with pytest.raises(InputError, match=r"n\.bin cannot be written: No such file"):
        save(load(small_file), tmp_path / "none" / "n.bin")
    assert decode(load(small_file)).name == "n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"formats": "zip"}, "format of layer 'l' must be one of dense, shared, .* not 'zip'"),
        ({"formats": {"m": "dense"}}, "n: formats must name a Conv or Linear, not 'm'"),
        ({"index_bits": {"m": 4}}, "n: index_bits must name a Conv or Linear, not 'm'"),
        ({"index_bits": 0}, r"relative index must be 1\.\.8, not 0"),
        ({"pes": 2, "formats": "dense+arithmetic"}, r"'l' must have one lane to be dense\+arithmetic, not 2"),
        ({"pes": 0}, r"PEs must be 1\.\.65535, not 0"),
        ({"limit_bits": 16, "formats": "sparse+huffman"}, r"code lengths must be 1\.\.15 bits, not 16"),
    ],
)
def test_refusals(options, message):
    with pytest.raises(InputError, match=message):
        encode(build("n", "x", (2,), (linear(np.ones((2, 2), np.float32)),)), **options)


def test_lenet_at_the_densities_of_the_paper():
    """LeNet-300-100 pruned and shared as in Deep Compression, table 2: the file has the size of the book-keeping.

    By magnitude and without retraining: this is about size, not accuracy.
    """
    network = load_network("lenet-300-100")
    layers, rows = [], []
    densities = iter((0.08, 0.09, 0.26))
    for layer in network.layers:
        if isinstance(layer, Linear):
            kept = np.abs(layer.weights) >= np.quantile(np.abs(layer.weights), 1 - (density := next(densities)))
            centroids, indices = cluster(layer.weights[kept], 64)
            shared = centroids.astype(np.float32)
            # 63 values and the zero have 6 bits; the rarest of 64 centroids goes to its neighbour.
            counts = np.bincount(indices, minlength=64)
            indices[indices == counts.argmin()] = counts.argmin() + (1 if counts.argmin() < 63 else -1)
            weights = np.zeros_like(layer.weights)
            weights[kept] = shared[indices]
            layer = replace(layer, weights=weights)
            rows.append(LayerWidths(layer.name, weights.size, density, 6, 5))
        layers.append(layer)
    network = build(network.name, network.input, network.shapes[network.input], tuple(layers), network.output)
    fixed = account(encode(network, "sparse", index_bits=5))
    for parts, row in zip(fixed.layers, rows, strict=True):
        assert parts.values_bits + parts.runs_bits == pytest.approx(row.weights * row.density * 11, rel=0.01)
        assert parts.codebooks_bits <= 32 * 64
        assert parts.values_bits + parts.runs_bits + parts.codebooks_bits <= 1.01 * layer_bits(row)
    coded = encode(network, "sparse+huffman", index_bits=5)
    assert_same_network(decode(coded), network)
    assert account(coded).total.ratio > fixed.total.ratio > 25


def with_graph(content, text):
    """The file with another graph, as `text`, and a right checksum."""
    size = int.from_bytes(content[12:16], "little")
    packed = zlib.compress(text)
    whole = content[:12] + struct.pack("<I", len(packed)) + packed + content[16 + size : -4]
    return whole + struct.pack("<I", zlib.crc32(whole))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b'"input_shape":[20]', b'"input_shape":[20.0]', "graph: input_shape.0: Input should be a valid integer"),
        (b'"input_shape":[20]', b'"input_shape":[0]', "graph: input_shape.0: Input should be greater than or equal"),
        (b'"input_shape":[20]', b'"input_shape":[1e99]', "graph: input_shape.0: Input should be a valid integer"),
        (b'"input_shape":[20]', b'"input_shape":[' + b"[" * 5000, "graph: it: Invalid JSON: recursion limit exceeded"),
        (
            b'"type":"Linear"',
            b'"type":"Window"',
            "graph: layers.0: Input tag 'Window' found using 'type' does not match",
        ),
        (b'"type":"Linear"', b'"type":"Linear","weights":[1]', "graph: layers.0.Linear.weights: Extra inputs are not"),
        (b'"type":"Linear"', b'"type":"Activation","low":-Infinity,"high":null', "graph: layers.0.Activation.low"),
        (b'"type":"Linear"', b'"type":"Activation","low":NaN,"high":null', "graph: layers.0.Activation.low"),
        (b'"name":"l"', b'"name":"\\u001b[31m"', "graph: layers.0.Linear.name: Value error, must be printable"),
        (b'"name":"n"', b'"name":7', "graph: name: Input should be a valid string"),
    ],
)
def test_graphs_that_no_encoder_writes(small_file, old, new, message):
    content = small_file.read_bytes()
    graph = zlib.decompressobj().decompress(content[16:])
    assert old in graph
    with pytest.raises(InputError, match="must be a file of compressed weights of this version: ") as caught:
        from_bytes(with_graph(content, graph.replace(old, new)), "n")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_graph_that_grows_when_it_is_inflated(small_file):
    """Of 256 MiB, in 256 KiB."""
    content = with_graph(small_file.read_bytes(), bytes(2**28))
    tracemalloc.start()
    with pytest.raises(InputError, match="graph must be one compressed text of at most 4194304 bytes"):
        from_bytes(content, "n")
    assert tracemalloc.get_traced_memory()[1] < 1 << 24
    tracemalloc.stop()


def test_a_layer_of_zeros_is_bounded_by_its_file():
    """A file of some hundred bytes for 2**30 weights, all 0: refused before there is memory for them."""
    network = build("n", "x", (6,), (linear(np.zeros((1, 6), np.float32)),))
    encoded = encode(network, "sparse", index_bits=2)
    large = replace(encoded.layers[0], shape=(2**15, 2**15), bias=np.zeros(2**15, np.float32))
    content = to_bytes(replace(encoded, input_shape=(2**15,), layers=(large,)))
    with pytest.raises(InputError, match=r"must have at most [0-9]+ weights, not 1073741824"):
        from_bytes(content, "n")
    fair = replace(encoded.layers[0], shape=(2**12, 2**12), bias=np.zeros(2**12, np.float32))
    back = decode(from_bytes(to_bytes(replace(encoded, input_shape=(2**12,), layers=(fair,))), "n"))
    assert back.layers[0].weights.shape == (2**12, 2**12)


def test_the_number_of_weights_that_are_not_zero_must_be_right(small_file):
    encoded = load(small_file)
    wrong = replace(encoded.layers[0], nonzeros=encoded.layers[0].nonzeros + 1)
    content = to_bytes(replace(encoded, layers=(wrong,)))
    count = wrong.nonzeros
    with pytest.raises(InputError, match=f"layer 'l' must have {count} non-zero weights, and has {count - 1}"):
        decode(from_bytes(content, "n"))
