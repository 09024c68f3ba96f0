"""The words for how hardware reads a layer's weights, which users, recipes and the compiler share.

plain        the indices of its codebook, or of a layer without one the int8 weights
coded        the same, through the decoder
dense        the int8 weights, although it has a codebook
dense-coded  the same, through the decoder
auto         plain or coded, whatever the compiler finds best
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Literal, cast, get_args

from accel.models.errors import InputError
from accel.models.integers.network import IntegerNetwork, MatrixLayer

Word = Literal["auto", "plain", "coded", "dense", "dense-coded"]
WORDS: tuple[Word, ...] = get_args(Word)
CODED: frozenset[Word] = frozenset({"coded", "dense-coded"})
DENSE: frozenset[Word] = frozenset({"dense", "dense-coded"})
WITHOUT_DECODER: Mapping[Word, Word] = {"coded": "plain", "dense-coded": "dense"}


def checked(given: Mapping[str, str], names: Collection[str]) -> dict[str, Word]:
    """Words by name of layer. Raises InputError for a layer that is not among `names`, and for another word."""
    for name, word in given.items():
        if name not in names:
            raise InputError(f"formats must name layers with weights ({', '.join(names)}), not {name!r}")
        if word not in WORDS:
            raise InputError(f"the format of {name} must be one of {', '.join(WORDS)}, not {word!r}")
    return cast(dict[str, Word], dict(given))


def readable(given: Mapping[str, Word], has_decoder: bool) -> dict[str, Word]:
    """Words for hardware that may have no decoder: what it would make is then read as it is."""
    return {name: word if has_decoder else WITHOUT_DECODER.get(word, word) for name, word in given.items()}


def without_codebooks(network: IntegerNetwork, names: Collection[str]) -> IntegerNetwork:
    """The same weights, in none of the layers named by a codebook: the network itself if none of them has one."""
    layers = tuple(
        replace(each, shared=None) if isinstance(each, MatrixLayer) and each.shared and each.name in names else each
        for each in network.layers
    )
    if all(each is before for each, before in zip(layers, network.layers, strict=True)):
        return network  # a copy would be checked again
    return replace(network, layers=layers)
