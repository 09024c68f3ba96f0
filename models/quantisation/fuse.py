"""Which layers fuse: what the hardware does to a result on its way out is part of the layer before."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from accel.models.functions import Function
from accel.models.graph import Activation, Add, Layer, Network, Unary


@dataclass(frozen=True)
class Chain:
    """A layer with the Add and the activations that follow it and fuse into it.

    `output` is the last one's tensor, `source` the names of all, `residual` the other operand of the Add,
    `low` and `high` the real clip limits. `function`: of what comes out then, which is the tensor `looked_up`.
    """

    output: str
    source: tuple[str, ...]
    residual: str | None = None
    low: float = -math.inf
    high: float = math.inf
    function: Function | None = None
    looked_up: str = ""


def chain_of(
    network: Network, read_by: dict[str, list[Layer]], layer: Layer, addable: Callable[[str, str], bool]
) -> Chain:
    """`layer` and what fuses into it: at most one Add directly behind it, then activations, then a function.

    `addable(operand, output)` says whether the other operand of an Add can be its residual.
    """
    chain = Chain(layer.output, (layer.name,))
    if isinstance(layer, Activation):
        chain = Chain(layer.output, (layer.name,), None, layer.low, layer.high)
    if isinstance(layer, Unary):
        return Chain(layer.output, (layer.name,), function=layer.function, looked_up=layer.inputs[0])
    while chain.output not in network.outputs and len(read_by[chain.output]) == 1:
        reader = read_by[chain.output][0]
        source = (*chain.source, reader.name)
        if isinstance(reader, Activation):
            # Clipping twice is clipping once, to the first limits as the second clip leaves them.
            low = min(max(chain.low, reader.low), reader.high)
            high = min(max(chain.high, reader.low), reader.high)
            chain = Chain(reader.output, source, chain.residual, low, high)
        elif isinstance(reader, Unary):
            return replace(chain, output=reader.output, source=source, function=reader.function, looked_up=chain.output)
        elif isinstance(reader, Add) and len(chain.source) == 1:
            other = reader.inputs[reader.inputs[0] == chain.output]
            if not addable(other, reader.output):
                break
            chain = Chain(reader.output, source, other)
        else:
            break
    return chain
