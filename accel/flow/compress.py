"""`accel compress`: a recipe applied to a network, with the bytes that its encoded weights really take."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from rich.console import Console
from rich.text import Text

from accel.flow import collapse, tables
from accel.flow.data import Data
from accel.flow.data import float_accuracy_percent as accuracy_of
from accel.flow.report import write
from accel.flow.tables import Column
from accel.flow.techniques import Technique, given
from accel.models import zoo
from accel.models.compress import recipe, students
from accel.models.compress.prune import matrix_layers
from accel.models.compress.steps import Distil, Tucker
from accel.models.compress.training_step import Context
from accel.models.encode import encoded_file
from accel.models.encode.accounting import Accounting, Parts, account
from accel.models.encode.bookkeeping import layer_bits, widths_of
from accel.models.encode.choose import FLOAT_BITS
from accel.models.encode.encoded import EncodedNetwork, decode
from accel.models.errors import InputError
from accel.models.exchange import onnx_write
from accel.models.graph import Network
from accel.models.training import own_data
from accel.models.training.images import ImageSet
from accel.models.training.pixels import UNIT, Pixels


@dataclass(frozen=True)
class Outcome:
    """What a recipe made of a network, and what that takes."""

    recipe: str
    network: Network
    encoded: EncodedNetwork
    accounting: Accounting
    steps: list[dict[str, Any]]
    parameters_before: int
    weights_before: int
    accuracy_before_percent: float | None
    accuracy_percent: float | None
    notes: tuple[str, ...] = ()

    @property
    def bytes(self) -> int:
        """Length of the encoded file."""
        return self.accounting.total.total_bits // 8

    @property
    def ratio(self) -> float:
        """How many times smaller it is than the network at the start of the recipe in 32-bit floats."""
        return 4 * self.parameters_before / self.bytes

    @property
    def paper_ratio(self) -> float:
        """The same in the book-keeping of Deep Compression: weights only, no biases, code tables or headers."""
        bits = [layer_bits(widths_of(layer), coded=layer.coded) for layer in self.encoded.layers]
        return FLOAT_BITS * self.weights_before / sum(bits)


def run(
    network: Network, chosen: recipe.Recipe, data: Data, images: Path | None, state_folder: Path | None, seed: int,
    progress: Callable[[str], None], validation: bool = False, pixels: Pixels = UNIT,
) -> Outcome:  # fmt: skip
    """Apply the recipe. `images`: what training steps learn, with these `pixels`. Raises InputError.

    With `validation` a sixth of its training images is held out: it is not learnt, and judges instead of `data`.
    """
    learnt = own_data.read(images, network, validation=validation, pixels=pixels) if images else None
    spoilt: list[str] = []
    context = Context(learnt, state_folder, seed, progress, partial(resolve, seed), spoilt.append)
    if learnt and validation:
        test, labels = learnt.floats(learnt.judged_images), learnt.judged_labels
        data = replace(data, test=test, labels=labels, before_tail=True)
    before = accuracy_of(network, data)
    result = recipe.run(chosen, network, context)
    check_round_trip(result.network, result.encoded)
    after = accuracy_of(result.network, data)
    return Outcome(
        chosen.name, result.network, result.encoded, account(result.encoded), recipe.as_record(result),
        network.parameters, sum(layer.weights.size for layer in matrix_layers(network)), before, after,
        (*_step_notes(chosen, result), *spoilt, *_fall(network, chosen, result, data, before, after)),
    )  # fmt: skip


def _step_notes(chosen: recipe.Recipe, result: recipe.Compressed) -> Iterator[str]:
    """What must be known of steps: ranks that leave next to nothing of a layer, channels that did not go."""
    for step, (label, report) in zip(chosen.steps, result.reports, strict=False):
        if isinstance(step, Tucker):
            low = [
                f"{name} ({min(found['ranks'])}, relative error {found['relative_error']:.2f})"
                for name, found in report["layers"].items()
                if name not in step.ranks and min(found.get("ranks", [math.inf])) <= collapse.LOW_RANK
            ]
            if low:
                yield f"{label}: EVBMF finds a low rank in {', '.join(low)}: give `ranks`, `weakening` or `layers`"
        if "note" in report:
            yield f"{label}: {report['note']}"


def _fall(
    network: Network, chosen: recipe.Recipe, result: recipe.Compressed, data: Data,
    before: float | None, after: float | None,
) -> Iterator[str]:  # fmt: skip
    """A line about an accuracy that collapses, as in a comparison; a student has no layers to compare."""
    if before is None or after is None or before - after < collapse.POINTS:
        return
    row = collapse.Row("trained" if chosen.trains else "untrained", collapse.RECIPE)
    has_student = any(isinstance(step, Distil) for step in chosen.steps)
    assert data.test is not None
    found = "" if has_student else collapse.reason(network, result.network, data.test, row)
    yield f"accuracy falls from {before:.1f} to {after:.1f} %{found}"


def resolve(seed: int, name: str) -> Network:
    """A teacher or student: a network of the zoo, a file, or an untrained student by its name (`students.named`)."""
    return students.named(name, np.random.default_rng(seed)) or zoo.resolve(name)


def own_rows(
    network: Network, recipes: Sequence[Path], files: Sequence[Path], images: Path | ImageSet | None,
    state_folder: Path, progress: Callable[[str], None], pixels: Pixels = UNIT,
) -> tuple[Technique, ...]:  # fmt: skip
    """Rows of a comparison for recipes, applied to `network`, and for ONNX files that are compressed already.

    Recipes learn from `images`, which may have been read. What they train is kept in `state_folder`, so that the next
    comparison need not train it again.

    Raises InputError for what cannot be read or applied, and for a file with another input or output.
    """
    rows = []
    loaded = [recipe.load(path) for path in recipes]
    data = images if isinstance(images, ImageSet) else None
    if data is None and images and recipes:
        assert isinstance(images, Path)
        data = own_data.read(images, network, pixels=pixels)
    context = Context(data, state_folder, progress=progress, resolve=partial(resolve, 0))
    for chosen in loaded:
        told = list[str]()
        result = recipe.run(chosen, network, replace(context, spoilt=told.append))
        for line in told:
            progress(f"accel: warning: {chosen.name}: {line}")
        title = f"recipe {chosen.name}"
        row = given(chosen.name, title, result.network, result.formats, result.method, result.runs_as)
        rows.append(row if chosen.trains else replace(row, retrain=collapse.RECIPE))
    for path in files:
        other = zoo.resolve(path)
        for end in ("input", "output"):
            shape, expected = (one.shapes[getattr(one, end)] for one in (other, network))
            if shape != expected:
                raise InputError(f"{path}: {end} must have the shape {expected} of {network.name}'s, not {shape}")
        rows.append(given(other.name, other.name, other))
    return tuple(rows)


def check_round_trip(network: Network, coded: EncodedNetwork) -> None:
    """Raise AssertionError unless the written weights are the network's: unreadable bytes would not count."""
    back = decode(encoded_file.from_bytes(encoded_file.to_bytes(coded), "encoded weights"))
    for ours, theirs in zip(matrix_layers(network), matrix_layers(back), strict=True):
        if not (np.array_equal(ours.weights, theirs.weights) and np.array_equal(ours.bias, theirs.bias)):
            raise AssertionError(f"{network.name}: layer {ours.name} is not what its encoding says")


