from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from accel.models.errors import Blocked, InputError
from accel.models.exchange import onnx_read, onnx_write
from accel.models.graph import Conv, Linear, Pool, build
from accel.models.reference import float32
from tests.benches.model_networks import draw_inputs, draw_network, onnxruntime_output
from tests.benches.onnx_models import CASES, W, floats, model_of

FOREIGN = Path(__file__).parent / "data/mnist-conv"


def read(tmp_path, model):
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return onnx_read.read(path)


@settings(deadline=None, max_examples=60)
@given(st.randoms(use_true_random=False))
def test_reads_what_was_written(tmp_path_factory, rng):
    network = draw_network(rng)
    inputs = draw_inputs(rng, network, 2)
    path = tmp_path_factory.mktemp("onnx") / "n.onnx"
    onnx_write.write(network, path)
    again = onnx_read.read(path)
    assert again.output == network.output
    np.testing.assert_array_equal(float32.run(again, inputs), float32.run(network, inputs))


def test_foreign_network_gives_its_golden_output():
    def tensor(name):
        proto = TensorProto()
        proto.ParseFromString((FOREIGN / "test_data_set_0" / name).read_bytes())
        return numpy_helper.to_array(proto)

    network = onnx_read.read(FOREIGN / "model.onnx")
    assert network.shapes[network.input] == (1, 28, 28)
    assert [type(x).__name__ for x in network.layers if isinstance(x, Conv | Linear)] == ["Conv", "Conv", "Linear"]
    golden = tensor("output_0.pb")
    np.testing.assert_allclose(float32.run(network, tensor("input_0.pb")), golden, atol=1e-4 * np.abs(golden).max())


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("batch", ["n", 1, 3])
def test_agrees_with_onnx_runtime(tmp_path, case, batch):
    nodes, constants = CASES[case]
    protos = [(op, i, o, a) for op, i, o, a in nodes]
    model = model_of(protos, constants, (batch, 4, 6, 6))
    inputs = floats(batch if isinstance(batch, int) else 2, 4, 6, 6)
    network = read(tmp_path, model)
    ours = float32.run(network, inputs)
    expected = onnxruntime_output(model, inputs)
    assert ours.shape == expected.shape
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-4)


def test_old_clip_and_softmax(tmp_path):
    model = model_of(
        [("Clip", "x", "c", {"min": 0.0, "max": 6.0}), ("Flatten", "c", "f", {}), ("Softmax", "f", "y", {})], opset=7
    )
    inputs = floats(2, 4, 6, 6)
    np.testing.assert_allclose(float32.run(read(tmp_path, model), inputs), onnxruntime_output(model, inputs), atol=1e-5)


@pytest.mark.parametrize("opset", [13, 22])
def test_window_that_would_start_in_the_padding(tmp_path, opset):
    """ONNX Runtime drops it, as the operator says. ONNX's shape inference does so only from opset 22 on."""
    attributes = {"kernel_shape": [2, 2], "strides": [4, 4], "pads": [1, 1, 1, 1], "ceil_mode": 1}
    model = model_of([("MaxPool", "x", "y", attributes)], opset=opset)
    inputs = floats(2, 4, 6, 6)
    ours = float32.run(read(tmp_path, model), inputs)
    np.testing.assert_array_equal(ours, onnxruntime_output(model, inputs))
    assert ours.shape == (2, 4, 2, 2)


def test_folding_leaves_one_layer(tmp_path):
    nodes, constants = CASES["scale and offset"]
    assert len(read(tmp_path, model_of(nodes, constants)).layers) == 1
    nodes, constants = CASES["dropout and a dead branch"]
    assert [x.name for x in read(tmp_path, model_of(nodes, constants)).layers] == ["the_y"]


def test_nodes_without_names(tmp_path):
    model = model_of([("Relu", "x", "a", {}), ("Relu", "a", "b", {}), ("Relu", "b", "c", {})])
    model.graph.node[0].name = ""
    model.graph.node[2].name = model.graph.node[1].name
    assert [x.name for x in read(tmp_path, model).layers] == ["a", "the_b", "c"]


