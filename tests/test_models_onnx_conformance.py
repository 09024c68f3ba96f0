"""The conformance cases of the package `onnx` for every operator of our table: right, or refused; none is wrong.

Of a case the first input is the activation and all others are constants of the file. Right are the outputs of the float
reference with the host's part, against those that onnx ships.
"""

from __future__ import annotations

import warnings
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper
from onnx.backend.test.case.node import collect_testcases

from accel.models.errors import InputError
from accel.models.exchange.onnx_ops import OPERATORS
from accel.models.parting import parted
from tests.benches.model_networks import all_of

RIGHT = 80  # at least


@cache
def cases() -> tuple[Any, ...]:
    """Cases whose nodes all have a row in the table."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of numpy, about values at the ends of their types
        found = collect_testcases(None)
    return tuple(
        case for case in found
        if case.model is not None and {node.op_type for node in case.model.graph.node} <= OPERATORS.keys()
        and not any(node.domain for node in case.model.graph.node)
    )  # fmt: skip


def outcome(case: Any, scratch: Path) -> str:
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    inputs, expected = case.data_sets[0]
    if not inputs or not all(isinstance(x, np.ndarray | np.generic) for x in (*inputs, *expected)):
        return "types that numpy does not have"
    inputs = [np.asarray(x) for x in inputs]
    for value, name in list(zip(inputs, (x.name for x in model.graph.input), strict=True))[1:]:
        model.graph.initializer.append(numpy_helper.from_array(value, name))
    del model.graph.input[1:]
    path = scratch / "case.onnx"
    onnx.save(model, path)
    try:
        network = parted.read(path)
        found = all_of(network, inputs[0])
    except InputError:
        return "refused"
    for mine, theirs in zip(found, expected, strict=True):
        if mine.size != np.size(theirs) or not np.allclose(
            mine.reshape(np.shape(theirs)), theirs, rtol=1e-3, atol=1e-5
        ):
            return "wrong"
    return "right"


def test_no_case_is_wrong(tmp_path: Path) -> None:
    found = {case.name: outcome(case, tmp_path) for case in cases()}
    wrong = [name for name, kind in found.items() if kind == "wrong"]
    counts = Counter(found.values())
    assert not wrong
    assert counts["right"] >= RIGHT, counts