def files(out: Path) -> tuple[Path, Path, Path]:
    """What `save` writes: the ONNX `out`, the encoded weights and the report. Raises InputError for another name."""
    if out.suffix != ".onnx":
        raise InputError(f"--out must be the name of a file that ends in .onnx, not {out}")
    found = out, out.with_suffix(".weights"), out.with_suffix(".json")
    for path in found:
        if path.is_dir():
            raise InputError(f"--out {out}: {path} must be a file, not a folder")
    return found


def save(
    outcome: Outcome, out: Path, more: Mapping[str, Any] = MappingProxyType({}),
    beside: Mapping[str, str] = MappingProxyType({}),
) -> None:  # fmt: skip
    """Write the three `files`, with `more` in the report, and texts `beside` them by name of file, together.

    Raises InputError if the folder cannot be written.
    """
    model, weights, report = files(out)
    write(
        out.parent,
        {
            model.name: onnx_write.to_model(outcome.network).SerializeToString(),
            weights.name: encoded_file.to_bytes(outcome.encoded),
            report.name: (json.dumps({**record(outcome), **more}, indent=1) + "\n").encode(),
            **{name: text.encode() for name, text in beside.items()},
        },
    )


def record(outcome: Outcome) -> dict[str, Any]:
    """The outcome as plain values for JSON."""
    return {
        "network": outcome.network.name,
        "recipe": outcome.recipe,
        "steps": outcome.steps,
        "parameters_before": outcome.parameters_before,
        "parameters": outcome.network.parameters,
        "accuracy_before_percent": outcome.accuracy_before_percent,
        "accuracy_percent": outcome.accuracy_percent,
        "notes": list(outcome.notes),
        "bytes": outcome.bytes,
        "ratio": outcome.ratio,
        "paper_ratio": outcome.paper_ratio,
        "layers": [
            asdict(part) | {"total_bits": part.total_bits, "format": layer.format, "index_bits": layer.index_bits}
            for part, layer in zip(outcome.accounting.layers, outcome.encoded.layers, strict=True)
        ],
        "total": asdict(outcome.accounting.total) | {"total_bits": outcome.accounting.total.total_bits},
    }


