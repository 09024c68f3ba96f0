"""A .tflite file as an ONNX model, which is then read as any other.

Activations of four dimensions are turned from (n, height, width, channels) to ONNX's order once, at the input, and back
at the output: those are the host's nodes. Codes become QuantizeLinear and DequantizeLinear, with the file's scales.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from accel.models.errors import Blocked, Blocker, InputError
from accel.models.exchange import tflite_file
from accel.models.exchange.tflite_file import File, Operator, Tensor
from accel.models.exchange.tflite_ops import WRITERS
from accel.models.exchange.tflite_writing import Unsupported, Writing

OPSET = 17


def load(path: Path) -> tuple[onnx.ModelProto, int]:
    """The model in a .tflite file, and the number of all constant values in it, as `onnx_load.load` gives them.

    Raises InputError for what is no such file, and a Blocked with every operator that has no counterpart.
    """
    file = tflite_file.load(path)
    if len(file.inputs) != 1:
        raise InputError(f"{file.name}: model must have one input, not {len(file.inputs)}")
    writing = Writing(file)
    source = file.tensors[file.inputs[0]]
    entry = f"{source.name}.input"
    writing.enter(file.inputs[0], entry)
    blockers: list[Blocker] = []
    for operator in file.operators:
        try:
            _write(writing, operator)
        except Unsupported as error:
            blockers.append(Blocker(_name(file, operator), operator.name, str(error)))
    if blockers:
        raise Blocked(f"{file.name}: node", tuple(blockers))
    outputs = [(writing.leave(place), _kind(file.tensors[place])) for place in file.outputs]
    shape: list[str | int | None] = ["n", *source.shape[1:]]
    graph = helper.make_graph(
        writing.nodes, "tflite",
        [helper.make_tensor_value_info(entry, TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(name, kind, None) for name, kind in outputs],
        [numpy_helper.from_array(np.asarray(value, order="C"), name) for name, value in writing.constants.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
    return model, sum(value.size for value in writing.constants.values())


def _kind(tensor: Tensor) -> int:
    """ONNX's type of an output: codes are floats there."""
    plain = not tensor.scale.size and tensor.kind is not np.float16
    return helper.np_dtype_to_tensor_dtype(np.dtype(tensor.kind)) if plain else TensorProto.FLOAT


def _name(file: File, operator: Operator) -> str:
    return file.tensors[operator.outputs[0]].name if operator.outputs else operator.name


def _write(writing: Writing, operator: Operator) -> None:
    if operator.name not in WRITERS:
        raise Unsupported(f"operator is not supported (supported: {', '.join(sorted(WRITERS))})")
    if any(place >= 0 and not writing.known(place) for place in operator.inputs):
        for place in operator.outputs:
            writing.unknown.add(place)
        return  # behind what is not supported
    try:
        WRITERS[operator.name](writing, operator)
    except Unsupported:
        writing.unknown.update(operator.outputs)
        raise
