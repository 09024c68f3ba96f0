"""Tucker-2 with ranks by EVBMF, then fine-tuning: Kim et al., arXiv 1511.06530, section 3, on a small VGG.

The paper's VGG-16 goes from 15484 to 3139 million MACs at 0.5 points of top-5 accuracy lost (table 1). Here the VGG
learns Fashion-MNIST; its convolutions are decomposed, and the result is fine-tuned.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from models.compress.channels import macs
from models.compress.tucker import Options, decompose
from models.experiments.fashion import trained_vgg
from models.experiments.runs import Progress, count_errors, open_runs, trained, write_table
from models.fit import Schedule
from models.graph import Conv, Network
from models.images import read_images

FINE_TUNING = Schedule(
    epochs=6, learning_rate=0.01, batch=128, weight_decay=3e-4, shift=1, mirror=True, dropout=0.3, bfloat16=True
)


@dataclass(frozen=True)
class Row:
    """One state of the network; `conv_macs` are the MACs of its convolutions for one image."""

    network: str
    parameters: int
    conv_macs: int
    test_errors: int
    accuracy_percent: float


def run(data_folder: str | Path, out_folder: str | Path, progress: Progress | None = None) -> tuple[Row, ...]:
    """Train the VGG, decompose and fine-tune it on the Fashion-MNIST files in `data_folder`.

    Networks go to `out_folder` when they are done and are not trained again; kim.json has the rows and the summary.
    Raises InputError for bad folders, without torch, and for networks in `out_folder` of other settings.
    """
    runs = open_runs(read_images(data_folder), out_folder, progress)

    def row(name: str, network: Network) -> Row:
        errors = count_errors((network,), runs.data)
        accuracy = 100 - 100 * errors / len(runs.data.test_labels)
        return Row(name, network.parameters, conv_macs(network), errors, accuracy)

    original = trained_vgg(runs)
    convolutions = tuple(layer.name for layer in original.layers if isinstance(layer, Conv))
    decomposed, _ = decompose(original, Options(layers=convolutions))
    tuned = trained(runs, "vgg-tucker", decomposed, FINE_TUNING)
    rows = (row("original", original), row("decomposed", decomposed), row("fine-tuned", tuned))
    write_table(runs.folder, "kim", rows, summary(rows))
    return rows


def conv_macs(network: Network) -> int:
    """Multiply-accumulates of the convolutions for one image."""
    found = macs(network)
    return sum(found[layer.name] for layer in network.layers if isinstance(layer, Conv))


def summary(rows: tuple[Row, ...]) -> dict[str, float]:
    """How many times fewer MACs and parameters, and how many points are lost without and with fine-tuning."""
    original, decomposed, tuned = rows
    return {
        "conv_macs_ratio": round(original.conv_macs / tuned.conv_macs, 2),
        "parameters_ratio": round(original.parameters / tuned.parameters, 2),
        "lost_before_tuning_points": round(original.accuracy_percent - decomposed.accuracy_percent, 2),
        "lost_points": round(original.accuracy_percent - tuned.accuracy_percent, 2),
    }
