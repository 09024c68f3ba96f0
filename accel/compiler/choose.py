"""Which layers' weights the decoder makes: the program with fewest cycles, and of those the one with fewest bytes.

Where program and weights lie in block RAM, what does not fit comes last, however fast it is.

A program is known exactly once it is ordered, so candidates are compared by what they cost and not by an estimate:
every layer plain, every layer coded, and from the better of both, layer by layer, the other way (not in networks of
many layers).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple, cast

from accel.compiler.lower.filter import is_filter
from accel.design import Design
from accel.models.errors import InputError
from accel.models.integers.formats import CODED, DENSE, WORDS, Word, checked
from accel.models.integers.network import IntegerNetwork, MatrixLayer

Formats = Word | Mapping[str, Word]
"""What a user may ask for: of all layers, or of layers by name; those that are not named are chosen.

A choice is of who makes the words, memory or decoder. That a layer is read by its codebook is not weighed: what has one
is, unless it is asked for as dense.
"""

TRIED_LAYERS = 12  # a network of more is not tried layer by layer


class Cost(NamedTuple):
    """What a program takes: fewer cycles are better, then fewer beats read.

    Before both, a program for a core without DRAM must fit its memory: `short` is by how many bytes it does not.
    """

    short: int
    cycles: int
    beats: int


def parse(values: Sequence[str]) -> Formats:
    """Formats as a command line has them: one of WORDS, or LAYER=WORD for some layers. Raises InputError."""
    if not values:
        return "auto"
    if len(values) == 1 and values[0] in WORDS:
        return cast(Formats, values[0])
    found: dict[str, str] = {}
    for value in values:
        name, equals, choice = value.rpartition("=")
        if not equals:
            raise InputError(f"formats must be one of {', '.join(WORDS)}, or LAYER=FORMAT, not {value!r}")
        found[name] = choice
    return cast(Formats, found)


def given(network: IntegerNetwork, design: Design, formats: Formats) -> dict[str, Word]:
    """By name of layer, what is asked for but "auto". Raises InputError for a name or a word that there is not."""
    names = [layer.name for layer in network.layers if isinstance(layer, MatrixLayer)]
    if isinstance(formats, str):
        if formats not in WORDS:
            raise InputError(f"formats must be one of {', '.join(WORDS)}, not {formats!r}")
        formats = dict.fromkeys(names, formats)
    found: dict[str, Word] = {name: word for name, word in checked(formats, names).items() if word != "auto"}
    if not design.decoder_lanes and not CODED.isdisjoint(found.values()):
        raise InputError(f"coded weights need decoder_lanes in design {design.name}")
    return found


def dense_layers(asked: Mapping[str, Word]) -> frozenset[str]:
    """Those that are not to be read by their codebook."""
    return frozenset(name for name, word in asked.items() if word in DENSE)


def coded_layers(
    network: IntegerNetwork, design: Design, asked: Mapping[str, Word], cost: Callable[[Collection[str]], Cost]
) -> frozenset[str]:
    """The layers to be coded. `cost` of a program in which some are; it raises InputError where one cannot be.

    `asked`: what is `given` of some layers.
    """
    names = [layer.name for layer in network.layers if isinstance(layer, MatrixLayer) and not is_filter(layer, design)]
    forced = frozenset(name for name, word in asked.items() if word in CODED)
    free = [name for name in names if name not in asked]
    if not design.decoder_lanes or not free:
        return forced
    best, best_cost = forced, cost(forced)

    def consider(candidate: frozenset[str]) -> None:
        nonlocal best, best_cost
        try:
            found = cost(candidate)
        except InputError:
            return
        if found < best_cost:
            best, best_cost = candidate, found

    consider(forced | frozenset(free))
    if len(free) <= TRIED_LAYERS:
        for name in free:
            consider(best ^ {name})
    return best
