"""How a network becomes int8: which ranges activations get, whether channels are equalised, whether biases are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from numpy.typing import NDArray

from accel.models.errors import InputError
from accel.models.graph import Network
from accel.models.integers.network import IntegerNetwork
from accel.models.quantisation.equalise import equalised
from accel.models.quantisation.noise import nearness

__all__ = ["Method", "parse"]

Ranges = Literal["min-max", "percentile", "mse"]
RANGES: tuple[Ranges, ...] = get_args(Ranges)
BEST, EQUALISE, PLAIN_BIASES = "best", "equalise", "plain-biases"
WORDS = (*RANGES, "percentile=P", BEST, EQUALISE, PLAIN_BIASES)


@dataclass(frozen=True)
class Method:
    """The options of quantisation after training.

    Arguments:
        ranges: what of a tensor's values its codes cover. "min-max": all that calibration shows; "percentile": all but
            the share beyond `percentile` at either end; "mse": what gives least mean square error.
        percentile: 50..100, of "percentile".
        equalise: scales move between the channels of neighbouring layers (`accel.models.quantisation.equalise`).
        correct: biases take back what rounded weights shift (`accel.models.quantisation.biases`).
        best: every choice of `ranges` and `equalise` is tried, and that one taken which brings outputs nearest to the
            float network's, see `by`.
    """

    ranges: Ranges = "min-max"
    percentile: float = 99.99
    equalise: bool = False
    correct: bool = True
    best: bool = False

    def __post_init__(self) -> None:
        if self.ranges not in RANGES:
            raise InputError(f"ranges must be one of {', '.join(RANGES)}, not {self.ranges!r}")
        if not 50 < self.percentile <= 100:
            raise InputError(f"percentile must be above 50 and at most 100, not {self.percentile:g}")

    @property
    def tried(self) -> tuple[Method, ...]:
        """The methods of which one is taken: this one, unless it is to be the `best`."""
        if not self.best:
            return (self,)
        return tuple(replace(self, best=False, ranges=r, equalise=e) for r in RANGES for e in (False, True))

    def __str__(self) -> str:
        """As `parse` reads it."""
        percentile = f"={self.percentile:g}" if self.percentile != DEFAULT.percentile else ""
        ranges = BEST if self.best else self.ranges + (percentile if self.ranges == "percentile" else "")
        more = [EQUALISE] * (self.equalise and not self.best) + [PLAIN_BIASES] * (not self.correct)
        return ",".join([ranges, *more])


DEFAULT = Method()


def parse(text: str) -> Method:
    """The method in words with commas between them: "percentile=99.9,equalise". Raises InputError."""
    fields: dict[str, Any] = {}
    for word in text.split(","):
        name, _, value = word.strip().partition("=")
        if name == "percentile" and value:
            try:
                new: dict[str, Any] = {"ranges": name, "percentile": float(value)}
            except ValueError:
                raise InputError(f"percentile must be a number, not {value!r}") from None
        elif not value and name in RANGES:
            new = {"ranges": name}
        elif not value and name in (BEST, EQUALISE):
            new = {name: True}
        elif not value and name == PLAIN_BIASES:
            new = {"correct": False}
        else:
            raise InputError(f"quantisation must be words of {', '.join(WORDS)} with commas between, not {word!r}")
        if twice := fields.keys() & new.keys():
            raise InputError(f"quantisation must say {min(twice)} once, not twice: {text!r}")
        fields |= new
    if "best" in fields and fields.keys() & {"ranges", "equalise"}:
        raise InputError(f"quantisation must be best or name ranges and equalise, not both: {text!r}")
    return Method(**fields)


def by(
    method: Method,
    network: Network,
    calibration: NDArray[Any],
    make: Callable[[Network, NDArray[Any], Method], IntegerNetwork],
    keep_shared: bool = False,
) -> IntegerNetwork:
    """What `make` gives of `network`, equalised if the method says so, `keep_shared` as `equalised` takes it.

    Of several methods that one is taken which, calibrated on every second input, is nearest to float on the others:
    on inputs that it was calibrated on, what it cuts off elsewhere does not show.
    """

    def made(one: Method, inputs: NDArray[Any]) -> IntegerNetwork:
        return make(equalised(network, inputs, keep_shared) if one.equalise else network, inputs, one)

    chosen, *others = method.tried
    if others:
        seen, unseen = (calibration[::2], calibration[1::2]) if len(calibration) > 1 else (calibration, calibration)
        judge = nearness(network, unseen)
        chosen = max(method.tried, key=lambda one: judge(made(one, seen)))
    return made(chosen, calibration)
