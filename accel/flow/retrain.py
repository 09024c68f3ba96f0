"""`accel compare --train DATA`: every standard technique, retrained on the user's own data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from accel.flow.data import Data
from accel.flow.techniques import Technique, given
from accel.models.compress import recipe
from accel.models.compress.standard import RATE, STANDARD, Standard, shared
from accel.models.compress.training_step import Context
from accel.models.errors import InputError
from accel.models.graph import Network
from accel.models.quantisation.method import DEFAULT
from accel.models.training.fit import Diverged, accuracy_of
from accel.models.training.images import ImageSet, spread

CALIBRATION = 512  # inputs that set the ranges where nobody says which, as many as for the zoo's networks
SHARED_BITS = (6, 4, 3, 2)  # with 8 there is little left to learn
SLOWER = (1.0, 0.1, 0.01)  # learning rates that are tried, one after the other, until a training spoils nothing
TRAINED = {standard.name: standard for standard in (*map(shared, SHARED_BITS), *STANDARD)}


@dataclass(frozen=True)
class Retraining:
    """What retraining needs: what is learnt, passes over it, where states are kept, and who hears of progress.

    `shift`, `mirror`: images are moved by up to so many pixels, half of them mirrored, as of a recipe's steps.
    """

    examples: ImageSet
    epochs: int
    states: Path
    say: Callable[[str], None]
    shift: int = 0
    mirror: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.epochs <= 1000:
            raise InputError(f"--epochs must be 1..1000, not {self.epochs}")


def with_data(data: Data, examples: ImageSet, source: str, calibrated: bool) -> Data:
    """`data` of a comparison, with what `examples` know where the user named nothing else.

    The inputs that judge test, some that are learnt, evenly spaced, calibrate unless `calibrated`.
    """
    calibration = data.calibration if calibrated else examples.floats(spread(examples.train_images, CALIBRATION))
    warning = data.warning if calibrated else ""
    how = f" ({data.method})" if data.method != DEFAULT else ""
    words = [data.source] if calibrated else [f"calibrated on {len(calibration)} inputs of {source}{how}"]
    test, labels, before_tail = data.test, data.labels, data.before_tail
    if test is None:
        test, labels, before_tail = examples.floats(examples.judged_images), examples.judged_labels, True
        held_out = ", which are held out" if examples.part == "validation" else ""
        words.append(f"accuracy on {len(test):,} inputs of {source}{held_out}")
    found = replace(data, calibration=calibration, source=", ".join(words), warning=warning)
    return replace(found, test=test, labels=labels, before_tail=before_tail)


def retrained(network: Network, rows: Sequence[Technique], how: Retraining) -> tuple[Technique, ...]:
    """`rows` with those of standard recipes trained; what cannot be applied to the network stays as it is.

    What is trained is kept in the folder of states, so that the next comparison need not train it again. Raises
    InputError for examples that do not fit the network, and without torch.
    """
    return tuple(_trained(network, TRAINED[row.name], row, how) if _is_standard(row) else row for row in rows)


def _is_standard(row: Technique) -> bool:
    return row.name in TRAINED and row.given is None


def _trained(network: Network, standard: Standard, row: Technique, how: Retraining) -> Technique:
    context = Context(how.examples, how.states, progress=lambda line: how.say(f"{standard.title}: {line}"))
    try:
        recipe.apply(standard.recipe(), network, Context())
    except InputError:  # it has nothing to be applied to, which the row itself will say
        return row
    return given(standard.name, standard.title, _best(network, standard, how, context), standard.formats)


def _best(network: Network, standard: Standard, how: Retraining, context: Context) -> Network:
    """The most accurate of the trainings at the rates of `SLOWER`, which end with the first that spoils no step."""
    best: tuple[float, Network] | None = None
    for slower in SLOWER:
        spoilt: list[str] = []
        steps = standard.recipe(how.epochs, slower * RATE, shift=how.shift, mirror=how.mirror)
        try:
            trained, _ = recipe.apply(steps, network, replace(context, spoilt=spoilt.append))
        except Diverged as error:
            if slower == SLOWER[-1] and best is None:
                raise
            spoilt.append(str(error))
        else:
            accuracy = accuracy_of(trained, *how.examples.choosing, how.examples.pixels)
            if best is None or accuracy >= best[0]:
                best = accuracy, trained
        if not spoilt:
            break
        if slower != SLOWER[-1]:
            how.say(f"{standard.title}: {'; '.join(spoilt)}; it is tried with a tenth of that rate")
    assert best is not None
    return best[1]
