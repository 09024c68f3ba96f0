"""A network's weights in the formats of docs/formats.md, "Compressed weights" (Deep Compression, arXiv 1510.00149).

    dense             float32
    shared            b-bit indices into the layer's codebook of at most 2**b float32 values, b = 1..8
    sparse            relative index and value of each non-zero weight; the value is an index if the layer is shared
    shared+huffman    indices in a Huffman code
    sparse+huffman    runs in a Huffman code, and, if the layer is shared, the indices in another
    dense+arithmetic  float32, or multiples of a step (`accel.models.grid`), in an adaptive arithmetic code
    shared+arithmetic indices in such a code

Everything follows from the weights: exact zeros are pruned, few distinct values are a codebook, in which 0.0 is entry 0
if it occurs. `decode` gives back the same float32 weights (-0.0, which a mask makes, comes back as 0.0). Files are in
`accel.models.encode.encoded_file`, sizes in `accel.models.encode.accounting`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from accel.models.encode import huffman, relative
from accel.models.encode.encoded_layer import HUFFMAN, SMALLEST, EncodedLayer, decode_layer, encode_layer
from accel.models.errors import InputError
from accel.models.graph import Conv, Layer, Linear, Network, build, output_shape
from accel.models.host import HostStep

__all__ = ["EncodedNetwork", "decode", "encode"]


@dataclass(frozen=True, eq=False)
class EncodedNetwork:
    """A network whose weights are encoded.

    `graph` are the network's layers, Conv and Linear with empty weights and biases; `layers` has those of these, in
    their order.
    """

    name: str
    input: str
    input_shape: tuple[int, ...]
    output: str
    graph: tuple[Layer, ...]
    layers: tuple[EncodedLayer, ...]


def encode(
    network: Network,
    formats: str | Mapping[str, str] = SMALLEST,
    *,
    index_bits: int | Mapping[str, int] | None = None,
    pes: int = 1,
    limit_bits: int = huffman.LONGEST_BITS,
    among: Sequence[str] = HUFFMAN,
) -> EncodedNetwork:
    """Encode the weights of every Conv and Linear of `network`.

    `formats` is one of FORMATS, or "smallest" (the one that takes the fewest bits), for all layers or by name; layers
    that a mapping does not name get the smallest. `index_bits` (1..8) is the width of a relative index, likewise;
    None is the width that takes the fewest bits. `pes` (1..65535) is the number of lanes, `limit_bits` (1..15) the
    longest code word. "smallest" is the smallest of `among`.

    Raises InputError for a format that does not exist, a name of no layer, "shared" for a layer with more than 256
    distinct values, more lanes than one for an arithmetic code, and what `relative.encode` and `huffman.code_lengths`
    raise.
    """
    relative.check(1, pes)
    names = [x.name for x in network.layers if isinstance(x, Conv | Linear)]
    for option, given in (("formats", formats), ("index_bits", index_bits)):
        for name in given if isinstance(given, Mapping) else ():
            if name not in names:
                raise InputError(f"{network.name}: {option} must name a Conv or Linear, not {name!r}")
    check_one_stretch(network)
    layers = []
    for layer in network.layers:
        if isinstance(layer, Conv | Linear):
            chosen = formats.get(layer.name, SMALLEST) if isinstance(formats, Mapping) else formats
            width = index_bits.get(layer.name) if isinstance(index_bits, Mapping) else index_bits
            layers.append(encode_layer(layer, chosen, index_bits=width, pes=pes, limit_bits=limit_bits, among=among))
    shape = network.shapes[network.input]
    graph = tuple(without_weights(x) for x in network.layers)
    return EncodedNetwork(network.name, network.input, shape, network.output, graph, tuple(layers))


def check_one_stretch(network: Network) -> None:
    """Raises InputError for a network that an encoded file has no form of."""
    if network.more_outputs or any(isinstance(layer, HostStep) for layer in network.layers):
        raise InputError(f"{network.name}: encoded weights must be of one stretch with one output, and are not")


def decode(encoded: EncodedNetwork) -> Network:
    """The network. The inverse of `encode`.

    Raises DamagedStream for streams that no encoder wrote, and InputError if weights do not fit the graph.
    """
    _check_shapes(encoded)
    graph: list[Layer] = []
    layers = iter(encoded.layers)
    for layer in encoded.graph:
        if isinstance(layer, Conv | Linear):
            source = next(layers)
            layer = replace(layer, weights=decode_layer(source), bias=source.bias)
        graph.append(layer)
    return build(encoded.name, encoded.input, encoded.input_shape, tuple(graph), encoded.output)


def without_weights(layer: Layer) -> Layer:
    """The layer; a Conv or Linear with empty weights and bias."""
    empty = np.empty(0, np.float32)
    return replace(layer, weights=empty, bias=empty) if isinstance(layer, Conv | Linear) else layer


def _check_shapes(encoded: EncodedNetwork) -> None:
    """Raise InputError if the shapes of the weights do not fit the graph, before memory is taken for them."""
    shapes = {encoded.input: encoded.input_shape}
    layers = iter(encoded.layers)
    for layer in encoded.graph:
        if isinstance(layer, Conv | Linear):
            source = next(layers)
            layer = replace(layer, weights=np.broadcast_to(np.float32(0), source.shape), bias=source.bias)
        where = f"{encoded.name}: layer {layer.name!r}"
        if not all(tensor in shapes for tensor in layer.inputs):
            raise InputError(f"{where} must read what an earlier layer writes, not {layer.inputs}")
        try:
            shapes[layer.output] = output_shape(layer, [shapes[tensor] for tensor in layer.inputs])
        except InputError as error:
            raise InputError(f"{where}: {error}") from None
