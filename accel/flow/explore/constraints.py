"""What a point must keep: `latency_us <= 100`, `min_fps 100`, `accuracy >= dense - 0.5`.

METRIC OP NUMBER             OP is one of <= < >= >
fits PART                    LUTs, registers, multipliers and block RAMs, as predicted, are there on an FPGA
min_METRIC N, max_METRIC N   the same in other words
accuracy OP dense [+- N]     against the int8 network that nothing compressed; `float` is the one that was given
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from accel.flow.explore.metrics import METRICS, SHORT, metric
from accel.models import yaml_text
from accel.models.errors import InputError
from accel.resources import PARTS, Part, Resources, part, shortfalls
from accel.resources.predict import FAMILY

NUMBER = r"[+-]?\d[\d_]*(?:\.\d+)?(?:e[+-]?\d+)?"
COMPARED = re.compile(rf"(\w+)\s*(<=|>=|<|>)\s*(?:({NUMBER})|(dense|float)(?:\s*([+-])\s*({NUMBER}))?)", re.IGNORECASE)
LIMITED = re.compile(rf"(min|max)_(\w+)\s+({NUMBER})", re.IGNORECASE)
HELP = "such as 'latency_us <= 100', 'min_fps 100', 'fits ecp5-25f' or 'accuracy >= dense - 0.5'"
ACCURACY = "accuracy_percent"
CELLS = ("lut", "ff", "dsp", "bram")


@dataclass(frozen=True)
class Constraint:
    """`text` as it was given; a limit `value`, added to what `reference` ("", "dense", "float") is.

    With a `part`, its cells are the limits instead.
    """

    text: str
    metric: str
    most: bool
    strict: bool
    value: float
    reference: str = ""
    part: Part | None = None

    @property
    def metrics(self) -> tuple[str, ...]:
        """What it is about."""
        return CELLS if self.part else (self.metric,)

    def violation(self, metrics: Mapping[str, float], references: Mapping[str, float]) -> float:
        """By how much a point is beyond the limit, as a share of it; 0 if it keeps it."""
        if self.part:
            needed = {name: metrics[name] / getattr(self.part, name) for name in CELLS}
            return sum(max(0.0, share - 1) for share in needed.values())
        limit = self.value + (references[self.reference] if self.reference else 0.0)
        beyond = metrics[self.metric] - limit
        beyond = beyond if self.most else -beyond
        if beyond < 0 or (beyond == 0 and not self.strict):
            return 0.0
        return max(beyond / max(abs(limit), 1e-9), 1e-9)

    def shown(self, metrics: Mapping[str, float]) -> str:
        """What a point has of what is limited."""
        if not self.part:
            return f"{metrics[self.metric]:.6g}"
        lut, ff, dsp, bram = (int(metrics[name]) for name in CELLS)
        needed = Resources(lut, ff, dsp, bram, 0.0)
        return ", ".join(shortfalls(needed, self.part))


def parse(text: object) -> Constraint:
    """The constraint in a line. Raises InputError."""
    line = " ".join(str(text).split())
    if line.startswith("fits "):
        known = [name for name, of in PARTS.items() if of.family == FAMILY]  # what needs are predicted for
        if line[5:] not in known:
            raise InputError(f"constraint {line!r}: needs are predicted for {' and '.join(known)} only")
        return Constraint(line, "", True, False, 0.0, part=part(line[5:]))
    if found := COMPARED.fullmatch(line):
        name, op, number, reference, sign, offset = found.groups()
        value = float(number) if number else float(offset or 0) * (-1 if sign == "-" else 1)
        of = metric(name).name
        if reference and of != ACCURACY:
            raise InputError(f"constraint {line!r}: only accuracy can be compared with {reference}, not {of}")
        return Constraint(line, of, op[0] == "<", len(op) == 1, value, (reference or "").lower())
    if found := LIMITED.fullmatch(line):
        side, name, number = found.groups()
        if SHORT.get(name, name) in METRICS:
            return Constraint(line, metric(name).name, side.lower() == "max", False, float(number))
    raise InputError(f"a constraint must be {HELP}, not {yaml_text.shown(text)}")