@dataclass(frozen=True)
class Line:
    """A row of the table: a layer, or the total."""

    name: str
    format: str
    weights: int
    kept: int
    parts: Parts


def lines(outcome: Outcome) -> list[Line]:
    """The layers and the total."""
    found = [
        Line(layer.name, layer.format, int(np.prod(layer.shape)), layer.nonzeros, part)
        for layer, part in zip(outcome.encoded.layers, outcome.accounting.layers, strict=True)
    ]
    total = outcome.accounting.total
    return [*found, Line("total", "", sum(x.weights for x in found), sum(x.kept for x in found), total)]


def _bytes(bits: int) -> str:
    return f"{bits / 8:,.0f}"


PART_TITLES = {
    "values_bits": "values", "runs_bits": "positions", "filler_bits": "filler", "codebooks_bits": "codebooks",
    "code_tables_bits": "code tables", "biases_bits": "biases", "headers_bits": "headers", "padding_bits": "padding",
}  # fmt: skip


def _part_column(field: str) -> Column[Line]:
    return Column(PART_TITLES[field], "bytes", lambda x: _bytes(getattr(x.parts, field)))


COLUMNS: tuple[Column[Line], ...] = (
    Column("layer", "", lambda x: x.name, left=True),
    Column("format", "", lambda x: x.format, left=True),
    Column("weights", "", lambda x: f"{x.weights:,}"),
    Column("density", "%", lambda x: f"{100 * x.kept / x.weights:.1f}"),
    *(_part_column(f.name) for f in fields(Parts) if f.name in PART_TITLES),
    Column("total", "bytes", lambda x: _bytes(x.parts.total_bits)),
)


def show(where: Console, outcome: Outcome) -> None:
    """Everything that `accel compress` prints."""
    where.print(
        Text(outcome.network.name, "bold"),
        f", recipe {outcome.recipe}: {outcome.bytes:,} bytes, {outcome.ratio:.1f} times "
        f"smaller than {outcome.parameters_before:,} parameters in 32-bit floats "
        f"({outcome.paper_ratio:.1f} in the book-keeping of Deep Compression's tables)",
        highlight=False, markup=False, sep="",
    )  # fmt: skip
    for step in outcome.steps:
        facts = ", ".join(f"{name} {value}" for name, value in step.items() if name != "step")
        where.print(f"  {step['step']}: {facts}", highlight=False, markup=False, soft_wrap=True)
    if outcome.accuracy_percent is not None:
        before, after = f"{outcome.accuracy_before_percent:.2f} %", f"{outcome.accuracy_percent:.2f} %"
        where.print(f"accuracy in float: {before} before, {after} after", highlight=False)
    tables.show(where, "", COLUMNS, lines(outcome), last_apart=True)
