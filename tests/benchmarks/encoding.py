"""How fast weights are encoded: `OMP_NUM_THREADS=1 python -m tests.benchmarks.encoding`. Status 1 if a limit is missed.

AlexNet with random weights (61 M) at the densities of Deep Compression's table 4 (11 % overall, the zoo's recipe) is
shared (k-means) with 8 bits in convolutions and 5 bits in fully connected layers, goes through relative indices and
Huffman code into a file, and back. Peak memory is that of the process, network included.
"""

from __future__ import annotations

import itertools
import os
import resource
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from accel.models import zoo
from accel.models.compress import recipe
from accel.models.compress.cluster import share_weights
from accel.models.compress.prune import matrix_layers, report, with_weights
from accel.models.compress.steps import Prune, Share, per_layer
from accel.models.encode.accounting import account
from accel.models.encode.encoded import decode, encode
from accel.models.encode.encoded_file import load, save
from accel.models.graph import Network
from tests.benchmarks.limits import report_missed

LIMITS = {"encode, s": 10, "decode, s": 5, "MiB": 2000}
RECIPE = Path(zoo.__file__).parent / "recipes/alexnet-paper.yaml"


def pruned(weights: np.ndarray, density: float) -> np.ndarray:
    """The largest of normally distributed weights, by the quantile of the first million."""
    threshold = np.quantile(np.abs(weights.reshape(-1)[:1_000_000]), 1 - density)
    return np.where(np.abs(weights) > threshold, weights, 0).astype(np.float32)


def alexnet(densities: Mapping[str, float]) -> Network:
    """The random network, already pruned."""
    network = zoo.architecture("alexnet")
    weights = {layer.name: pruned(layer.weights, densities[layer.name]) for layer in matrix_layers(network)}
    return with_weights(network, weights)


def main() -> int:
    """Share once, encode, save, load and decode with 1 and with 64 PEs; print times (of the processor), sizes, memory.

    Returns the status.
    """
    prune, share, _ = recipe.load(RECIPE).steps
    assert isinstance(prune, Prune)
    assert isinstance(prune.density, dict)
    assert isinstance(share, Share)
    network = alexnet(prune.density)
    found: dict[str, float] = {"encode, s": 0.0, "decode, s": 0.0}
    began = time.process_time()
    network = share_weights(network, per_layer(network, share.bits))
    sharing = time.process_time() - began
    nonzero = sum(layer.kept for layer in report(network))
    print(f"{network.parameters:,} parameters, {100 * nonzero / network.parameters:.1f} % not 0")
    print(f"  sharing: {sharing:.2f} s; peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MiB")
    for formats, index_bits, pes in (("sparse+huffman", 4, 1), ("sparse+huffman", 4, 64), ("smallest", None, 1)):
        clocks = [time.process_time()]
        encoded = encode(network, formats, index_bits=index_bits, pes=pes)
        clocks.append(time.process_time())
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "alexnet.bin"
            save(encoded, path)
            size = os.path.getsize(path)
            clocks.append(time.process_time())
            encoded = load(path)
        clocks.append(time.process_time())
        decoded = decode(encoded)
        clocks.append(time.process_time())
        for a, b in zip(matrix_layers(network), matrix_layers(decoded), strict=True):
            assert np.array_equal(a.weights, b.weights)
        total = account(encoded).total
        assert total.total_bits == 8 * size
        seconds = [b - a for a, b in itertools.pairwise(clocks)]
        found["encode, s"] = max(found["encode, s"], sharing + seconds[0])
        found["decode, s"] = max(found["decode, s"], seconds[3])
        print(f"{formats}, {index_bits or 'best'} index bits, {pes} PEs: {size:,} bytes, {total.ratio:.1f} x smaller")
        print("  encode {:.2f} s, save {:.2f} s, load {:.2f} s, decode {:.2f} s".format(*seconds))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        print(f"  {total.filler_bits / 8e6:.2f} MB of it fillers; peak memory {peak} MiB")
        del encoded, decoded
    found["MiB"] = peak
    return report_missed(found, LIMITS)


if __name__ == "__main__":
    sys.exit(main())
