"""The attributes of every operator that is read: name, kind, length, range and default, checked before anything else.

An attribute that the table does not have is refused, so that none is ever ignored.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import onnx
from onnx import AttributeProto

from accel.models.exchange.onnx_reading import Given, Reading

LARGEST = 2**31 - 1


@dataclass(frozen=True)
class Integer:
    """An integer in `low`..`high`."""

    default: int | None
    low: int = 0
    high: int = LARGEST

    def __str__(self) -> str:
        return f"an integer in {self.low}..{self.high}"

    def value(self, given: AttributeProto) -> int | None:
        """What `given` holds, None if it is no such thing."""
        return given.i if given.type == AttributeProto.INT and self.low <= given.i <= self.high else None


@dataclass(frozen=True)
class Integers:
    """Integers in `low`..`high`, as many as one of `length` (None: any number)."""

    length: tuple[int, ...] | None
    default: tuple[int, ...] | None
    low: int = 0
    high: int = LARGEST

    def __str__(self) -> str:
        count = " or ".join(map(str, self.length)) if self.length else "a list of"
        return f"{count} integers in {self.low}..{self.high}"

    def value(self, given: AttributeProto) -> tuple[int, ...] | None:
        """What `given` holds, None if it is no such thing."""
        right = given.type == AttributeProto.INTS and (self.length is None or len(given.ints) in self.length)
        return tuple(given.ints) if right and all(self.low <= n <= self.high for n in given.ints) else None


@dataclass(frozen=True)
class Number:
    """A finite number of at least `low`."""

    default: float
    low: float = -math.inf

    def __str__(self) -> str:
        return "a finite number" + (f" of at least {self.low:g}" if math.isfinite(self.low) else "")

    def value(self, given: AttributeProto) -> float | None:
        """What `given` holds, None if it is no such thing."""
        right = given.type == AttributeProto.FLOAT and math.isfinite(given.f) and given.f >= self.low
        return given.f if right else None


@dataclass(frozen=True)
class Numbers:
    """Finite numbers."""

    default: tuple[float, ...] | None

    def __str__(self) -> str:
        return "a list of finite numbers"

    def value(self, given: AttributeProto) -> tuple[float, ...] | None:
        """What `given` holds, None if it is no such thing."""
        right = given.type == AttributeProto.FLOATS and all(map(math.isfinite, given.floats))
        return tuple(given.floats) if right else None


@dataclass(frozen=True)
class Word:
    """One of several words."""

    default: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        return " or ".join(self.words)

    def value(self, given: AttributeProto) -> str | None:
        """What `given` holds, None if it is no such thing."""
        found = given.s.decode(errors="replace") if given.type == AttributeProto.STRING else None
        return found if found in self.words else None


Rule = Integer | Integers | Number | Numbers | Word
FLAG, FLAG_ON = Integer(0, 0, 1), Integer(1, 0, 1)
ANY = -LARGEST
_SLIDING: dict[str, Rule] = {
    "auto_pad": Word("NOTSET", ("NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID")),
    "pads": Integers((2, 4), None),
    "strides": Integers((1, 2), None, low=1),
    "dilations": Integers((1, 2), None, low=1),
}
_POOLING = _SLIDING | {"kernel_shape": Integers((1, 2), None, low=1), "ceil_mode": FLAG}
# Before opset 7 a second operand was only broadcast if `broadcast` said so, from dimension `axis` on.
_ARITHMETIC: dict[str, Rule] = {"broadcast": FLAG, "axis": Integer(None, ANY), "consumed_inputs": Integers(None, None)}
_LEGACY: dict[str, Rule] = {"consumed_inputs": Integers(None, None)}  # of opset 1, a hint about memory
_REDUCE: dict[str, Rule] = {
    "axes": Integers(None, None, low=ANY), "keepdims": Integer(1, 0, 1), "noop_with_empty_axes": FLAG
}  # fmt: skip
_INTERPOLATION = Word("nearest", ("nearest", "linear", "bilinear", "cubic"))
_SCALED: dict[str, Rule] = {
    "axis": Integer(1, ANY), "block_size": Integer(0, 0, 0), "output_dtype": Integer(0)
}  # fmt: skip
ATTRIBUTES: dict[str, dict[str, Rule]] = {
    "Abs": _LEGACY,
    "Add": _ARITHMETIC,
    "AveragePool": _POOLING | {"count_include_pad": FLAG},
    "BatchNormalization": _LEGACY
    | {"epsilon": Number(1e-5, 0), "momentum": Number(0.9), "training_mode": FLAG}
    | {"spatial": Integer(1, 0, 1), "is_test": FLAG},
    "Ceil": _LEGACY,
    "Celu": {"alpha": Number(1)},
    "Cast": {"to": Integer(None, 1, 2**16), "saturate": FLAG_ON, "round_mode": Word("up", ("up", "down", "nearest"))},
    "Clip": _LEGACY | {"min": Number(-math.inf), "max": Number(math.inf)},
    "Concat": {"axis": Integer(None, ANY)},
    "Conv": _SLIDING | {"kernel_shape": Integers((1, 2), None, low=1), "group": Integer(1, 1)},
    "ConvTranspose": _SLIDING
    | {"kernel_shape": Integers((1, 2), None, low=1), "group": Integer(1, 1)}
    | {"output_padding": Integers((1, 2), None), "output_shape": Integers(None, None, low=1)},
    "DepthToSpace": {"blocksize": Integer(None, 1, 64), "mode": Word("DCR", ("DCR", "CRD"))},
    "DequantizeLinear": _SCALED,
    "Div": _ARITHMETIC,
    "Dropout": _LEGACY | {"ratio": Number(0.5), "is_test": FLAG, "seed": Integer(None, -(2**63), 2**63 - 1)},
    "Elu": _LEGACY | {"alpha": Number(1)},
    "Erf": {},
    "Exp": _LEGACY,
    "Flatten": {"axis": Integer(1, ANY)},
    "Floor": _LEGACY,
    "Gather": {"axis": Integer(0, ANY)},
    "Gelu": {"approximate": Word("none", ("none", "tanh"))},
    "Gemm": {"alpha": Number(1), "beta": Number(1), "transA": FLAG, "transB": FLAG, "broadcast": FLAG},
    "GlobalAveragePool": {},
    "GlobalMaxPool": {},
    "HardSigmoid": _LEGACY | {"alpha": Number(0.2), "beta": Number(0.5)},
    "HardSwish": {},
    "Identity": {},
    "LeakyRelu": _LEGACY | {"alpha": Number(0.01)},
    "Log": _LEGACY,
    "MatMul": {},
    "Max": _LEGACY,
    "MaxPool": _POOLING | {"storage_order": FLAG},  # the order of Indices, an output that is not read
    "Min": _LEGACY,
    "Mish": {},
    "Mul": _ARITHMETIC,
    "Neg": _LEGACY,
    "PRelu": _LEGACY,
    "Pow": {"broadcast": FLAG, "axis": Integer(None, ANY)},
    "Reciprocal": _LEGACY,
    "Round": {},
    "Selu": _LEGACY | {"alpha": Number(1.6732632423543772), "gamma": Number(1.0507009873554805)},
    "Sigmoid": _LEGACY,
    "Sign": {},
    "Softplus": {},
    "Softsign": {},
    "Sqrt": _LEGACY,
    "Swish": {"alpha": Number(1)},
    "Tanh": _LEGACY,
    "ThresholdedRelu": {"alpha": Number(1)},
    "Pad": {
        "mode": Word("constant", ("constant", "reflect", "edge", "wrap")), "value": Number(0),
        "pads": Integers(None, None, low=ANY), "paddings": Integers(None, None, low=ANY),
    },
    "QuantizeLinear": _SCALED | {"saturate": FLAG_ON, "precision": Integer(0)},
    "ReduceMax": _REDUCE,
    "ReduceMean": _REDUCE,
    "Relu": _LEGACY,
    "Reshape": _LEGACY | {"shape": Integers(None, None, low=ANY), "allowzero": FLAG},
    "Resize": {
        "mode": _INTERPOLATION,
        "coordinate_transformation_mode": Word(
            "half_pixel",
            ("half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel", "tf_half_pixel_for_nn",
             "half_pixel_symmetric", "tf_crop_and_resize"),
        ),
        "nearest_mode": Word("round_prefer_floor", ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")),
        "cubic_coeff_a": Number(-0.75), "exclude_outside": FLAG, "extrapolation_value": Number(0), "antialias": FLAG,
        "axes": Integers(None, None, low=ANY),
        "keep_aspect_ratio_policy": Word("stretch", ("stretch", "not_larger", "not_smaller")),
    },
    "Slice": dict.fromkeys(("starts", "ends", "axes"), Integers(None, None, low=ANY)),
    "Softmax": {"axis": Integer(None, ANY)},
    "SpaceToDepth": {"blocksize": Integer(None, 1, 64)},
    "Split": {
        "axis": Integer(0, ANY), "split": Integers(None, None), "num_outputs": Integer(None, 1)
    },
    "Squeeze": {"axes": Integers(None, None, low=ANY)},
    "Sub": _ARITHMETIC,
    "Sum": _LEGACY,
    "Transpose": {"perm": Integers(None, None)},
    "Unsqueeze": {"axes": Integers(None, None, low=ANY)},
    "Upsample": {
        "mode": _INTERPOLATION, "scales": Numbers(None), "height_scale": Number(1, 0), "width_scale": Number(1, 0)
    },
}  # fmt: skip


def attributes(reading: Reading, node: onnx.NodeProto) -> Given:
    """The attributes of `node`, whose operator is in ATTRIBUTES, by name, with defaults.

    Raises InputError for one that is not in the table, has another type or length, or lies outside its range.
    """
    rules = ATTRIBUTES[node.op_type]
    found: dict[str, Any] = {name: rule.default for name, rule in rules.items()}
    for given in node.attribute:
        if given.name not in rules:
            known = ", ".join(rules) or "none"
            raise reading.unsupported(node, f"attribute {given.name!r} is not supported (supported: {known})")
        rule = rules[given.name]
        value = None if given.ref_attr_name else rule.value(given)
        if value is None:
            raise reading.error(node, f"{given.name} must be {rule}, not {_shown(given)}")
        found[given.name] = value
    return found


def _shown(given: AttributeProto) -> str:
    """The value of an attribute in a few words."""
    match given.type:
        case AttributeProto.INT:
            return str(given.i)
        case AttributeProto.FLOAT:
            return f"{given.f:g}"
        case AttributeProto.STRING:
            return repr(given.s.decode(errors="replace")[:40])
        case AttributeProto.INTS if len(given.ints) <= 8:
            return str(list(given.ints))
        case AttributeProto.INTS:
            return f"{len(given.ints)} integers"
    return "something else"
