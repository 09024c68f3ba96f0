"""SCALE-Sim's topologies: a CSV file with a line for each layer, convolutions or matrix products.

Convolutions: name, height and width of the input (padding included), of the filter, channels, filters, stride. A name
with "DP" is a depthwise layer: each channel has that many filters. Matrix products: name, M, N, K, under a header that
says so. What may follow, a sparsity N:M and a remark behind #, is for features of SCALE-Sim's that are not read.
"""

from __future__ import annotations

import re
from pathlib import Path

from accel.models.errors import InputError, printable
from accel.models.files import read_whole
from accel.models.window import Window
from accel.one_layer import LayerShape, gemm

SUFFIX = ".csv"
MOST_BYTES = 2**20
CONVOLUTION = "name, IFMAP height, IFMAP width, filter height, filter width, channels, filters, stride"


def load(path: str | Path) -> tuple[LayerShape, ...]:
    """The layers of a topology file, in order. Raises InputError with the line for what is none."""
    try:
        text = read_whole(path, MOST_BYTES).decode()
    except UnicodeDecodeError:
        raise InputError(f"{path} must be a topology of SCALE-Sim, a CSV file, and is no text") from None
    header, *lines = text.splitlines() or [""]
    products = [cell.lower() for cell in _cells(header)[1:4]] == ["m", "n", "k"]
    found = []
    for number, line in enumerate(lines, start=2):
        if cells := _cells(line):
            try:
                found.append(_product(cells) if products else _convolution(cells))
            except InputError as error:
                raise InputError(f"{path}:{number}: {error}") from None
    if not found:
        raise InputError(f"{path} must have a header and a line for each layer ({CONVOLUTION}), and has none")
    return tuple(found)


def _cells(line: str) -> list[str]:
    cells = [cell.strip() for cell in line.partition("#")[0].split(",")]
    while cells and not cells[-1]:
        cells.pop()
    return cells


def _numbers(cells: list[str], names: str) -> list[int]:
    """The whole numbers behind the name. Raises InputError."""
    count = names.count(",")
    numbers, rest = cells[1 : count + 1], cells[count + 1 :]
    whole = all(number.isascii() and number.isdigit() and len(number) < 10 for number in numbers)
    if len(numbers) != count or not whole or not all(re.fullmatch(r"\d+:\d+", cell) for cell in rest[:1]) or rest[1:]:
        raise InputError(f"a layer must be {names} [, sparsity N:M], not {printable(', '.join(cells))!r}")
    return [int(number) for number in numbers]


def _product(cells: list[str]) -> LayerShape:
    m, n, k = _numbers(cells, "name, M, N, K")
    return gemm(m, k, n, printable(cells[0]))


def _convolution(cells: list[str]) -> LayerShape:
    height, width, high, wide, channels, filters, stride = _numbers(cells, CONVOLUTION)
    if high > height or wide > width:
        raise InputError(f"filter {high}x{wide} must not be larger than the input {height}x{width}")
    if not stride:
        raise InputError("stride must be at least 1, not 0")
    # SCALE-Sim rounds the size of the output up: the last window then reaches beyond the input.
    below, right = (-(size - kernel) % stride for size, kernel in ((height, high), (width, wide)))
    window = Window((high, wide), (stride, stride), (0, 0, below, right))
    depthwise = "DP" in cells[0]
    outputs, groups = (channels * filters, channels) if depthwise else (filters, 1)
    return LayerShape(printable(cells[0]), (channels, height, width), outputs, window, groups)
