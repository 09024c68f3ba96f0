"""Everything about a network on a design but its operations: steps, how the input is read, weights, the plan."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

from accel.compiler.chains import chains
from accel.compiler.estimate import Machine
from accel.compiler.first_layer import Reading, ways
from accel.compiler.formats.coded import Coded
from accel.compiler.graph import check_graph, steps
from accel.compiler.in_parts import in_parts
from accel.compiler.lower.table import lowering
from accel.compiler.memory_plan import Planner, TooSmallError
from accel.compiler.placement import Placed, place
from accel.compiler.plan import Chain, Plan
from accel.compiler.pooled_parts import pooled_parts
from accel.compiler.step import Step
from accel.compiler.weights import LayerWeights
from accel.design import Design
from accel.models.integers.formats import without_codebooks
from accel.models.integers.network import IntegerNetwork, MatrixLayer


@dataclass(frozen=True)
class Prepared:
    """What operations are written from. `weights` by name of step, None for steps without.

    `network` has the copies that placement needs, which are named in `copies`; `chains`: steps that run by strips.
    """

    network: IntegerNetwork
    design: Design
    steps: list[Step]
    reading: Reading
    weights: dict[str, LayerWeights | None]
    plan: Plan
    copies: frozenset[str] = frozenset()
    chains: tuple[range, ...] = ()


Kept = dict[object, LayerWeights]
NEAR = 1.3  # of the estimate apart: a chain that may still take fewer cycles
BETTER = 1.0  # of the cycles apart, those below which a chain or a program with chains is taken


def patient(prepared: Prepared) -> Prepared:
    """The same in tiles for a program that waits for its loads all along: larger ones, of fewer commands."""
    planner = Planner(
        prepared.network, prepared.design, Machine.of(prepared.design), prepared.steps, prepared.weights,
        prepared.reading.unfolded, patient=True, chains=prepared.chains,
    )  # fmt: skip
    return replace(prepared, plan=planner.plan())


def in_strips(prepared: Prepared, timed: Callable[[Prepared], tuple[int, int]]) -> Prepared | None:
    """The same with those steps by strips (`accel.compiler.chains`) that are faster so; None if there are none.

    `timed` says cycles and commands of a plan that has the steps of a chain alone.
    """
    network, design, plan = prepared.network, prepared.design, prepared.plan
    if design.is_sparse:
        return None
    streamed = {
        prepared.steps[k].target.storage for k, own in enumerate(plan.steps) if own.out_ring and not own.step.part
    }
    tried, judge, most = tuple(chains(network, design, prepared.steps, streamed)), None, NEAR
    while tried:
        planner = Planner(
            network, design, Machine.of(design), prepared.steps, prepared.weights, prepared.reading.unfolded,
            chains=tried, judge=judge,
        )  # fmt: skip
        made = planner.plan()
        tried = tuple(
            range(chain.first, chain.first + chain.count)
            for chain in made.chains
            if made.steps[chain.first].tiling.cost < most * _apart(plan, chain)
        )
        if judge and len(tried) == len(made.chains):
            return replace(prepared, plan=made, chains=tried)
        if len(tried) == len(made.chains):  # by estimates; now by the cycles
            judge, most = lambda plan: timed(replace(prepared, plan=plan)), BETTER
    return None


def _apart(plan: Plan, chain: Chain) -> float:
    """Estimated cycles of a chain's steps one after the other."""
    return float(sum(plan.steps[k].tiling.cost for k in range(chain.first, chain.first + chain.count)))


def other_readings(prepared: Prepared) -> list[Prepared]:
    """The same with the network's input read in other ways that fit, of which estimates do not know if they are faster.

    The next cheapest way to unfold it and, if its words are cut out of several LOADs, as words that lie in DRAM.
    """
    network, design, reading = prepared.network, prepared.design, prepared.reading
    step = next((step for step in prepared.steps if step.input == network.input), None)
    weights = prepared.weights[step.name] if step else None
    alone = _only_reader(network, prepared.steps) is not None
    if step is None or weights is None or not alone or not isinstance(step.layer, MatrixLayer):
        return []
    zero = network.tensors[network.input].zero_point
    others = ways(step.layer, step.geometry, design, zero, weights.format.has_zero, search=True)
    now = reading.unfolded and reading.unfolded.geometry
    found = [replace(reading, unfolded=other) for other in others if other.geometry != now]
    if not reading.unfolded:
        return [other for reading in found if (other := _read(prepared, step, reading))]
    if step.geometry.out_h * step.geometry.out_w > 1 and reading.unfolded.geometry.channels > design.word_lanes:
        found.append(Reading())
    return [other for reading in found if (other := _read(prepared, step, reading))]


