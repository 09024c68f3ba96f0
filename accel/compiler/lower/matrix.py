"""Matrix layers on the systolic array: convolutions, fully connected layers and matrix products."""

from __future__ import annotations

from dataclasses import replace

from accel.commands import ConfigCompute, most
from accel.compiler.estimate import Machine
from accel.compiler.first_layer import Reading
from accel.compiler.first_layer import readings as first_readings
from accel.compiler.geometry import matrix_geometry
from accel.compiler.lower.deep import covers, deepened
from accel.compiler.lower.lowering import Lowering, Setting
from accel.compiler.lower.matrix_task import Task
from accel.compiler.lower.matrix_tiling import choose
from accel.compiler.lower.matrix_write import write
from accel.compiler.lower.pairs import paired
from accel.compiler.lower.window import LARGEST_KERNEL, check_window
from accel.compiler.step import Step
from accel.compiler.weights import LayerWeights, layer_weights
from accel.design import Design
from accel.entropy.encode import Encoded
from accel.memories import RECORD_BYTES, TABLE_ENTRIES
from accel.models.errors import InputError
from accel.models.integers.network import AnyLayer, IntegerNetwork, MatrixLayer, Requantise, VectorLayer
from accel.program import Compulsory, LayerInfo


def operator(layer: MatrixLayer) -> str:
    """The ONNX operators that become such a layer."""
    return "ConvTranspose" if layer.window.spread else "Conv or Gemm"


def check(layer: MatrixLayer, network: IntegerNetwork, design: Design) -> None:
    """Raise InputError for what COMPUTE cannot express."""
    whole = covers(layer, network.tensors[layer.input].shape)
    check_window(layer, network, most(ConfigCompute, "stride_y"), most(ConfigCompute, "in_h" if whole else "kernel_h"))
    _check_sums(layer, design)


def _check_sums(layer: MatrixLayer, design: Design) -> None:
    """Sums must fit the accumulators, whatever the activations."""
    limit = 1 << design.widths.accumulator - 1
    if layer.largest_sum >= limit:
        raise InputError(
            f"sums can reach {layer.largest_sum:,}, accumulators of {design.widths.accumulator} bits hold {limit - 1:,}"
        )


def fused(layer: MatrixLayer, readers: list[AnyLayer], network: IntegerNetwork, design: Design) -> VectorLayer | None:
    """The max pooling that alone reads the layer's output, if it can run over the accumulators.

    Blocks make what windows share twice (`Geometry.overlaps`): `prepare` decides whether that is worth it.
    """
    if layer.residual or layer.output in network.outputs or len(readers) != 1 or not layer.requantise.monotone:
        return None
    pool = readers[0]
    if type(pool) is not VectorLayer or pool.reduce != "max" or pool.residual:
        return None
    window, words = pool.window, Machine.of(design).block_pixels(1)
    if window.dilation != (1, 1) or window.spread or not _identity(pool.requantise):
        return None
    if window.kernel == (1, 1) or window.kernel[0] * window.kernel[1] > words:
        return None
    return pool


def _identity(r: Requantise) -> bool:
    """Whether codes pass unchanged but for the clip limits."""
    if len(r.bias) != 1 or int(r.bias[0]) != -r.zero_point or r.table is not None:
        return False
    return int(r.multiplier[0]) == 1 << int(r.shift[0])


def readings(step: Step, design: Design, zero_point: int) -> list[Reading]:
    """By window loads if that is faster, and as words."""
    assert isinstance(step.layer, MatrixLayer)
    return first_readings(step.layer, step.geometry, design, zero_point)


def weights(step: Step, design: Design, reading: Reading) -> LayerWeights:
    """The weights as the array sees them."""
    assert isinstance(step.layer, MatrixLayer)
    unfolded = reading.unfolded
    two = paired(step.layer, step.geometry, design, step.source.lanes) if not unfolded else None
    geometry, arrange = (unfolded.geometry, unfolded.arrange) if unfolded else two or (step.geometry, None)
    found = layer_weights(
        step.layer, geometry, design.word_lanes, design.cols, design.weight_rows, arrange, reading.as_dense,
        design.two_of_four, step.source.lanes, made(step, design),
    )  # fmt: skip
    if unfolded or not covers(step.layer, (0, step.geometry.in_h, step.geometry.in_w)):
        return found
    words = Machine.of(design).chunk_words(geometry.taps * found.halves, found.code_bits, 1, 1)
    deep = deepened(step.layer, step.geometry, design, words, step.source.lanes)
    if deep is None and max(step.geometry.kernel) > LARGEST_KERNEL:
        raise InputError(f"layer {step.of!r}: its kernel is too large, and its words do not lie without gaps")
    return replace(found, geometry=deep[0], arrange=deep[1]) if deep else found


def made(step: Step, design: Design) -> int:
    """Output channels that the step makes: all of a word, if its last chunks would be left as they were."""
    own, written, lanes = step.target.channels, step.target.written, design.lanes
    return written if -(-written // lanes) > -(-own // lanes) else own


def task(s: Setting) -> Task:
    """What tiling must know."""
    assert s.weights
    reach = tuple(high - low for low, high in s.weights.reach)
    return Task(
        s.geometry, reach, s.weights.outputs, s.weights.code_bits, s.weights.halves, len(s.step.requantise.bias) == 1,
        s.in_ring, s.out_ring, s.in_pitch, s.out_pitch, s.in_align, s.out_align,
        s.loaded, s.stored, s.weights.layer.groups > 1, s.residual_loads, s.in_cycles, s.out_step,
        beside=s.beside, patient=s.patient, skips=s.step.skips(bool(s.in_ring)),
    )  # fmt: skip


def info(step: Step, weights: LayerWeights | None, encoded: Encoded | None, must: Compulsory) -> LayerInfo:
    """Weights and parameter records in DRAM; `encoded` if the weights are coded."""
    assert weights
    pixels = step.geometry.out_h * step.geometry.out_w
    kind = ("fc" if pixels == 1 else "conv") + ("+maxpool" if step.pool else "")
    records = 0 if len(step.requantise.bias) == 1 else RECORD_BYTES * weights.outputs
    records += 0 if step.requantise.table is None else TABLE_ENTRIES
    stored, name = weights.stored_bytes, weights.name
    if encoded:
        stored = encoded.bytes + len(weights.format.codebook)
        name = name if encoded.literal else name.replace("dense", "sparse").replace("shared", "sparse")
    return LayerInfo(step.name, kind, must, stored + records, name)


MATRIX = Lowering(operator, check, fused, matrix_geometry, readings, weights, task, choose, write, info)
