"""Layers, networks and designs by a few words each, for tests of the compiler: weights are random, shapes are not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from accel.design import Design
from accel.models.integers.network import (
    IntegerNetwork,
    Layer,
    MatrixLayer,
    Requantise,
    Residual,
    Shared,
    TensorSpec,
    VectorLayer,
)
from accel.models.window import Window

Maker = Callable[[str, TensorSpec], tuple[Layer, TensorSpec]]


def design_of(
    rows: int, cols: int, axi_bits: int = 128, lanes: int | None = None, latency: int = 20, **buffers: int
) -> Design:
    """A design with large buffers, but for those given."""
    sizes = {
        "activation_bytes": 1 << 20, "weight_bytes": 1 << 18, "accumulator_bytes": 1 << 16, "parameter_bytes": 1 << 14,
    }  # fmt: skip
    return Design.model_validate(
        {
            "name": "limits",
            "array": {"rows": rows, "cols": cols},
            "buffers": sizes | buffers,
            "post_lanes": lanes,
            "memory": {"axi_bits": axi_bits, "latency_cycles": latency},
            "clock_mhz": 100,
        }
    )


def uniform(zero_point: int) -> Requantise:
    """One record that keeps every code, of a tensor with this zero point."""
    return Requantise(
        np.array([-zero_point], np.int32), np.array([32768], np.uint16), np.array([15], np.uint8), zero_point
    )


def matrix(
    out: int, window: Window, codebook: list[int] | None = None, groups: int = 1, residual: str | None = None,
    **record: Any,
) -> Maker:  # fmt: skip
    """Makes a matrix layer of the tensor before it, its weights indices into `codebook` if there is one."""

    def make(name: str, source: TensorSpec) -> tuple[MatrixLayer, TensorSpec]:
        generator = np.random.default_rng(out)
        shape, shared = (out, source.shape[0] // groups, *window.kernel), None
        weights = generator.integers(-128, 128, shape).astype(np.int8)
        if codebook:
            entries, bits = np.array(codebook, np.int8), (len(codebook) - 1).bit_length()
            indices = generator.integers(0, len(codebook), shape).astype(np.uint8)
            weights, shared = entries[indices], Shared(bits, entries, indices)
        shift = 22 + int(np.log2(weights[0].size)) // 2
        requantise = Requantise(
            generator.integers(-99, 99, out).astype(np.int32), np.full(out, 40000, np.uint16),
            np.full(out, shift, np.uint8), 3, **record,
        )  # fmt: skip
        added = Residual(residual, 30000, 15, 0) if residual else None
        layer = MatrixLayer(name, source.name, f"{name}:out", weights, window, requantise, groups, added, shared)
        return layer, TensorSpec(layer.output, (out, *window.output_size(*source.shape[1:])), 1.0, 3)

    return make


def max_pool(window: Window, residual: str | None = None) -> Maker:
    """Makes a max pooling of the tensor before it; with a residual, something is added."""

    def make(name: str, source: TensorSpec) -> tuple[VectorLayer, TensorSpec]:
        record = uniform(source.zero_point)
        added = Residual(residual, 30000, 15, 0) if residual else None
        layer = VectorLayer(name, source.name, f"{name}:out", "max", window, record, added)
        shape = (source.shape[0], *window.output_size(*source.shape[1:]))
        return layer, TensorSpec(layer.output, shape, 1.0, source.zero_point)

    return make


def add(residual: str) -> Maker:
    """Makes an addition of a tensor to the one before it."""
    return max_pool(Window((1, 1)), residual)


SAME = max_pool(Window((1, 1)))  # keeps what follows from being a first layer


def network_of(shape: tuple[int, int, int], *makers: Maker) -> IntegerNetwork:
    """A chain of layers `layer0`, `layer1`, ...; tensors are "x" and "layer0:out", ..."""
    tensors = {"x": (last := TensorSpec("x", shape, 1.0, 5))}
    layers = []
    for index, make in enumerate(makers):
        layer, last = make(f"layer{index}", last)
        if layer.residual:
            added = replace(layer.residual, zero_point=tensors[layer.residual.tensor].zero_point)
            layer = replace(layer, residual=added)
        layers.append(layer)
        tensors[last.name] = last
    return IntegerNetwork("limits", "x", last.name, tensors, tuple(layers))
