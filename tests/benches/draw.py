"""Random designs, integer networks and memories for the cross-checks.

Every function takes a `random.Random`; tests pass Hypothesis's own (`strategies.randoms`), so that failures shrink.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import gcd
from random import Random

import numpy as np
from numpy.typing import NDArray

from accel.compiler.choose import Formats
from accel.design import Design, OnChip
from accel.models.inside import elements
from accel.models.integers.network import (
    AnyLayer,
    IntegerNetwork,
    Layer,
    MatrixLayer,
    Requantise,
    Residual,
    Shared,
    TensorSpec,
    VectorLayer,
    Window,
)
from accel.models.integers.stretches import read_by
from tests.benches.draw_channels import draw_channels


def draw_design(rng: Random, name: str = "random", largest: int = 8) -> Design:
    """A small design: any rows and columns, odd ones included, and small buffers; of four one whose outputs stay."""
    rows, cols = rng.randint(1, largest), rng.randint(1, largest)
    weight_rows = rng.choice([1, *(d for d in range(1, rows + 1) if rows % d == 0)])
    sparsity = rng.choice(["none", "2:4"]) if rows % 2 == 0 and rows <= 32 else "none"
    dataflow = rng.choice(["ws", "ws", "ws", "os"])
    if dataflow == "os":
        weight_rows, sparsity = 1, "none"
    word_lanes = 2 * rows if sparsity == "2:4" else rows
    common = gcd(word_lanes, cols)
    lanes = rng.choice([d for d in range(1, common + 1) if common % d == 0])
    bank_words, accumulators = rng.choice([192, 500, 2048]), rng.choice([16, 33, 128])
    return Design.model_validate(
        {
            "name": name,
            "array": {"rows": rows, "cols": cols, "weight_rows": weight_rows},
            "buffers": {
                "activation_bytes": max(64, 2 * bank_words * word_lanes),
                "weight_bytes": max(64, rng.choice([200, 999]) * cols * weight_rows),
                "accumulator_bytes": max(64, 8 * cols * accumulators),
                "parameter_bytes": max(64, rng.choice([16, 64]) * 8 * lanes),
                "program_commands": rng.choice([8, 16, 64]),
                "queue_commands": rng.choice([1, 2, 3, 4, 4]),
            },
            "widths": {"accumulator": rng.choice([32, 32, 28, 24, 22])},
            "post_lanes": lanes,
            "decoder_lanes": rng.choice(
                [0, 1, *(d for d in range(1, 17) if not cols * weight_rows % d)][sparsity == "2:4" :]
            ),
            "memory": {
                "axi_bits": rng.choice([32, 64, 128, 256, 512]),
                "latency_cycles": 20,
                "burst_beats": rng.choice([1, 2, 4, 16, 64]),
                "outstanding_bursts": rng.choice([1, 2, 8, 64]),
            },
            "clock_mhz": 100,
            "engine": {"dataflow": dataflow, "multiplier_stages": rng.choice([1, 1, 2, 3]), "sparsity": sparsity},
            "post_multiplier_stages": rng.choice([1, 1, 2, 3]),
            "memory_stages": rng.choice([1, 1, 2]),
            "multiplier": rng.choice(["portable", "portable", "ecp5", "xilinx"]),
            "operand_products": rng.choice([0, 1, 1, 1]),
            "filter_multipliers": (multipliers := rng.choice([0, 3, 9, 9])),
            "filter_side": rng.choice([3, 5]) if multipliers else 3,
            "filter_line": rng.choice([8, 9, 12, 128]),
            "filter_blocks": rng.choice([0, 1]),
            "reset": rng.choice(["active-high", "active-high", "active-low"]),
        }
    )


def draw_features(rng: Random, design: Design) -> Design:
    """The same design, perhaps without codebooks, tables or window loads; networks for it are `within` it."""
    return design.model_copy(update={name: rng.choice([0, 1, 1]) for name in ("codebooks", "tables", "windows")})


def within(design: Design, network: IntegerNetwork) -> IntegerNetwork:
    """The network, without functions that a design without tables refuses."""
    if design.tables:
        return network
    layers = (
        replace(each, requantise=replace(each.requantise, table=None)) if isinstance(each, Layer) else each
        for each in network.layers
    )
    return replace(network, layers=tuple(layers))


def draw_core(rng: Random, name: str = "core", largest: int = 8) -> Design:
    """A design as `draw_design` draws it, without DRAM; some so small that networks spill tensors."""
    design = (draw_sparse_design if rng.random() < 0.3 else draw_design)(rng, name, largest)
    words = rng.choice([20, 30, 45, 200])
    buffers = design.buffers.model_copy(update={"activation_bytes": max(64, 2 * words * design.word_lanes)})
    design = design.model_copy(update={"buffers": buffers})
    memory = OnChip(bits=rng.choice([32, 64, 128, 256, 512]), bytes=1 << 17)
    return design.model_copy(update={"memory": memory})


def draw_sparse_design(rng: Random, name: str = "random", largest: int = 8) -> Design:
    """A small design with a sparse engine: as `draw_design`, R a power of two, short queues, few pointers."""
    values = draw_design(rng, name, largest).model_dump()
    rows, cols = 1 << rng.randrange(largest.bit_length()), values["array"]["cols"]
    factor = rng.choice([1, 1, 2, 4])
    lanes, buffers = factor * max(rows, cols), values["buffers"]
    common = gcd(lanes, cols)
    values["array"] |= {"rows": rows, "weight_rows": 1}
    values["engine"] = {
        "kind": "sparse",
        "queue_depth": rng.choice([1, 2, 3, 4, 8]),
        "index_bits": rng.choice([1, 2, 3, 4, 8]),
        "pointers": rng.choice([150, 700, 1024]),
        "word_factor": factor,
        "multiplier_stages": values["engine"]["multiplier_stages"],
    }
    values["decoder_lanes"] = rng.choice([0, *(d for d in range(1, cols + 1) if cols % d == 0)])
    values["post_lanes"] = rng.choice([d for d in range(1, common + 1) if common % d == 0])
    buffers["activation_bytes"] = max(64, 2 * rng.choice([192, 500, 2048]) * lanes)
    buffers["weight_bytes"] = max(64, rng.choice([400, 1800]) * cols)
    buffers["accumulator_bytes"] = max(64, 8 * cols * rows * rng.choice([4, 16, 37]))
    buffers["parameter_bytes"] = max(64, rng.choice([16, 64]) * 8 * values["post_lanes"])
    return Design.model_validate(values)


def with_memory(design: Design, latency_cycles: int, beat_interval_cycles: int) -> Design:
    """The same hardware in front of another DRAM."""
    update = {"latency_cycles": latency_cycles, "beat_interval_cycles": beat_interval_cycles}
    return design.model_copy(update={"memory": design.memory.model_copy(update=update)})


def draw_dram(rng: Random, design: Design) -> Design:
    """The same hardware in front of DRAM of another device."""
    technology = design.technology.model_copy(update={"dram": rng.choice(["lpddr3", "ddr3", "ddr4", "flat"])})
    return design.model_copy(update={"technology": technology})


def draw_formats(rng: Random, design: Design, network: IntegerNetwork) -> Formats:
    """What of the weights is coded: whatever costs least, everything, or some layers."""
    names = [layer.name for layer in network.layers if isinstance(layer, MatrixLayer)]
    if not design.decoder_lanes or rng.random() < 0.2:
        return "auto"
    return {name: "coded" for name in names if rng.random() < 0.8}


def draw_tries(rng: Random) -> int:
    """Tilings that are timed for each layer besides: often none, as by default."""
    return rng.choice([0, 0, 0, 8, 24])


def draw_memory(rng: Random) -> tuple[int, int]:
    """Latency and cycles for a beat, now and then as large as a design may have them."""
    if rng.random() < 0.1:
        return rng.choice([1, 1000]), 16
    return rng.choice([1, 2, rng.randint(1, 30), rng.randint(1, 200)]), rng.randint(1, 4)


def _requantise(rng: Random, terms: int, channels: int, zero_point: int, uniform: bool) -> Requantise:
    """A record whose outputs fill the int8 range: a sum of `terms` random products has about 5000 * sqrt(terms)."""
    count = 1 if uniform else channels
    generator = np.random.default_rng(rng.getrandbits(32))
    shift = 15 + max(1, round(np.log2(5000 * terms**0.5 / 60)))
    multiplier = generator.integers(32768, 65536, count)
    if rng.random() < 0.1:
        multiplier[generator.random(count) < 0.5] = 0  # channels that were pruned away
    return Requantise(
        bias=generator.integers(-4000, 4000, count).astype(np.int32),
        multiplier=multiplier.astype(np.uint16),
        shift=np.clip(generator.integers(shift - 1, shift + 2, count), 0, 47).astype(np.uint8),
        zero_point=zero_point,
        low=rng.choice([-128, zero_point]),
        high=rng.choice([127, 127, 100]),
        table=_table(rng) if rng.random() < 0.3 else None,
    )


def _table(rng: Random) -> NDArray[np.int8]:
    """Any function of a code, or one that never falls."""
    entries = np.random.default_rng(rng.getrandbits(32)).integers(-128, 128, 256).astype(np.int8)
    return np.sort(entries) if rng.random() < 0.5 else entries


def _residual(rng: Random, tensor: TensorSpec, factor: bool = False) -> Residual:
    """A second operand; with `factor` it may be multiplied."""
    operation = rng.choice(["add", "add", "subtract", *["multiply"] * factor])
    return Residual(tensor.name, rng.randint(1, 65535), rng.randint(14, 18), tensor.zero_point, operation)


def _window(rng: Random, height: int, width: int, most: int, conv: bool) -> Window:
    kernel = (rng.randint(1, min(most, height)), rng.randint(1, min(most, width)))
    dilation = (1, 1)
    if conv and rng.random() < 0.2:
        by = rng.choice([2, 2, 3])
        dilation = tuple(by if (k - 1) * by + 1 <= n else 1 for k, n in zip(kernel, (height, width), strict=True))
    stride = (rng.choice([1, 1, 2, 3, 5]), rng.choice([1, 1, 2, 3, 5]))
    limits = (kernel[0] - 1, kernel[1] - 1) * 2 if conv else (kernel[0] // 2, kernel[1] // 2) * 2
    pads = tuple(rng.randint(0, min(2, limit)) for limit in limits)
    return Window(kernel, stride, pads, dilation)  # type: ignore[arg-type]


def draw_spread(rng: Random, height: int, width: int) -> Window:
    """A window over a spread input; some windows meet no pixel, some begin inside the input."""
    base = rng.choice([(2, 2), (1, 2), (2, 1), (2, 3), (3, 1), (5, 2)])
    kernel, dilation = (rng.randint(1, 5), rng.randint(1, 5)), (rng.choice([1, 1, 2]), rng.choice([1, 1, 3]))
    before, after = [], []
    for axis, pixels in enumerate((height, width)):
        before.append(rng.randint(0, 4))
        missing = (kernel[axis] - 1) * dilation[axis] - (pixels - 1) * base[axis] - before[axis]
        after.append(max(0, missing) + rng.randint(0, 3))
    edges = tuple(rng.choice([0, 1, 1, 2]) for _ in range(4)) if rng.random() < 0.4 else (0, 0, 0, 0)
    return Window(kernel, (1, 1), (*before, *after), dilation, base, edges)  # type: ignore[arg-type]


def _thinned(rng: Random, codes: NDArray[np.int64], zero: int) -> NDArray[np.uint8]:
    """Codes of any density, now and then skewed or all of a kind; the others are `zero`."""
    generator = np.random.default_rng(rng.getrandbits(32))
    kind = rng.random()
    if kind < 0.2:
        codes = codes.reshape(-1)[np.minimum(generator.geometric(0.4, codes.shape), codes.size) - 1]
    elif kind < 0.3:
        codes = np.full_like(codes, codes.flat[0])
    density = rng.choice([1, 1, 1, 0.5, 0.2, 0.05, 0])
    return np.where(generator.random(codes.shape) < density, codes, zero).astype(np.uint8)


def _few(rng: Random, name: str, source: TensorSpec, zero_point: int) -> tuple[MatrixLayer, TensorSpec]:
    """A convolution such as images begin with, to few channels: its input is unfolded, or columns share a tile."""
    _, height, width = source.shape
    first = name == "layer0"
    kernel = (rng.randint(1, min(height, 7 if first else 3)), rng.randint(min(2, width), min(width, 7 if first else 3)))
    stride = (rng.randint(1, 4), rng.randint(1, 4)) if first else (rng.randint(1, 2), 1)
    pads = tuple(rng.randint(0, min(2, k - 1)) for k in kernel * 2)
    return _matrix(rng, name, source, zero_point, Window(kernel, stride, pads), rng.choice([rng.randint(1, 4), 20]))  # type: ignore[arg-type]


def _matrix(
    rng: Random, name: str, source: TensorSpec, zero_point: int, wanted: Window | None = None, outputs: int = 0,
    groups: int = 1,
) -> tuple[MatrixLayer, TensorSpec]:  # fmt: skip
    channels, height, width = source.shape
    if wanted:
        window, out = wanted, outputs
    elif rng.random() < 0.25:  # fully connected on whatever comes
        window, out = Window((height, width)), rng.randint(1, 40)
    else:
        window, out = _window(rng, height, width, rng.choice([3, 3, 5, 7]), conv=True), rng.randint(1, 20)
        if rng.random() < 0.2 and height * width <= 60:
            window = draw_spread(rng, height, width)
        if rng.random() < 0.3 and channels > 1:
            groups = out = channels  # depthwise
        elif rng.random() < 0.25:
            groups = rng.choice([g for g in range(1, channels + 1) if channels % g == 0])
            out = groups * rng.randint(1, max(1, 12 // groups))
    generator = np.random.default_rng(rng.getrandbits(32))
    shape = (out, channels // groups, *window.kernel)
    shared, structured = None, rng.random() < 0.4
    if rng.random() < 0.5:
        bits = rng.randint(1, 8)
        codebook = np.sort(generator.integers(rng.choice([-128, -128, 1]), 128, 1 << bits)).astype(np.int8)
        if rng.random() < 0.5:  # without a 0, layers that need one are written dense
            codebook[0] = 0
        indices = _thinned(rng, generator.integers(0, 1 << bits, shape), int(np.abs(codebook.astype(int)).argmin()))
        shared, weights = Shared(bits, codebook, indices), codebook[indices]
    else:
        weights = _thinned(rng, generator.integers(-128, 128, shape), 0).view(np.int8)
    if any(window.edges):  # so small that those which meet one pixel of an edge fit together
        weights, shared = np.clip(weights, -5, 5), None
    if rng.random() < 0.5:  # pruned; a codebook without a 0 cannot be
        weights, shared = _pruned(rng, weights, shared)
    if structured:
        weights, shared = _dropped(rng, weights, shared)
    terms = int(np.prod(shape[1:]))
    uniform = rng.random() < 0.3
    layer = MatrixLayer(
        name, source.name, f"{name}:out", weights, window,
        _requantise(rng, terms, out, zero_point, uniform), groups, None, shared,
    )  # fmt: skip
    return layer, TensorSpec(layer.output, (out, *window.output_size(height, width)), 1.0, zero_point)


def _pruned(rng: Random, weights: np.ndarray, shared: Shared | None) -> tuple[np.ndarray, Shared | None]:
    """Weights of which few, most or all are zero."""
    density = rng.choice([0.0, 0.05, 0.2, 0.5, 0.9, rng.random()])
    kept = np.random.default_rng(rng.getrandbits(32)).random(weights.shape) < density
    return _where(kept, weights, shared)


def _dropped(rng: Random, weights: np.ndarray, shared: Shared | None) -> tuple[np.ndarray, Shared | None]:
    """Weights of which all but two at most, at random, of each four input channels are zero."""
    shape = weights.shape
    order = np.random.default_rng(rng.getrandbits(32)).random((shape[0], -(-shape[1] // 4), 4, *shape[2:]))
    kept = (order.argsort(axis=2) < 2).reshape(shape[0], -1, *shape[2:])[:, : shape[1]]
    return _where(kept, weights, shared)


def _where(kept: np.ndarray, weights: np.ndarray, shared: Shared | None) -> tuple[np.ndarray, Shared | None]:
    """Weights that are zero but where they are kept, if there is a zero in their codebook."""
    if shared is None:
        return np.where(kept, weights, 0).astype(np.int8), None
    zeros = np.flatnonzero(shared.codebook == 0)
    if not len(zeros):
        return weights, shared
    indices = np.where(kept, shared.indices, zeros[0]).astype(np.uint8)
    return shared.codebook[indices], Shared(shared.bits, shared.codebook, indices)


def _vector(rng: Random, name: str, source: TensorSpec, zero_point: int) -> tuple[VectorLayer, TensorSpec]:
    channels, height, width = source.shape
    window = _window(rng, height, width, 3, conv=False)
    reduce = rng.choice(["max", "max", "sum"])
    if rng.random() < 0.1:
        cut = [-rng.randint(0, (n - 1) // 2) for n in (height, width)] * 2
        window = Window((1, 1), (rng.randint(1, 3), rng.randint(1, 2)), tuple(cut))  # type: ignore[arg-type]
        reduce = "max"
    elif rng.random() < 0.25 and height * width <= 60:
        window = _repeating(rng, height, width)
        reduce = "max" if any(window.edges) else reduce
    identity = Requantise(
        np.array([-source.zero_point], np.int32),
        np.array([32768], np.uint16),
        np.array([15], np.uint8),
        source.zero_point,
    )
    requantise = identity if reduce == "max" and rng.random() < 0.7 else _requantise(rng, 1, 1, zero_point, True)
    counts: tuple[int, ...] = ()
    if reduce == "sum" and any(window.pads) and not window.spread and rng.random() < 0.5:
        counts = tuple(np.unique(elements(window, height, width)).tolist())
        requantise = _requantise(rng, 1, len(counts), zero_point, False)
    layer = VectorLayer(
        name, source.name, f"{name}:out", reduce, window, requantise, counts=counts  # type: ignore[arg-type]
    )  # fmt: skip
    out = TensorSpec(layer.output, (channels, *window.output_size(height, width)), 1.0, requantise.zero_point)
    return layer, out


def _repeating(rng: Random, height: int, width: int) -> Window:
    """Over a spread input, a kernel of which every window meets a pixel; not only of nearest neighbours. Or edges."""
    if rng.random() < 0.3:
        return Window((1, 1), edges=rng.choice([(1, 1, 1, 1), (0, 2, 0, 1), (1, 0, 0, 3)]))
    base = rng.choice([(1, 2), (2, 1), (2, 2), (3, 2)])
    kernel = tuple(b + rng.randint(0, int(b > 1 and n > 1)) for b, n in zip(base, (height, width), strict=True))
    pads = tuple(rng.randint(0, b - 1) for b in base)
    return Window(kernel, (1, 1), (*pads, *(b - 1 for b in base)), (1, 1), base)  # type: ignore[arg-type]


def _gated(rng: Random, name: str, source: TensorSpec) -> Iterator[tuple[Layer, TensorSpec]]:
    """A pixel of all that there is, and that as the second operand of the whole map: squeeze and excite."""
    pixel = TensorSpec(f"{name}:pixel", (source.shape[0], 1, 1), 1.0, rng.randint(-30, 30))
    squeeze = _requantise(rng, 1, 1, pixel.zero_point, True)
    yield VectorLayer(f"{name}:squeeze", source.name, pixel.name, "max", Window(source.shape[1:]), squeeze), pixel
    out = TensorSpec(f"{name}:out", source.shape, 1.0, rng.randint(-30, 30))
    record = _requantise(rng, rng.choice([1, 100]), 1, out.zero_point, True)
    yield VectorLayer(name, source.name, out.name, "max", Window((1, 1)), record, _residual(rng, pixel, True)), out


def draw_network(
    rng: Random, layers: int = 3, size: int = 9, channels: int = 12, joining: bool = True
) -> IntegerNetwork:
    """1..`layers` matrix and vector layers: mostly a chain, some with a residual operand or an earlier tensor as input.

    The output may be read by further layers. In some networks, if `joining`, channels are joined and chosen between
    the layers.
    """
    joining = joining and rng.random() < 0.4
    zero_points = [rng.randint(-9, 9)] if joining else range(-30, 31)
    spec = TensorSpec(
        "x", (rng.randint(1, channels), rng.randint(1, size), rng.randint(1, size)), 1.0,
        zero_points[0] if joining else rng.randint(-9, 9),
    )  # fmt: skip
    image = not joining and size > 6 and rng.random() < 0.25
    if image:
        spec = TensorSpec("x", (rng.randint(1, 4), rng.randint(6, 14), rng.randint(6, 14)), 1.0, spec.zero_point)
    tensors: dict[str, TensorSpec] = {"x": spec}
    made: list[AnyLayer] = []
    if joining and rng.random() < 0.2:
        made, spec = [(found := draw_channels(rng, "channels", spec, [spec]))[0]], found[1]
        tensors[spec.name] = spec
    count = rng.randint(1, layers)
    for index in range(count):
        build = _vector if made and rng.random() < 0.3 else _matrix
        build = _few if image and (index == 0 or rng.random() < 0.7) else build
        source = rng.choice(list(tensors.values())) if rng.random() < 0.15 else spec
        layer, out = build(rng, f"layer{index}", source, rng.choice(zero_points))
        partners = [t for t in tensors.values() if t.shape == out.shape and not layer.window.spread]
        if partners and rng.random() < 0.6 and getattr(layer, "reduce", "max") == "max":
            factor = isinstance(layer, VectorLayer)
            layer = type(layer)(**{**layer.__dict__, "residual": _residual(rng, rng.choice(partners), factor)})
        made.append(layer)
        tensors[out.name] = spec = out
        if rng.random() < 0.25:
            for layer, spec in _gated(rng, f"gate{index}", out):
                made.append(layer)
                tensors[spec.name] = spec
        if joining and rng.random() < (0.7 if index + 1 < count else 0.2):  # at the end they are copied
            channel, spec = draw_channels(rng, f"channels{index}", spec, tensors.values())
            made.append(channel)
            tensors[spec.name] = spec
    output = rng.choice(made).output if rng.random() < 0.1 else spec.name
    return IntegerNetwork("random", "x", output, tensors, tuple(made))


def draw_image_network(rng: Random) -> IntegerNetwork:
    """A chain of convolutions of an image to few channels each, some of which lie on a larger map than usual."""
    spec = TensorSpec("x", (rng.randint(1, 4), rng.randint(8, 24), rng.randint(8, 24)), 1.0, rng.randint(-9, 9))
    tensors, made = {"x": spec}, list[AnyLayer]()
    for index in range(rng.randint(2, 3)):
        layer, spec = _few(rng, f"layer{index}", spec, rng.randint(-30, 30))
        made.append(layer)
        tensors[spec.name] = spec
    return IntegerNetwork("image", "x", spec.name, tensors, tuple(made))


def draw_inverted(rng: Random) -> IntegerNetwork:
    """Inverted residuals: channels are expanded, filtered each alone and projected; with a sum if shapes allow it."""
    spec = TensorSpec("x", (rng.randint(1, 10), rng.randint(5, 16), rng.randint(5, 16)), 1.0, rng.randint(-9, 9))
    tensors, made = {"x": spec}, list[AnyLayer]()
    for block in range(rng.randint(1, 2)):
        source, wide = spec, rng.choice([8, 16, 24, rng.randint(5, 30)])
        side, own, stride = rng.choice([1, 1, 1, 3]), rng.choice([3, 3, 5]), rng.choice([1, 1, 2])
        parts = [
            (Window((side, side), (1, 1), (side // 2,) * 4), wide, 1),
            (Window((own, own), (stride, stride), (own // 2,) * 4), wide, wide),
            (Window((1, 1)), rng.choice([source.shape[0], rng.randint(1, 12)]), 1),
        ]
        for part, (window, outputs, groups) in enumerate(parts[: 2 if rng.random() < 0.1 else 3]):
            name = f"block{block}:{part}"
            layer, spec = _matrix(rng, name, spec, rng.randint(-30, 30), window, outputs, groups)
            if part == 2 and spec.shape == source.shape and rng.random() < 0.8:
                layer = replace(layer, residual=_residual(rng, source))
            made.append(layer)
            tensors[spec.name] = spec
    return IntegerNetwork("inverted", "x", spec.name, tensors, tuple(made))


def draw_depthwise(rng: Random) -> IntegerNetwork:
    """Depthwise layers of kernels up to 5 x 5, any pads below them, behind a layer of 1 x 1 or not."""
    spec = TensorSpec("x", (rng.randint(2, 20), rng.randint(1, 16), rng.randint(1, 16)), 1.0, rng.randint(-9, 9))
    tensors, made = {"x": spec}, list[AnyLayer]()
    for index in range(rng.randint(1, 3)):
        channels, *size = spec.shape
        if rng.random() < 0.3:
            window, groups = Window((1, 1)), 1
        else:
            pads = [(rng.randint(0, 4), rng.randint(0, 4)) for _ in size]
            kernel = [
                rng.randint(max(1, 1 + max(pad)), max(min(5, s + sum(pad)), 1 + max(pad)))
                for s, pad in zip(size, pads, strict=True)
            ]
            (top, bottom), (left, right) = pads
            stride = rng.randint(1, 2), rng.randint(1, 2)
            window, groups = Window((kernel[0], kernel[1]), stride, (top, left, bottom, right)), channels
        layer, spec = _matrix(rng, f"layer{index}", spec, rng.randint(-30, 30), window, channels, groups)
        made.append(layer)
        tensors[spec.name] = spec
    return IntegerNetwork("depthwise", "x", spec.name, tensors, tuple(made))


def draw_ends(rng: Random, network: IntegerNetwork) -> IntegerNetwork:
    """The network with some of what layers make as further outputs, and some of it given instead of made."""
    layers = list(network.layers)
    for layer in network.layers:
        read = {tensor for other in layers for tensor in read_by(other)}
        if rng.random() < 0.2 and layer.output in read and layer.output != network.output:
            left = [other for other in layers if other is not layer]
            if all(name in {t for other in left for t in read_by(other)} for name in read_by(layer)):
                layers = left
    made = [layer.output for layer in layers]
    given = tuple(layer.output for layer in network.layers if layer.output not in made)
    more = tuple(name for name in made if name != network.output and rng.random() < 0.2)
    return replace(network, layers=tuple(layers), more_inputs=given, more_outputs=more)


def draw_input(rng: Random, network: IntegerNetwork, batch: int = 1) -> np.ndarray:
    """int8 codes (batch, C, H, W), or of several inputs (batch, values), some or all of them 0, or the zero point."""
    generator = np.random.default_rng(rng.getrandbits(32))
    shape = network.tensors[network.input].shape
    if network.more_inputs:
        shape = (sum(int(np.prod(network.tensors[name].shape)) for name in network.inputs),)  # type: ignore[assignment]
    codes = generator.integers(-128, 128, (batch, *shape)).astype(np.int8)
    zero = rng.choice([0, network.tensors[network.input].zero_point])
    codes[generator.random(codes.shape) < rng.choice([0, 0.5, 1])] = zero
    return codes
