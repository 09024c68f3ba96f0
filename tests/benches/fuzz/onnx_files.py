"""ONNX files whose bytes, attributes, constants, shapes and names are changed.

What is accepted must give what ONNX Runtime gives.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy as np
import onnx
from onnx import AttributeProto, ModelProto, TensorProto, helper, numpy_helper

from accel.models.exchange import onnx_prepare, onnx_read
from accel.models.exchange.onnx_ops import OPERATORS
from accel.models.reference import float32
from tests.benches.fuzz.mutate import INTEGERS, NUMBERS, mutate_bytes
from tests.benches.model_networks import onnxruntime_output
from tests.benches.onnx_models import CASES, model_of

OLDEST = 7  # opset of ONNX Runtime
LARGEST = 2**18  # values of a tensor that is computed here
FILES = Path(__file__).parents[2] / "data" / "cases"
PLAUSIBLE = {
    "strides": 3, "dilations": 2, "kernel_shape": 3, "pads": 2, "ceil_mode": 1, "count_include_pad": 1, "group": 4,
    "axis": 3, "keepdims": 1, "transB": 1, "transA": 1, "storage_order": 1, "training_mode": 1, "axes": 3,
    "output_padding": 2, "output_shape": 14, "blocksize": 3,
}  # fmt: skip


def warm_up() -> None:
    """Everything imported and started once, so that the bounds are on the cases alone."""
    rng = Random(0)
    judge(base(rng).SerializeToString(), rng, Path("/tmp"))


def base(rng: Random) -> ModelProto:
    """A good model, of a random opset that its operators have in this form."""
    nodes, constants = CASES[rng.choice(list(CASES))]
    return model_of(nodes, constants, (rng.choice(["n", "n", 1, 2]), 4, 6, 6), rng.choice([13, 13, 14, 15, 17]))


def make(rng: Random) -> bytes:
    """The bytes of a file."""
    if rng.random() < 0.1:
        return mutate_bytes(rng, rng.choice(sorted(FILES.glob("*.onnx"))).read_bytes())
    model = base(rng)
    if rng.random() < 0.2:
        return mutate_bytes(rng, model.SerializeToString())
    for _ in range(rng.choice((1, 1, 2, 3))):
        rng.choice(MUTATIONS)(rng, model)
    return model.SerializeToString()


def judge(content: bytes, rng: Random, folder: Path) -> bool:
    """Read it and compare its output on random inputs with ONNX Runtime's. Raises InputError if it is refused."""
    path = folder / "case.onnx"
    path.write_bytes(content)
    network = onnx_read.read(path)
    model = onnx.load(path)  # with what it keeps in other files
    if max(map(math.prod, network.shapes.values())) > LARGEST or model.opset_import[0].version < OLDEST:
        return False
    nodes = onnx_prepare.live(model)  # what the output does not depend on is not judged, and may be anything
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    if any(node.op_type == "Squeeze" and list(node.input[1:]) == [""] for node in nodes):
        return False  # ONNX Runtime fails where the empty name leaves out the axes
    (value,) = (v for v in model.graph.input if v.name == network.input)
    batch = value.type.tensor_type.shape.dim[0].dim_value or 1
    inputs = np.random.default_rng(rng.getrandbits(32)).standard_normal((batch, *network.shapes[network.input]))
    ours = float32.run(network, inputs.astype(np.float32))
    theirs = onnxruntime_output(model, inputs.astype(np.float32))
    if batch == 1 and ours.shape[1:] == theirs.shape:  # Squeeze without axes drops a batch of 1, and we keep it
        theirs = theirs[None]
    assert ours.shape == theirs.shape, f"shape {ours.shape}, not {theirs.shape}"
    np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4 * max(float(np.abs(theirs).max(initial=0)), 1))
    return True


