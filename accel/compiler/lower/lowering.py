"""What a row of the lowering table has: how one kind of step runs on one engine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from accel.compiler.estimate import Machine
from accel.compiler.first_layer import Reading
from accel.compiler.geometry import Geometry, Range
from accel.compiler.ops import Stream
from accel.compiler.output_storer import OutputStorer
from accel.compiler.plan import Place, StepPlan
from accel.compiler.sources import Source
from accel.compiler.step import Step
from accel.compiler.tensors import InputLoader
from accel.compiler.weights import LayerWeights
from accel.design import Design
from accel.entropy.encode import Encoded
from accel.models.integers.network import AnyLayer, IntegerNetwork, TensorSpec, VectorLayer
from accel.models.window import Window
from accel.program import Compulsory, LayerInfo


@dataclass(frozen=True)
class Shortage:
    """The smallest tile does not fit: the field of `Design.buffers`, and the bytes that it would need.

    With `has`, `buffer` is what else there are so many of, and no larger buffer helps.
    """

    buffer: str
    needs: int
    has: int | None = None


@dataclass(frozen=True)
class Setting:
    """What a step finds around it: where its tensors lie, and what crosses to DRAM while it runs.

    Rings are words for streamed pieces, None if the tensor is on chip as a whole. `loaded`: the resident input comes
    from DRAM in this step; `stored`: the output leaves in it; `residual_loads`: the residual operand comes in it.
    Pitches are words from row to row; `in_align`, `out_align` are columns that start a beat (1 if nothing crosses).
    `in_cycles` of loading a word of the input, whose codes have the `zero_point`. `beside`: cycles in which the
    post-process unit filters the output for the next step. `patient`: the whole program waits for its loads. `flat`:
    pixels are taken as one row.
    """

    machine: Machine
    step: Step
    geometry: Geometry
    weights: LayerWeights | None
    in_groups: int
    in_ring: int | None
    out_ring: int | None
    in_pitch: int
    out_pitch: int
    in_align: int
    out_align: int
    loaded: bool
    stored: bool
    residual_loads: bool
    in_cycles: float
    zero_point: int = 0
    beside: float = 0.0
    patient: bool = False
    flat: bool = False

    @property
    def out_step(self) -> int:
        """Columns of the output from one that the step writes to the next; 0 if it writes all of it."""
        return self.step.part.step[1] if self.step.part else 0


Done = Callable[[Range, Range, Range], bool]


@dataclass(frozen=True)
class Writing:
    """What a step's operations are written with.

    `source` is the input in DRAM if it is streamed, `loader` brings it if it is loaded whole, `storer` takes the
    output if that leaves while it is made. `done` is told what is made, output tiles, rows and columns; it says whether
    it wrote something. `input` and `residual_zero_point` are those of the operands; `one_pixel`: the residual one is,
    for all of the output.
    """

    stream: Stream
    plan: StepPlan
    places: dict[str, Place]
    weights: LayerWeights | None
    input: TensorSpec
    residual_zero_point: int
    one_pixel: bool
    source: Source | None
    loader: InputLoader | None
    storer: OutputStorer | None
    done: Done | None = None


@dataclass(frozen=True)
class Lowering:
    """How one kind of step runs on one engine.

    `operator`: the ONNX operators that become such a layer, for errors. `check` raises InputError for what its commands
    cannot hold. `fused`: the pooling among the layers that read its output that it can take with it. `geometry` is the
    layer as a convolution or pooling, with that pooling. `readings`: ways to read the network's input if the step alone
    reads it, the fastest first. `weights`: None if it has none. `task` is what tiling
    must know, hashable: tilings are remembered by it; `choose` finds the cheapest tiling, which has a `cost` in cycles,
    or why there is none. `write` appends the operations. `info` is for reports.
    """

    operator: Callable[[Any], str]
    check: Callable[[Any, IntegerNetwork, Design], None]
    fused: Callable[[Any, list[AnyLayer], IntegerNetwork, Design], VectorLayer | None]
    geometry: Callable[[Any, tuple[int, int, int], Window | None], Geometry]
    readings: Callable[[Step, Design, int], list[Reading]]
    weights: Callable[[Step, Design, Reading], LayerWeights | None]
    task: Callable[[Setting], Any]
    choose: Callable[[Machine, Any], Any]
    write: Callable[[Writing], None]
    info: Callable[[Step, LayerWeights | None, Encoded | None, Compulsory], LayerInfo]
