"""`accel check`: whether a network runs, and everything that keeps it from running, without data and calibration."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accel.models import zoo
from accel.models.errors import Blocked, Blocker, printable
from accel.models.exchange.onnx_ops import OPERATORS
from accel.models.graph import Reshape, Shape, Softmax, operator_of, stages
from accel.models.host import HostStep
from accel.models.macs import macs
from accel.one_layer import LayerShape, is_layer, parse
from accel.scale_sim import topology


@dataclass(frozen=True)
class Findings:
    """What of a network runs where: layers of the accelerator by operator, nodes of the host, and why those."""

    network: str
    runs: bool
    layers: Mapping[str, int]
    host: tuple[str, ...]
    macs: int
    host_macs: int
    blockers: tuple[Blocker, ...]
    programs: int = 1

    def record(self) -> dict[str, Any]:
        """All of it as JSON."""
        return {
            "network": self.network,
            "runs": self.runs,
            "layers": dict(self.layers),
            "programs": self.programs,
            "host": list(self.host),
            "macs": self.macs,
            "host_macs": self.host_macs,
            "blockers": [
                {"node": x.node, "operator": x.operator, "reason": x.reason, "supported": supported(x.operator)}
                for x in self.blockers
            ],
        }


def findings(name_or_path: str, input_shape: Shape | None = None) -> Findings:
    """What of a network, by name or file, runs where. Raises InputError for what is no network at all.

    A layer in words, and the layers of a topology of SCALE-Sim, are a program each.
    """
    if is_layer(name_or_path):
        layer = parse(name_or_path)
        return _apart(layer.name, (layer,))
    if Path(name_or_path).suffix == topology.SUFFIX:
        return _apart(printable(Path(name_or_path).stem), topology.load(name_or_path))
    try:
        network = zoo.resolve(name_or_path, input_shape=input_shape)
    except Blocked as error:
        return Findings(printable(Path(name_or_path).name), False, {}, (), 0, 0, error.blockers)
    parts = network.host.parts if network.host else ()
    on_host = [name for _, part in parts for name in part.nodes]
    on_host += [f"{layer.name} (Softmax)" for layer in network.layers if isinstance(layer, Softmax)]
    counts = Counter(operator_of(x) for x in network.layers if not isinstance(x, Softmax | Reshape | HostStep))
    reasons = network.host.reasons if network.host else ()
    host_macs = sum(part.macs for _, part in parts)
    own = sum(macs(network).values())
    stage = stages(network)
    programs = len({stage[x.output] for x in network.layers if not isinstance(x, Softmax | Reshape | HostStep)})
    return Findings(network.name, True, dict(sorted(counts.items())), tuple(on_host), own, host_macs, reasons, programs)


def _apart(name: str, layers: Sequence[LayerShape]) -> Findings:
    """Of layers that are a program each."""
    products = sum(x.outputs * x.terms * x.pixels for x in layers)
    return Findings(name, True, {"Conv": len(layers)}, (), products, 0, (), len(layers))


def supported(operator: str) -> str:
    """What of an operator is supported, in a few words; empty if nothing is."""
    return OPERATORS[operator].becomes if operator in OPERATORS else ""


def text(found: Findings) -> str:
    """The findings for a terminal."""
    layers = ", ".join(f"{count} {operator}" for operator, count in found.layers.items())
    programs = f", in {found.programs} programs" if found.programs > 1 else ""
    lines = [f"{found.network} runs: {layers} ({found.macs:,} multiplications{programs})"]
    if not found.runs:
        lines = [f"{found.network} does not run"]
    if found.host:
        lines.append(f"on the host: {', '.join(found.host)} ({found.host_macs:,} multiplications)")
    if found.blockers:
        lines.append(f"what the accelerator does not run, {len(found.blockers)}:")
    lines += [f"  {blocker}" for blocker in found.blockers]
    lines += [
        f"supported of {operator}: {supported(operator) or 'nothing'}"
        for operator in sorted({blocker.operator for blocker in found.blockers})
    ]
    return "\n".join(lines)