def _attribute(rng: Random, model: ModelProto) -> None:
    """Another value of an attribute that is there: plausible, extreme, of another length or another type."""
    nodes = [node for node in model.graph.node if node.attribute]
    if not nodes:
        return _plausible(rng, model)
    node = rng.choice(nodes)
    attribute = rng.choice(node.attribute)
    choice = rng.randrange(6)
    if attribute.type == AttributeProto.INT and choice < 4:
        attribute.i = rng.choice(INTEGERS) if choice else attribute.i + rng.choice((-1, 1))
    elif attribute.type == AttributeProto.INTS and choice < 4:
        values = list(attribute.ints)
        match choice:
            case 0:
                values.append(rng.choice(INTEGERS[:6]))
            case 1:
                del values[-1:]
            case 2 if values:
                values[rng.randrange(len(values))] = rng.choice(INTEGERS)
            case 3 if values:
                values[rng.randrange(len(values))] += rng.choice((-1, 1))
        attribute.ints[:] = [max(min(n, 2**63 - 1), -(2**63)) for n in values]
    elif attribute.type == AttributeProto.FLOAT and choice < 4:
        attribute.f = float(np.clip(rng.choice(NUMBERS), -3.4e38, 3.4e38)) if choice else rng.choice(NUMBERS[-3:])
    elif attribute.type == AttributeProto.STRING and choice < 4:
        attribute.s = rng.choice((b"", b"VALID", b"SAME_UPPER", b"SAME_LOWER", b"NOTSET", b"\xff\xfe", b"same"))
    elif choice == 4:
        node.attribute.remove(attribute)
    else:
        kind = rng.choice((AttributeProto.INT, AttributeProto.INTS, AttributeProto.FLOAT, AttributeProto.STRING))
        name = attribute.name
        attribute.Clear()
        attribute.name, attribute.type, attribute.i = name, kind, rng.choice((0, 1, 2))
        attribute.ints[:] = [1] * rng.randrange(5)
    return None


def _plausible(rng: Random, model: ModelProto) -> None:
    """A small value for an attribute that a node has or could have."""
    node = rng.choice(model.graph.node or [onnx.NodeProto()])
    known = [
        name
        for name in PLAUSIBLE
        if onnx.defs.has(node.op_type) and name in onnx.defs.get_schema(node.op_type).attributes
    ]
    if not known:
        return
    name = rng.choice(known)
    for attribute in [a for a in node.attribute if a.name == name]:
        node.attribute.remove(attribute)
    schema = onnx.defs.get_schema(node.op_type).attributes[name]
    top, low = PLAUSIBLE[name], 0 if name in ("pads", "axes") else 1
    count = 4 if name == "pads" else 2
    many = schema.type == onnx.defs.OpSchema.AttrType.INTS
    value = [rng.randint(low, top) for _ in range(count)] if many else rng.randint(-1, top)
    node.attribute.append(helper.make_attribute(name, value))


def helper_fails(tensor: TensorProto) -> bool:
    """Whether a mutation before has left a tensor that cannot be read."""
    try:
        numpy_helper.to_array(tensor)
    except Exception:
        return True
    return False


def _tensor(rng: Random, model: ModelProto) -> None:
    """A constant of another shape, type or length, or with other numbers."""
    whole = [tensor for tensor in model.graph.initializer if not helper_fails(tensor)]
    if not whole:
        return
    tensor = rng.choice(whole)
    array = numpy_helper.to_array(tensor)
    match rng.randrange(9):
        case 0:
            array = array.reshape((1, *array.shape))
        case 1:
            array = array.reshape(-1)
        case 2:
            array = array[..., :-1] if array.ndim else array
        case 3:
            array = array.astype(rng.choice((np.float64, np.float16, np.int32, np.int64, np.uint8, np.bool_)))
        case 4:
            array = np.array(array)
            if array.size:
                array.reshape(-1)[rng.randrange(array.size)] = rng.choice((0, 1, -1, 2, 5))
        case 5 if array.dtype.kind == "f" and array.size:
            array = np.array(array)
            array.reshape(-1)[rng.randrange(array.size)] = np.float32(rng.choice(NUMBERS[-3:]))
        case 6:
            tensor.dims[:] = [rng.choice(INTEGERS) for _ in range(rng.randrange(4))]
            return
        case 7:
            tensor.raw_data = tensor.raw_data[: rng.randrange(len(tensor.raw_data) + 1)]
            return
        case _:
            tensor.data_type = rng.randrange(30)
            return
    tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))


