"""From a plan to operations: every step through its row of the lowering table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from accel.compiler.graph import described
from accel.compiler.lower.chain_write import ChainWriter
from accel.compiler.lower.filter_write import FilterWriter
from accel.compiler.lower.follow import Follower
from accel.compiler.lower.lowering import Writing
from accel.compiler.lower.matrix_write import MatrixWriter
from accel.compiler.lower.table import lowering
from accel.compiler.ops import Stream
from accel.compiler.output_storer import OutputStorer
from accel.compiler.plan import Chain, Place, StepPlan
from accel.compiler.prepare import Prepared
from accel.compiler.sources import Source, WordSource
from accel.compiler.step import one_pixel
from accel.compiler.tensors import InputLoader, word_source
from accel.models.errors import InputError
from accel.rows import FieldRangeError


def write(prepared: Prepared, taper: float = 1.0, ring_words: int | None = None) -> Stream:
    """All operations of a network, in the order in which they run.

    `taper`: how fast the chunks of the last layer shrink; `ring_words` as of `Stream`. Raises InputError for a field of
    a command that the checks before did not foresee.
    """
    writer = _Writer(prepared, taper, ring_words)
    plans, chains = prepared.plan.steps, {chain.first: chain for chain in prepared.plan.chains}
    inner = {chain.first + k for chain in chains.values() for k in range(1, chain.count)}
    for plan, after in zip(plans, [*plans[1:], None], strict=True):
        if chain := chains.get(plan.step.index):
            writer.write_chain(chain, plans[chain.first : chain.first + chain.count])
        elif not plan.follows and plan.step.index not in inner:
            writer.write(plan, after if after and after.follows else None)
    return writer.stream


def refused(prepared: Prepared, error: FieldRangeError, layer: int) -> InputError:
    """A field of a command that cannot hold its value, as an error of the layer that has the command."""
    return InputError(f"{described(prepared.steps[layer].layer, prepared.design)}: {error}")


def write_chain(prepared: Prepared) -> Stream:
    """The operations of the one chain of a plan."""
    writer = _Writer(prepared, 1.0, None)
    writer.write_chain(prepared.plan.chains[0], prepared.plan.steps)
    return writer.stream


class _Writer:
    """Writes step after step; the loader of the network's input goes from one of its readers to the next."""

    def __init__(self, prepared: Prepared, taper: float, ring_words: int | None) -> None:
        self.prepared, self.design, self.network = prepared, prepared.design, prepared.network
        beats = -(-prepared.plan.data_bytes // self.design.beat_bytes)
        self.stream = Stream(self.design, beats, taper, ring_words)
        self.words = self.stream.activation_words
        self.loader: InputLoader | None = None

    def write(self, plan: StepPlan, after: StepPlan | None) -> None:
        """Append the operations of one step, and those of the step `after` that follows it piece by piece."""
        follower = None
        if after:
            self.stream.new_layer(after.step.index)  # whose table is loaded
            follower = Follower(FilterWriter(self._writing(after)), plan.flat)
        self.stream.new_layer(plan.step.index)
        writing = self._writing(plan)
        if follower:
            writing = replace(writing, done=follower.done)
        lowering(plan.step.layer, self.design).write(writing)
        assert follower is None or follower.finished, f"{after}: written in part"

    def write_chain(self, chain: Chain, plans: Sequence[StepPlan]) -> None:
        """Append the operations of steps that run strip by strip."""
        regions = (chain.made, *chain.kept[:1])
        between = {
            plan.step.output: replace(self.prepared.plan.places[plan.step.output], region=region)
            for plan, region in zip(plans, regions, strict=False)
        }
        for plan in plans:
            self.stream.new_layer(plan.step.index)
        first, middle, *last = (self._writing(plan, between) for plan in plans)
        writers = [MatrixWriter(w) for w in (first, *last)]
        ChainWriter(chain, writers[0], FilterWriter(middle), writers[1] if last else None).write()

    def _writing(self, plan: StepPlan, between: Mapping[str, Place] | None = None) -> Writing:
        step, network = plan.step, self.network
        places = self.prepared.plan.places | dict(between or {})
        of_input = step.source.storage == network.input
        source = self._source(plan, network.input if of_input and places[step.input].region else step.input)
        on_chip = places[step.input].region is not None
        if of_input and on_chip:
            self._loader(source, unfolded=self.prepared.reading.unfolded is not None)
        if step.added and step.added.storage == network.input and places[network.input].region:
            self._loader(word_source(self.words, places[network.input], True), unfolded=False).need_all()
        output = places[step.output]
        storer = None
        if output.region and step.output in network.outputs and step.completes:
            storer = OutputStorer(
                self.stream, self.words, output, plan.flat, self.design.word_lanes, step.part, plan.geometry
            )
        return Writing(
            stream=self.stream,
            plan=plan,
            places=places,
            weights=self.prepared.weights[step.name],
            input=network.tensors[step.input],
            residual_zero_point=step.layer.residual.zero_point if step.layer.residual else 0,
            one_pixel=one_pixel(step, network),
            source=None if on_chip else source,
            loader=self.loader if of_input and on_chip else None,
            storer=storer,
        )

    def _source(self, plan: StepPlan, name: str) -> Source | None:
        """The step's input, or what has to be loaded of it, in DRAM; None if nothing is loaded in this step."""
        place, unfolded = self.prepared.plan.places[name], self.prepared.reading.unfolded
        if place.dram is None:
            return None
        if name == self.network.input and unfolded:
            return unfolded.source(place.dram)
        if plan.geometry.deep and place.region is None:
            return WordSource(self.words, place.dram, 1, 1)
        skips = plan.step.skips(plan.in_ring is not None)
        return word_source(self.words, place, plan.flat or place.region is not None, skips)

    def _loader(self, source: Source | None, unfolded: bool) -> InputLoader:
        """What brings the network's input on chip as a whole."""
        if self.loader is None:
            assert source
            place = self.prepared.plan.places[self.network.input]
            self.loader = InputLoader(self.stream, source, place, self.design.word_lanes, self.words.per_beat, unfolded)
        return self.loader
