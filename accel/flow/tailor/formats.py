"""How hardware is to read the weights of each layer: the words that cost least of what is wanted, and no accuracy.

Weights in fewer bits are not always read sooner: a codebook has to be loaded first, and where the array waits for
something else nothing is gained. What is best depends on the design, on the goal and on the other layers, so words are
tried on the exact price, a layer at a time, each kept if it pays with all others as they stand.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from accel.compile import chosen_formats
from accel.compiler.lower.filter import is_filter
from accel.design import Design
from accel.flow.tailor.price import Price, Pricer, Wanted
from accel.models.errors import InputError
from accel.models.integers.formats import Word
from accel.models.integers.network import IntegerNetwork, MatrixLayer


@dataclass(frozen=True)
class Settled:
    """Words by name of layer, of all that have a choice, and what the network costs with them."""

    formats: Mapping[str, Word]
    price: Price


def options(network: IntegerNetwork, design: Design) -> dict[str, tuple[Word, ...]]:
    """By name of layer, the ways in which its weights can be read, where there are several."""
    found: dict[str, tuple[Word, ...]] = {}
    for layer in network.layers:
        if not isinstance(layer, MatrixLayer):
            continue
        words: list[Word] = ["plain"]
        has_codebook = layer.shared and design.codebooks
        if has_codebook:
            words.append("dense")
        if design.decoder_lanes and not is_filter(layer, design):
            words += ["coded", "dense-coded"] if has_codebook else ["coded"]
        if len(words) > 1:
            found[layer.name] = tuple(words)
    return found


def settle(
    pricer: Pricer, wanted: Wanted, network: IntegerNetwork, begun: Mapping[str, Word],
    only: Collection[str] | None = None, sweeps: int = 1,
) -> Settled:  # fmt: skip
    """Words that cost least of what is `wanted`, of equal ones fewest cycles, and the price with them.

    `begun` are words to start from, layers without begin with what the compiler chooses. All layers are tried, or
    `only` some, up to `sweeps` times, until nothing changes; of several sweeps from every layer with the same word as
    well, since layers lean on each other. Raises InputError for what does not fit the design.
    """
    choice, stored = options(network, pricer.design), pricer.stored(network)
    begun = {name: word for name, word in begun.items() if word in choice.get(name, ())}
    if not choice or not pricer.runs:
        return Settled(begun, stored | pricer.run(network, begun))
    formats = {name: word for name, word in chosen(network, pricer.design, begun).items() if name in choice}
    best = Settled(formats, stored | pricer.run(network, formats))
    if wanted.objective == "bytes" and only is not None and not wanted.excess(best.price):
        return best  # nothing that a search looks at gets better

    def priced(formats: Mapping[str, Word]) -> Settled | None:
        try:
            return Settled(formats, stored | pricer.run(network, formats))
        except InputError:  # a design without room for it
            return None

    def cost(found: Settled) -> tuple[float, ...]:
        price = found.price
        return wanted.excess(price), price[wanted.objective], price.get("cycles", 0.0)

    starts = [best]
    if only is None:
        alike = [_alike(choice, formats, word) for word in ("plain", "dense", "coded", "dense-coded")]
        starts += filter(None, map(priced, (each for each in alike if each != formats)))
        starts = starts if sweeps > 1 else [min(starts, key=cost)]
    names = list(choice) if only is None else [name for name in choice if name in only]
    found = (_descended(start, {name: choice[name] for name in names}, priced, cost, sweeps) for start in starts)
    return min(found, key=cost)


def _alike(choice: Mapping[str, Sequence[Word]], formats: Mapping[str, Word], word: Word) -> dict[str, Word]:
    """`formats` with the word for each layer that has it."""
    return {name: word if word in choice[name] else kept for name, kept in formats.items()}


def _descended(
    best: Settled, choice: Mapping[str, Sequence[Word]], priced: Callable[[Mapping[str, Word]], Settled | None],
    cost: Callable[[Settled], tuple[float, ...]], sweeps: int,
) -> Settled:  # fmt: skip
    """From there on, layer by layer, each with the word that costs least."""
    for _ in range(sweeps):
        before = best
        for name, words in choice.items():
            others = [priced({**best.formats, name: word}) for word in words if word != best.formats[name]]
            best = min((best, *filter(None, others)), key=cost)
        if best is before:
            break
    return best


def chosen(network: IntegerNetwork, design: Design, asked: Mapping[str, Word]) -> dict[str, Word]:
    """What the compiler chooses where nothing is asked: without a decoder there is nothing to choose."""
    if design.decoder_lanes:
        return chosen_formats(network, design, asked)
    return {layer.name: asked.get(layer.name, "plain") for layer in network.layers if isinstance(layer, MatrixLayer)}
