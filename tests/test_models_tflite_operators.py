"""Each operator of a .tflite file: what it becomes in ONNX, run by ONNX Runtime, against TFLite's own kernel."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from accel.models.errors import Blocked, InputError
from accel.models.exchange import tflite_ops, tflite_read
from accel.models.parting import parted
from accel.models.quantisation.quantise import quantise
from accel.models.reference import int8
from tests.benches.tflite_models import Op, Sparse, model

MAP, ROWS, BATCH = (1, 4, 6, 8), (1, 5, 8), (1, 24)
# What is read with the networks of MLPerf Tiny, in float and in codes: tests/test_models_tflite.py.
ELSEWHERE = {"AVERAGE_POOL_2D", "CONV_2D", "DEPTHWISE_CONV_2D", "DEQUANTIZE", "QUANTIZE", "SOFTMAX"}


def f(*shape: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def i(*values: int) -> np.ndarray:
    return np.array(values, np.int32)


def one(
    name: str, rest: Sequence[Any] = (), out: tuple[int, ...] = MAP, shape: tuple[int, ...] = MAP, **more: Any
) -> Any:
    """A file of one operator on the activation and `rest`."""
    return name, shape, [Op(name, ["x", *rest], {"y": out}, **more)]


def options(name: str, **fields: Any) -> dict[str, Any]:
    return {"options": f"{name}Options", "fields": fields}


def behind(name: str, first: Op, then: Op, shape: tuple[int, ...] = MAP) -> Any:
    return name, shape, [first, then]


def cases() -> Iterator[Any]:
    for name in ("ABS", "CEIL", "COS", "ELU", "FLOOR", "HARD_SWISH", "LOGISTIC", "NEG", "ROUND", "SIN", "SIGN", "TANH"):
        yield one(name)
    for name in ("RELU", "RELU6", "RELU_N1_TO_1", "SQUARE", "EXP", "LOG_SOFTMAX"):
        yield one(name)
    for approximate in (False, True):
        yield one("GELU", **options("Gelu", Approximate=approximate))
    for name in ("SQRT", "RSQRT", "LOG"):
        yield behind(name, Op("EXP", ["x"], {"e": MAP}), Op(name, ["e"], {"y": MAP}))
    yield one("LEAKY_RELU", **options("LeakyRelu", Alpha=0.2))
    yield one("PRELU", [f(1, 1, 8)])
    yield one("PRELU", [f(8)], ROWS, ROWS)
    for name in ("ADD", "SUB", "MUL", "DIV"):
        title = name.capitalize()
        yield one(name, [f(8)], **options(title, FusedActivationFunction=1))
        yield one(name, [f(1, 4, 6, 1)], **options(title, FusedActivationFunction=3))
        yield one(name, ["x"], ROWS, ROWS, **options(title, FusedActivationFunction=0))
    for name in ("MAXIMUM", "MINIMUM", "SQUARED_DIFFERENCE"):
        yield one(name, [f(1)])
        yield one(name, [f(4, 6, 8)])
    yield behind("POW", Op("ABS", ["x"], {"a": MAP}), Op("POW", ["a", f()], {"y": MAP}, options="PowOptions"))
    for name in ("EQUAL", "GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL", "NOT_EQUAL"):
        compared = Op(name, ["x", f(8)], {"c": MAP}, kind=np.bool_)
        yield behind(name, compared, Op("CAST", ["c"], {"y": MAP}))
    for name in ("LOGICAL_AND", "LOGICAL_OR"):
        less, more = (Op(x, ["x", f(8)], {x: MAP}, kind=np.bool_) for x in ("LESS", "GREATER"))
        both = Op(name, ["LESS", "GREATER"], {"b": MAP}, kind=np.bool_)
        yield (
            name,
            MAP,
            [less, more, both, Op("LOGICAL_NOT", ["b"], {"n": MAP}, kind=np.bool_), Op("CAST", ["n"], {"y": MAP})],
        )
    compared = Op("LESS", ["x", f(1)], {"c": MAP}, kind=np.bool_)
    yield behind("SELECT_V2", compared, Op("SELECT_V2", ["c", "x", f(8)], {"y": MAP}))
    yield behind("SELECT", compared, Op("SELECT", ["c", "x", f(*MAP)], {"y": MAP}))
    yield behind("CAST", Op("CAST", ["x"], {"c": MAP}, kind=np.int32), Op("CAST", ["c"], {"y": MAP}))
    for name in ("SUM", "MEAN", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD"):
        for axes, out in (((1, 2), (1, 8)), ((3,), (1, 4, 6)), ((2,), (1, 4, 8)), ((1, 2, 3), (1,))):
            yield one(name, [i(*axes)], out, **options("Reducer", KeepDims=False))
        yield one(name, [i(3)], (1, 4, 6, 1), **options("Reducer", KeepDims=True))
        yield one(name, [i(-1)], (1, 5), ROWS, **options("Reducer", KeepDims=False))
    for name in ("ARG_MAX", "ARG_MIN"):
        yield one(
            name, [i(3)], (1, 4, 6), **options("ArgMax" if "MAX" in name else "ArgMin", OutputType=2), kind=np.int32
        )
    yield one("L2_NORMALIZATION", **options("L2Norm"))
    yield one("BATCH_MATMUL", [f(1, 8, 3)], (1, 5, 3), ROWS, **options("BatchMatMul"))
    yield one("BATCH_MATMUL", [f(1, 3, 8)], (1, 5, 3), ROWS, **options("BatchMatMul", AdjY=True))
    yield one(
        "FULLY_CONNECTED", [f(3, 24), f(3)], (1, 3), BATCH, **options("FullyConnected", FusedActivationFunction=1)
    )
    yield one("FULLY_CONNECTED", [f(3, 192), f(3)], (1, 3), **options("FullyConnected"))
    yield from _moved()
    yield from _maps()


def _moved() -> Iterator[Any]:
    for axis, out in ((3, (1, 4, 6, 11)), (-3, (1, 8, 6, 8)), (2, (1, 4, 12, 8))):
        other = f(*(n - m if n != m else n for n, m in zip(out, MAP, strict=True)))
        yield one("CONCATENATION", [other], out, **options("Concatenation", Axis=axis))
    yield one("CONCATENATION", ["x"], (1, 5, 16), ROWS, **options("Concatenation", Axis=2))
    halves = {"a": (1, 4, 6, 4), "b": (1, 4, 6, 4)}
    yield "SPLIT", MAP, [Op("SPLIT", [i(3).reshape(()), "x"], halves, **options("Split", NumSplits=2))]
    thirds = {"a": (1, 4, 1, 8), "b": (1, 4, 2, 8), "c": (1, 4, 3, 8)}
    split = Op("SPLIT_V", ["x", i(1, 2, -1), i(2).reshape(())], thirds, **options("SplitV", NumSplits=3))
    yield "SPLIT_V", MAP, [split]
    yield one("SLICE", [i(0, 1, 0, 2), i(1, 2, 6, -1)], (1, 2, 6, 6), **options("Slice"))
    masks = options("StridedSlice", BeginMask=1, EndMask=1)
    yield one("STRIDED_SLICE", [i(0, 0, 1, -3), i(0, 4, 6, -1), i(1, 2, 2, 1)], (1, 2, 3, 2), **masks)
    yield one(
        "STRIDED_SLICE",
        [i(0, 1, 0, 0), i(1, 2, 6, 8), i(1, 1, 1, 1)],
        (1, 6, 8),
        **options("StridedSlice", ShrinkAxisMask=2),
    )
    yield one(
        "STRIDED_SLICE",
        [i(0, 0, 0, 7), i(1, 4, 6, 0), i(1, 1, 1, -2)],
        (1, 4, 6, 4),
        **options("StridedSlice", EndMask=8),
    )
    for order in ((0, 3, 1, 2), (0, 2, 1, 3), (0, 1, 2, 3)):
        yield one("TRANSPOSE", [i(*order)], tuple(MAP[n] for n in order), **options("Transpose"))
    yield one("TRANSPOSE", [i(0, 2, 1)], (1, 8, 5), ROWS, **options("Transpose"))
    yield one("PACK", ["x"], (1, 5, 2, 8), ROWS, **options("Pack", Axis=2, ValuesCount=2))
    parts = {name: (1, 4, 8) for name in "abcdef"}
    yield "UNPACK", MAP, [Op("UNPACK", ["x"], parts, **options("Unpack", Num=6, Axis=2))]
    yield one("GATHER", [i(3, 0, 0)], (1, 4, 6, 3), **options("Gather", Axis=3))
    yield one("PAD", [i(0, 0, 1, 2, 0, 3, 0, 0).reshape(4, 2)], (1, 7, 9, 8), **options("Pad"))
    yield one("PADV2", [i(0, 0, 1, 2, 0, 3, 2, 0).reshape(4, 2), f(1)], (1, 7, 9, 10), **options("PadV2"))
    yield one("MIRROR_PAD", [i(0, 0, 1, 2, 0, 3, 0, 0).reshape(4, 2)], (1, 7, 9, 8), **options("MirrorPad", Mode=0))
    yield one("TILE", [i(1, 2, 1, 3)], (1, 8, 6, 24), **options("Tile"))
    for out, shape in (((1, 192), MAP), ((1, 8, 3, 8), MAP), ((1, 4, 48), MAP), ((1, 5, 2, 4), ROWS), ((4, 48), MAP)):
        yield one("RESHAPE", [i(*out)], out, shape, **options("Reshape"))
    yield one("SQUEEZE", [], (6, 8), (1, 1, 6, 8), **options("Squeeze"))
    yield one("EXPAND_DIMS", [i(1)], (1, 1, 5, 8), ROWS, **options("ExpandDims"))
    # What a converter writes for a reshape whose batch is left open.
    shape = Op("SHAPE", ["x"], {"s": (4,)}, kind=np.int32, **options("Shape", OutType=2))
    yield "SHAPE", MAP, [shape, Op("RESHAPE", ["x", "s"], {"y": MAP}, **options("Reshape"))]


def _maps() -> Iterator[Any]:
    for size in ((8, 12), (7, 5), (2, 3)):
        for fields in ({}, {"AlignCorners": True}, {"HalfPixelCenters": True}):
            for name, title in (
                ("RESIZE_BILINEAR", "ResizeBilinear"),
                ("RESIZE_NEAREST_NEIGHBOR", "ResizeNearestNeighbor"),
            ):
                yield one(name, [i(*size)], (1, *size, 8), **options(title, **fields))
    for padding, out in ((0, (1, 8, 12, 3)), (1, (1, 9, 13, 3))):
        for bias in ([], [f(3)]):
            given = options("TransposeConv", Padding=padding, StrideH=2, StrideW=2, FusedActivationFunction=0)
            yield (
                "TRANSPOSE_CONV",
                MAP,
                [Op("TRANSPOSE_CONV", [i(*out), f(3, 3, 3, 8), "x", *bias], {"y": out}, **given)],
            )
    for factor, out in (("DEPTH_TO_SPACE", (1, 8, 12, 2)), ("SPACE_TO_DEPTH", (1, 2, 3, 32))):
        yield one(factor, [], out, **options("DepthToSpace" if factor[0] == "D" else "SpaceToDepth", BlockSize=2))
    window = options(
        "Pool2D", Padding=0, StrideH=2, StrideW=2, FilterHeight=3, FilterWidth=3, FusedActivationFunction=1
    )
    yield one("MAX_POOL_2D", [], (1, 2, 3, 8), **window)


CASES = list(cases())


def ours(content: bytes, inputs: np.ndarray, path: Path) -> list[np.ndarray]:
    path.write_bytes(content)
    written, _ = tflite_read.load(path)
    session = onnxruntime.InferenceSession(written.SerializeToString(), providers=["CPUExecutionProvider"])
    return [np.asarray(x) for x in session.run(None, {session.get_inputs()[0].name: inputs})]


@pytest.mark.parametrize("name", sorted({name for name, _, _ in CASES}))
def test_is_what_tflite_computes(name: str, tmp_path: Path) -> None:
    for _, shape, operators in (case for case in CASES if case[0] == name):
        content, inputs = model(shape, operators), f(*shape, seed=0)
        interpreter = Interpreter(model_content=content)
        interpreter.allocate_tensors()
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], inputs)
        interpreter.invoke()
        expected = [interpreter.get_tensor(x["index"]) for x in interpreter.get_output_details()]
        found = ours(content, inputs, tmp_path / "case.tflite")
        assert len(found) == len(expected)
        for mine, theirs in zip(found, expected, strict=True):
            assert mine.shape == theirs.shape, operators
            np.testing.assert_allclose(mine.astype(np.float64), theirs, rtol=2e-5, atol=2e-6, err_msg=str(operators))


def test_every_operator_is_asked() -> None:
    """Those that TFLite's kernels have: MediaPipe's own is below."""
    asked = {op.name for _, _, operators in CASES for op in operators} | ELSEWHERE
    assert tflite_ops.WRITERS.keys() - asked == {"Convolution2DTransposeBias", "DENSIFY"}


def test_mediapipe_transposed_convolution(tmp_path: Path) -> None:
    """By its definition: every input pixel adds a window of the weights to the output."""
    weights, bias, inputs = f(3, 2, 2, 8), f(3, seed=2), f(*MAP, seed=0)
    expected = np.zeros((1, 8, 12, 3)) + bias
    for y in range(4):
        for x in range(6):
            expected[0, 2 * y : 2 * y + 2, 2 * x : 2 * x + 2] += np.einsum("c,oijc->ijo", inputs[0, y, x], weights)
    name = "Convolution2DTransposeBias"
    op = Op(name, ["x", weights, bias], {"y": (1, 8, 12, 3)}, custom=struct.pack("<iii", 1, 2, 2))
    (found,) = ours(model(MAP, [op]), inputs, tmp_path / "case.tflite")
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    with pytest.raises(Blocked, match="options must have 12 bytes, not 4"):
        ours(
            model(MAP, [Op(name, ["x", weights, bias], {"y": (1, 8, 12, 3)}, custom=b"1234")]),
            inputs,
            tmp_path / "n.tflite",
        )


def test_sparse_weights(tmp_path: Path) -> None:
    """Of a fully connected layer in blocks of 1 x 4, as TensorFlow's tools write them, and of a convolution's."""
    blocks = np.array([[0, 1, 0], [0, 0, 0], [1, 0, 1], [0, 0, 1]], bool)
    matrix = np.where(np.repeat(blocks, 4, axis=1), f(4, 12), 0).astype(np.float32)
    in_blocks = Sparse(
        matrix.shape,
        matrix.reshape(4, 3, 4)[blocks].reshape(-1),
        (0, 1, 2),
        (1,),
        (4, ((0, 1, 1, 3, 4), (1, 0, 2, 2)), 4),
    )
    filters = np.where(f(3, 1, 1, 8, seed=4) > 0, f(3, 1, 1, 8), 0).astype(np.float32)
    rows, columns = filters[:, 0, 0].nonzero()
    segments = tuple(int((rows < n).sum()) for n in range(4))
    in_rows = Sparse(filters.shape, filters[filters != 0], (0, 1, 2, 3), (), (3, 1, 1, (segments, tuple(columns))))
    for sparse, dense, name, shape, out, given in (
        (in_blocks, matrix, "FULLY_CONNECTED", (1, 12), (1, 4), options("FullyConnected")),
        (in_rows, filters, "CONV_2D", MAP, (1, 4, 6, 3), options("Conv2D", StrideH=1, StrideW=1)),
    ):
        operators = [
            Op("DENSIFY", [sparse], {"w": dense.shape}),
            Op(name, ["x", "w", f(len(dense))], {"y": out}, **given),
        ]
        plain = [Op(name, ["x", dense, f(len(dense))], {"y": out}, **given)]
        inputs, path = f(*shape, seed=0), tmp_path / "case.tflite"
        (found,), (expected,) = (ours(model(shape, x), inputs, path) for x in (operators, plain))
        np.testing.assert_array_equal(found, expected)
        interpreter = Interpreter(model_content=model(shape, operators))
        interpreter.allocate_tensors()
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], inputs)
        interpreter.invoke()
        theirs = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
        np.testing.assert_allclose(found, theirs, rtol=2e-5, atol=2e-6)
    wrong = replace(in_rows, levels=(3, 1, 1, (segments[::-1], tuple(columns))))
    with pytest.raises(InputError, match="its segments must follow each other"):
        ours(model(MAP, [replace(operators[0], inputs=[wrong]), operators[1]]), inputs, path)


def test_joined_and_split_channels_run_on_the_accelerator(tmp_path: Path) -> None:
    """Two CONCATENATIONs and a SPLIT between convolutions leave only the orders of input and output to the host."""

    def conv(source: str, inputs: int, out: str, outputs: int) -> Op:
        shape = {out: (1, 4, 6, outputs)}
        return Op(
            "CONV_2D", [source, f(outputs, 1, 1, inputs), f(outputs)], shape, **options("Conv2D", StrideH=1, StrideW=1)
        )

    halves = {"h": (1, 4, 6, 4), "g": (1, 4, 6, 4)}
    content = model(
        MAP,
        [
            conv("x", 8, "a", 5),
            conv("x", 8, "b", 3),
            Op("CONCATENATION", ["a", "b"], {"c": (1, 4, 6, 8)}, **options("Concatenation", Axis=3)),
            Op("SPLIT", [i(3).reshape(()), "c"], halves, **options("Split", NumSplits=2)),
            Op("CONCATENATION", ["g", "a"], {"d": (1, 4, 6, 9)}, **options("Concatenation", Axis=-1)),
            conv("d", 9, "y", 2),
        ],
    )
    inputs, path = f(*MAP, seed=0), tmp_path / "joined.tflite"
    (found,) = ours(content, inputs, path)
    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], inputs)
    interpreter.invoke()
    expected = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=1e-5)
    network = parted.read(path)
    assert [type(layer).__name__ for layer in network.layers] == ["Conv", "Conv", "Concat", "Select", "Concat", "Conv"]
    assert network.host
    assert not network.host.between


WINDOW = options("Pool2D", FilterHeight=2, FilterWidth=2, StrideH=1, StrideW=1, Padding=0)
POOLED = Op("MAX_POOL_2D", ["x"], {"m": MAP}, kind=np.int8, **WINDOW)
ON_CODES = [
    ([Op("LOGISTIC", ["x"], {"y": MAP}, kind=np.int8)], (1 / 256, -128)),
    ([Op("TANH", ["x"], {"y": MAP}, kind=np.int8)], (1 / 128, 0)),
    ([Op("HARD_SWISH", ["x"], {"y": MAP}, kind=np.int8)], (0.03, -100)),
    ([Op("LEAKY_RELU", ["x"], {"y": MAP}, kind=np.int8, **options("LeakyRelu", Alpha=0.2))], (0.03, -80)),
    ([Op("GELU", ["x"], {"y": MAP}, kind=np.int8)], (0.03, -100)),
    ([POOLED, Op("MUL", ["x", "m"], {"y": MAP}, kind=np.int8, **options("Mul"))], (0.1, -60)),
    ([POOLED, Op("SUB", ["m", "x"], {"y": MAP}, kind=np.int8, **options("Sub"))], (0.04, -110)),
]


@pytest.mark.parametrize(("operators", "coding"), ON_CODES, ids=lambda x: x[-1].name if isinstance(x, list) else "")
def test_codes_are_within_one_of_the_kernels(operators: list[Op], coding: tuple[float, int], tmp_path: Path) -> None:
    """The file's scales, on every code; HARD_SWISH and LEAKY_RELU are not tables there, and round more often."""
    scale, zero = 0.04, 5
    path = tmp_path / "codes.tflite"
    path.write_bytes(model(MAP, operators, {"x": (scale, zero), "m": (scale, zero), "y": coding}))
    codes = np.random.default_rng(3).permutation(np.resize(np.arange(-128, 128), 192)).astype(np.int8).reshape(MAP)
    interpreter = Interpreter(str(path), experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], codes)
    interpreter.invoke()
    expected = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    network = parted.read(path)
    integer = quantise(network, np.zeros((1, *network.shapes[network.input]), np.float32))
    order = (0, 1, 2, 3) if network.shapes[network.input] == MAP[1:] else (0, 3, 1, 2)  # transposes may have gone
    found, expected = int8.run(integer, codes.transpose(order))[integer.output], expected.transpose(order)
    assert (integer.tensors[integer.output].scale, integer.tensors[integer.output].zero_point) == pytest.approx(coding)
    assert np.abs(found.astype(int) - expected.astype(int)).max() <= 1