@pytest.mark.parametrize(
    ("nodes", "constants", "message"),
    [
        ([("LRN", "x", "y", {"size": 3})], {}, r"model\.onnx: node 'the_y' \(LRN\): operator is not supported"),
        ([("Conv", "x,w", "c", {}), ("Div", "x,c", "y", {})], {"w": floats(4, 4, 1, 1)}, r"'the_y' \(Div\): Div of 2"),
        ([("Conv", "x,w", "y", {})], {"w": W * np.nan}, r"'the_y' \(Conv\): weight 'w' must be finite, not NaN or Inf"),
        ([("Conv", "x,w", "y", {})], {"w": W[:, :3]}, r"\(Conv\): weights .* do not fit 4 input channels"),
        ([("Conv", "x,x", "y", {})], {}, r"\(Conv\): weight 'x' must be a constant, and depends on the input"),
        ([("MatMul", "w,x", "y", {})], {"w": floats(6, 6)}, r"\(MatMul\): matrix 'x' must be a constant"),
        ([("Softmax", "x", "y", {"axis": 3})], {}, r"\(Softmax\): axis must be the features"),
        ([("ReduceMean", "x", "y", {"axes": [1]})], {}, r"axes must be height and width \(2, 3\), not \[1\]"),
        ([("Flatten", "x", "y", {"axis": 2})], {}, r"\(Flatten\): shape must keep the batch of 1 in front"),
        ([("Mul", "x,k", "y", {})], {"k": floats(6)}, "constant must be one value a channel"),
        ([("Add", "x,k", "y", {})], {"k": floats(5, 1, 1)}, r"constant of shape \(5, 1, 1\) does not fit"),
        (
            [("Reshape", "x,s", "m", {}), ("BatchNormalization", "m,g,g,g,g", "y", {})],
            {"s": np.array([0, 12, 12]), "g": np.ones(12, np.float32)},
            "channels are the rows of a matrix",
        ),
        (
            [("Dropout", "x,r,t", "y", {})],
            {"r": np.float32(0.5), "t": np.array(True)},
            "training_mode must be a constant that is false, and is not",
        ),
        ([("Pad", "x", "y", {"mode": "edge", "pads": [0] * 8})], {}, "must be a valid ONNX file|mode must be constant"),
        (
            [("Pad", "x,p,v", "y", {})],
            {"p": np.ones(8, np.int64), "v": np.float32(0)},
            "pads must be of channels, height and",
        ),
        ([("Pad", "x,p,v", "y", {})], {"p": np.ones(8, np.int64), "v": np.float32(2)}, "value must be 0, not 2"),
        ([("Cast", "x", "y", {"to": 6})], {}, "type of an activation must be 1 or 10, a float, not 6"),
        ([("Sum", "x,k,x", "y", {})], {"k": W}, r"of 3 terms none must be a constant, and 'k' is one"),
        ([("Relu", "x", "y", {"nonsense": 1})], {}, "must be a valid ONNX file: .*nonsense"),
        (
            [("Conv", "x,w", "c", {}), ("Add", "c,x", "y", {})],
            {"w": W},
            r"\(Add\): operands must have one shape, or one be a pixel of the other, not \(5, 4, 4\) and \(4, 6, 6\)",
        ),
        ([("MaxPool", "x", "y", {"kernel_shape": [9, 9]})], {}, r"kernel \(9, 9\) does not fit in an input of 6 x 6"),
        ([("MaxPool", "x", "y", {"kernel_shape": [3]})], {}, "kernel_shape must be 2 integers, not 1"),
    ],
)
def test_what_is_not_supported(tmp_path, nodes, constants, message):
    with pytest.raises(InputError, match=message) as error:
        read(tmp_path, model_of(nodes, constants))
    assert "\n" not in str(error.value)


def test_everything_that_blocks_is_said_at_once(tmp_path):
    """Behind a node of known shape reading goes on; behind one of unknown shape only operators are judged."""
    nodes = [
        ("LRN", "x", "a", {"size": 3}),
        ("Conv", "a,w", "b", {}),
        ("Sinh", "b", "c", {}),
        ("Conv", "c,w", "d", {}),
        ("NonZero", "d", "e", {}),
        ("Cast", "e", "f", {"to": 1}),
        ("Cos", "f", "y", {}),
    ]
    with pytest.raises(Blocked, match=r"model\.onnx: nodes that cannot run, 5:\n  'the_a' \(LRN\): operator") as error:
        read(tmp_path, model_of(nodes, {"w": W}))
    found = [(x.node, x.operator) for x in error.value.blockers]
    assert found == [
        ("the_a", "LRN"), ("the_c", "Sinh"), ("the_d", "Conv"), ("the_e", "NonZero"), ("the_y", "Cos")
    ]  # fmt: skip
    assert "do not fit 5 input channels" in error.value.blockers[2].reason
    assert len(str(error.value).splitlines()) == 6
    with pytest.raises(Blocked, match=r"and 40 more$"):
        read(tmp_path, model_of([("Cos", "x", "c0", {})] + [("Cos", f"c{i}", f"c{i + 1}", {}) for i in range(89)]))


