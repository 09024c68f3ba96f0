"""The README's table of networks: `python -m tests.benchmarks.table`, with `-h` for what it takes.

Each network in dense int8 on `edge`: cycles (exact), the bound over the cycles, energy (nominal, DRAM included),
accuracy of the integer reference, and the processor's seconds to compile, time and account for it. Accuracies: the
LeNets on MNIST's test images; MLPerf Tiny's on its samples, with the scales of their int8 files, and with ours from
the float files (`tests.benchmarks.tiny`); published weights on photographs and faces as in
`tests/test_published_networks.py`. Architectures have random weights.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from accel.design import load
from accel.flow import simulate
from accel.models import zoo
from accel.models.graph import Network
from accel.models.integers.network import IntegerNetwork
from accel.models.macs import macs
from accel.models.pages import with_part
from accel.models.parting import parted
from accel.models.reference import int8
from tests.benches import published, published_weights
from tests.benches.model_networks import with_own_scales
from tests.benchmarks import networks, tiny

Array = np.ndarray
BEGIN, END = "<!-- networks -->\n", "<!-- end of networks -->\n"
PUBLISHED = ("efficientnet-lite0", "r-net")
RANDOM = (
    "alexnet", "vgg-16", "googlenet", "squeezenet-1.1", "resnet-18", "resnet-50", "mobilenet-v1", "mobilenet-v2",
)  # fmt: skip
NAMES = (*zoo.NAMES, *zoo.TINY, *PUBLISHED, *RANDOM)


@dataclass(frozen=True)
class Row:
    """A network on `edge`; `accuracy` in words, empty where there are no data."""

    name: str
    macs: int
    cycles: int
    efficiency_percent: float
    energy_uj: float
    accuracy: str
    seconds: float

    @property
    def line(self) -> str:
        """As Markdown."""
        return (
            f"| `{self.name}` | {self.macs / 1e6:,.1f} | {self.cycles:,} | {self.efficiency_percent:.1f} | "
            f"{self.energy_uj:,.1f} | {self.accuracy} | {self.seconds:.2f} |"
        )


def right(integer: IntegerNetwork, inputs: Array, correct: Callable[[Array], Array]) -> float:
    """Percent of the inputs whose class is `correct`."""
    codes = int8.run(integer, int8.quantise_input(integer, inputs))[integer.output]
    return float(100 * correct(codes.reshape(len(codes), -1).argmax(1)).mean())


def networks_of(name: str, folder: Path | None) -> tuple[Network, IntegerNetwork, str]:
    """The network, what it is in int8, and its accuracy."""
    if name in zoo.NAMES:
        images, labels = zoo.mnist_test()
        integer = zoo.integer_network(name)
        return zoo.load(name), integer, f"{right(integer, zoo.preprocess(images), lambda x: x == labels):.2f} %"
    if name in zoo.TINY:
        network = zoo.resolve(name)
        accuracy = ""
        if folder is not None:
            of_float, of_int8 = tiny.rows(folder, [name])
            unit = "AUC in hundredths" if name == "autoencoder" else "%"
            accuracy = f"{of_int8.int8:.1f} {unit} ({of_float.int8:.1f} from the float file)"
        return network, with_own_scales(network), accuracy
    if name in PUBLISHED:
        with tempfile.TemporaryDirectory() as scratch:
            return of_package(name, Path(scratch) / "network.onnx")
    network = zoo.architecture(name)
    drawn = published.drawn("photo", network.host.input_shape if network.host else network.shapes[network.input], 1, 0)
    return network, networks.calibrated(network, drawn), ""


def of_package(name: str, path: Path) -> tuple[Network, IntegerNetwork, str]:
    """As `networks_of`, of published weights."""
    if name == "r-net":
        network = parted.read(published_weights.r_net(path))
        images, labels = published_weights.faces()
        inputs = published_weights.for_r_net(images)
        integer = networks.calibrated(network, inputs[::4])
        rest = np.arange(len(inputs)) % 4 > 0
        return (
            network,
            integer,
            f"{right(integer, inputs[rest], lambda x: x == labels[rest]):.0f} % of {rest.sum()} images",
        )
    network = parted.read(published_weights.efficientnet_lite0(path))
    shown, others = published_weights.photographs()
    integer = networks.calibrated(network, np.concatenate([others, shown[..., ::-1]]))
    classes = list(published_weights.SHOWN.values())
    percent = right(integer, shown, lambda x: np.array([one in of for one, of in zip(x, classes, strict=True)]))
    return network, integer, f"{percent * len(classes) / 100:.0f} of {len(classes)} photographs"


def row(name: str, folder: Path | None) -> Row:
    """The line of a network."""
    network, integer, accuracy = networks_of(name, folder)
    design = load("edge")
    simulate.run(integer, design)  # what is compiled once on a machine is not counted
    started = time.process_time()
    found = simulate.run(integer, design)
    seconds = time.process_time() - started
    energy = found.cost.energy.total_pj.nominal / 1e6
    count, work = sum(macs(network).values()), found.result.total
    return Row(name, count, work.cycles, 100 * work.efficiency, energy, accuracy, seconds)


def table(rows: Sequence[Row]) -> str:
    """The rows as Markdown."""
    head = ["| network | million MACs | cycles | efficiency, % | energy, uJ | accuracy | simulated in, s |"]
    return "\n".join([*head, "|---|--:|--:|--:|--:|---|--:|", *(row.line for row in rows)]) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the rows as they come; the status."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.table")
    parser.add_argument("networks", nargs="*", metavar="NETWORK", help=f"of {', '.join(NAMES)}; all of them if none")
    parser.add_argument("--mlperf-tiny", type=Path, help="the folder with MLPerf Tiny's models and samples")
    parser.add_argument("--page", type=Path, help="put the table into this page")
    given = parser.parse_args(arguments)
    rows = []
    for name in given.networks or NAMES:
        rows.append(row(name, given.mlperf_tiny))
        print(rows[-1].line, flush=True)
    if given.page:
        text = given.page.read_text(encoding="utf-8")
        given.page.write_text(with_part(text, BEGIN, END, table(rows)), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
