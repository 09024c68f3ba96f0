"""What the weights of an integer network take when written in a format of their own, decodable by hardware or not."""

from __future__ import annotations

from collections.abc import Sequence

from accel.models.encode import integer_file
from accel.models.encode.encoded_layer import FORMATS as FORMATS
from accel.models.encode.layer_file import layer_bytes as encoded_bytes
from accel.models.integers.network import IntegerNetwork, MatrixLayer
from accel.models.integers.stretches import stretches


def stored_bytes(network: IntegerNetwork, formats: Sequence[str]) -> int:
    """Bytes of the file (`integer_file`) with each layer in that one of `formats` (of FORMATS) that takes least there.

    Of a network with steps of the host between its stretches a file for each stretch.

    Raises InputError for a format that does not exist, and when none is given.
    """
    return sum(len(integer_file.to_bytes(part, formats)) for part in stretches(network))


def stored_layers(network: IntegerNetwork, formats: Sequence[str] = FORMATS) -> dict[str, tuple[str, int]]:
    """By name of layer, that one of `formats` in which the file has it, and the bytes of its weights and records.

    Formats cost a layer nothing but its own bytes, so that what is least in each is least in all. Raises InputError as
    `stored_bytes`.
    """
    found: dict[str, tuple[str, int]] = {}
    for part in stretches(network):
        for layer in part.layers:
            if isinstance(layer, MatrixLayer):
                format, content = integer_file.smallest(layer, part.tensors[layer.input].zero_point, formats)
                found[layer.name] = format, len(content)
    return found


def layer_bytes(layer: MatrixLayer, format: str) -> int:
    """Bytes of one layer in that file: header, codebook, code tables, streams."""
    return len(encoded_bytes(integer_file.encoded(layer, format)))
