"""Students: small networks that learn from large ones, as families whose size is a number.

    mlp             fully connected (Hinton et al., arXiv 1503.02531, section 3: 784-800-800-10)
    shallow         one hidden layer, with a linear bottleneck in front of it as an option (Ba & Caruana,
                    arXiv 1312.6184, section 2: the bottleneck makes training faster and saves parameters)
    convolutional   0..4 convolutions, a linear bottleneck and one hidden layer at a budget of parameters (after Urban
                    et al., arXiv 1603.05691, section 2; their widths were found by search, here they follow from
                    the budget)

Weights are drawn from a generator, as `accel.models.build` does.
"""

from __future__ import annotations

import itertools
import math

import numpy as np

from accel.models.build import Chain
from accel.models.errors import InputError
from accel.models.graph import Network, Shape
from accel.models.window import Window

GREY: Shape = (1, 28, 28)
CLASSES = 10
MOST_CONVOLUTIONS = 4
POOLED = ((), (1,), (1, 2), (1, 2, 3), (1, 3, 4))  # by the number of convolutions: those that a pooling follows
LINEAR = 4  # linear units for each channel of the first convolution
TOLERANCE = 0.02  # of a budget
MOST_PARAMETERS = 2**26  # of a student by name, so that no typing error fills the memory


def mlp(
    sizes: tuple[int, ...], random: np.random.Generator, name: str = "", image: Shape = GREY, gain: float = 1.0
) -> Network:
    """Fully connected network: `sizes` from inputs to classes, a ReLU after each layer but the last.

    The standard deviation of the first weights is `gain` times what it is elsewhere.

    Raises InputError unless there are two sizes or more, all positive, the first that of `image` (channels, height,
    width).
    """
    if len(sizes) < 2 or min(sizes) < 1 or sizes[0] != math.prod(image):
        raise InputError(f"sizes must be positive, from {math.prod(image)} inputs to classes, not {sizes}")
    chain = Chain(random, image)
    chain.flatten()
    for i, size in enumerate(sizes[1:], 1):
        chain.linear(f"ip{i}", size, relu=f"ip{i}_relu" if i < len(sizes) - 1 else "", gain=gain)
    return chain.network(name or "mlp-" + "-".join(map(str, sizes)))


def shallow(
    hidden: int, random: np.random.Generator, bottleneck: int = 0, name: str = "", image: Shape = GREY,
    classes: int = CLASSES,
) -> Network:  # fmt: skip
    """One layer of `hidden` ReLU units; `bottleneck` linear units in front of it, 0 for none.

    Raises InputError for sizes that are not positive.
    """
    if hidden < 1 or bottleneck < 0:
        raise InputError(f"hidden must be at least 1 and bottleneck at least 0, not {hidden} and {bottleneck}")
    chain = Chain(random, image)
    chain.flatten()
    if bottleneck:
        chain.linear("bottleneck", bottleneck)
    chain.linear("hidden", hidden, relu="hidden_relu")
    chain.linear("logits", classes)
    described = f"shallow-{bottleneck}-{hidden}" if bottleneck else f"shallow-{hidden}"
    return chain.network(name or described)


def convolutional(
    convolutions: int, budget: int, random: np.random.Generator, image: Shape = GREY, classes: int = CLASSES,
) -> Network:  # fmt: skip
    """A student of `convolutions` 0..4 whose weights and biases number `budget`, within 2 %; sizes as in `widths`.

    The first convolution is 5 x 5, the others 3 x 3; all keep the size of their input, and a ReLU follows. Maximum
    pooling of 2 x 2 stands where `POOLED` says. Raises InputError for another count and for a small budget.
    """
    channels, bottleneck, hidden = widths(convolutions, budget, image, classes)
    chain = Chain(random, image)
    for i, outputs in enumerate(channels, 1):
        kernel = _kernel(i)
        chain.conv(f"conv{i}", outputs, Window((kernel, kernel), pads=(kernel // 2,) * 4), relu=f"relu{i}")
        if i in POOLED[convolutions]:
            chain.pool(f"pool{i}", Window((2, 2), (2, 2)))
    chain.flatten()
    chain.linear("bottleneck", bottleneck)
    chain.linear("hidden", hidden, relu="hidden_relu")
    chain.linear("logits", classes)
    return chain.network(f"student-{convolutions}conv-{budget}")


def named(name: str, random: np.random.Generator) -> Network | None:
    """The untrained student of that name, None if it is none.

    mlp-800-800 (widths of hidden layers), shallow-2000 and shallow-100-2000 (bottleneck, hidden units), and
    student-2-43000 (convolutions, parameters). Raises InputError for sizes that cannot be.
    """
    kind, *parts = name.split("-")
    if not parts or not all(part.isdecimal() and len(part) < 9 for part in parts):
        return None
    sizes = [int(part) for part in parts]
    chain = itertools.pairwise((math.prod(GREY), *sizes, CLASSES))
    if (sizes[-1] if kind == "student" else sum(a * b for a, b in chain)) > MOST_PARAMETERS:
        raise InputError(f"student {name!r} must have at most {MOST_PARAMETERS} parameters")
    match kind, sizes:
        case "mlp", hidden if all(hidden):
            return mlp((math.prod(GREY), *hidden, CLASSES), random, name)
        case "shallow", [hidden]:
            return shallow(hidden, random)
        case "shallow", [bottleneck, hidden]:
            return shallow(hidden, random, bottleneck)
        case "student", [convolutions, parameters]:
            return convolutional(convolutions, parameters, random)
    return None


def widths(
    convolutions: int, budget: int, image: Shape = GREY, classes: int = CLASSES
) -> tuple[tuple[int, ...], int, int]:
    """Channels of each convolution, linear units and hidden units of `convolutional` at `budget` parameters.

    Channels double from the first convolution to the second and stay; there are as many linear units as channels in
    the first convolution, times `LINEAR`, and hidden units take what is left, at least twice the linear ones. The
    first convolution is as wide as that allows.

    Raises InputError for a count outside 0..4 and for a budget that cannot be met within 2 %.
    """
    if not 0 <= convolutions <= MOST_CONVOLUTIONS:
        raise InputError(f"convolutions must be 0..{MOST_CONVOLUTIONS}, not {convolutions}")
    found = None
    for width in range(1, budget + 1):
        channels = tuple(width * (1 if i == 0 else 2) for i in range(convolutions))
        bottleneck = LINEAR * width
        before, unit = _fixed(channels, convolutions, bottleneck, image, classes)
        hidden = round((budget - before) / unit)
        if hidden < 2 * bottleneck:
            break
        found = channels, bottleneck, hidden, before + hidden * unit
    if found is None or abs(found[3] - budget) > TOLERANCE * budget:
        raise InputError(f"a student of {convolutions} convolutions cannot have {budget} parameters: too few")
    return found[:3]


def _fixed(
    channels: tuple[int, ...], convolutions: int, bottleneck: int, image: Shape, classes: int
) -> tuple[int, int]:
    """Parameters without any hidden unit, and parameters of one hidden unit."""
    count, depth = 0, image[0]
    for i, outputs in enumerate(channels, 1):
        count += outputs * (depth * _kernel(i) ** 2 + 1)
        depth = outputs
    shrunk = 2 ** len(POOLED[convolutions])
    features = depth * (image[1] // shrunk) * (image[2] // shrunk)
    return count + bottleneck * (features + 1) + classes, bottleneck + 1 + classes


def _kernel(i: int) -> int:
    """Height and width of the kernel of convolution `i`, from 1."""
    return 5 if i == 1 else 3
