"""The compiler: an integer network and a design to a Program.

Passes, each from values to a value that prints as text: `prepare` (`graph`: steps with fused pooling; `first_layer`:
how the input reaches the lanes; `memory_plan` with `residency` and each kind's tiling: where tensors lie, tiles, loop
order), `write` (operations, through the table of `lower`), `schedule` (program order, fetches, waits), and here the
DRAM image.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import NamedTuple

from accel.commands import Load, Opcode, Target, field_bits
from accel.compiler.choose import Cost, Formats, coded_layers, dense_layers, given
from accel.compiler.compulsory import compulsory
from accel.compiler.lower.filter import is_filter
from accel.compiler.lower.table import lowering
from accel.compiler.ops import ALIGNMENT, Log, Stream
from accel.compiler.ordering import Pace
from accel.compiler.parts import together
from accel.compiler.plan import Plan
from accel.compiler.prepare import BETTER, Prepared, in_strips, patient, prepare
from accel.compiler.resident import resident, without
from accel.compiler.schedule import PACES, Ordered, Scheduler
from accel.compiler.search import searched
from accel.compiler.weights import LayerWeights
from accel.compiler.write import refused, write, write_chain
from accel.design import Design, OnChip
from accel.layout import RowTensor, WordTensor
from accel.models.errors import InputError
from accel.models.integers.formats import DENSE, Word, without_codebooks
from accel.models.integers.network import IntegerNetwork, MatrixLayer
from accel.on_chip import Regions, check_room, regions, shortage
from accel.program import Placement, Program
from accel.rows import LOAD, OPCODE, STORE, CommandRows, FieldRangeError, Rows, encoded
from accel.series import Series
from accel.timing.recurrence import Timing

__all__ = ["compile_network", "compile_series", "time_network"]

DRAM_LIMIT = 1 << field_bits(Load, "dram_addr")
TAPERS = (1.0, 1.1, 1.2, 1.5)
BUSY = 0.9  # of the cycles, in which LOADs of more than commands read
RING_SHARES = (0.5, 0.25, 0.125)  # of the weight buffer, where many images are to find their weights in the rest
HALVED = 1000  # programs of at most so many commands try tiles for half of the weight buffer
FEW = 64  # programs of at most so many commands try several tapers


def compile_network(network: IntegerNetwork, design: Design, formats: Formats = "auto", tries: int = 0) -> Program:
    """Compile `network` for `design`.

    `formats`: how weights are read (`accel.models.integers.formats`), of all layers or by name of layer; by default, if
    the design has a decoder, coded or plain, whatever takes fewest cycles and then fewest bytes. `tries`: programs that
    are timed for each layer besides, with other tilings (`accel.compiler.search`). Raises InputError, one line that
    names network, layer and operator, for a layer that the commands cannot express or a buffer that cannot hold one
    tile.
    """
    with _named(network):
        return _program(*_chosen(network, design, formats, tries))


def compile_series(
    network: IntegerNetwork, design: Design, formats: Formats = "auto", images: int = 1, tries: int = 0
) -> Series:
    """As `compile_network`, for many images a run: the program of the first image, and that of every further one, which
    finds on chip what nothing has overwritten.

    For one image the first program is that of `compile_network`, but for its addresses. For more, weights that come
    first may have a part of the buffer for themselves, if so many `images` take fewer cycles with it. Raises InputError
    as well for a design without DRAM, which runs its one program on each image that comes.
    """
    with _named(network):
        if isinstance(design.memory, OnChip):
            raise InputError("memory.kind must be axi for several images a run, not on-chip")
        prepared, stream, first = _chosen(network, design, formats, tries)
        best = prepared, stream, _with_following(design, stream, first)
        network = without_codebooks(network, dense_layers(given(network, design, formats)))
        coded = any(weights and weights.format.coded for weights in prepared.weights.values())
        for share in () if images == 1 or design.is_sparse or coded else RING_SHARES:
            with suppress(InputError):  # a tile needs more of the buffer
                prepared, stream, first = _ordered(network, design, frozenset(), {}, share)
                pair = _with_following(design, stream, first)
                if _cycles(pair, images) < _cycles(best[2], images):
                    best = prepared, stream, pair
        prepared, stream, pair = best
        programs = [_program(prepared, stream, ordered) for ordered in pair]
        image = programs[0].image | programs[1].image  # alike but for the commands, where the other one has zeros
        return Series(*(replace(program, image=image) for program in programs))


def _with_following(design: Design, stream: Stream, first: Ordered) -> tuple[Ordered, Ordered]:
    """The commands of the first image and those of a further one, which lie behind them in DRAM."""
    log = without(first.log, resident(design, first.log))
    offset = -(-first.end_offset // ALIGNMENT) * ALIGNMENT
    following = Scheduler(design, log, stream.data_beats, offset).fastest()
    first = replace(first, behind=following.end_offset - first.end_offset)
    assert first.data_offset == following.data_offset
    return first, following


def _cycles(pair: tuple[Ordered, Ordered], images: int) -> int:
    """Of a run."""
    return pair[0].cycles + (images - 1) * pair[1].cycles


def time_network(network: IntegerNetwork, design: Design, formats: Formats = "auto", tries: int = 0) -> Timing:
    """Exactly what `time_program(compile_network(network, design, ...))` says, without a program: no weight is packed.

    Raises InputError as `compile_network` does.
    """
    with _named(network):
        prepared, _, ordered = _chosen(network, design, formats, tries)
        _placed(prepared, ordered)
        return ordered.timing()


def chosen_formats(network: IntegerNetwork, design: Design, formats: Formats = "auto") -> dict[str, Word]:
    """By name of layer, the words that say what `compile_network` chooses with `formats`. Raises InputError as it."""
    with _named(network):
        prepared, _, _ = _chosen(network, design, formats)
        names = {layer.name for layer in network.layers if isinstance(layer, MatrixLayer)}
        words = given(network, design, formats)
        for step in prepared.steps:
            weights = prepared.weights[step.name]
            if weights and step.of in names and words.get(step.of) not in DENSE:
                words[step.of] = "coded" if weights.format.coded else "plain"
        return words


@contextmanager
def _named(network: IntegerNetwork) -> Iterator[None]:
    """Errors inside say which network they are about."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{network.name}: {error}") from None


