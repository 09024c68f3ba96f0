"""Functions of one number, as a network's activations are: sigmoid, SiLU, GELU, whatever a file writes out in steps.

A function is a list of ONNX's elementwise operators. NumPy computes it for the float reference and for the tables of
the hardware, torch for training: both take the same text from OPERATORS.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel.models.errors import InputError


class Numpy:
    """The names that OPERATORS asks for and NumPy lacks or has another way."""

    exp, log, sqrt, tanh, abs, sign = np.exp, np.log, np.sqrt, np.tanh, np.abs, np.sign
    floor, ceil, round, where = np.floor, np.ceil, np.rint, np.where
    _erf = np.frompyfunc(math.erf, 1, 1)

    @classmethod
    def erf(cls, x: NDArray[Any]) -> NDArray[Any]:
        """The error function."""
        found: NDArray[Any] = cls._erf(x).astype(x.dtype)
        return found

    @staticmethod
    def sigmoid(x: NDArray[Any]) -> NDArray[Any]:
        """Without overflow."""
        return 0.5 * (1 + np.tanh(0.5 * x))

    @staticmethod
    def softplus(x: NDArray[Any]) -> NDArray[Any]:
        """log(1 + exp(x)) without overflow."""
        return np.logaddexp(x.dtype.type(0), x)


@dataclass(frozen=True)
class Operator:
    """`compute(n, operands..., numbers...)` with `n` NumPy's or torch's names; `attributes` in the order of numbers."""

    operands: int
    compute: Callable[..., Any]
    attributes: tuple[str, ...] = ()


def _exponential(n: Any, x: Any, factor: float = 1.0, inside: float = 1.0) -> Any:
    """factor * (exp(x / inside) - 1) below 0, x above."""
    return n.where(x < 0, factor * (n.exp(n.where(x < 0, x, 0 * x) / inside) - 1), x)


OPERATORS: dict[str, Operator] = {
    "Abs": Operator(1, lambda n, x: n.abs(x)),
    "Add": Operator(2, lambda n, x, y: x + y),
    "Ceil": Operator(1, lambda n, x: n.ceil(x)),
    "Celu": Operator(1, lambda n, x, alpha: _exponential(n, x, alpha, alpha), ("alpha",)),
    "Constant": Operator(0, lambda n, value: value, ("value_float",)),
    "Div": Operator(2, lambda n, x, y: x / y),
    "Elu": Operator(1, lambda n, x, alpha: _exponential(n, x, alpha), ("alpha",)),
    "Erf": Operator(1, lambda n, x: n.erf(x)),
    "Exp": Operator(1, lambda n, x: n.exp(x)),
    "Floor": Operator(1, lambda n, x: n.floor(x)),
    "HardSigmoid": Operator(1, lambda n, x, alpha, beta: _within(n, alpha * x + beta, 0.0, 1.0), ("alpha", "beta")),
    "LeakyRelu": Operator(1, lambda n, x, alpha: n.where(x < 0, alpha * x, x), ("alpha",)),
    "Log": Operator(1, lambda n, x: n.log(x)),
    "Max": Operator(2, lambda n, x, y: n.where(x > y, x, y)),
    "Min": Operator(2, lambda n, x, y: n.where(x < y, x, y)),
    "Mul": Operator(2, lambda n, x, y: x * y),
    "Neg": Operator(1, lambda n, x: -x),
    "Pow": Operator(2, lambda n, x, y: x**y),
    "Reciprocal": Operator(1, lambda n, x: 1 / x),
    "Relu": Operator(1, lambda n, x: n.where(x > 0, x, 0 * x)),
    "Round": Operator(1, lambda n, x: n.round(x)),
    "Selu": Operator(1, lambda n, x, alpha, gamma: gamma * _exponential(n, x, alpha), ("alpha", "gamma")),
    "Sigmoid": Operator(1, lambda n, x: n.sigmoid(x)),
    "Sign": Operator(1, lambda n, x: n.sign(x)),
    "Softplus": Operator(1, lambda n, x: n.softplus(x)),
    "Softsign": Operator(1, lambda n, x: x / (1 + n.abs(x))),
    "Sqrt": Operator(1, lambda n, x: n.sqrt(x)),
    "Sub": Operator(2, lambda n, x, y: x - y),
    "Tanh": Operator(1, lambda n, x: n.tanh(x)),
    "ThresholdedRelu": Operator(1, lambda n, x, alpha: n.where(x > alpha, x, 0 * x), ("alpha",)),
}


def _within(n: Any, x: Any, low: float, high: float) -> Any:
    x = n.where(x > low, x, low + 0 * x)
    return n.where(x < high, x, high + 0 * x)


@dataclass(frozen=True)
class Step:
    """One of OPERATORS on earlier values: value 0 is the argument, value k what step k makes, from 1 on."""

    operator: str
    operands: tuple[int, ...]
    numbers: tuple[float, ...] = ()


Line = tuple[float, float]  # a * x + b


@dataclass(frozen=True)
class Function:
    """What the last step makes; without steps the argument itself."""

    steps: tuple[Step, ...] = ()

    def __post_init__(self) -> None:
        for number, step in enumerate(self.steps, 1):
            known = OPERATORS.get(step.operator)
            if not known:
                raise InputError(
                    f"step {number} of a function must be one of {', '.join(OPERATORS)}, not {step.operator}"
                )
            if len(step.operands) != known.operands or len(step.numbers) != len(known.attributes):
                raise InputError(
                    f"step {number} of a function, {step.operator}, must have {known.operands} operands and "
                    f"{len(known.attributes)} numbers, not {len(step.operands)} and {len(step.numbers)}"
                )
            if any(not 0 <= k < number for k in step.operands):
                raise InputError(f"step {number} of a function must use values before it, not {step.operands}")

    def __call__(self, x: Any, names: Any = Numpy) -> Any:
        """The function of each value of an array, computed in its type."""
        values = [x]
        for step in self.steps:
            operands = (values[k] for k in step.operands)
            values.append(OPERATORS[step.operator].compute(names, *operands, *step.numbers))
        return values[-1]

    def then(self, other: Function) -> Function:
        """`other` of this function."""
        return Function(_appended(list(self.steps), other, len(self.steps))[0]) if other.steps else self

    @cached_property
    def line(self) -> Line | None:
        """a and b if the function is a * x + b, written with the four operations and constants."""
        values: list[Line] = [(1.0, 0.0)]
        for step in self.steps:
            found = _line(step, [values[k] for k in step.operands])
            if found is None:
                return None
            values.append(found)
        return values[-1]

    def __str__(self) -> str:
        names = dict.fromkeys(step.operator for step in self.steps if step.operator != "Constant")
        return "+".join(names) or "Identity"


IDENTITY = Function()


def function_of(operator: str, *numbers: float) -> Function:
    """An operator of one operand."""
    return Function((Step(operator, (0,), numbers),))


def with_number(operator: str, number: float, first: bool = False) -> Function:
    """An operator of the argument and a number, which is its first operand or its second."""
    return Function((Step("Constant", (), (float(number),)), Step(operator, (1, 0) if first else (0, 1))))


def straight(a: float, b: float) -> Function:
    """a * x + b."""
    scaled = with_number("Mul", a) if a != 1 else IDENTITY
    return scaled.then(with_number("Add", b)) if b or a == 1 else scaled


def clip(low: float, high: float) -> Function:
    """Within low..high, of which either may be infinite."""
    above = with_number("Max", low) if math.isfinite(low) else IDENTITY
    return above.then(with_number("Min", high)) if math.isfinite(high) else above


def joined(operator: str, left: Function, right: Function) -> Function:
    """An operator of two functions of one argument; what both compute is computed once."""
    made = list(left.steps)
    steps, last = _appended(made, right, 0)
    return Function((*steps, Step(operator, (len(left.steps), last))))


def _appended(made: list[Step], other: Function, argument: int) -> tuple[tuple[Step, ...], int]:
    """Steps with those of `other` behind them, whose argument is the value `argument`; and which value is its last."""
    places, known = [argument], {step: k + 1 for k, step in enumerate(made)}
    for step in other.steps:
        moved = Step(step.operator, tuple(places[k] for k in step.operands), step.numbers)
        if moved not in known:
            made.append(moved)
            known[moved] = len(made)
        places.append(known[moved])
    return tuple(made), places[-1]


def _line(step: Step, operands: list[Line]) -> Line | None:
    match step.operator, operands:
        case "Constant", []:
            return 0.0, step.numbers[0]
        case "Neg", [(a, b)]:
            return -a, -b
        case "Add", [(a, b), (c, d)]:
            return a + c, b + d
        case "Sub", [(a, b), (c, d)]:
            return a - c, b - d
        case "Mul", [(0.0, b), (c, d)] | [(c, d), (0.0, b)]:
            return b * c, b * d
        case "Div", [(a, b), (0.0, d)] if d:
            return a / d, b / d
    return None


def useful_range(function: Function, low: float, high: float, step: float) -> tuple[float, float]:
    """The part of low..high beyond which the function changes by no more than half a `step`.

    A code saturates there without harm, so that those that are left are finer: a sigmoid's argument needs 6 each way
    for steps of 1/256, whatever the layer before reaches.
    """
    if not low < high:
        return low, high
    points = np.linspace(low, high, 2049)
    with np.errstate(all="ignore"):
        values = np.nan_to_num(function(points))
    first = _flat(values, step)
    last = len(points) - 1 - _flat(values[::-1], step)
    return (float(points[first]), float(points[last])) if first < last else (low, high)


def _flat(values: NDArray[Any], step: float) -> int:
    """The last place up to which all values are within half a step of the one there."""
    low, high = np.minimum.accumulate(values), np.maximum.accumulate(values)
    near = (values - low <= step / 2) & (high - values <= step / 2)
    return int(np.argmin(near)) - 1 if not near.all() else 0
