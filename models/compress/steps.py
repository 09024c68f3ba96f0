"""The steps of a recipe: what each is asked, and what it does to a Network.

Every step is a frozen value with `apply(network, original, context, label) -> (network, report)`. Steps with `epochs`
train, which needs the context's data; without epochs they are arithmetic on weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, TypeVar

from pydantic import Field, model_validator

from accel.models.compress import cluster, prune, surgeon, tucker
from accel.models.compress.balance import balanced
from accel.models.compress.channels import drop_channels, few_went, output_channels
from accel.models.compress.grid import put_on_grid, round_biases
from accel.models.compress.prune import matrix_layers
from accel.models.compress.scaled import nearest_shared, share_scaled
from accel.models.compress.training_step import Checked, Context, Report, TrainingStep
from accel.models.encode.accounting import account
from accel.models.encode.encoded import EncodedNetwork, encode
from accel.models.encode.encoded_layer import FORMATS, HUFFMAN, PLAIN
from accel.models.errors import InputError
from accel.models.graph import Network
from accel.models.grid import LARGEST_CODE
from accel.models.macs import macs
from accel.models.reference import float32
from accel.models.scaled import scaled_of
from accel.models.training import judge
from accel.models.training.images import spread
from accel.models.training.weight_modules import Keep

T = TypeVar("T")
Share01 = Annotated[float, Field(ge=0, le=1)]
IndexBits = Annotated[int, Field(ge=1, le=8)]
Bits = Annotated[int, Field(ge=1, le=8)]
Levels = Annotated[int, Field(ge=1, le=LARGEST_CODE)]
Rate = Annotated[float, Field(ge=0, le=1000)]


def per_layer(network: Network, given: T | Mapping[str, T]) -> dict[str, T]:
    """One value for every layer with weights, or the layers that are named."""
    if isinstance(given, Mapping):
        return dict(given)
    return {layer.name: given for layer in matrix_layers(network)}


class Prune(TrainingStep):
    """Magnitude pruning, in `rounds` that drop more and more, with retraining after each.

    What stays: `density` of all weights of each layer (a number is for every layer, or, with a `scan`, for all weights
    together: the layers' densities follow from a sensitivity scan at the densities of `scan`, measured on held-out
    images, or without any on training images, never on the test set); or weights of at least `threshold` standard
    deviations; or `n` of `m` neighbours in `layers` (all that have so many inputs if none is named).

    Which of them stay says their magnitude, or `by` "surgeon" what the layer's outputs on training images lose, whose
    weights are then fitted anew.
    """

    kind: Literal["prune"] = "prune"
    density: Share01 | dict[str, Share01] = 0.1
    scan: tuple[Share01, ...] = ()
    threshold: dict[str, Annotated[float, Field(ge=0)]] = Field(default_factory=dict)
    rounds: int = Field(default=1, ge=1, le=20)
    n: int = 0
    m: int = 0
    layers: tuple[str, ...] = ()
    by: Literal["magnitude", "surgeon"] = "magnitude"

    @model_validator(mode="after")
    def _one_way(self) -> Prune:
        ways = {"density": "density" in self.model_fields_set, "threshold": self.threshold, "n and m": self.n or self.m}
        given = [way for way, is_given in ways.items() if is_given]
        if len(given) > 1:
            raise ValueError(f"what stays must be given in one way, not by {' and by '.join(given)}")
        if self.scan and given != ["density"]:
            raise ValueError("scan must come with a density: what it looks for")
        if self.scan and isinstance(self.density, Mapping):
            raise ValueError("density must be one number with a scan, not one for each layer")
        if (self.n or self.m) and not 1 <= self.n <= self.m:
            raise ValueError(f"of n:m, n must be 1..m, not {self.n}:{self.m}")
        if self.layers and not self.n:
            raise ValueError("layers must come with n and m; a density or threshold names its own")
        if self.by == "surgeon" and self.threshold:
            raise ValueError("by must be magnitude where a threshold says what stays, not surgeon")
        if 0 < self.epochs < 2 * (self.rounds - 1):
            least = 2 * (self.rounds - 1)
            raise ValueError(f"epochs must be 0 or at least {least} for {self.rounds} rounds, not {self.epochs}")
        return self

    def apply(self, network: Network, original: Network, context: Context, label: str) -> tuple[Network, Report]:
        """Zeros in the layers named."""
        wanted = self._densities(network, context)
        for index in range(self.rounds):
            share = (index + 1) / self.rounds
            if self.by == "surgeon":
                network = self._operated(network, {name: value**share for name, value in wanted.items()}, context)
            elif self.n or self.m:
                network = prune.n_of_m(network, self.n, self.m, self.layers)
            elif self.threshold:
                network = prune.to_threshold(network, {name: share * q for name, q in self.threshold.items()})
            else:
                network = prune.to_density(network, {name: value**share for name, value in wanted.items()})
            network = self.train(network, original, context, f"{label}-{index + 1}", self._epochs(index))
        return network, _density_report(network)

    def _operated(self, network: Network, density: dict[str, float], context: Context) -> Network:
        if context.data is None:
            raise InputError("the surgeon looks at inputs: give what to learn from (--data)")
        images = context.data.floats(spread(context.data.train_images, surgeon.IMAGES))
        if self.n or self.m:
            return surgeon.n_of_m(network, self.n, self.m, images, self.layers)
        return surgeon.to_density(network, density, images)

    def _epochs(self, index: int) -> int:
        """The last round, which drops the last weights, trains for half of the epochs, the others for equal parts."""
        if self.rounds == 1:
            return self.epochs
        early = self.epochs // 2 // (self.rounds - 1)
        return self.epochs - early * (self.rounds - 1) if index == self.rounds - 1 else early

    def _densities(self, network: Network, context: Context) -> dict[str, float]:
        if not self.scan:
            return per_layer(network, self.density)
        assert not isinstance(self.density, Mapping)
        if context.data is None:
            raise InputError("a scan measures accuracy: give what to learn from (--data)")
        scanned, labels = context.data.choosing
        images = context.data.floats(scanned)

        def quality(pruned: Network) -> float:
            return judge.percent(float32.run(pruned, images), labels)

        found = prune.sensitivity(network, quality, self.scan)
        return prune.densities_for(network, found, self.density, quality(network))


def _density_report(network: Network) -> Report:
    layers = prune.report(network)
    kept, weights = sum(x.kept for x in layers), sum(x.weights for x in layers)
    return {"density": kept / weights, "layers": {x.name: round(x.density, 6) for x in layers}}


class Channels(TrainingStep):
    """Whole output channels go: `keep` is the share that stays in each layer named, or in all that can lose some."""

    kind: Literal["channels"] = "channels"
    keep: float | dict[str, float]

    def apply(self, network: Network, original: Network, context: Context, label: str) -> tuple[Network, Report]:
        """A smaller network."""
        before, whole = sum(macs(network).values()), network
        network = drop_channels(network, self.keep)
        went = output_channels(whole) - output_channels(network)
        network = self.train(network, original, context, label, self.epochs)
        found = {"macs_before": before, "macs": sum(macs(network).values()), "parameters": network.parameters}
        few = few_went(whole, went, self.keep) if isinstance(self.keep, float) else ""
        return network, found | ({"note": few} if few else {})


class Share(TrainingStep):
    """k-means weight sharing, then training of the centroids.

    `per`: a codebook has one scale in its layer ("layer"), or one for each output where that is the better ("best"),
    which stays while its entries are trained. `balance`: first channels get magnitudes that are alike, in what makes
    and in what reads them. `learn` weights: each weight is trained and may change its cluster, whose mean the network
    computes with.
    """

    kind: Literal["share"] = "share"
    bits: Bits | dict[str, Bits] = 5
    start: cluster.Start = "linear"
    per: Literal["best", "layer"] = "best"
    balance: bool = False
    learn: Literal["centroids", "weights"] = "centroids"
    learning_rate: float = Field(default=1e-4, gt=0)

    def apply(self, network: Network, original: Network, context: Context, label: str) -> tuple[Network, Report]:
        """Few different weights a layer."""
        bits = per_layer(network, self.bits)
        if self.balance:
            network = balanced(network)
        one = cluster.share_weights(network, bits, self.start, context.seed)
        if self.per == "best":
            best = share_scaled(network, bits, self.start, context.seed)
            one = nearest_shared(network, context.data, best, one) if context.data else best
        network = one
        scaled = [x.name for x in matrix_layers(network) if x.name in bits and scaled_of(x.weights) is not None]
        keep: Keep = "values" if self.learn == "centroids" else "number"
        network = self.train(network, original, context, label, self.epochs, keep)
        return network, {"bits": bits, "start": self.start} | ({"scale_an_output": scaled} if scaled else {})


class Grid(TrainingStep):
    """Rounding for rate to a uniform grid, then training of its steps and of the biases; multiples stay.

    `levels`: whole multiples of the step up to the largest weight, each way. `rate`: what a bit weighs against the
    square of a step; 0 rounds to the nearest. `per`: what has a step of its own. `bias_bits`: significant bits that
    biases keep, all if null.
    """

    kind: Literal["grid"] = "grid"
    levels: Levels | dict[str, Levels] = 7
    rate: Rate | dict[str, Rate] = 0.2
    per: Literal["layer", "output"] = "layer"
    bias_bits: Annotated[int, Field(ge=1, le=24)] | None = 8
    learning_rate: float = Field(default=5e-3, gt=0)

    def apply(self, network: Network, original: Network, context: Context, label: str) -> tuple[Network, Report]:
        """Weights that are multiples."""
        levels = per_layer(network, self.levels)
        rate = per_layer(network, self.rate)
        network = put_on_grid(network, levels, rate, self.per == "output")
        network = self.train(network, original, context, label, self.epochs, "values")
        if self.bias_bits is not None:
            network = round_biases(network, self.bias_bits)
        return network, {"levels": levels, "rate": rate, **_density_report(network)}


class Tucker(TrainingStep):
    """Tucker-2, Tucker-1 or SVD of the layers named (all if none), with the ranks given or EVBMF's; then training.

    Convolutions with fewer than `least_inputs` input channels whose ranks are not given stay.
    """

    kind: Literal["tucker"] = "tucker"
    layers: tuple[str, ...] | None = None
    ranks: dict[str, int | tuple[int | None, int | None]] = Field(default_factory=dict)
    weakening: float = Field(default=0.0, ge=0, le=1)
    iterations: int = Field(default=5, ge=0, le=1000)
    least_inputs: int = Field(default=1, ge=1)

    @model_validator(mode="after")
    def _ranks_of_layers(self) -> Tucker:
        unheard = sorted(set(self.ranks) - set(self.layers)) if self.layers is not None else []
        if unheard:
            raise ValueError(f"ranks must be of layers that are decomposed, not of {', '.join(unheard)}")
        return self

    def apply(self, network: Network, original: Network, context: Context, label: str) -> tuple[Network, Report]:
        """Two or three layers in the place of one."""
        options = tucker.Options(self.ranks, self.weakening, self.iterations, self.layers, self.least_inputs)
        network, report = tucker.decompose(network, options)
        network = self.train(network, original, context, label, self.epochs)
        layers = {x.name: _tucker_report(x) for x in report.layers}
        macs_ = {"macs_before": report.macs_before, "macs": report.macs_after}
        return network, {**macs_, "parameters": network.parameters, "layers": layers}


def _tucker_report(layer: tucker.LayerReport) -> Report:
    """What became of a layer, or why nothing."""
    if layer.method == "none":
        return {"method": "none", "reason": layer.reason}
    return {"method": layer.method, "ranks": list(layer.ranks), "relative_error": round(layer.relative_error, 4)}


class Distil(TrainingStep):
    """A student takes the network's place, trained on its teacher's logits or soft targets."""

    kind: Literal["distil"] = "distil"
    student: str
    epochs: int = Field(ge=1, le=1000)
    target: Literal["labels", "soft", "logits"] = "soft"

    def apply(self, network: Network, original: Network, context: Context, label: str) -> tuple[Network, Report]:
        """The trained student. Without a `teacher` the network as it is teaches."""
        student = self.train(context.resolve(self.student), network, context, label, self.epochs, "nothing")
        teachers = self.teacher or network.name
        return student, {"student": self.student, "parameters": student.parameters, "teacher": teachers}


class Written(Checked):
    """How the weights are written, in which of `formats`: the last step, which changes no weight."""

    formats: ClassVar[tuple[str, ...]]

    def encode(self, network: Network) -> tuple[EncodedNetwork, Report]:
        """The weights, each layer in the format that takes fewest bits. Raises InputError for unknown layers."""
        return self._report(encode(network, among=self.formats))

    def _report(self, encoded: EncodedNetwork) -> tuple[EncodedNetwork, Report]:
        size_bytes = account(encoded).total.total_bits // 8
        return encoded, {"bytes": size_bytes, "layers": {layer.name: layer.format for layer in encoded.layers}}


class _InLanes(Written):
    """In a form that hardware can decode.

    `lanes`: sub-streams, one for each PE or column of an array that is to read them side by side. `index_bits`: the
    width of positions in sparse layers, the one that takes fewest bits if not given.
    """

    lanes: int = Field(default=1, ge=1, le=65535)
    index_bits: IndexBits | dict[str, IndexBits] | None = None

    def encode(self, network: Network) -> tuple[EncodedNetwork, Report]:
        """As of every step that writes."""
        return self._report(encode(network, index_bits=self.index_bits, pes=self.lanes, among=self.formats))


class Encode(_InLanes):
    """Without Huffman codes."""

    kind: Literal["encode"] = "encode"
    formats = PLAIN


class Arithmetic(Written):
    """For storage, where that takes less in an arithmetic code, biases too; in one lane."""

    kind: Literal["arithmetic"] = "arithmetic"
    formats = FORMATS


class Huffman(_InLanes):
    """With Huffman codes for values and positions where that takes less.

    `coded`: average bits of a value and a position, of a table in the literature; only book-keeping without weights
    reads them.
    """

    kind: Literal["huffman"] = "huffman"
    coded: dict[str, tuple[float, float]] = Field(default_factory=dict)
    formats = HUFFMAN


Step = Annotated[
    Prune | Channels | Tucker | Share | Grid | Distil | Encode | Huffman | Arithmetic, Field(discriminator="kind")
]
