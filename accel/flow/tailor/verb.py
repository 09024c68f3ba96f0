"""The verb `accel compress --for`: its options, what it reads and writes, and what it says."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from accel import design as designs
from accel.flow import outputs, report
from accel.flow.said import say
from accel.flow.tailor.knobs import Training
from accel.flow.tailor.price import GOALS, Goal
from accel.flow.tailor.train import Request, Tailored, files, save, tailor
from accel.models import zoo
from accel.models.compress.training_step import forget
from accel.models.errors import InputError
from accel.models.training.pixels import UNIT, Pixels

MOST_TRAININGS = 20
TRAINING = Training()


def tailored(
    network: str, design: str, objective: str, accuracy: float | None, limits: list[str] | None, trainings: int | None,
    images: Path | None, out: Path | None, seed: int, pixels: Pixels = UNIT, training: Training = TRAINING,
) -> Tailored:  # fmt: skip
    """Search, train, write. Raises InputError for options that are wrong; `check` says whether it is good enough."""
    if objective not in ("", *GOALS):
        raise InputError(f"--objective must be one of {', '.join(GOALS)}, not {objective!r}")
    if accuracy is None or not 0 <= accuracy <= 100:
        raise InputError(f"--for must come with --accuracy, 0..100 percent, not {accuracy}")
    if trainings is not None and not 1 <= trainings <= MOST_TRAININGS:
        raise InputError(f"--trainings must be 1..{MOST_TRAININGS}, not {trainings}")
    if images is None:
        raise InputError("--for trains and judges: give what to learn from (--data)")
    if out is None:
        raise InputError("compress must have an output: give --out FILE")
    goal = cast(Goal, objective or "cycles")
    request = Request(designs.load(design), goal, accuracy, tuple(limits or ()), trainings or 3, training)
    found, states = zoo.resolve(network), out.with_suffix(".steps")
    outputs.check(out, (*files(out), states), (network, design, *outputs.images(images)))
    report.check_folder(out.parent)
    if zoo.trained_on_mnist(network):
        say(f"accel: warning: {network} has learnt the images that are held out here, so accuracy on them flatters")
    with report.made(states):
        made = tailor(found, request, images, out.stem, states, seed, say, pixels)
        save(made, out)
        forget(states)
    say(f"wrote {', '.join(path.name for path in files(out))} to {out.parent}")
    read = " ".join(f"--formats {name}={word}" for name, word in made.formats.items() if word != "plain")
    say(f"on the design: accel simulate {out} --technique as-is --design {design}{read and ' ' + read}")
    return made
