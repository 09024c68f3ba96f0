"""Weights, biases and records of requantisation as whole numbers, as `accel.models.encode.arithmetic` codes them.

a shared layer     the place of each value, counted from zero: the smallest positive one is 1, the next negative one -1
a layer on a grid  the multiples of its step, or of each output's step
int8 codes         themselves
floats             sign and bits of the float32 without the low ones that are 0 everywhere
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel.models.encode.arithmetic import LENGTH_TREE_BITS, LENGTHS, Decoder, Encoder, tree_bits_of
from accel.models.graph import Float
from accel.models.grid import LARGEST_CODE, grid_of

EXPONENT_BITS, MANTISSA_BITS = 8, 23
LARGEST_COUNT = 2**16 - 1  # steps that a header can count


@dataclass(frozen=True, eq=False)
class Whole:
    """`numbers` (rows, columns), their `table` (codebook, steps or nothing), and `bits`: of magnitudes, or, of
    floats, of mantissas."""

    numbers: NDArray[Any]
    table: Float
    bits: int


def of_codebook(matrix: Float, codebook: Float) -> Whole:
    """Places in a codebook; see `accel.models.codebook.codebook_of`."""
    ascending = np.sort(codebook)
    numbers = np.searchsorted(ascending, matrix.reshape(-1)).reshape(matrix.shape) - int((ascending < 0).sum())
    numbers = numbers + (numbers >= 0) * (0 not in codebook)
    return Whole(numbers.astype(np.int16), codebook, tree_bits_of(numbers))


def of_numbers(matrix: Float, number_bits: int) -> Whole:
    """Multiples of a step if there is one, int8 codes, or the bits of floats."""
    nothing = np.empty(0, np.float32)
    if number_bits < MANTISSA_BITS:
        return Whole(matrix.astype(np.int16), nothing, tree_bits_of(matrix))
    grid = grid_of(matrix)
    if grid is not None and len(grid.steps) <= LARGEST_COUNT:
        return Whole(grid.codes.astype(np.int16), grid.steps, tree_bits_of(grid.codes))
    patterns, bits = _patterns(matrix)
    return Whole(patterns, nothing, bits)


def encode(whole: Whole, *, floats: bool) -> bytes:
    """The stream of the numbers."""
    encoder = Encoder()
    encoder.write(whole.numbers, *_widths(whole.bits, floats))
    return encoder.finish()


def positions_bits(kept: NDArray[np.bool_]) -> int:
    """Bits of a stream that says only which of the weights (outputs, columns) are not 0."""
    encoder = Encoder()
    encoder.write(kept, 0)
    return 8 * len(encoder.finish())


def decode_codebook(data: bytes, shape: tuple[int, int], codebook: Float, bits: int, layer: str) -> Float:
    """The matrix of a shared layer. Raises DamagedStream."""
    ascending = np.sort(codebook)
    least, most = -int((ascending < 0).sum()), int((ascending > 0).sum())
    numbers = _decode(data, shape, (bits, 0), least, most, layer)
    values = np.concatenate([ascending[ascending < 0], np.zeros(1, np.float32), ascending[ascending > 0]])
    found: Float = values[numbers - least]
    return found


def decode_numbers(data: bytes, shape: tuple[int, int], steps: Float, bits: int, number_bits: int, layer: str) -> Float:
    """The matrix of other layers. Raises DamagedStream."""
    if len(steps):
        codes = _decode(data, shape, (bits, 0), -LARGEST_CODE, LARGEST_CODE, layer)
        return codes.astype(np.float32) * steps[:, None]
    if number_bits < MANTISSA_BITS:
        return _decode(data, shape, (bits, 0), -128, LARGEST_CODE, layer).astype(np.float32)
    return _decode_floats(data, shape, bits, layer)


def bias_bytes(bias: Float, arithmetic: bool) -> bytes:
    """The biases (outputs,) of a layer of a float network: float32, or in an arithmetic code."""
    if not arithmetic or not len(bias):
        return bias.astype("<f4").tobytes()
    patterns, bits = _patterns(bias[:, None])
    data = encode(Whole(patterns, np.empty(0, np.float32), bits), floats=True)
    return struct.pack("<BI", bits, len(data)) + data


def decode_bias(data: bytes, count: int, bits: int, layer: str) -> Float:
    """The biases. Raises DamagedStream."""
    return _decode_floats(data, (count, 1), bits, layer).reshape(-1)


def encode_records(columns: list[NDArray[Any]]) -> bytes:
    """The stream of integers (channels,) each, one after the other; all but the first as differences from the channel
    before."""
    encoder = Encoder()
    for place, column in enumerate(columns):
        numbers = column.astype(np.int64)
        encoder.write((np.diff(numbers, prepend=0) if place else numbers)[:, None], LENGTH_TREE_BITS, LENGTHS)
    return encoder.finish()


def decode_records(data: bytes, count: int, columns: int, layer: str) -> list[NDArray[np.int64]]:
    """The inverse of `encode_records`. Raises DamagedStream."""
    decoder = Decoder(data, layer)
    found = [decoder.read((count, 1), LENGTH_TREE_BITS, LENGTHS).reshape(-1) for _ in range(columns)]
    decoder.finish()
    return [np.cumsum(numbers) if place else numbers for place, numbers in enumerate(found)]


def _widths(bits: int, floats: bool) -> tuple[int, int]:
    return (EXPONENT_BITS, bits) if floats else (bits, 0)


def _decode(
    data: bytes, shape: tuple[int, int], widths: tuple[int, int], least: int, most: int, layer: str
) -> NDArray[np.int64]:
    decoder = Decoder(data, layer)
    numbers = decoder.read(shape, *widths, least, most)
    decoder.finish()
    return numbers


def _patterns(matrix: Float) -> tuple[NDArray[np.int64], int]:
    """Signed bit patterns of the floats without low bits that are 0 in all, and the bits of the mantissa that stay."""
    patterns = np.ascontiguousarray(matrix, np.float32).view(np.uint32).astype(np.int64) & 0x7FFFFFFF
    used = int(np.bitwise_or.reduce(patterns, axis=None)) & (1 << MANTISSA_BITS) - 1
    bits = MANTISSA_BITS - ((used & -used).bit_length() - 1) if used else 0
    return np.where(matrix < 0, -1, 1) * (patterns >> MANTISSA_BITS - bits), bits


def _decode_floats(data: bytes, shape: tuple[int, int], bits: int, layer: str) -> Float:
    most = (1 << EXPONENT_BITS + bits) - 1
    patterns = _decode(data, shape, _widths(bits, True), -most, most, layer)
    magnitudes = (np.abs(patterns) << MANTISSA_BITS - bits).astype(np.uint32).view(np.float32)
    return np.where(patterns < 0, -magnitudes, magnitudes)
