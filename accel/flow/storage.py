"""`accel compress --storage-only`: Deep Compression's book-keeping from shapes and a recipe's numbers, no training."""

from __future__ import annotations

from dataclasses import dataclass

from rich.console import Console

from accel.flow import tables
from accel.flow.tables import Column
from models.compress.bookkeeping import LayerWidths, fraction, layer_bits
from models.compress.prune import matrix_layers
from models.compress.recipe import Recipe
from models.compress.steps import Huffman, Prune, Share, per_layer
from models.errors import InputError
from models.graph import Network


@dataclass(frozen=True)
class Line:
    """A layer, or the total of several: shares of 32 bits a weight, without and with Huffman codes (None: unknown)."""

    name: str
    weights: int
    density: float
    shared: float
    coded: float | None


def widths(network: Network, recipe: Recipe) -> tuple[LayerWidths, ...]:
    """What the recipe's steps say of each layer.

    Raises InputError for a layer that no share step gives bits, and a recipe without a huffman step.
    """
    density = {layer.name: 1.0 for layer in matrix_layers(network)}
    bits: dict[str, float] = {}
    huffman: Huffman | None = None
    for step in recipe.steps:
        match step:
            case Prune():
                density |= per_layer(network, step.density)
            case Share():
                bits |= per_layer(network, step.bits)
            case Huffman():
                huffman = step
    if huffman is None or huffman.index_bits is None:
        raise InputError(f"{recipe.name}: --storage-only must have a huffman step with index_bits")
    index = per_layer(network, huffman.index_bits)
    found = []
    for layer in matrix_layers(network):
        if layer.name not in bits or layer.name not in index:
            raise InputError(f"{recipe.name}: --storage-only must have bits and index_bits of layer {layer.name!r}")
        value_bits, position_bits = huffman.coded.get(layer.name, (None, None))
        found.append(
            LayerWidths(
                layer.name, layer.weights.size, density[layer.name], int(bits[layer.name]), int(index[layer.name]),
                value_bits, position_bits, len(layer.bias),
            )
        )  # fmt: skip
    return tuple(found)


def lines(layers: tuple[LayerWidths, ...]) -> list[Line]:
    """A line for each layer, and the total."""

    def line(name: str, some: tuple[LayerWidths, ...]) -> Line:
        weights = sum(x.weights for x in some)
        coded = fraction(some, coded=True) if all(x.coded_weight_bits is not None for x in some) else None
        kept = sum(x.weights * x.density for x in some)
        return Line(name, weights, kept / weights, fraction(some), coded)

    return [*(line(layer.name, (layer,)) for layer in layers), line("total", layers)]


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.2f}"


COLUMNS: tuple[Column[Line], ...] = (
    Column("layer", "", lambda x: x.name, left=True),
    Column("weights", "", lambda x: f"{x.weights:,}"),
    Column("pruned to", "%", lambda x: f"{100 * x.density:.1f}"),
    Column("+ shared", "% of 32 bits", lambda x: _percent(x.shared)),
    Column("+ Huffman", "% of 32 bits", lambda x: _percent(x.coded)),
)


def factors(layers: tuple[LayerWidths, ...], coded: bool) -> tuple[float, float]:
    """How many times smaller than 32 bits a weight: with the filler entries to be expected, and without any."""
    return 1 / fraction(layers, coded=coded, fillers=True), 1 / fraction(layers, coded=coded)


def show(where: Console, network: Network, recipe: Recipe) -> None:
    """Print the table and the factors."""
    layers = widths(network, recipe)
    found = lines(layers)
    tables.show(where, f"{network.name}, recipe {recipe.name}", COLUMNS, found, last_apart=True)
    where.print()
    for coded, words in ((False, "without Huffman codes"), (True, "with Huffman codes")):
        if coded and found[-1].coded is None:
            continue
        low, high = factors(layers, coded)
        megabytes = sum(layer_bits(layer, coded=coded, fillers=True) for layer in layers) / 8e6
        where.print(
            f"{words}: {low:.1f} to {high:.1f} times smaller, with and without the filler entries to be expected; "
            f"{megabytes:,.2f} MB with them",
            highlight=False, soft_wrap=True,
        )  # fmt: skip
    where.print(
        "counted as in the paper: 32 bits a codebook entry and bias; no code tables, no headers", soft_wrap=True
    )