def _read(prepared: Prepared, step: Step, reading: Reading) -> Prepared | None:
    """The same with the network's input, which `step` reads, read in another way; None if that does not fit."""
    network, design = prepared.network, prepared.design
    made = prepared.weights | {step.name: lowering(step.layer, design).weights(step, design, reading)}
    planner = Planner(
        network, design, Machine.of(design), prepared.steps, made, reading.unfolded, chains=prepared.chains
    )
    try:
        return replace(prepared, reading=reading, weights=made, plan=planner.plan())
    except TooSmallError:
        return None


def prepare(network: IntegerNetwork, design: Design, coded: Collection[str] = (), kept: Kept | None = None) -> Prepared:
    """The fastest way of which every tile fits its buffers.

    Faster ways need more room here and there, so the slower ones are tried before a network is refused: the input read
    as words, and poolings apart from the convolutions before them. Those whose windows overlap are fused where tiling
    says that what blocks make twice costs less than a pass of their own, and joined channels are pooled part by part
    where that costs less. `coded`: the layers whose weights the decoder is to make. `kept`: coded weights of earlier
    calls, which keep what was encoded; those of this call are added. Raises InputError for a layer that no command can
    express, TooSmallError for one whose smallest tile does not fit.
    """
    check_graph(network, design)  # before tensors are placed
    if not design.codebooks:
        network = without_codebooks(network, {layer.name for layer in network.layers})
    whole = in_parts(network, design)
    found = _fused(place(whole, design.word_lanes), design, coded, kept)
    parts = pooled_parts(whole)
    if parts is whole:
        return found
    other = _fused(place(parts, design.word_lanes), design, coded, kept)
    return other if _cost(other) < _cost(found) else found


def _fused(placed: Placed, design: Design, coded: Collection[str], kept: Kept | None) -> Prepared:
    """With those poolings fused whose windows overlap that gain by it."""
    fused = _prepared(placed, design, set(), coded, kept)
    words = Machine.of(design).block_pixels(1)
    shared = [s for s in fused.steps if s.geometry.overlaps and s.geometry.out_h * s.geometry.out_w > words]
    if not shared:
        return fused
    apart = _prepared(placed, design, {step.name for step in shared}, coded, kept)
    worse = {step.name for step in shared if _cost(fused, step) > _cost(apart, step)}
    if len(worse) in (0, len(shared)):
        return apart if worse else fused
    return min((fused, apart, _prepared(placed, design, worse, coded, kept)), key=_cost)


def _cost(prepared: Prepared, of: Step | None = None) -> float:
    """Estimated cycles of all steps, or of one and the pooling that is fused into it, be it or not."""
    return prepared.plan.cost({of.name, of.pool.name} if of and of.pool else None)


def _prepared(placed: Placed, design: Design, apart: set[str], coded: Collection[str], kept: Kept | None) -> Prepared:
    """The fastest way in which the layers named in `apart`, and more if need be, take no pooling with them."""
    machine, network = Machine.of(design), placed.network
    while True:
        made = steps(network, design, apart, placed.spots)
        refused: TooSmallError | None = None
        for reading in _readings(network, design, made):
            weights: dict[str, LayerWeights | None] = {}
            for step in made:
                first = reading if step.input == network.input else Reading()
                made_weights = lowering(step.layer, design).weights(step, design, first)
                if made_weights and step.of in coded:
                    made_weights = replace(made_weights, format=Coded(made_weights.format))
                    if kept is not None:
                        made_weights = kept.setdefault(_seen(step, first), made_weights)
                weights[step.name] = made_weights
            planner = Planner(network, design, machine, made, weights, reading.unfolded)
            try:
                return Prepared(network, design, made, reading, weights, planner.plan(), placed.copies)
            except TooSmallError as error:
                refused = error
        assert refused
        if refused.step.pool is None:
            raise refused
        apart.add(refused.step.name)


def _seen(step: Step, reading: Reading) -> tuple[object, ...]:
    """What the weights of a step depend on: where channels lie is not the same in all ways that are compared."""
    target, unfolded = step.target, reading.unfolded is not None
    return (
        step.name, step.input, step.geometry, step.source.lanes, target.channels, target.written, unfolded,
        reading.as_dense,
    )  # fmt: skip


def _readings(network: IntegerNetwork, design: Design, made: list[Step]) -> list[Reading]:
    """Ways to read the network's input; only as words if several steps read it, or one adds it."""
    reader = _only_reader(network, made)
    if reader is None:
        return [Reading()]
    zero_point = network.tensors[network.input].zero_point
    return lowering(reader.layer, design).readings(reader, design, zero_point)


def _only_reader(network: IntegerNetwork, made: list[Step]) -> Step | None:
    """The one step that reads the network's input, all of it, and does not add it; None if there are others."""
    readers = [
        step for step in made if network.input in {step.source.storage, step.added.storage if step.added else ""}
    ]
    alone = len(readers) == 1 and readers[0].input == network.input and readers[0].residual != network.input
    return readers[0] if alone else None
