"""The weights of a layer as a torch module without inputs, so that training keeps what they are.

nothing  every weight is trained
zeros    a weight that is 0 stays 0 (pruning's mask)
values   weights of a layer that are equal stay equal, 0 included (weight sharing: the gradient of a centroid is the
         sum of its members', Han et al., arXiv 1510.00149, section 3.3). With a scale for each output
         (`accel.models.scaled`) the scales stay, codes that are equal stay equal, and a member's gradient counts
         times its output's scale. Weights on a grid keep their multiples while the logarithms of its steps are
         trained. In a layer that is none of these only zeros stay
number   the same but for shared layers, which keep how many values (codes) they have: each weight is trained, the
         network computes with the mean of the nearest cluster, and gradients pass as if it computed with the weight
         (a step of k-means in each forward pass, with the straight-through estimator of Bengio et al., arXiv
         1308.3432), so that weights find another cluster
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from accel.models.codebook import codebook_of
from accel.models.graph import Conv, Float, Linear
from accel.models.grid import LARGEST_CODE, STEP_BITS, Grid, grid_of
from accel.models.scaled import scaled_of

Keep = Literal["nothing", "zeros", "values", "number"]


def weights_module(torch: Any, layer: Conv | Linear, keep: Keep) -> Any:
    """A module that gives the weights of `layer`, and holds to `keep`; `torch` is that package."""
    if keep in ("values", "number"):
        scaled = scaled_of(layer.weights)
        if scaled is not None:
            return _scaled(torch, scaled) if keep == "values" else _clustered(torch, layer.weights, scaled)
        grid = grid_of(layer.weights)
        if grid is not None:
            return _on_grid(torch, grid)
        if len(codebook_of(layer.weights)):
            return _shared(torch, layer.weights) if keep == "values" else _clustered(torch, layer.weights)
    return _plain(torch, layer.weights, masked=keep != "nothing")


def _plain(torch: Any, weights: Float, masked: bool) -> Any:
    class Plain(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.values = torch.nn.Parameter(torch.from_numpy(weights.copy()))
            if masked:
                self.register_buffer("mask", torch.from_numpy((weights != 0).astype(np.float32)))

        def forward(self) -> Any:
            return self.values * self.mask if masked else self.values

    return Plain()


def _shared(torch: Any, weights: Float) -> Any:
    gather = _gather(torch)

    class Shared(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            values, members = np.unique(weights, return_inverse=True)
            self.values = torch.nn.Parameter(torch.from_numpy(values))
            self.register_buffer("members", torch.from_numpy(members.reshape(weights.shape).astype(np.int64)))
            self.register_buffer("free", torch.from_numpy((values != 0).astype(np.float32)))

        def forward(self) -> Any:
            return gather.apply(self.values, self.members, self.free)

    return Shared()


def _scaled(torch: Any, scaled: Grid) -> Any:
    """Entries are trained in units of the scales' root mean square, as large as weights are; whole codes are used."""
    gather = _gather_scaled(torch)

    class Scaled(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            codes, members = np.unique(scaled.codes, return_inverse=True)
            steps = scaled.steps[scaled.codes.reshape(len(scaled.codes), -1).any(1)].astype(np.float64)
            self.unit = float(np.sqrt(np.square(steps).mean()))
            self.values = torch.nn.Parameter(torch.from_numpy((codes * self.unit).astype(np.float32)))
            self.register_buffer("members", torch.from_numpy(members.reshape(scaled.codes.shape).astype(np.int64)))
            self.register_buffer("free", torch.from_numpy((codes != 0).astype(np.float32)))
            self.register_buffer("steps", torch.from_numpy(scaled.along.copy()))

        def forward(self) -> Any:
            return gather.apply(self.values, self.members, self.free, self.steps, self.unit)

    return Scaled()


def _clustered(torch: Any, weights: Float, scaled: Grid | None = None) -> Any:
    """If they are `scaled`, clusters are of weights over their output's, and their means are whole codes."""

    class Clustered(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.values = torch.nn.Parameter(torch.from_numpy(weights.copy()))
            self.register_buffer("used", torch.from_numpy(weights != 0))
            relative = weights
            if scaled is not None:
                along = np.broadcast_to(scaled.along, weights.shape)
                relative = weights / along
                self.register_buffer("steps", torch.from_numpy(along[weights != 0]))
            self.register_buffer("centroids", torch.from_numpy(np.unique(relative[weights != 0])))

        def forward(self) -> Any:
            free = self.values.detach()[self.used]
            if scaled is not None:
                free = free / self.steps
            members = torch.bucketize(free, (self.centroids[1:] + self.centroids[:-1]) / 2)
            if self.training:
                count = torch.bincount(members, minlength=len(self.centroids))
                means = torch.bincount(members, free, len(self.centroids)) / count.clamp(min=1)
                self.centroids.copy_(torch.where(count > 0, means.to(free.dtype), self.centroids))
            found = self.centroids[members]
            if scaled is not None:
                found = _whole(found) * self.steps
            seen = torch.zeros_like(self.values)
            seen[self.used] = found
            # What is added is 0, and has the weights' gradient.
            return seen + (self.values - self.values.detach()) * self.used

    return Clustered()


def _on_grid(torch: Any, grid: Grid) -> Any:
    class OnGrid(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            steps = grid.along
            self.growth = torch.nn.Parameter(torch.from_numpy(np.zeros_like(steps)))  # a step is never 0, nor below
            self.register_buffer("steps", torch.from_numpy(steps.copy()))
            self.register_buffer("codes", torch.from_numpy(grid.codes.astype(np.float32)))

        def forward(self) -> Any:
            steps = self.steps * self.growth.exp()
            fractions, exponents = torch.frexp(steps.detach())
            # With so many bits all multiples are exact, so that the grid is still one; the gradient is the step's own.
            short = torch.ldexp((fractions * 2**STEP_BITS).round() / 2**STEP_BITS, exponents)
            return self.codes * (steps + (short - steps).detach())

    return OnGrid()


def _whole(codes: Any) -> Any:
    return codes.round().clamp(-LARGEST_CODE, LARGEST_CODE)


def _gather(torch: Any) -> Any:
    """values[members] whose gradient is summed by bincount: many times faster than that of an indexing."""

    class Gather(torch.autograd.Function):
        @staticmethod
        def forward(context: Any, values: Any, members: Any, free: Any) -> Any:
            context.save_for_backward(members, free)
            return (values * free)[members]

        @staticmethod
        def backward(context: Any, gradient: Any) -> Any:
            members, free = context.saved_tensors
            summed = torch.bincount(members.flatten(), gradient.flatten(), len(free))
            return summed.to(gradient.dtype) * free, None, None

    return Gather


def _gather_scaled(torch: Any) -> Any:
    """steps * the nearest whole code of (values / unit)[members]; gradients pass the rounding."""

    class GatherScaled(torch.autograd.Function):
        @staticmethod
        def forward(context: Any, values: Any, members: Any, free: Any, steps: Any, unit: float) -> Any:
            context.save_for_backward(members, free, steps)
            context.unit = unit
            return _whole(values * free / unit)[members] * steps

        @staticmethod
        def backward(context: Any, gradient: Any) -> Any:
            members, free, steps = context.saved_tensors
            summed = torch.bincount(members.flatten(), (gradient * (steps / context.unit)).flatten(), len(free))
            return summed.to(gradient.dtype) * free, None, None, None, None

    return GatherScaled
