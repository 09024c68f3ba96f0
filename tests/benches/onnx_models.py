"""ONNX models of a few nodes, by what they show: for the reader's tests, and to be mutated."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

RANDOM = np.random.default_rng(0)


def floats(*shape: int) -> np.ndarray:
    return RANDOM.standard_normal(shape).astype(np.float32)


def model_of(
    nodes: list[tuple[str, str, str, dict[str, Any]]],
    constants: dict[str, Any] | None = None,
    shape: tuple[str | int, ...] | None = ("n", 4, 6, 6),
    opset: int = 13,
    output: str | None = None,
) -> ModelProto:
    """A model from "x" to the last node's output; a node is (op, inputs, output, attributes)."""
    protos = [
        helper.make_node(op, inputs.split(",") if inputs else [], out.split(","), name=f"the_{out}", **attributes)
        for op, inputs, out, attributes in nodes
    ]
    graph = helper.make_graph(
        protos,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(output or nodes[-1][2], TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in (constants or {}).items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    model.ir_version = 10  # onnx writes newer ones than ONNX Runtime reads
    return model


W = floats(5, 4, 3, 3)
BN = {"g": floats(5), "b": floats(5), "m": floats(5), "v": np.abs(floats(5)) + 0.1}
CASES: dict[str, tuple[list[tuple[str, str, str, dict[str, Any]]], dict[str, Any]]] = {
    "batch norm behind a convolution": (
        [("Conv", "x,w,c", "y", {}), ("BatchNormalization", "y,g,b,m,v", "z", {"epsilon": 0.01})],
        {"w": W, "c": floats(5), **BN},
    ),
    "batch norm behind a branch": (
        [("Conv", "x,w", "y", {}), ("BatchNormalization", "y,g,b,m,v", "z", {}), ("Add", "y,z", "s", {})],
        {"w": W, **BN},
    ),
    "batch norm first": (
        [("BatchNormalization", "x,g,b,m,v", "z", {}), ("Conv", "z,w", "y", {"pads": [1, 1, 1, 1]})],
        {"w": W, **{k: v[:4] for k, v in BN.items()}},
    ),
    "batch norm behind Gemm": (
        [("Flatten", "x", "f", {}), ("Gemm", "f,w", "y", {}), ("BatchNormalization", "y,g,b,m,v", "z", {})],
        {"w": floats(144, 5), **BN},
    ),
    "batch norm behind Identity": (
        [("Conv", "x,w", "y", {}), ("Identity", "y", "i", {}), ("BatchNormalization", "i,g,b,m,v", "z", {})],
        {"w": W, **BN},
    ),
    "scale and offset": (
        [("Conv", "x,w", "y", {}), ("Mul", "y,k", "a", {}), ("Add", "o,a", "b", {}), ("Sub", "h,b", "s", {})],
        {"w": W, "k": floats(5, 1, 1), "o": floats(1, 5, 1, 1), "h": np.float32(0.5)},
    ),
    "normalised input": (
        [("Sub", "x,o", "a", {}), ("Div", "a,k", "b", {}), ("Conv", "b,w", "y", {})],
        {"w": W, "o": floats(4, 1, 1), "k": np.float32(0.3)},
    ),
    "Gemm attributes": (
        [("Flatten", "x", "f", {"axis": -3}), ("Gemm", "f,w,c", "y", {"alpha": 0.5, "beta": 2.0, "transB": 1})],
        {"w": floats(5, 144), "c": floats(1, 5)},
    ),
    "flatten by Shape, Gather and Concat": (
        [
            ("Shape", "x", "s", {}),
            ("Gather", "s,zero", "n", {"axis": 0}),
            ("Unsqueeze", "n,axis", "n1", {}),
            ("Concat", "n1,minus", "target", {"axis": 0}),
            ("Reshape", "x,target", "f", {}),
            ("MatMul", "f,w", "y", {}),
            ("Add", "y,c", "z", {}),
        ],
        {"zero": np.int64(0), "axis": np.array([0]), "minus": np.array([-1]), "w": floats(144, 5), "c": floats(5)},
    ),
    "weights by Constant and Transpose": (
        [
            ("Constant", "", "k", {"value": numpy_helper.from_array(floats(144, 5))}),
            ("Transpose", "k", "t", {"perm": [1, 0]}),
            ("Flatten", "x", "f", {}),
            ("Gemm", "f,t", "y", {"transB": 1}),
        ],
        {},
    ),
    "SAME_UPPER": ([("Conv", "x,w", "y", {"auto_pad": "SAME_UPPER", "strides": [2, 3]})], {"w": floats(5, 4, 2, 4)}),
    "SAME_LOWER": ([("Conv", "x,w", "y", {"auto_pad": "SAME_LOWER"})], {"w": floats(5, 4, 2, 4)}),
    "VALID": ([("Conv", "x,w", "y", {"auto_pad": "VALID"})], {"w": W}),
    "max pool rounded up": ([("MaxPool", "x", "y", {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1})], {}),
    "average pool rounded up": (
        [("AveragePool", "x", "y", {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1})],
        {},
    ),
    "pool rounded up with pads": (
        [("MaxPool", "x", "y", {"kernel_shape": [2, 2], "strides": [3, 3], "pads": [1, 1, 1, 1], "ceil_mode": 1})],
        {},
    ),
    "mean over height and width": (
        [("ReduceMean", "x", "m", {"axes": [2, 3], "keepdims": 0}), ("MatMul", "m,w", "y", {})],
        {"w": floats(4, 5)},
    ),
    "mean over the width, then over the height": (
        [("ReduceMean", "x", "m", {"axes": [3]}), ("ReduceMean", "m", "n", {"axes": [-2], "keepdims": 0})],
        {},
    ),
    "mean without its axis": (
        [("ReduceMean", "x", "m", {"axes": [2], "keepdims": 0}), ("ReduceMax", "m", "n", {"axes": [2], "keepdims": 0})],
        {},
    ),
    "maximum over a map": (
        [("ReduceMax", "x", "m", {"axes": [-1, -2]}), ("Conv", "m,w", "y", {})],
        {"w": W[:, :, :1, :1]},
    ),
    "squeeze without axes": (
        [("GlobalMaxPool", "x", "g", {}), ("Squeeze", "g,a", "s", {}), ("Unsqueeze", "s,a", "u", {})],
        {"a": np.array([2, 3])},
    ),
    "scale and offset of a vector": (
        [("Flatten", "x", "f", {}), ("Mul", "f,k", "a", {}), ("Sub", "o,a", "y", {})],
        {"k": floats(144), "o": floats(1, 144)},
    ),
    "scale of a matrix": (
        [("Reshape", "x,s", "m", {}), ("Mul", "m,k", "y", {})],
        {"s": np.array([0, 24, 6]), "k": floats(6)},
    ),
    "sum of three and of one": (
        [("Conv", "x,w", "a", {}), ("Sum", "x,a,x", "s", {}), ("Sum", "s", "t", {}), ("Relu", "t", "y", {})],
        {"w": floats(4, 4, 1, 1)},
    ),
    "pad in front of a convolution": (
        [("Pad", "x,p", "a", {}), ("Conv", "a,w", "y", {"pads": [1, 0, 0, 1], "strides": [2, 1]})],
        {"w": W, "p": np.array([0, 0, 1, 0, 0, 0, 2, 3])},
    ),
    "pad in front of an average": (
        [("Pad", "x,p", "a", {}), ("AveragePool", "a", "y", {"kernel_shape": [3, 3]})],
        {"p": np.array([0, 0, 1, 0, 0, 0, 2, 1])},
    ),
    "pad in front of an average with pads": (
        [("Pad", "x,p", "a", {}), ("AveragePool", "a", "y", {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]})],
        {"p": np.array([0, 0, 1, 0, 0, 0, 2, 1])},
    ),
    "pad in front of a maximum, and one of nothing": (
        [("Pad", "x,p", "a", {}), ("Pad", "a,z", "b", {}), ("MaxPool", "b", "y", {"kernel_shape": [3, 3]})],
        {"p": np.array([0, 0, 1, 1, 0, 0, 1, 1]), "z": np.zeros(8, np.int64)},
    ),
    "a pooling of the whole map whose stride is as large": (
        [("Pad", "x,p", "a", {}), ("AveragePool", "a", "y", {"kernel_shape": [36, 40], "strides": [36, 40]})],
        {"p": np.array([0, 0, 15, 17, 0, 0, 15, 17])},
    ),
    "pad with two readers": (
        [("Pad", "x,p", "a", {}), ("Conv", "a,w", "b", {}), ("Conv", "a,w", "c", {}), ("Add", "b,c", "y", {})],
        {"w": W, "p": np.array([0, 0, 1, 1, 0, 0, 1, 1])},
    ),
    "pad of channels, in front, behind, and of rows with them": (
        [
            ("Pad", "x,p", "a", {}),
            ("Pad", "x,q", "b", {}),
            ("Add", "a,b", "s", {}),
            ("MaxPool", "s", "y", {"kernel_shape": [2, 2]}),
        ],
        {"p": np.array([0, 0, 1, 0, 0, 3, 0, 0]), "q": np.array([0, 2, 0, 0, 0, 1, 1, 0])},
    ),
    "weights that other operators make": (
        [
            ("Tile", "k,r", "t", {}),
            ("Abs", "t", "a", {}),
            ("Sign", "a", "g", {}),
            ("Max", "a,g", "w", {}),
            ("Conv", "x,w", "y", {}),
        ],
        {"k": floats(5, 1, 2, 2), "r": np.array([1, 4, 2, 1])},
    ),
    "casts between floats": ([("Cast", "x", "c", {"to": 1}), ("Relu", "c", "y", {})], {}),
    "a dead branch of what is not supported": ([("LRN", "x", "l", {"size": 3}), ("Relu", "x", "y", {})], {}),
    "squeeze": (
        [("GlobalMaxPool", "x", "g", {}), ("Squeeze", "g,a", "s", {}), ("Softmax", "s", "y", {"axis": 1})],
        {"a": np.array([2, 3])},
    ),
    "clip without a lower limit": ([("Clip", "x,,hi", "y", {})], {"hi": np.float32(0.5)}),
    "dropout and a dead branch": (
        [("Dropout", "x", "d", {}), ("GlobalMaxPool", "x", "unused", {}), ("Relu", "d", "y", {})],
        {},
    ),
    "transposed convolution": (
        [("ConvTranspose", "x,w,c", "y", {"strides": [2, 2], "pads": [1, 1, 1, 1], "output_padding": [1, 0]})],
        {"w": floats(4, 5, 3, 3), "c": floats(5)},
    ),
    "transposed convolution in groups, dilated, its kernel smaller than its stride": (
        [
            ("ConvTranspose", "x,w", "a", {"strides": [3, 2], "group": 2, "dilations": [2, 3]}),
            ("BatchNormalization", "a,g,b,m,v", "n", {}),
            ("Relu", "n", "y", {}),
        ],
        {"w": floats(4, 3, 1, 2), **{k: np.abs(floats(6)) for k in "gbmv"}},
    ),
    "transposed convolution to a given size": (
        [
            ("ConvTranspose", "x,w", "a", {"strides": [2, 2], "output_shape": [12, 13]}),
            ("ConvTranspose", "a,v", "y", {"strides": [2, 1], "auto_pad": "SAME_UPPER"}),
        ],
        {"w": floats(4, 3, 3, 4), "v": floats(3, 2, 3, 3)},
    ),
    "transposed convolution of stride 1 with pads": (
        [("ConvTranspose", "x,w", "y", {"pads": [1, 0, 2, 1]})],
        {"w": floats(4, 3, 3, 4)},
    ),
    "resize by nearest": (
        [
            (
                "Resize",
                "x,,k",
                "a",
                {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"},
            ),
            ("Resize", "a,,k", "y", {"mode": "nearest"}),
        ],
        {"k": np.float32([1, 1, 2, 3])},
    ),
    "a fire module": (
        [
            ("Conv", "x,s", "q", {}),
            ("Relu", "q", "r", {}),
            ("Conv", "r,a", "e1", {}),
            ("Conv", "r,b", "e3", {"pads": [1, 1, 1, 1]}),
            ("Relu", "e1", "e1r", {}),
            ("Relu", "e3", "e3r", {}),
            ("Concat", "e1r,e3r", "c", {"axis": -3}),
            ("MaxPool", "c", "y", {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}),
        ],
        {"s": floats(3, 4, 1, 1), "a": floats(5, 3, 1, 1), "b": floats(6, 3, 3, 3)},
    ),
    "Concat of Concat, and the same twice": (
        [("Concat", "x", "o", {"axis": 1}), ("Concat", "o,x,o", "c", {"axis": 1}), ("Concat", "c,x", "y", {"axis": 1})],
        {},
    ),
    "Concat of vectors": (
        [("Flatten", "x", "f", {}), ("Gemm", "f,w", "g", {"transB": 1}), ("Concat", "f,g", "y", {"axis": 1})],
        {"w": floats(3, 144)},
    ),
    "Concat of the features of matrices": (
        [("Reshape", "x,s", "m", {}), ("MatMul", "m,w", "p", {}), ("Concat", "m,p", "y", {"axis": 2})],
        {"s": np.array([0, 24, 6]), "w": floats(6, 2)},
    ),
    "Split in two, one unused, and by sizes": (
        [
            ("Split", "x", "a,b", {"axis": 1}),
            ("Split", "a", "u,v", {"axis": 1}),
            ("Conv", "x,w", "q", {}),
            ("Split", "q,sizes", "c,d", {"axis": 1}),
            ("Concat", "v,b", "y", {"axis": 1}),
            ("Concat", "d,y,c", "z", {"axis": 1}),
        ],
        {"w": floats(5, 4, 1, 1), "sizes": np.array([2, 3])},
    ),
    "Slices of channels": (
        [
            ("Slice", "x,s,e,a,t", "b", {}),
            ("Slice", "x,s1,e1,a1", "c", {}),
            ("Concat", "b,c", "y", {"axis": 1}),
        ],
        {
            "s": np.array([-1, 0]),
            "e": np.array([-9, 2**31 - 1]),
            "a": np.array([1, 3]),
            "t": np.array([-2, 1]),
            "s1": np.array([1]),
            "e1": np.array([3]),
            "a1": np.array([-3]),
        },
    ),
    "Gather of channels": ([("Gather", "x,i", "y", {"axis": 1})], {"i": np.array([3, -4, 3])}),
    "a shuffle of channels": (
        [
            ("Reshape", "x,s", "a", {}),
            ("Transpose", "a", "b", {"perm": [0, 2, 1, 3, 4]}),
            ("Reshape", "b,r", "c", {}),
            ("Conv", "c,w", "y", {"group": 2}),
        ],
        {"s": np.array([0, 2, 2, 6, 6]), "r": np.array([0, -1, 6, 6]), "w": floats(4, 2, 1, 1)},
    ),
    "a shuffle undone": (
        [("Reshape", "x,s", "a", {}), ("Reshape", "a,r", "b", {}), ("Relu", "b", "y", {})],
        {"s": np.array([0, 2, 2, 6, 6]), "r": np.array([0, 4, 6, 6])},
    ),
    "resize by linear interpolation": (
        [
            ("Resize", "x,,k", "a", {"mode": "linear"}),
            ("Resize", "a,,h", "y", {"mode": "linear", "coordinate_transformation_mode": "asymmetric"}),
        ],
        {"k": np.float32([1, 1, 2, 3]), "h": np.float32([1, 1, 2, 1])},
    ),
    "resize by linear interpolation, first the rows": (
        [("Resize", "x,,k", "y", {"mode": "linear", "coordinate_transformation_mode": "pytorch_half_pixel"})],
        {"k": np.float32([1, 1, 6, 8])},
    ),
    "repeated edges, alone and of a transposed convolution": (
        [
            ("Pad", "x,p", "a", {"mode": "edge"}),
            ("Pad", "a,p", "b", {"mode": "edge"}),
            ("ConvTranspose", "b,w", "y", {"strides": [2, 1], "pads": [2, 1, 2, 1]}),
        ],
        {"w": floats(4, 3, 3, 2), "p": np.array([0, 0, 1, 0, 0, 0, 1, 2])},
    ),
    "depth to space both ways, and back": (
        [
            ("Conv", "x,w", "c", {}),
            ("DepthToSpace", "c", "d", {"blocksize": 2}),
            ("DepthToSpace", "c", "e", {"blocksize": 2, "mode": "CRD"}),
            ("Add", "d,e", "s", {}),
            ("SpaceToDepth", "s", "y", {"blocksize": 4}),
        ],
        {"w": floats(8, 4, 1, 1)},
    ),
    "slices of rows and columns, and of channels with them": (
        [
            ("Slice", "x,zero,end,axes,two", "a", {}),
            ("Slice", "x,one,end,axes,two", "b", {}),
            ("Concat", "a,b", "c", {"axis": 1}),
            ("Slice", "c,s,e", "y", {}),
        ],
        {
            "zero": np.array([0, 1]),
            "one": np.array([1, 0]),
            "end": np.array([2**31, 6]),
            "axes": np.array([2, -1]),
            "two": np.array([2, 2]),
            "s": np.array([0, 1, 1]),
            "e": np.array([2**31, 7, 3]),
        },
    ),
}
