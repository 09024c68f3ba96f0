"""The compiler: an integer network and a design to a Program.

The parts, in the order in which they run: `graph` (steps, fused pooling), `first_layer` (how the input reaches the
lanes), `memory_plan` with `tiling` (residency, tiles, loop order), `matrix` and `vector` (operations), `schedule` with
`hazards` (program order, fetches, waits), and here the DRAM image.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from accel.commands import COMMAND_BYTES, Command, Load, Store
from accel.compiler.first_layer import Unfolded, plain_cycles, unfold
from accel.compiler.graph import Step, described, steps
from accel.compiler.matrix import MatrixWriter
from accel.compiler.memory_plan import Plan, Planner, StepPlan, TooSmallError
from accel.compiler.ops import ALIGNMENT, Log, Segment, Stream
from accel.compiler.schedule import PACES, Schedule, Scheduler, declared, order
from accel.compiler.sources import Source
from accel.compiler.tensors import InputLoader, OutputStorer, word_source
from accel.compiler.vector import VectorWriter
from accel.compiler.weights import LayerWeights
from accel.design import Design
from accel.models.errors import InputError
from accel.models.integers.network import IntegerNetwork, MatrixLayer
from accel.program import LayerInfo, Placement, Program
from accel.rows import FieldRangeError

DRAM_LIMIT = 1 << 32
TAPERS = (1.0, 1.1, 1.2, 1.5)
FEW, VERY_FEW = 200, 64  # programs of at most so many commands try several paces, and tapers as well


def compile_network(network: IntegerNetwork, design: Design) -> Program:
    """Compile `network` for `design`.

    Raises InputError, one line that names network, layer and operator, for a layer that the commands cannot express or
    a buffer that cannot hold one tile.
    """
    try:
        return _compile(network, design)
    except InputError as error:
        raise InputError(f"{network.name}: {error}") from None


def _compile(network: IntegerNetwork, design: Design) -> Program:
    made, unfolded, weights, plan = _plan(network, design)
    beats = -(-plan.data_bytes // design.beat_bytes)
    best: tuple[Scheduler, Stream] | None = None
    for taper in TAPERS:
        stream = Stream(design, beats, taper)
        loader: InputLoader | None = None
        for step_plan in plan.steps:
            stream.new_layer(step_plan.step.index)
            loader = _write(stream, network, plan, step_plan, weights, unfolded, loader)
        ops, items = declared(design, _finished(stream, plan), beats)
        commands = len(ops) + len(items)
        for pace in PACES if commands <= FEW else PACES[:1]:
            ordered = order(design, ops, items, beats, pace)
            if best is None or ordered.clock.cycles < best[0].clock.cycles:
                best = ordered, stream
        if commands > VERY_FEW:
            break
    assert best
    return _program(network, design, made, plan, best[1], best[0].finish(), weights, unfolded)


def _finished(stream: Stream, plan: Plan) -> Log:
    """What was written; a field that the checks before did not foresee is an error of the layer that has it."""
    try:
        return stream.finish()
    except FieldRangeError as error:
        layer = stream.layer_of(error.index)
        step = next(s.step for s in plan.steps if s.step.index == layer)
        raise InputError(f"{described(step.layer)}: {error}") from None


def _plan(network: IntegerNetwork, design: Design) -> tuple[list[Step], Unfolded | None, dict[str, LayerWeights], Plan]:
    """Steps, reading of the input, weights and plan: the best of which every tile fits its buffers.

    Faster ways need more room here and there, so the slower ones are tried before a network is refused: the input read
    as words, and poolings apart from the convolutions before them.
    """
    apart: set[str] = set()
    while True:
        made = steps(network, design, apart)
        refused: TooSmallError | None = None
        for unfolded, as_dense in _readings(network, design, made):
            weights = {}
            for step in made:
                if isinstance(step.layer, MatrixLayer):
                    first = unfolded if step.input == network.input else None
                    channels = first.geometry.channels if first else step.geometry.channels
                    arrange = first.arrange if first else None
                    weights[step.name] = LayerWeights(step.layer, channels, design, arrange, bool(first) and as_dense)
            try:
                return made, unfolded, weights, Planner(network, design, made, weights, unfolded).plan()
            except TooSmallError as error:
                refused = error
        assert refused
        if refused.step.pool is None:
            raise refused
        apart.add(refused.step.name)


def _readings(network: IntegerNetwork, design: Design, made: list[Step]) -> list[tuple[Unfolded | None, bool]]:
    """Ways to read the network's input, the fastest first.

    By window loads, if one layer alone reads it and gains by it; the last is None, as words. Second: the layer's
    weights are written as dense int8, because the lanes that a better way leaves unused need weights of 0, which its
    codebook does not have, and the time gained is more than that of the bytes.
    """
    plain: list[tuple[Unfolded | None, bool]] = [(None, False)]
    readers = [s for s in made if network.input in (s.input, s.residual)]
    if len(readers) != 1 or not isinstance(readers[0].layer, MatrixLayer) or readers[0].residual == network.input:
        return plain
    step = readers[0]
    assert isinstance(step.layer, MatrixLayer)
    layer, geometry = step.layer, step.geometry
    stored = LayerWeights(layer, geometry.channels, design, None)
    zero_point = network.tensors[network.input].zero_point
    usual = unfold(layer, geometry, design, zero_point, stored.has_zero)
    free = None if stored.has_zero else unfold(layer, geometry, design, zero_point, True)
    found = [(usual, False), *plain] if usual else plain
    if free is None:
        return found
    more_cycles = layer.weights.size * (8 - stored.bits) / 8 / design.bytes_per_cycle
    least = usual.cycles if usual else plain_cycles(layer, geometry, design)
    return [(free, True), *found] if free.cycles + more_cycles < least else found


def _write(
    stream: Stream, network: IntegerNetwork, plan: Plan, step_plan: StepPlan, weights: dict[str, LayerWeights],
    unfolded: Unfolded | None, loader: InputLoader | None,
) -> InputLoader | None:  # fmt: skip
    """Write one step's operations; the loader of the network's input goes from one of its readers to the next."""
    step, design = step_plan.step, stream.design
    source: Source | None = None
    place = plan.places[step.input]
    first = step.input == network.input
    if first and unfolded:
        assert place.dram is not None
        source = unfolded.source(place.dram)
    elif place.dram is not None and (first or place.region is None):
        source = word_source(design, place, step_plan.flat or place.region is not None)
    if first and place.region and loader is None:
        assert source
        loader = InputLoader(stream, source, place, place.region, unfolded is not None)
    mine = loader if first and place.region else None
    output = plan.places[step.output]
    storer = None
    if output.region and step.output == network.output:
        storer = OutputStorer(stream, output, output.region, step_plan.flat)
    if step.residual == network.input and plan.places[network.input].region:
        if loader is None:
            whole = plan.places[network.input]
            assert whole.region
            loader = InputLoader(stream, word_source(design, whole, True), whole, whole.region, False)
        loader.need(loader.place.layout.plane)
    residual_zero = step.layer.residual.zero_point if step.layer.residual else 0
    zero_point = network.tensors[step.input].zero_point
    streamed = source if place.region is None else None
    if isinstance(step.layer, MatrixLayer):
        MatrixWriter(
            stream, step_plan, weights[step.name], plan.places, zero_point, residual_zero, streamed, mine, storer
        ).write()
    else:
        channels = network.tensors[step.input].shape[0]
        VectorWriter(
            stream, step_plan, channels, plan.places, zero_point, residual_zero, streamed, mine, storer
        ).write()
    return loader


def _program(
    network: IntegerNetwork, design: Design, made: list[Step], plan: Plan, stream: Stream,
    schedule: Schedule, weights: dict[str, LayerWeights], unfolded: Unfolded | None,
) -> Program:  # fmt: skip
    """Addresses, image and reports."""
    program_offset = stream.constant_bytes
    size = -(-len(schedule.commands) * COMMAND_BYTES // ALIGNMENT) * ALIGNMENT
    data = program_offset + size
    if data + plan.data_bytes > DRAM_LIMIT:
        raise InputError(f"DRAM must hold {data + plan.data_bytes:,} bytes, addresses reach {DRAM_LIMIT:,}")
    bases = {Segment.NONE: 0, Segment.CONSTANTS: 0, Segment.DATA: data, Segment.PROGRAM: program_offset}
    commands = tuple(_moved(p.command, bases[p.segment]) for p in schedule.commands)
    image = stream.image(data)
    encoded = np.frombuffer(b"".join(c.encode() for c in commands), np.uint8)
    image[program_offset : program_offset + len(encoded)] = encoded
    source, target = network.tensors[network.input], network.tensors[network.output]
    entry, leave = plan.places[network.input], plan.places[network.output]
    assert entry.dram is not None
    assert leave.dram is not None
    layout = unfolded.layout if unfolded else entry.layout
    return Program(
        name=network.name,
        design=design,
        commands=commands,
        layer_of=tuple(p.layer for p in schedule.commands),
        layers=tuple(_info(step, weights, network) for step in made),
        image=image,
        dram_bytes=data + plan.data_bytes,
        program_offset=program_offset,
        first_fetch=schedule.first_fetch,
        input=Placement(source.name, data + entry.dram, layout, source.scale, source.zero_point),
        output=Placement(target.name, data + leave.dram, leave.layout, target.scale, target.zero_point),
    )


def _moved(command: Command, base: int) -> Command:
    if base and isinstance(command, (Load, Store)):
        return replace(command, dram_addr=command.dram_addr + base)
    return command


def _info(step: Step, weights: dict[str, LayerWeights], network: IntegerNetwork) -> LayerInfo:
    """Name and kind of a step, its multiply-accumulates, its weights as they are stored."""
    layer, g = step.layer, step.geometry
    if not isinstance(layer, MatrixLayer):
        kind = "add" if layer.residual else {"max": "maxpool", "sum": "avgpool"}[layer.reduce]
        return LayerInfo(step.name, kind, 0, 0, "none")
    pixels = g.out_h * g.out_w
    kind = "fc" if pixels == 1 else "conv"
    kind += "+maxpool" if step.pool else ""
    used = weights[step.name]
    stored = used.stored_bytes + (0 if len(step.requantise.bias) == 1 else 8 * used.outputs)
    return LayerInfo(step.name, kind, pixels * layer.weights.size, stored, used.format)
