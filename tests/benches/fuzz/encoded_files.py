"""Files of compressed weights, of float and of int8 networks, whose bytes, headers and graphs are changed.

Most get a right checksum. What is accepted must be written again as the same network; a float one must give what ONNX
Runtime gives, an int8 one's program on a design what the reference gives.
"""

from __future__ import annotations

import functools
import json
import math
import zlib
from pathlib import Path
from random import Random

import numpy as np

from accel.compile import compile_network
from accel.design import load
from accel.models.compress.share import share
from accel.models.encode import encoded_file, integer_file
from accel.models.encode.encoded import decode, encode
from accel.models.encode.encoded_layer import FORMATS
from accel.models.errors import InputError
from accel.models.exchange import onnx_write
from accel.models.graph import Conv, Layer, Linear, Pool
from accel.models.integers.network import IntegerNetwork
from accel.models.quantisation.quantise import quantise
from accel.models.reference import float32, int8
from accel.sim.execute import execute
from tests.benches.fuzz.mutate import INTEGERS, mutate_bytes, mutate_value
from tests.benches.model_networks import draw_inputs, draw_network, onnxruntime_output

LARGEST = 2**18  # values of a tensor that is computed here
INT8 = b"ACCELINT"
DESIGN = load("nano")


def warm_up() -> None:
    """Everything imported and started once."""
    rng = Random(0)
    for int8_file in (False, True):
        for number in range(20):
            judge(good(number, int8_file), rng, Path("/tmp"))


@functools.cache
def good(number: int, int8_file: bool) -> bytes:
    """A good file."""
    rng = Random(number)
    while True:
        network = draw_network(rng, quantisable=True)
        inputs = draw_inputs(rng, network, 4)
        if not any(isinstance(layer, Conv | Linear) for layer in network.layers):
            continue
        if not int8_file:
            format = rng.choice(("smallest", "dense", "sparse", "sparse+huffman", "dense+arithmetic"))
            return encoded_file.to_bytes(encode(network, format, among=FORMATS))
        try:
            integer = quantise(network, inputs) if rng.random() < 0.3 else share(network, inputs, rng.randint(1, 8))
        except InputError:
            continue
        return integer_file.to_bytes(integer, (rng.choice(FORMATS),))


def make(rng: Random) -> bytes:
    """The bytes of a file."""
    content = good(rng.randrange(20), rng.random() < 0.4)
    size = int.from_bytes(content[12:16], "little")
    graph, rest = content[16 : 16 + size], content[16 + size : -4]
    head = content[:12]
    match rng.randrange(9):
        case 0:
            return mutate_bytes(rng, content)
        case 1:
            graph = mutate_bytes(rng, graph)
        case 2 | 3:
            document = json.loads(zlib.decompress(graph))
            for _ in range(rng.choice((1, 1, 2))):
                document = mutate_value(rng, document)
            graph = zlib.compress(json.dumps(document).encode())
        case 4:
            odd = (b"[" * 100_000, b"\0" * 2**25, b"", b'{"name": ' * 1000, b"null", b"\xff", b"1e999", b'{"a":NaN}')
            graph = zlib.compress(rng.choice(odd))
        case 5 if rest:
            words = list(rest)
            at = rng.randrange(min(len(words), 40))
            words[at : at + 4] = (rng.choice(INTEGERS) & 0xFFFFFFFF).to_bytes(4, "little")
            rest = bytes(words)
        case 6 if rest:  # often another weight or another bias, and nothing wrong
            at = rng.randrange(len(rest))
            rest = rest[:at] + bytes([rest[at] ^ 1 << rng.randrange(8)]) + rest[at + 1 :]
        case _:
            rest = mutate_bytes(rng, rest)
    whole = head + len(graph).to_bytes(4, "little") + graph + rest
    return whole + zlib.crc32(whole).to_bytes(4, "little")


def _only_ours(layer: Layer) -> bool:
    """A pooling whose pads are smaller than its dilated kernel but not than its kernel: ONNX Runtime has none."""
    return isinstance(layer, Pool) and any(layer.window.pads[i] >= layer.window.kernel[i % 2] for i in range(4))


def judge_int8(network: IntegerNetwork, generator: np.random.Generator) -> bool:
    """Written again it is the same network; its program, if it can have one, gives what it gives."""
    again = integer_file.from_bytes(integer_file.to_bytes(network), "again")
    assert again.tensors == network.tensors
    assert integer_file.to_bytes(again) == integer_file.to_bytes(network)
    if max(math.prod(spec.shape) for spec in network.tensors.values()) > LARGEST:
        return False
    codes = generator.integers(-128, 128, (1, *network.tensors[network.input].shape)).astype(np.int8)
    wanted = int8.run(network, codes)[network.output]
    np.testing.assert_array_equal(int8.run(again, codes)[network.output], wanted)
    if network.host_steps or network.host_layers or not network.layers:
        return True
    try:
        program = compile_network(network, DESIGN)
    except InputError:
        return False
    np.testing.assert_array_equal(execute(program, codes), wanted)
    return True


def judge(content: bytes, rng: Random, folder: Path) -> bool:
    """Read it, decode it and run it. Raises InputError if that is refused."""
    path = folder / "case.weights"
    path.write_bytes(content)
    generator = np.random.default_rng(rng.getrandbits(32))
    if content[:8] == INT8:
        return judge_int8(integer_file.load(path), generator)
    decoded = decode(encoded_file.load(path))
    for layer, again in zip(
        decoded.layers, decode(encoded_file.from_bytes(encoded_file.to_bytes(encode(decoded)), "again")).layers,
        strict=True,
    ):  # fmt: skip
        if isinstance(layer, Conv | Linear):
            assert isinstance(again, Conv | Linear)
            np.testing.assert_array_equal(layer.weights, again.weights)
    if max(map(math.prod, decoded.shapes.values())) > LARGEST or any(map(_only_ours, decoded.layers)):
        return False
    inputs = generator.standard_normal((1, *decoded.shapes[decoded.input])).astype(np.float32)
    ours, theirs = float32.run(decoded, inputs), onnxruntime_output(onnx_write.to_model(decoded), inputs)
    tolerance = 1e-4 * max(float(np.abs(theirs).max()), 1)
    np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=tolerance)
    return True
