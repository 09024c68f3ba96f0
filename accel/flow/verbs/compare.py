"""`accel compare` and `check`: what a network is, and what pays on which design."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from accel import design as designs_module
from accel.flow.arguments import (
    AsJson,
    Calibration,
    DesignHelp,
    Images,
    InputShape,
    Labels,
    Mean,
    Mirror,
    NetworkArgument,
    Quantisation,
    Shift,
    Std,
    Test,
    input_shape,
    techniques,
)
from accel.flow.said import say
from accel.flow.verbs.app import app, print_json, read_network, say_warning
from accel.models.errors import InputError, printable


@app.command()
def compare(
    network: NetworkArgument = "lenet-5",
    design: Annotated[
        list[str] | None, typer.Option(help=f"{DesignHelp} Repeat for several.", autocompletion=designs_module.names)
    ] = None,
    technique: Annotated[
        list[str] | None, typer.Option(help="Only these rows. Repeat for several.", autocompletion=techniques)
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", metavar="DIR", help="Folder for the files.")] = None,
    calibration: Calibration = "",
    quantisation: Quantisation = "",
    test: Test = "",
    labels: Labels = "",
    recipe: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="A row for a recipe of compression steps. Repeatable.")
    ] = None,
    also: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="A row for a network compressed elsewhere: ONNX or .weights. Repeatable."),
    ] = None,
    images: Images = None,
    train: Annotated[
        Path | None,
        typer.Option(
            metavar="DATA", help="Retrain every technique on this: a folder of images by class, .npz or .npy."
        ),
    ] = None,
    train_labels: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Labels of a .npy file of --train; without any the network itself teaches."),
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="With --train: passes over it. [default: 10]")] = None,
    shift: Shift = 0,
    mirror: Mirror = False,
    mean: Mean = "",
    std: Std = "",
    shape: InputShape = "",
    no_cache: Annotated[
        bool, typer.Option("--no-cache", help="Compute everything anew, and keep nothing for the next comparison.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Compare compression techniques: accuracy, bytes, cycles, energy; a table, charts, JSON, CSV and HTML.

    Without arguments: LeNet-5 on the MNIST test set and the design `edge`. Files go to accel-out/NETWORK.
    """
    from accel import cache
    from accel.flow import compare as job
    from accel.flow import outputs, overview, report, retrain, tables
    from accel.flow.cache import NO_CACHE, Cache
    from accel.flow.compress import own_rows
    from accel.flow.data import resolve
    from accel.flow.progress import progress
    from accel.flow.techniques import find, techniques_for
    from accel.models.training import own_data, pixels

    how_read = pixels.parse(mean, std)
    rows = tuple(find(name, network) for name in technique) if technique else techniques_for(network)
    chosen = [designs_module.load(name) for name in design or ["edge"]]
    float_network, from_zoo = read_network(network, shape)
    if train is None and (train_labels or epochs is not None or shift or mirror):
        raise InputError("--train-labels, --epochs, --shift and --mirror must come with --train DATA")
    folder = out or Path("accel-out") / float_network.name
    states = folder / "recipes"
    read: list[str | Path] = [network, *(design or ()), calibration, test, labels, *(recipe or ()), *(also or ())]
    read += [*outputs.images(images), *outputs.images(train), train_labels or ""]
    outputs.check(folder, (*(folder / name for name in report.FILES), states), read)
    report.check_folder(folder)
    tested, learns = test or ("mnist" if from_zoo else ""), bool(train or images)
    data = resolve(float_network, from_zoo, calibration, tested, labels, quantisation, how_read, learns)
    examples = None
    try:
        with report.made(states, keep=False):  # it stays if something was trained
            if train:
                examples = own_data.read(train, float_network, train_labels or "", pixels=how_read)
                how = retrain.Retraining(examples, 10 if epochs is None else epochs, states, say, shift, mirror)
                data = retrain.with_data(data, examples, printable(train.name), bool(calibration) or from_zoo)
                rows = retrain.retrained(float_network, rows, how)
            rows += own_rows(float_network, recipe or [], also or [], images or examples, states, say, how_read)
    except KeyboardInterrupt:
        if states.exists():
            say(f"accel: interrupted; what was trained is in {states}, and the same command goes on from there")
        raise
    with progress(job.steps(chosen, rows)) as advance:
        kept = NO_CACHE if no_cache else Cache(cache.folder())
        comparison = job.compare(float_network, data, chosen, rows, advance, kept)
    report.write(folder, report.files(comparison, kept), report.OPTIONAL)
    if as_json:
        print_json(comparison.to_dict() | {"folder": str(folder)})
    else:
        overview.show(tables.console(), comparison)
        tables.show_comparison(tables.console(), comparison)
    say_warning(data)
    say(f"report: {folder / 'report.html'} (and JSON, CSV and charts beside it)")


@app.command()
def check(
    network: NetworkArgument,
    shape: InputShape = "",
    as_json: AsJson = False,
) -> None:
    """Say what of a network the accelerator runs, and list every node that it does not run; needs no data.

    Ends with status 2 if nothing is left for the accelerator.
    """
    from accel.flow import check as job

    found = job.findings(network, input_shape(shape))
    if as_json:
        print_json(found.record())
    else:
        typer.echo(job.text(found))
    if not found.runs:
        raise typer.Exit(2)