def one_dimensional():
    return model_of(
        [
            ("Conv", "x,w,b", "c", {"pads": [1, 2], "strides": [2], "dilations": [2]}),
            ("BatchNormalization", "c,g,g,b,g", "n", {}),
            ("Relu", "n", "r", {}),
            ("MaxPool", "r", "p", {"kernel_shape": [3], "strides": [2], "ceil_mode": 1}),
            ("Mul", "p,k", "s", {}),
            ("Pad", "s,pads", "q", {}),
            ("Conv", "q,v", "d", {"group": 5}),
            ("GlobalAveragePool", "d", "m", {}),
            ("Flatten", "m", "f", {}),
            ("Gemm", "f,u", "y", {}),
        ],
        {"w": floats(5, 4, 3), "b": floats(5), "g": np.abs(floats(5)) + 1, "k": floats(5, 1), "v": floats(10, 1, 2),
         "u": floats(10, 3), "pads": np.array([0, 0, 2, 0, 0, 1])},
        ("n", 4, 30),
    )  # fmt: skip


def test_one_dimension_is_a_map_of_one_row(tmp_path):
    model = one_dimensional()
    network = read(tmp_path, model)
    assert network.shapes["x"] == (4, 1, 30)
    inputs = floats(3, 4, 30)
    ours = float32.run(network, inputs[:, :, None])
    np.testing.assert_allclose(ours, onnxruntime_output(model, inputs), rtol=1e-4, atol=1e-4)
    with pytest.raises(InputError, match="pads must be 2 integers, not 4"):
        read(tmp_path, model_of([("Conv", "x,w", "y", {"pads": [1, 1, 1, 1]})], {"w": floats(5, 4, 3)}, ("n", 4, 30)))
    nodes = [("Conv", "x,w", "c", {}), ("Unsqueeze", "c,a", "y", {})]
    with pytest.raises(InputError, match="and 2 to 3 dimensions, not"):
        read(tmp_path, model_of(nodes, {"w": floats(5, 4, 3), "a": np.array([3])}, ("n", 4, 30)))


def test_float16(tmp_path):
    model = model_of(
        [("Conv", "x,w", "c", {}), ("Add", "c,b", "y", {})], {"w": W.astype("f2"), "b": np.float16([[0.5]])}
    )
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.elem_type = TensorProto.FLOAT16
    inputs = floats(2, 4, 6, 6).astype("f2")
    ours = float32.run(read(tmp_path, model), inputs.astype("f4"))
    np.testing.assert_allclose(ours, onnxruntime_output(model, inputs), atol=0.05)


def test_an_input_shape_fills_what_is_open(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(model_of([("Relu", "x", "y", {})], shape=("n", 4, "h", "w")).SerializeToString())
    assert onnx_read.read(path, (4, 5, 6)).shapes["y"] == (4, 5, 6)
    for shape, message in (
        ((4, 5), "must have 3 dimensions after the batch, not 2 as given"),
        ((3, 5, 6), "must have size 4 in dimension 1, not 3 as given"),
        ((4, 5, 0), "must have known dimensions after the batch, not 'w': give an input shape"),
        (None, "not 'h': give an input shape"),
    ):
        with pytest.raises(InputError, match=message):
            onnx_read.read(path, shape)


@pytest.mark.parametrize("condition", [True, False])
def test_an_if_that_is_decided(tmp_path, condition):
    """PyTorch writes one around a squeeze of a size that it does not know."""

    def graph(operator, name):
        node = helper.make_node(operator, ["x"], [name])
        return helper.make_graph([node], name, [], [helper.make_tensor_value_info(name, TensorProto.FLOAT, None)])

    branches = {"then_branch": graph("Relu", "a"), "else_branch": graph("GlobalMaxPool", "b")}
    model = model_of([("If", "c", "i", branches), ("Flatten", "i", "y", {})], {"c": np.array(condition)})
    inputs = floats(2, 4, 6, 6)
    np.testing.assert_array_equal(float32.run(read(tmp_path, model), inputs), onnxruntime_output(model, inputs))


def test_an_if_that_is_not_decided(tmp_path):
    branch = helper.make_graph([], "g", [], [])
    nodes = [("Cast", "x", "c", {"to": 9}), ("If", "c", "y", {"then_branch": branch, "else_branch": branch})]
    with pytest.raises(InputError, match="type of an activation must be"):
        read(tmp_path, model_of(nodes))


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        (("n", 4, "h", 6), "input 'x' must have known dimensions after the batch, not 'h'"),
        ((4,), "must have 2 to 4 dimensions, not 1"),
        ((0, 4, 6, 6), r"batch of input 'x' must be 1\.\.65536, or free, not 0"),
        ((2**40, 4, 6, 6), r"batch of input 'x' must be 1\.\.65536, or free, not 1099511627776"),
        (("n", 4, 2**20, 2**20), "must have at most 67108864 values, not"),
        (None, "must be a valid ONNX file: Field 'shape'"),
    ],
)
def test_input_shapes(tmp_path, shape, message):
    with pytest.raises(InputError, match=message):
        read(tmp_path, model_of([("Relu", "x", "y", {})], shape=shape))


