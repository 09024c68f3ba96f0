"""The integer network: what quantisation produces, what the compiler and the reference run."""

from __future__ import annotations

from dataclasses import dataclass

from accel.models.host import HostStep
from accel.models.integers.checks import check
from accel.models.integers.layers import (
    AnyLayer,
    ChannelLayer,
    HostLayer,
    Int8,
    Layer,
    MatrixLayer,
    Requantise,
    Residual,
    Shared,
    TensorSpec,
    VectorLayer,
)
from accel.models.window import Window

__all__ = [
    "AnyLayer", "ChannelLayer", "HostLayer", "Int8", "IntegerNetwork", "Layer", "MatrixLayer", "Requantise", "Residual",
    "Shared", "TensorSpec", "VectorLayer", "Window",
]  # fmt: skip


@dataclass(frozen=True)
class IntegerNetwork:
    """A quantised network: tensors by name, layers in an order in which they can run, host layers at the end.

    `input` and `output` name the int8 tensors at the accelerator's boundary, `more_inputs` and `more_outputs` further
    ones. `host_steps` stand between layers: what is compiled is `accel.models.integers.stretches.stretches(network)`.
    The parts are checked (`accel.models.integers.checks`) whoever makes one and however: raises InputError.
    """

    name: str
    input: str
    output: str
    tensors: dict[str, TensorSpec]
    layers: tuple[AnyLayer, ...]
    host_layers: tuple[HostLayer, ...] = ()
    more_inputs: tuple[str, ...] = ()
    more_outputs: tuple[str, ...] = ()
    host_steps: tuple[HostStep, ...] = ()

    def __post_init__(self) -> None:
        ends = (self.input, self.more_inputs), (self.output, self.more_outputs)
        check(self.name, *ends, self.tensors, self.layers, self.host_layers, self.host_steps)

    @property
    def inputs(self) -> tuple[str, ...]:
        """All inputs, `input` first."""
        return (self.input, *self.more_inputs)

    @property
    def outputs(self) -> tuple[str, ...]:
        """All outputs, `output` first."""
        return (self.output, *self.more_outputs)
