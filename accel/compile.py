"""The compiler: an integer network and a design to a Program.

Passes, each from values to a value that prints as text: `prepare` (`graph`: steps with fused pooling; `first_layer`:
how the input reaches the lanes; `memory_plan` with `residency` and each kind's tiling: where tensors lie, tiles, loop
order), `write` (operations, through the table of `lower`), `schedule` (program order, fetches, waits), and here the
DRAM image.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from accel.commands import COMMAND_BYTES, Command, Load, Store
from accel.compiler.lower.table import lowering
from accel.compiler.ops import ALIGNMENT, Log, Segment, Stream
from accel.compiler.prepare import Prepared, prepare
from accel.compiler.schedule import PACES, Schedule, Scheduler, declared, order
from accel.compiler.write import refused, write
from accel.design import Design
from accel.models.errors import InputError
from accel.models.integers.network import IntegerNetwork
from accel.program import Placement, Program
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
    prepared = prepare(network, design)
    best: tuple[Scheduler, Stream] | None = None
    for taper in TAPERS:
        stream = write(prepared, taper)
        ops, items = declared(design, _finished(prepared, stream), stream.data_beats)
        commands = len(ops) + len(items)
        for pace in PACES if commands <= FEW else PACES[:1]:
            ordered = order(design, ops, items, stream.data_beats, pace)
            if best is None or ordered.clock.cycles < best[0].clock.cycles:
                best = ordered, stream
        if commands > VERY_FEW:
            break
    assert best
    return _program(prepared, best[1], best[0].finish())


def _finished(prepared: Prepared, stream: Stream) -> Log:
    try:
        return stream.finish()
    except FieldRangeError as error:
        raise refused(prepared, error, stream.layer_of(error.index)) from None


def _program(prepared: Prepared, stream: Stream, schedule: Schedule) -> Program:
    """Addresses, image and reports."""
    network, design, plan = prepared.network, prepared.design, prepared.plan
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
    unfolded = prepared.reading.unfolded
    layout = unfolded.layout if unfolded else entry.layout
    return Program(
        name=network.name,
        design=design,
        commands=commands,
        layer_of=tuple(p.layer for p in schedule.commands),
        layers=tuple(lowering(s.layer, design).info(s, prepared.weights[s.name]) for s in prepared.steps),
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
