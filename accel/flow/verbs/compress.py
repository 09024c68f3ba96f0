"""`accel compress`, `quantise` and `train`: other networks out of one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from accel.flow.arguments import (
    AsJson,
    Calibration,
    Images,
    InputShape,
    Labels,
    Mean,
    Mirror,
    NetworkArgument,
    OneTechnique,
    Quantisation,
    Shift,
    Std,
    Test,
    Validation,
    input_shape,
)
from accel.flow.said import say
from accel.flow.verbs.app import app, check_seed, print_json, read_network, say_notes
from accel.models import zoo
from accel.models.errors import InputError


@app.command()
def quantise(
    network: NetworkArgument,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="The file to write, NAME.int8.")],
    technique: OneTechnique = "",
    calibration: Calibration = "",
    quantisation: Quantisation = "",
    noise: Annotated[
        bool, typer.Option("--noise", help="Also say what int8 costs each layer, and which layer is to blame.")
    ] = False,
    shape: InputShape = "",
    as_json: AsJson = False,
) -> None:
    """Write the int8 network of a technique: the file whose length is in the column `stored` of compare.

    `accel simulate`, `program` and `emit` read it.
    """
    from accel.flow import blame, int8, outputs, report, tables

    if out.suffix != int8.SUFFIX or out.is_dir():
        raise InputError(f"--out must be the name of a file that ends in {int8.SUFFIX}, not {out}")
    chosen = int8.source(network, technique, input_shape(shape), quantisation)
    outputs.check(out, (out,), (network, calibration))
    report.check_folder(out.parent)
    data = chosen.data(calibration)
    made = chosen.make(data)
    layers = blame.layers(chosen, made, data) if noise else ()
    if noise and not as_json:
        blame.show(tables.console(), layers)  # first: a network with steps of the host inside has no file
    found: dict[str, Any] = {"technique": chosen.technique} | (blame.record(layers) if noise else {})
    try:
        with report.made(out.parent):
            size_bytes = int8.save(chosen, made, out)
    except InputError:
        if noise and as_json:
            print_json({"file": None, "bytes": None} | found)
        raise
    say_notes(data)
    if as_json:
        print_json({"file": str(out), "bytes": size_bytes} | found)
        return
    typer.echo(f"wrote {out}: {size_bytes:,} bytes")


@app.command()
def compress(
    network: NetworkArgument,
    recipe: Annotated[
        Path | None, typer.Argument(metavar="[RECIPE]", help="A YAML file of compression steps; not with --for.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", metavar="FILE", help="The ONNX file to write.")] = None,
    images: Images = None,
    seed: Annotated[int, typer.Option(help="Of everything that is drawn.")] = 0,
    test: Test = "",
    labels: Labels = "",
    validation: Validation = False,
    mean: Mean = "",
    std: Std = "",
    storage_only: Annotated[
        bool,
        typer.Option("--storage-only", help="Only the paper's book-keeping, from shapes and widths."),
    ] = False,
    design: Annotated[
        str, typer.Option("--for", metavar="DESIGN", help="Search the recipe that costs least on this design.")
    ] = "",
    objective: Annotated[
        str, typer.Option(help="With --for: what is to be least, cycles, bytes or energy. [default: cycles]")
    ] = "",
    accuracy: Annotated[
        float | None,
        typer.Option(help="With --for: percent that the int8 network must have on the images held out of --data."),
    ] = None,
    limit: Annotated[
        list[str] | None,
        typer.Option(
            metavar="GOAL=N", help="With --for: at most so much, as bytes=12000 or cycles=0.2x (of dense). Repeatable."
        ),
    ] = None,
    trainings: Annotated[
        int | None, typer.Option(help="With --for: how many recipes are trained at most. [default: 3]")
    ] = None,
    shift: Shift = 0,
    mirror: Mirror = False,
    as_json: AsJson = False,
) -> None:
    """Apply a recipe (prune, share, channels, tucker, distil, encode, huffman); write the ONNX and its encoded weights.

    Beside OUT.onnx stand OUT.weights (what the bytes are counted on) and OUT.json. A run that was cut short goes on
    from the folder OUT.steps. --storage-only needs no weights: the zoo's architectures then take no memory. With --for
    the recipe is searched (exact cycles, bytes and energy on DESIGN), trained, and written to OUT.yaml.
    """
    from accel.flow import compress as job
    from accel.flow import outputs, report, tables
    from accel.flow.data import resolve
    from accel.models.compress.recipe import load
    from accel.models.compress.training_step import forget
    from accel.models.training import pixels

    check_seed(seed)
    how_read = pixels.parse(mean, std)
    aim = (objective, accuracy, limit, trainings)
    if design:
        from accel.flow.tailor import layers
        from accel.flow.tailor.knobs import Training
        from accel.flow.tailor.verb import tailored

        wrong = {"RECIPE": recipe, "--test": test, "--labels": labels, "--storage-only": storage_only}
        for name, given in wrong.items():
            if given:
                raise InputError(f"{name} must be left out with --for, which searches and judges on held-out images")
        found = tailored(network, design, *aim, images, out, seed, how_read, Training(shift=shift, mirror=mirror))
        if as_json:
            print_json(job.record(found.outcome) | {"for": found.record()})
        else:
            job.show(tables.console(), found.outcome)
            layers.show(tables.console(), found.request.design.name, found.layers)
        found.check()
        return
    if any(given is not None and given != "" for given in aim):
        raise InputError("--objective, --accuracy, --limit and --trainings must come with --for DESIGN")
    if shift or mirror:
        raise InputError("--shift and --mirror must come with --for DESIGN: steps of RECIPE have fields of that name")
    if recipe is None:
        raise InputError("compress must have a recipe: give RECIPE, or --for DESIGN to search one")
    chosen = load(recipe)
    if storage_only:
        from accel.flow import storage

        known = network in zoo.ARCHITECTURES
        of = zoo.architecture(network, seed=None) if known else zoo.resolve(network)
        if as_json:
            print_json(storage.record(of, chosen))
        else:
            storage.show(tables.console(), of, chosen)
        return
    if out is None:
        raise InputError("compress must have an output: give --out FILE (or --storage-only)")
    float_network, from_zoo = read_network(network)
    if validation and (images is None or test or labels):
        raise InputError("--validation must come with --data DIR, and without --test and --labels: DIR's images judge")
    if validation and from_zoo:
        raise InputError(
            f"--validation must be of a network that was trained with it, and {network} has learnt every training "
            f"image: accel train {network} --validation"
        )
    _, weights, page = job.files(out)
    states = out.with_suffix(".steps")
    read: list[str | Path] = [network, recipe, test, labels, *outputs.images(images), *outputs.named_in(chosen)]
    outputs.check(out, (*job.files(out), states), read)
    report.check_folder(out.parent)
    judged = test or ("mnist" if from_zoo and not validation else "")
    data = resolve(float_network, from_zoo, test=judged, labels=labels, pixels=how_read, learns=bool(images))
    with report.made(states):
        outcome = job.run(float_network, chosen, data, images, states, seed, say, validation, how_read)
        job.save(outcome, out)
        forget(states)
    if as_json:
        print_json(job.record(outcome))
    else:
        job.show(tables.console(), outcome)
    for note in outcome.notes:
        say(f"accel: warning: {note}")
    say(f"wrote {out}, {weights.name} and {page.name}")
    if float_network.host:
        say(f"accel: warning: {out.name} is what the accelerator runs; nodes before and behind it are not in it")


@app.command()
def train(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help=f"{', '.join(zoo.NAMES)}, or an experiment: hinton, ba-caruana (MNIST), "
            "urban, kim (Fashion-MNIST or CIFAR-10), urban-epochs, resnet-8, vgg-deep (CIFAR-10).",
        ),
    ],
    data: Annotated[
        Path,
        typer.Option(
            metavar="DIR",
            help="Folder with the four IDX files of (Fashion-)MNIST; of CIFAR-10 a folder of images, or .npz.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="PATH", help="ONNX file, or an experiment's folder.")],
    epochs: Annotated[int | None, typer.Option(help="Passes over the training set. [default: 10]")] = None,
    seed: Annotated[int | None, typer.Option(help="Of initial weights and batches. [default: 0]")] = None,
    validation: Validation = False,
    as_json: AsJson = False,
) -> None:
    """Train a network of the zoo, or run a published experiment on students (needs the extra `train`).

    A run that was cut short goes on. Experiments have epochs and seeds of their own.
    """
    from accel.flow import experiments, outputs, tables
    from accel.flow import train as job

    check_seed(seed or 0)
    outputs.check(out, (out, out.with_name(out.name + ".state")) if out.name else (), outputs.images(data))
    if name in experiments.EXPERIMENTS:
        if epochs is not None or seed is not None:
            raise InputError(f"experiment {name} has epochs and seeds of its own: leave out --epochs and --seed")
        found = experiments.run(tables.console(stderr=as_json), name, data, out, validation)
        if as_json:
            print_json(found)
        return
    if name not in zoo.NAMES:
        known = ", ".join((*zoo.NAMES, *experiments.EXPERIMENTS))
        raise InputError(f"name of what to train must be one of {known}, not {name!r}")
    where = tables.console(stderr=as_json)
    last = job.run(where, name, data, out, 10 if epochs is None else epochs, seed or 0, validation)
    if as_json:
        print_json({"network": name, "file": str(out), **last})
