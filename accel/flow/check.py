"""`accel check`: whether a network runs, and everything that keeps it from running, without data and calibration."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accel.models import zoo
from accel.models.errors import Blocked, Blocker, printable
from accel.models.exchange.onnx_ops import OPERATORS
from accel.models.graph import Reshape, Shape, Softmax, operator_of
from accel.models.macs import macs
from accel.models.quantisation.quantise import blockers


@dataclass(frozen=True)
class Findings:
    """What runs where, or what does not run at all."""

    network: str
    layers: Mapping[str, int]  # that the accelerator runs, by operator
    host: tuple[str, ...]  # names of layers that the host runs
    multiplications: int
    blockers: tuple[Blocker, ...]

    def record(self) -> dict[str, Any]:
        """All of it as JSON."""
        return {
            "network": self.network,
            "runs": not self.blockers,
            "layers": dict(self.layers),
            "host": list(self.host),
            "macs": self.multiplications,
            "blockers": [
                {"node": x.node, "operator": x.operator, "reason": x.reason, "supported": supported(x.operator)}
                for x in self.blockers
            ],
        }


def findings(name_or_path: str, input_shape: Shape | None = None) -> Findings:
    """What of a network, by name or file, runs. Raises InputError for what is no network at all."""
    try:
        network = zoo.resolve(name_or_path, input_shape=input_shape)
    except Blocked as error:
        return Findings(printable(Path(name_or_path).name), {}, (), 0, error.blockers)
    on_host = tuple(layer.name for layer in network.layers if isinstance(layer, Softmax))
    counts = Counter(operator_of(x) for x in network.layers if not isinstance(x, Softmax | Reshape))
    return Findings(network.name, dict(sorted(counts.items())), on_host, sum(macs(network).values()), blockers(network))


def supported(operator: str) -> str:
    """What of an operator is supported, in a few words; empty if nothing is."""
    return OPERATORS[operator].becomes if operator in OPERATORS else ""


def text(found: Findings) -> str:
    """The findings for a terminal."""
    if not found.blockers:
        layers = ", ".join(f"{count} {operator}" for operator, count in found.layers.items())
        host = f"; on the host: {', '.join(found.host)}" if found.host else ""
        return f"{found.network} runs: {layers} ({found.multiplications:,} multiplications){host}"
    lines = [f"{found.network} does not run: {len(found.blockers)} nodes or layers"]
    lines += [f"  {blocker}" for blocker in found.blockers]
    lines += [
        f"supported of {operator}: {supported(operator) or 'nothing'}"
        for operator in sorted({blocker.operator for blocker in found.blockers})
    ]
    return "\n".join(lines)