def test_inputs_and_outputs_of_a_model(tmp_path):
    model = model_of([("Relu", "x", "y", {}), ("Relu", "y", "z", {})])
    model.graph.output.append(helper.make_tensor_value_info("y", TensorProto.FLOAT, None))
    with pytest.raises(InputError, match="model must have one output, not 2"):
        read(tmp_path, model)
    model = model_of([("Relu", "x", "y", {})])
    model.graph.input.append(helper.make_tensor_value_info("x2", TensorProto.FLOAT, [1]))
    with pytest.raises(InputError, match=r"model must have one input, not 2 \('x', 'x2'\)"):
        read(tmp_path, model)
    model = model_of([("Relu", "x", "y", {})])
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.INT8
    with pytest.raises(InputError, match="input 'x' must be float32 or float16, not INT8"):
        read(tmp_path, model)


def test_another_domain(tmp_path):
    model = model_of([("Quant", "x", "y", {"domain": "qonnx.custom_op.general"})])
    model.opset_import.append(helper.make_opsetid("qonnx.custom_op.general", 1))
    with pytest.raises(InputError, match=r"'the_y' \(Quant\): operator of domain 'qonnx.custom_op.general' is not"):
        read(tmp_path, model)


@pytest.mark.parametrize("content", [b"", b"no model at all", b"\x08", bytes(range(256))])
def test_files_that_are_not_onnx(tmp_path, content):
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"model\.onnx must be an? (valid )?ONNX file") as error:
        onnx_read.read(path)
    assert "\n" not in str(error.value)


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.onnx cannot be read: No such file"):
        onnx_read.read(tmp_path / "nowhere.onnx")
    with pytest.raises(InputError, match="cannot be read: Is a directory"):
        onnx_read.read(tmp_path)


def test_shapes_are_compared_with_those_of_onnx(tmp_path, monkeypatch):
    def wrong(*arguments):
        network = build(*arguments)
        return replace(network, shapes=network.shapes | {"y": (4, 3, 2)})

    monkeypatch.setattr(onnx_read, "build", wrong)
    with pytest.raises(InputError, match=r"tensor 'y' must have shape \(1, 4, 3, 2\), not \(1, 4, 6, 6\)"):
        read(tmp_path, model_of([("Relu", "x", "y", {})]))


def test_an_output_that_declares_another_shape(tmp_path):
    model = model_of([("Relu", "x", "y", {})])
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 4, 6, 7]))
    with pytest.raises(InputError, match=r"model\.onnx: shapes do not fit: "):
        read(tmp_path, model)


def test_truncated_foreign_model(tmp_path):
    content = (FOREIGN / "model.onnx").read_bytes()
    for size in (100, 5000, len(content) - 1):
        path = tmp_path / "model.onnx"
        path.write_bytes(content[:size])
        with pytest.raises(InputError, match="ONNX file"):
            onnx_read.read(path)


def test_pool_attributes(tmp_path):
    nodes = [("AveragePool", "x", "y", {"kernel_shape": [3, 2], "pads": [1, 0, 1, 1], "count_include_pad": 1})]
    (layer,) = read(tmp_path, model_of(nodes)).layers
    assert isinstance(layer, Pool)
    assert layer.count_include_pad
    assert layer.window.pads == (1, 0, 1, 1)
