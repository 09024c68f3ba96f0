"""`accel compress --storage-only`: Deep Compression's book-keeping from shapes and a recipe's numbers, no training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from rich.console import Console

from accel.flow import tables
from accel.flow.tables import Column
from accel.models.compress.prune import matrix_layers
from accel.models.compress.recipe import Recipe
from accel.models.compress.steps import Arithmetic, Encode, Grid, Huffman, Prune, Share, per_layer
from accel.models.encode.bookkeeping import LayerWidths, best_index_bits, bias_bits, fraction, layer_bits
from accel.models.encode.choose import FLOAT_BITS
from accel.models.errors import InputError
from accel.models.graph import Network

T = TypeVar("T")


@dataclass(frozen=True)
class Line:
    """A layer, or the total of several: shares of 32 bits a weight, without and with Huffman codes (None: unknown)."""

    name: str
    weights: int
    density: float
    shared: float
    coded: float | None


def widths(network: Network, recipe: Recipe) -> tuple[LayerWidths, ...]:
    """What the recipe's steps say of each layer; layers that no step names stay dense floats.

    Raises InputError for layers that do not exist, and for steps whose outcome shapes do not tell.
    """
    layers = matrix_layers(network)
    if not layers:
        raise InputError(f"{network.name}: network must have a layer with weights to compress, and has none")
    density = {layer.name: 1.0 for layer in layers}
    bits: dict[str, int] = {}
    index: dict[str, int] = {}
    coded: dict[str, tuple[float, float]] = {}
    for number, step in enumerate(recipe.steps, 1):
        where = f"{recipe.name}: step {number} ({step.kind})"
        match step:
            case Prune() if step.scan or step.threshold:
                raise InputError(f"{where}: --storage-only must be told densities: a threshold or scan needs weights")
            case Prune() if step.n:
                density |= {x.name: of_neighbours(x.weights.shape[1], step.n, step.m) for x in layers}
            case Prune():
                density |= _named(network, where, step.density)
            case Share():
                bits |= _named(network, where, step.bits)
            case Encode() | Huffman():
                index = _named(network, where, step.index_bits) if step.index_bits is not None else {}
                coded = _named(network, where, step.coded) if isinstance(step, Huffman) else {}
            case Arithmetic() | Grid():
                raise InputError(f"{where}: --storage-only must count words of a width, and here are none")
            case _:
                raise InputError(f"{where}: --storage-only must not change shapes: compress first, then count the ONNX")
    found = []
    for layer in layers:
        kept, value_bits = density[layer.name], bits.get(layer.name, FLOAT_BITS)
        width = 0 if kept == 1 else index.get(layer.name) or best_index_bits(kept, value_bits)
        value_average, index_average = coded.get(layer.name, (None, None))
        found.append(
            LayerWidths(
                layer.name, layer.weights.size, kept, value_bits, width, value_average, index_average, len(layer.bias)
            )
        )  # fmt: skip
    return tuple(found)


def of_neighbours(inputs: int, n: int, m: int) -> float:
    """The density that n:m pruning leaves of a layer with so many inputs (`prune.n_of_m`)."""
    return (inputs // m * n + min(inputs % m, n)) / inputs if inputs >= m else 1.0


def _named(network: Network, where: str, given: T | Mapping[str, T]) -> dict[str, T]:
    """`given` by layer. Raises InputError for a name that no layer has."""
    names = [layer.name for layer in matrix_layers(network)]
    for name in given if isinstance(given, Mapping) else ():
        if name not in names:
            raise InputError(f"{where}: layer must be one of {', '.join(names)}, not {name!r}")
    return per_layer(network, given)


def lines(layers: tuple[LayerWidths, ...]) -> list[Line]:
    """A line for each layer, and the total: with the filler entries to be expected and without biases."""

    def line(name: str, some: tuple[LayerWidths, ...]) -> Line:
        weights = sum(x.weights for x in some)
        coded = fraction(some, coded=True, fillers=True) if _known(some) else None
        kept = sum(x.weights * x.density for x in some)
        return Line(name, weights, kept / weights, fraction(some, fillers=True), coded)

    return [*(line(layer.name, (layer,)) for layer in layers), line("total", layers)]


def _known(layers: Sequence[LayerWidths]) -> bool:
    """Whether all of them have average widths after Huffman coding."""
    return all(layer.coded_weight_bits is not None for layer in layers)


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.2f}"


COLUMNS: tuple[Column[Line], ...] = (
    Column("layer", "", lambda x: x.name, left=True),
    Column("weights", "", lambda x: f"{x.weights:,}"),
    Column("pruned to", "%", lambda x: f"{100 * x.density:.1f}"),
    Column("+ shared", "% of 32 bits", lambda x: _percent(x.shared)),
    Column("+ Huffman", "% of 32 bits", lambda x: _percent(x.coded)),
)


def show(where: Console, network: Network, recipe: Recipe) -> None:
    """Print the table and the factors."""
    layers = widths(network, recipe)
    found = lines(layers)
    tables.show(where, f"{network.name}, recipe {recipe.name}", COLUMNS, found, last_apart=True)
    where.print()
    for coded, words in ((False, "without Huffman codes"), (True, "with Huffman codes")):
        if coded and not _known(layers):
            unknown = ", ".join(layer.name for layer in layers if layer.coded_weight_bits is None)
            where.print(f"with Huffman codes: not known without average bits (coded) of {unknown}", soft_wrap=True)
            continue
        megabytes = sum(layer_bits(layer, coded=coded, fillers=True) for layer in layers) / 8e6
        where.print(
            f"{words}: {1 / fraction(layers, coded=coded, fillers=True):.1f} times smaller, {megabytes:,.2f} MB "
            f"({1 / fraction(layers, coded=coded):.1f} without the filler entries to be expected)",
            highlight=False, soft_wrap=True,
        )  # fmt: skip
    where.print(
        "counted as the totals of the paper are matched: weights, expected filler entries, 32 bits a codebook entry; "
        f"no biases ({bias_bits(layers) / 8e6:,.2f} MB more), no code tables, no headers",
        highlight=False, soft_wrap=True,
    )  # fmt: skip


def record(network: Network, recipe: Recipe) -> dict[str, Any]:
    """The same as plain values: None where average bits are not known."""
    layers = widths(network, recipe)
    coded = [False, *([True] if _known(layers) else [])]
    return {
        "network": network.name,
        "recipe": recipe.name,
        "layers": [asdict(line) for line in lines(layers)],
        "ratio": {("huffman" if c else "plain"): 1 / fraction(layers, coded=c, fillers=True) for c in coded},
        "ratio_without_fillers": {("huffman" if c else "plain"): 1 / fraction(layers, coded=c) for c in coded},
        "biases_bytes": bias_bits(layers) / 8,
    }
