"""Random channel layers: joined tensors, slices, permutations, and channels that come twice."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

from accel.models.integers.network import ChannelLayer, TensorSpec


def draw_channels(
    rng: Random, name: str, first: TensorSpec, tensors: Iterable[TensorSpec]
) -> tuple[ChannelLayer, TensorSpec]:
    """`first` and up to three tensors of its pixels and coding, one behind the other; or some of their channels."""
    alike = [t for t in tensors if (t.shape[1:], t.scale, t.zero_point) == (first.shape[1:], 1.0, first.zero_point)]
    parts = [first, *(rng.choice(alike) for _ in range(rng.choice([0, 1, 1, 1, 2, 3])))]
    rng.shuffle(parts)
    count = sum(t.shape[0] for t in parts)
    channels: tuple[int, ...] | None = None
    match rng.choice(["all", "all", "slice", "order", "some"]):
        case "slice":
            low = rng.randrange(count)
            channels = tuple(range(low, rng.randint(low + 1, count)))
        case "order":
            channels = tuple(rng.sample(range(count), count))
        case "some":
            channels = tuple(rng.randrange(count) for _ in range(rng.randint(1, 20)))
    layer = ChannelLayer(name, tuple(t.name for t in parts), f"{name}:out", channels)
    shape = (count if channels is None else len(channels), *first.shape[1:])
    return layer, TensorSpec(layer.output, shape, first.scale, first.zero_point)
