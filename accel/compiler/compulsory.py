"""What a network asks of the hardware whatever the schedule: products, and bytes that must cross the bus once.

This is the floor under every program, so nothing counts that some program could leave out:

    MACs       products of a weight and an activation of the layer, for the positions that a fused pooling reads. The
               array does more: with the padding of images, of channels to whole groups, of tiles across groups
    weights    each once, in the format that is read, without the filling to whole tiles, and the codebook; a kernel
               position that meets nothing but padding is not needed. Coded weights: their streams and tables. 2:4: two
               of four. Sparse engine: an entry for each weight that is not zero
    records    8 bytes an output channel, unless the configuration's one record serves all channels; of a layer in parts
               (`accel.compiler.parts`) for each of them, since their biases differ, as may the formats of their
               weights. A depthwise layer that the post-process unit filters has them always, and its weights as bytes,
               the ninth of them in the record
    tables     256 bytes for each table of a function that differs from those before
    inputs     the pixels that some window of the first reader of an input reaches, all channels
    outputs    each byte of the network's outputs

Activations between layers count nothing: with buffers that are large enough they stay on chip. Weights of 0 count as
products, because the systolic array multiplies them; a sparse engine's bound takes what it has multiplied instead
(`accel.sim.result`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import prod

import numpy as np

from accel.compiler.prepare import Prepared
from accel.compiler.step import Step
from accel.entropy.encode import Encoded
from accel.memories import RECORD_BYTES, TABLE_ENTRIES
from accel.models.integers.network import IntegerNetwork, MatrixLayer
from accel.program import Compulsory
from accel.records import filter_number, filter_words


@dataclass(frozen=True)
class Axis:
    """One axis of a sliding window: (tap, position) `pairs` inside the input, `taps` and `inputs` among them."""

    pairs: int
    taps: int
    inputs: int


def compulsory(prepared: Prepared, encoded: Mapping[int, Encoded]) -> list[Compulsory]:
    """The floor of each step. `encoded`: by number of the step, if its weights are coded."""
    network = prepared.network
    first = {
        name: next((s for s in prepared.steps if name in (spot.storage for spot in s.spots.values())), None)
        for name in network.inputs
    }
    found, tables = list[Compulsory](), set[bytes]()
    for step in prepared.steps:
        y, x = _axes(step, network)
        macs = read = filtered = 0
        weights = prepared.weights[step.name]
        if weights and step.name not in prepared.copies and (step.part is None or step.part.taps):
            channels = prod(weights.layer.weights.shape[:2])
            macs = channels * y.pairs * x.pairs
            stream = encoded.get(step.index)
            read = stream.bytes if stream else -(-weights.least_bits(channels * y.taps * x.taps) // 8)
            read += len(weights.format.codebook)
        if weights:
            read += RECORD_BYTES * len(step.requantise.bias) if len(step.requantise.bias) > 1 else 0
        elif isinstance(step.layer, MatrixLayer):  # by the filter: a byte a weight, and a record a channel
            channels = len(step.layer.weights)
            met = step.part is None or step.part.taps
            filtered = macs = channels * y.pairs * x.pairs if met else 0
            taps = y.taps * x.taps if met else 0
            words = filter_words(filter_number(step.geometry.kernel[0]))
            read = channels * min(taps + RECORD_BYTES, words * RECORD_BYTES)  # the ninth tap lies in the record
        table = None if step.requantise.table is None else step.requantise.table.tobytes()
        if table is not None and table not in tables:  # one that is there need not come again
            tables.add(table)
            read += TABLE_ENTRIES
        for name in (name for name in network.inputs if step is first[name]):
            if step.part:
                channels, *size = network.tensors[step.input].shape
                read += channels * _reached([s for s in prepared.steps if s.output == step.output], size)
            else:
                read += _entering(step, name, network, y.inputs * x.inputs)
        write = prod(network.tensors[step.output].shape) if step.output in network.outputs and step.completes else 0
        found.append(Compulsory(macs, read, write, filtered))
    return found


def _reached(parts: Sequence[Step], size: Sequence[int]) -> int:
    """The pixels of an input of `size` that the parts of a layer read, each once."""
    met = np.zeros(tuple(size), np.bool_)
    for step in parts:
        if step.part and step.part.taps:
            window, out = step.layer.window, step.layer.window.output_size(size[0], size[1])
            lines = []
            for i in (0, 1):
                at = np.arange(out[i])[:, None] - window.pads[i] + np.arange(window.kernel[i]) * window.dilation[i]
                lines.append(np.unique(at[(at >= 0) & (at < size[i])]))
            met[np.ix_(*lines)] = True
    return int(met.sum())


def _entering(step: Step, name: str, network: IntegerNetwork, pixels: int) -> int:
    """Bytes of input `name` that its first reader needs, which reads so many `pixels` of its own input."""
    if step.residual and step.added and step.added.storage == name:
        return prod(network.tensors[step.residual].shape)
    return network.tensors[step.input].shape[0] * pixels


def _axes(step: Step, network: IntegerNetwork) -> list[Axis]:
    """Rows and columns of what a step reads."""
    window, pool = step.layer.window, step.pool.window if step.pool else None
    sizes = network.tensors[step.layer.input].shape[1:]
    out = window.output_size(*sizes)
    pooled = pool.output_size(*out) if pool else out
    return [
        axis(
            sizes[i], window.pads[i], window.stride[i], window.dilation[i], window.kernel[i],
            read(out[i], pooled[i], pool.pads[i], pool.stride[i], pool.kernel[i]) if pool else tuple(range(out[i])),
        )
        for i in (0, 1)
    ]  # fmt: skip


@lru_cache(maxsize=1024)
def read(size: int, windows: int, pad: int, stride: int, taps: int) -> tuple[int, ...]:
    """The positions 0..`size` - 1 that at least one of the pooling `windows` reads."""
    found = {w * stride - pad + tap for w in range(windows) for tap in range(taps)}
    return tuple(sorted(at for at in found if 0 <= at < size))


@lru_cache(maxsize=1024)
def axis(size: int, pad: int, stride: int, dilation: int, taps: int, positions: tuple[int, ...]) -> Axis:
    """The windows at output `positions` over `size` inputs."""
    at = np.array(positions, np.int64)[:, None] * stride - pad + np.arange(taps) * dilation
    inside = (at >= 0) & (at < size)
    return Axis(int(inside.sum()), int(inside.any(0).sum()), len(np.unique(at[inside])))