def _shape(rng: Random, model: ModelProto) -> None:
    """Another input."""
    dims = model.graph.input[0].type.tensor_type.shape.dim
    match rng.randrange(5) if dims else 2:
        case 0:
            rng.choice(dims).dim_value = rng.choice(INTEGERS)
        case 1:
            del dims[-1]
        case 2:
            dims.add().dim_value = rng.choice((1, 2))
        case 3:
            rng.choice(dims).dim_value = rng.choice((1, 2, 3, 5, 8))
        case _:
            model.graph.input[0].type.tensor_type.elem_type = rng.randrange(25)


def _name(rng: Random, model: ModelProto) -> None:
    """Another name of a node, an input or an output, or of an operator."""
    if not model.graph.node:
        return
    node = rng.choice(model.graph.node)
    known = [n.output[0] for n in model.graph.node] + [t.name for t in model.graph.initializer] + ["x", "", "new"]
    match rng.randrange(5):
        case 0 if node.input:
            node.input[rng.randrange(len(node.input))] = rng.choice(known)
        case 1:
            node.output[0] = rng.choice(known)
        case 2:
            node.op_type = rng.choice((*OPERATORS, "Gather", "Transpose", "LSTM", ""))
        case 3:
            node.name = rng.choice((*known, "\x1b[31m", "a\nb", "\x00", "名"))
        case _:
            node.input.append(rng.choice(known))


def _node(rng: Random, model: ModelProto) -> None:
    """A node left out, doubled, moved or put in."""
    nodes = list(model.graph.node)
    if not nodes:
        return
    at = rng.randrange(len(nodes))
    match rng.randrange(4):
        case 0:
            del nodes[at]
        case 1:
            nodes.insert(at, nodes[at])
        case 2:
            rng.shuffle(nodes)
        case _:
            kind = rng.choice(("Relu", "Identity", "Dropout", "GlobalAveragePool", "Flatten", "Softmax", "Transpose"))
            old = nodes[at].output[0]
            nodes[at].output[0] = f"{old}.before"
            nodes.insert(at + 1, helper.make_node(kind, [f"{old}.before"], [old]))
    nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _constants(rng: Random, model: ModelProto) -> None:
    """Constants that others make, and that grow."""
    size = rng.choice((2, 5, 1000, 2**31, 2**40))
    shape = numpy_helper.from_array(np.array([size] * rng.randint(1, 2)), "fuzz.shape")
    nodes = [helper.make_node("ConstantOfShape", ["fuzz.shape"], ["fuzz.0"])]
    for i in range(rng.choice((1, 3, 40))):
        nodes.append(helper.make_node("Concat", [f"fuzz.{i}", f"fuzz.{i}"], [f"fuzz.{i + 1}"], axis=0))
    old = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*nodes, *old])
    model.graph.initializer.append(shape)


def _model(rng: Random, model: ModelProto) -> None:
    """The model around the graph: opset, versions, inputs, outputs, external data."""
    match rng.randrange(6):
        case 0:
            model.opset_import[0].version = rng.choice((1, 6, 7, 9, 11, 12, 18, 21, 22, 23, 99, 0, -1))
        case 1:
            model.opset_import[0].domain = rng.choice(("ai.onnx", "other", ""))
        case 2:
            model.graph.output[0].name = rng.choice(("x", "new", "y"))
        case 3:
            model.graph.input.add().name = rng.choice(("x2", "w", "x"))
        case 4:
            model.graph.output[0].type.tensor_type.shape.dim.add().dim_value = rng.choice(INTEGERS)
        case _ if model.graph.initializer:
            tensor = rng.choice(model.graph.initializer)
            tensor.data_location = TensorProto.EXTERNAL
            place = rng.choice(("case.onnx", "/dev/zero", "../x", "none", ""))
            for key, value in (("location", place), ("offset", rng.choice("07x")), ("length", rng.choice("148"))):
                entry = tensor.external_data.add()
                entry.key, entry.value = key, value


MUTATIONS: list[Callable[[Random, ModelProto], None]] = [
    _attribute, _attribute, _plausible, _plausible, _plausible, _tensor, _tensor, _shape, _name, _node, _constants,
    _model,
]  # fmt: skip
