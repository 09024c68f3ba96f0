"""An integer network with steps of the host in it, cut into stretches that the accelerator runs in one program each.

What a step of the host makes is there one stretch later than what it reads. So stretch k has all layers that wait for k
steps of the host in a row, whatever branches they lie in, and there are no more programs than steps in a row:

    conv1 (x -> a), host (a -> b), conv2 (a -> c), conv3 (b, residual c -> y)    becomes
    0: conv1, conv2: x -> a, c        and        1: conv3: b, c -> y
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from accel.models.host import HostStep
from accel.models.integers.layers import AnyLayer, ChannelLayer
from accel.models.integers.network import IntegerNetwork


def read_by(layer: AnyLayer) -> tuple[str, ...]:
    """The tensors that a layer reads."""
    if isinstance(layer, ChannelLayer):
        return layer.inputs
    return (layer.input, layer.residual.tensor) if layer.residual else (layer.input,)


def in_order(
    inputs: Iterable[str], layers: Iterable[AnyLayer], steps: Iterable[HostStep]
) -> Iterator[AnyLayer | HostStep]:
    """Layers in their order, and each step of the host as soon as what it reads is there."""
    known, waiting = set(inputs), list(steps)
    for layer in (*layers, None):
        while ready := [step for step in waiting if known.issuperset(step.inputs)]:
            for step in ready:
                waiting.remove(step)
                known.add(step.output)
                yield step
        if layer is not None:
            known.add(layer.output)
            yield layer


def stages(network: IntegerNetwork) -> dict[str, int]:
    """For each tensor, how many steps of the host in a row it waits for."""
    found = dict.fromkeys(network.inputs, 0)
    for part in in_order(network.inputs, network.layers, network.host_steps):
        if isinstance(part, HostStep):
            found[part.output] = 1 + max(found[name] for name in part.inputs)
        else:
            found[part.output] = max(found[name] for name in read_by(part))
    return found


def stretches(network: IntegerNetwork) -> tuple[IntegerNetwork, ...]:
    """The parts in the order in which they run, each without host steps; the network itself if it has none.

    Their inputs and outputs are tensors of the network, by the same names. Layers of the host behind its output are in
    none of them.
    """
    if not network.host_steps:
        return (network,)
    stage = stages(network)
    numbers = sorted({stage[layer.output] for layer in network.layers})
    return tuple(_part(network, stage, wanted, count + 1) for count, wanted in enumerate(numbers))


def _part(network: IntegerNetwork, stage: dict[str, int], number: int, count: int) -> IntegerNetwork:
    layers = tuple(layer for layer in network.layers if stage[layer.output] == number)
    made = {layer.output for layer in layers}
    read = dict.fromkeys(name for layer in layers for name in read_by(layer))
    given = tuple(name for name in read if name not in made)
    elsewhere = {name for layer in network.layers if layer.output not in made for name in read_by(layer)}
    elsewhere.update(name for step in network.host_steps for name in step.inputs)
    wanted = [name for name in network.outputs if name in made]
    wanted += [layer.output for layer in layers if layer.output in elsewhere and layer.output not in wanted]
    return replace(
        network, name=f"{network.name}-{count}", input=given[0], output=wanted[0], layers=layers, host_layers=(),
        tensors={name: network.tensors[name] for name in (*given, *(layer.output for layer in layers))},
        more_inputs=given[1:], more_outputs=tuple(wanted[1:]), host_steps=(),
    )  # fmt: skip
