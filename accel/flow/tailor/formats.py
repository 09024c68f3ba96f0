"""How hardware is to read the weights of each layer: the words that cost least of what is wanted, and no accuracy.

Weights in fewer bits are not always read sooner: a codebook has to be loaded first, and where the array waits for
something else nothing is gained. What is best depends on the design, on the goal and on the other layers, so words are
tried on the exact price, a layer at a time, each kept if it pays with all others as they stand.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
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
    `only` some, up to `sweeps` times, until nothing changes. Raises InputError for what does not fit the design.
    """
    choice, stored = options(network, pricer.design), pricer.stored(network)
    begun = {name: word for name, word in begun.items() if word in choice.get(name, ())}
    if not choice or not pricer.runs:
        return Settled(begun, stored | pricer.run(network, begun))
    formats = {name: word for name, word in chosen(network, pricer.design, begun).items() if name in choice}
    best = stored | pricer.run(network, formats)

    def cost(price: Price) -> tuple[float, ...]:
        return wanted.excess(price), price[wanted.objective], price.get("cycles", 0.0)

    if wanted.objective == "bytes" and not wanted.excess(best) and only is not None:
        return Settled(formats, best)  # nothing that a search looks at gets better
    for _ in range(sweeps):
        before = formats
        for name in choice if only is None else [name for name in choice if name in only]:
            for word in choice[name]:
                if word == formats[name]:
                    continue
                try:
                    found = stored | pricer.run(network, {**formats, name: word})
                except InputError:  # a design without room for it
                    continue
                if cost(found) < cost(best):
                    formats, best = {**formats, name: word}, found
        if formats == before:
            break
    return Settled(formats, best)


def chosen(network: IntegerNetwork, design: Design, asked: Mapping[str, Word]) -> dict[str, Word]:
    """What the compiler chooses where nothing is asked: without a decoder there is nothing to choose."""
    if design.decoder_lanes:
        return chosen_formats(network, design, asked)
    return {layer.name: asked.get(layer.name, "plain") for layer in network.layers if isinstance(layer, MatrixLayer)}
