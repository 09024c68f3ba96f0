"""Tucker-2 with ranks by EVBMF, then fine-tuning: Kim et al., arXiv 1511.06530, section 3, on a small VGG.

The paper's VGG-16 takes 4.9 times fewer MACs at half a point of top-5 accuracy (table 1). Here a small VGG learns
Fashion-MNIST or CIFAR-10; its convolutions but the first, which reads the image, are decomposed and the result is
fine-tuned: once at EVBMF's ranks, and once at ranks a part of the way from there to the full ones. EVBMF keeps what
stands out of noise; of weights that short training has left near their random start it keeps little.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from accel.models.compress.tucker import Options, decompose
from accel.models.experiments.cifar import open_either
from accel.models.experiments.runs import Progress, count_errors, trained, write_table
from accel.models.experiments.vgg import trained_vgg
from accel.models.graph import Conv, Network
from accel.models.macs import macs
from accel.models.training.fit import Schedule

FINE_TUNING = Schedule(
    epochs=8, learning_rate=0.02, batch=128, weight_decay=3e-4, shift=1, mirror=True, warm_up=1, bfloat16=True
)
WEAKENINGS = (0.3, 0.0)


@dataclass(frozen=True)
class Row:
    """One state of the network. `weakening` moves ranks from EVBMF's (0) to the full ones (1, the original).

    `conv_macs` are the MACs of its convolutions for one image.
    """

    network: str
    weakening: float
    parameters: int
    conv_macs: int
    errors: int
    accuracy_percent: float


def run(
    data_folder: str | Path, out_folder: str | Path, progress: Progress | None = None, validation: bool = False,
) -> tuple[Row, ...]:  # fmt: skip
    """Train the VGG, decompose and fine-tune it on Fashion-MNIST or CIFAR-10 (`open_either`).

    Networks go to `out_folder` when they are done and are not trained again; kim.json has the rows and the summary.
    Raises InputError for bad folders, without torch, and for networks in `out_folder` of other settings.
    """
    runs = open_either(data_folder, out_folder, progress, validation)

    def row(name: str, weakening: float, network: Network) -> Row:
        errors = count_errors((network,), runs.judged)
        accuracy = 100 - 100 * errors / len(runs.judged.judged_labels)
        return Row(name, weakening, network.parameters, conv_macs(network), errors, accuracy)

    original = trained_vgg(runs)
    rows = [row("original", 1.0, original)]
    # What fine-tuning alone gives: as many epochs more, with nothing decomposed.
    rows.append(row("original, fine-tuned", 1.0, trained(runs, "vgg-tuned", original, FINE_TUNING)))
    layers = tuple(layer.name for layer in original.layers if isinstance(layer, Conv))[1:]
    for weakening in WEAKENINGS:
        decomposed, _ = decompose(original, Options(layers=layers, weakening=weakening))
        rows.append(row("decomposed", weakening, decomposed))
        tuned = trained(runs, f"vgg-tucker-{weakening}", decomposed, FINE_TUNING)
        rows.append(row("fine-tuned", weakening, tuned))
    write_table(runs, "kim", tuple(rows), summary(tuple(rows)))
    return tuple(rows)


def conv_macs(network: Network) -> int:
    """Multiply-accumulates of the convolutions for one image."""
    found = macs(network)
    return sum(found[layer.name] for layer in network.layers if isinstance(layer, Conv))


def summary(rows: tuple[Row, ...]) -> dict[str, float]:
    """For each weakening, how many times fewer MACs the convolutions take, and the points that are lost.

    Lost against the original as it was, and against the original after as many epochs of fine-tuning.
    """
    original, longer, found = rows[0], rows[1], {}
    for row in rows:
        if row.network == "fine-tuned":
            found[f"weakening_{row.weakening}_conv_macs_ratio"] = round(original.conv_macs / row.conv_macs, 2)
            for than, rival in (("", original), ("_against_as_many_epochs", longer)):
                lost = round(rival.accuracy_percent - row.accuracy_percent, 2)
                found[f"weakening_{row.weakening}_lost_points{than}"] = lost
    return found
