"""How fast weights are encoded: `OMP_NUM_THREADS=1 python -m tests.benchmarks.encoding`. Status 1 if a limit is missed.

A random network with the layers of AlexNet (61 M weights in two groups where Krizhevsky has them) at the densities of
Deep Compression's table 4 (11 % overall) is shared (k-means) with 8 bits in convolutions and 5 bits in fully connected
layers, goes through relative indices and Huffman code into a file, and back. Peak memory is that of the process,
network included.
"""

from __future__ import annotations

import itertools
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from models.compress.accounting import account
from models.compress.cluster import share_weights
from models.compress.encoded import decode, encode
from models.compress.encoded_file import load, save
from models.graph import Conv, Linear, Network, Pool, Reshape, build
from models.integer import Window
from tests.benchmarks.limits import report_missed

# Name, shape, groups, stride and padding, density (arXiv 1510.00149, table 4), then whether 3 x 3 pooling follows.
CONVOLUTIONS = (
    ("conv1", (96, 3, 11, 11), 1, 4, 0, 0.84, True),
    ("conv2", (256, 48, 5, 5), 2, 1, 2, 0.38, True),
    ("conv3", (384, 256, 3, 3), 1, 1, 1, 0.35, False),
    ("conv4", (384, 192, 3, 3), 2, 1, 1, 0.37, False),
    ("conv5", (256, 192, 3, 3), 2, 1, 1, 0.37, True),
)
MATRICES = (("fc6", (4096, 9216), 0.09), ("fc7", (4096, 4096), 0.09), ("fc8", (1000, 4096), 0.25))


LIMITS = {"encode, s": 10, "decode, s": 5, "MiB": 2000}
BITS = {"Conv": 8, "Linear": 5}


def weights(generator: np.random.Generator, shape: tuple[int, ...], density: float) -> np.ndarray:
    """Normally distributed weights of which the largest stay."""
    values = generator.standard_normal(shape, np.float32)
    threshold = np.quantile(np.abs(values.reshape(-1)[:1_000_000]), 1 - density)
    return np.where(np.abs(values) > threshold, values, 0).astype(np.float32)


def alexnet() -> Network:
    """The random network."""
    generator = np.random.default_rng(0)
    layers: list[Conv | Linear | Pool | Reshape] = []
    at = "x"
    for name, shape, groups, stride, pad, density, pooled in CONVOLUTIONS:
        window = Window(shape[2:], (stride, stride), (pad,) * 4)
        array = weights(generator, shape, density)
        layers.append(Conv(name, (at,), name, array, np.ones(shape[0], np.float32), window, groups))
        at = name
        if pooled:
            layers.append(Pool(f"pool-{name}", (at,), f"pool-{name}", "max", Window((3, 3), (2, 2))))
            at = f"pool-{name}"
    layers.append(Reshape("flat", (at,), "flat", (9216,)))
    at = "flat"
    for name, shape, density in MATRICES:
        layers.append(Linear(name, (at,), name, weights(generator, shape, density), np.ones(shape[0], np.float32)))
        at = name
    return build("alexnet-random", "x", (3, 227, 227), tuple(layers))


def main() -> int:
    """Share once, encode, save, load and decode with 1 and with 64 PEs; print times (of the processor), sizes, memory.

    Returns the status.
    """
    network = alexnet()
    found: dict[str, float] = {"encode, s": 0.0, "decode, s": 0.0}
    began = time.process_time()
    bits = {x.name: BITS[type(x).__name__] for x in network.layers if isinstance(x, Conv | Linear)}
    network = share_weights(network, bits)
    sharing = time.process_time() - began
    nonzero = sum(int(np.count_nonzero(x.weights)) for x in network.layers if isinstance(x, Conv | Linear))
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
        for a, b in zip(network.layers, decoded.layers, strict=True):
            assert not isinstance(a, Conv | Linear) or (isinstance(b, type(a)) and np.array_equal(a.weights, b.weights))
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
