"""The command line itself, and what its verbs share.

Modules that take long to import (matplotlib, Amaranth) are imported by the verb that needs them, inside its function.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from accel import __version__
from accel.flow.arguments import LARGEST_SEED, input_shape
from accel.flow.said import say
from accel.models import zoo
from accel.models.errors import InputError
from accel.models.graph import Network

if TYPE_CHECKING:
    from accel.flow.data import Data

app = typer.Typer(
    name="accel",
    help="Compressed neural networks on a systolic accelerator: exact cycles, energy, and the Verilog.",
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def read_network(name: str, shape: str = "") -> tuple[Network, bool]:
    """The network, and whether it is the zoo's."""
    return zoo.resolve(name, input_shape=input_shape(shape)), zoo.trained_on_mnist(name)


def say_notes(data: Data) -> None:
    """What a reader must know of any result, on standard error, where the result itself does not say it."""
    from accel.flow.data import host_notes

    say_warning(data)
    for note in host_notes(data.host):
        say(f"accel: {note}")


def say_warning(data: Data) -> None:
    """What a result must not be read without, on standard error."""
    if data.warning:
        say(f"accel: warning: {data.warning}")


def print_json(found: Any) -> None:
    """One document, and nothing else, on standard output."""
    typer.echo(json.dumps(found, allow_nan=False))


def check_seed(seed: int) -> None:
    """Raise InputError for a seed that numpy or torch does not take."""
    if not 0 <= seed <= LARGEST_SEED:
        raise InputError(f"--seed must be 0..{LARGEST_SEED}, not {seed}")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"accel {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Options before the verb."""