def _chosen(
    network: IntegerNetwork, design: Design, formats: Formats, tries: int = 0
) -> tuple[Prepared, Stream, Ordered]:
    """The best choice of layers whose weights are coded, in the fastest order of those that are tried."""
    asked = given(network, design, formats)
    network = without_codebooks(network, dense_layers(asked))
    made: dict[frozenset[str], tuple[Prepared, Stream, Ordered]] = {}
    kept: dict[object, LayerWeights] = {}

    def of(coded: Collection[str]) -> tuple[Prepared, Stream, Ordered]:
        key = frozenset(coded)
        if key not in made:
            made[key] = _ordered(network, design, key, kept)
        return made[key]

    def cost(coded: Collection[str]) -> Cost:
        prepared, _, ordered = of(coded)
        found = _regions(prepared, ordered, _place(prepared, ordered))
        return Cost(shortage(design, found), ordered.cycles, ordered.log.beats)

    found = of(coded_layers(network, design, asked, cost))
    if not tries:
        return found
    other = _fastest(searched(found[0], tries, _one_order), design, search=True)
    return other if other[2].cycles < found[2].cycles else found


def _one_order(prepared: Prepared) -> int:
    """Cycles of a plan's operations in one program order."""
    stream, design = write(prepared), prepared.design
    return (
        Scheduler(design, _finished(prepared, stream), stream.data_beats, stream.constant_bytes).order(PACES[0]).cycles
    )


def _ordered(
    network: IntegerNetwork, design: Design, coded: frozenset[str], kept: dict[object, LayerWeights],
    ring_share: float = 1.0,
) -> tuple[Prepared, Stream, Ordered]:  # fmt: skip
    """The fastest program order of those that are tried.

    If the bus is busy nearly all the time, tilings are tried as well that ask for fewer commands. `ring_share`: the
    part of the weight buffer that tiles are made for; the rest is for weights that stay. Half of it is tried where
    steps follow each other closely and programs are short: smaller tiles come sooner.
    """
    planned = design
    if ring_share < 1:
        ring = {"weight_bytes": int(ring_share * design.buffers.weight_bytes)}
        planned = design.model_copy(update={"buffers": design.buffers.model_copy(update=ring)})
    prepared = prepare(network, planned, coded, kept)
    found = _fastest(prepared, design)
    with suppress(InputError):  # steps by strips may need what those one after the other do not
        if strips := in_strips(prepared, chain_time):
            other = _fastest(strips, design)
            prepared, found = (strips, other) if other[2].cycles < BETTER * found[2].cycles else (prepared, found)
    if ring_share == 1 and len(found[2].log.rows) <= HALVED and _waits(prepared):
        with suppress(InputError):  # a tile needs more of the buffer
            half = _ordered(network, design, coded, {}, 0.5)
            found = half if half[2].cycles < found[2].cycles else found
    ordered = found[2]
    if ordered.log.beats * design.memory.beat_interval_cycles < BUSY * ordered.cycles:
        return found
    other = _fastest(patient(prepared), design)
    return other if other[2].cycles < ordered.cycles else found


def chain_time(prepared: Prepared) -> tuple[int, int]:
    """Cycles and commands of the one chain of a plan, by itself."""
    stream = write_chain(prepared)
    scheduler = Scheduler(prepared.design, stream.finish(), stream.data_beats, stream.constant_bytes)
    return scheduler.order(Pace()).cycles, scheduler.count


def _waits(prepared: Prepared) -> bool:
    """Whether some step is the post-process unit's filter, or has an operand that another step makes."""
    design = prepared.design
    return not design.is_sparse and any(step.residual or is_filter(step.layer, design) for step in prepared.steps)


def _fastest(prepared: Prepared, design: Design, search: bool = False) -> tuple[Prepared, Stream, Ordered]:
    """The fastest program order of a plan's operations, on a design that may have more weight buffer than planned."""
    ring_words = None if prepared.design is design else prepared.design.weight_words
    prepared = replace(prepared, design=design)
    best: tuple[Prepared, Stream, Ordered] | None = None
    for taper in TAPERS:
        stream = write(prepared, taper, ring_words)
        scheduler = Scheduler(design, _finished(prepared, stream), stream.data_beats, stream.constant_bytes)
        ordered = scheduler.fastest(search)
        if best is None or ordered.cycles < best[2].cycles:
            best = prepared, stream, ordered
        if scheduler.count > FEW:
            break
    assert best
    return best


def _finished(prepared: Prepared, stream: Stream) -> Log:
    try:
        return stream.finish()
    except FieldRangeError as error:
        raise refused(prepared, error, stream.layer_of(error.index)) from None


class Placed(NamedTuple):
    """Where the data segment begins, and in it the network's inputs and outputs."""

    data: int
    inputs: tuple[Placement, ...]
    outputs: tuple[Placement, ...]


def _placed(prepared: Prepared, ordered: Ordered) -> Placed:
    """Addresses, if the memory has room for what lies there."""
    placed = _place(prepared, ordered)
    check_room(prepared.design, _regions(prepared, ordered, placed))
    return placed


def _regions(prepared: Prepared, ordered: Ordered, placed: Placed) -> Regions | None:
    """What lies where in a core without DRAM; None with DRAM."""
    if not isinstance(prepared.design.memory, OnChip):
        return None
    return regions(prepared.design, ordered.rows(), ordered.program_offset, placed.inputs[0], placed.outputs[0])


def _place(prepared: Prepared, ordered: Ordered) -> Placed:
    """Addresses."""
    network, plan = prepared.network, prepared.plan
    data, size = ordered.data_offset, plan.data_bytes
    if data + size > DRAM_LIMIT:
        raise InputError(f"DRAM must hold {data + size:,} bytes, addresses reach {DRAM_LIMIT:,}")
    unfolded = prepared.reading.unfolded

    def placement(name: str) -> Placement:
        spec, place = network.tensors[name], plan.places[name]
        assert place.dram is not None
        layout: WordTensor | RowTensor = replace(place.layout, channels=spec.shape[0])  # without what lies beside it
        if unfolded and name == network.input:
            layout = unfolded.layout
        return Placement(name, data + place.dram, layout, spec.scale, spec.zero_point)

    return Placed(data, tuple(map(placement, network.inputs)), tuple(map(placement, network.outputs)))


def _program(prepared: Prepared, stream: Stream, ordered: Ordered) -> Program:
    """Addresses, image and reports."""
    network, design, plan = prepared.network, prepared.design, prepared.plan
    program_offset, placed = ordered.program_offset, _placed(prepared, ordered)
    commands = CommandRows(_movable(ordered.rows(), placed.data, plan))
    image = stream.image(placed.data)
    infos = [
        lowering(step.layer, design).info(step, prepared.weights[step.name], stream.encoded.get(step.index), must)
        for step, must in zip(prepared.steps, compulsory(prepared, stream.encoded), strict=True)
    ]
    layers, owners = together(infos, [step.part for step in prepared.steps])
    written = encoded(commands.rows).ravel()
    image[program_offset : program_offset + len(written)] = written
    return Program(
        name=network.name,
        design=design,
        commands=commands,
        layer_of=tuple(owners[step] if step >= 0 else step for step in ordered.layers.tolist()),
        layers=layers,
        image=image,
        dram_bytes=placed.data + plan.data_bytes,
        program_offset=program_offset,
        first_fetch=ordered.first_fetch,
        input=placed.inputs[0],
        output=placed.outputs[0],
        more_inputs=placed.inputs[1:],
        more_outputs=placed.outputs[1:],
        facts=ordered.facts(),
        input_span=_span(placed.data, plan, True),
        output_span=_span(placed.data, plan, False),
    )


def _movable(rows: Rows, data: int, plan: Plan) -> Rows:
    """The rows, with those marked that read or write inputs and outputs, so that registers can move these."""
    if plan.joined:
        return rows
    opcodes = rows[:, OPCODE]
    loads = (opcodes == Opcode.LOAD) & (rows[:, LOAD.target] == Target.ACTIVATION)
    for span in plan.ends:
        for mine, address, mark in (
            (loads, LOAD.dram_addr, LOAD.continues if span.of_input else LOAD.literal),
            (opcodes == Opcode.STORE, STORE.dram_addr, STORE.of_output),
        ):
            at = rows[:, address] - data - span.first
            inside = mine & (at >= 0) & (at < span.bytes)
            assert not (span.of_input and mark == STORE.of_output and inside.any()), "an input is written"
            rows[inside, mark] = 1
    return rows


def _span(data: int, plan: Plan, of_input: bool) -> tuple[int, int]:
    """The first byte of all inputs, or outputs, and that behind their last; nothing if they cannot be moved."""
    spans = [span for span in plan.ends if span.of_input == of_input and not plan.joined]
    return (
        data + min((span.first for span in spans), default=-data),
        data + max((span.first + span.bytes for span in spans), default=-data),
    )
