"""The verbs of the command line: `accel compare`, `simulate`, `program`, `emit`, `compress`, `train`, ..."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from accel import __version__
from accel import board as boards
from accel import design as designs_module
from accel.board import Board
from accel.design import Design
from accel.flow.arguments import (
    LARGEST_SEED,
    AsJson,
    Calibration,
    DesignHelp,
    Images,
    InputShape,
    Labels,
    NetworkArgument,
    OneDesign,
    OneTechnique,
    Quantisation,
    RunNetwork,
    Test,
    Validation,
    WeightFormats,
    board_names,
    input_shape,
    techniques,
)
from accel.flow.said import say
from accel.models import zoo
from accel.models.errors import InputError, printable
from accel.models.graph import Network
from accel.scale_sim import topology

if TYPE_CHECKING:
    from accel.flow.data import Data

# Modules that take long to import (matplotlib, Amaranth) are imported by the verb that needs them.

app = typer.Typer(
    name="accel",
    help="Compressed neural networks on a systolic accelerator: exact cycles, energy, and the Verilog.",
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _network(name: str, shape: str = "") -> tuple[Network, bool]:
    """The network, and whether it is the zoo's."""
    return zoo.resolve(name, input_shape=input_shape(shape)), zoo.trained_on_mnist(name)


def _say_notes(data: Data) -> None:
    """What a reader must know of any result, on standard error, where the result itself does not say it."""
    from accel.flow.data import host_notes

    _say_warning(data)
    for note in host_notes(data.host):
        say(f"accel: {note}")


def _say_warning(data: Data) -> None:
    if data.warning:
        say(f"accel: warning: {data.warning}")


def _print_json(found: Any) -> None:
    """One document, and nothing else, on standard output."""
    typer.echo(json.dumps(found, allow_nan=False))


def _check_trainable(network: Network, images: Path | None) -> None:
    """Raise InputError for training images of a network behind nodes that only the host runs: it sees others."""
    if network.host and network.host.head and images:
        raise InputError(f"{network.name}: --data must be left out: the host runs nodes before what is trained")


def _check_seed(seed: int) -> None:
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
    from accel.models.training import own_data

    rows = tuple(find(name, network) for name in technique) if technique else techniques_for(network)
    chosen = [designs_module.load(name) for name in design or ["edge"]]
    float_network, from_zoo = _network(network, shape)
    _check_trainable(float_network, images or train)
    if train is None and (train_labels or epochs is not None):
        raise InputError("--train-labels and --epochs must come with --train DATA")
    folder = out or Path("accel-out") / float_network.name
    states = folder / "recipes"
    read: list[str | Path] = [network, *(design or ()), calibration, test, labels, *(recipe or ()), *(also or ())]
    read += [*outputs.images(images), *outputs.images(train), train_labels or ""]
    outputs.check(folder, (*(folder / name for name in report.FILES), states), read)
    report.check_folder(folder)
    data = resolve(float_network, from_zoo, calibration, test or ("mnist" if from_zoo else ""), labels, quantisation)
    try:
        with report.made(states, keep=False):  # it stays if something was trained
            if train:
                examples = own_data.read(train, float_network, train_labels or "")
                how = retrain.Retraining(examples, 10 if epochs is None else epochs, states, say)
                data = retrain.with_data(data, examples, printable(train.name), bool(calibration) or from_zoo)
                rows = retrain.retrained(float_network, rows, how)
            rows += own_rows(float_network, recipe or [], also or [], images, states, say)
    except KeyboardInterrupt:
        if states.exists():
            say(f"accel: interrupted; what was trained is in {states}, and the same command goes on from there")
        raise
    with progress(job.steps(chosen, rows)) as advance:
        kept = NO_CACHE if no_cache else Cache(cache.folder())
        comparison = job.compare(float_network, data, chosen, rows, advance, kept)
    report.write(folder, report.files(comparison, kept), report.OPTIONAL)
    if as_json:
        _print_json(comparison.to_dict() | {"folder": str(folder)})
    else:
        overview.show(tables.console(), comparison)
        tables.show_comparison(tables.console(), comparison)
    _say_warning(data)
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
        _print_json(found.record())
    else:
        typer.echo(job.text(found))
    if not found.runs:
        raise typer.Exit(2)


@app.command()
def simulate(
    network: RunNetwork,
    design: OneDesign = "edge",
    technique: OneTechnique = "",
    formats: WeightFormats = None,
    as_json: AsJson = False,
    trace: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Also write when every unit does what: .json for Perfetto, .png or .svg."),
    ] = None,
    calibration: Calibration = "",
    quantisation: Quantisation = "",
    shape: InputShape = "",
    like: Annotated[
        str, typer.Option("--conventions", metavar="NAME", help="Also the stall-free cycles that scale-sim counts.")
    ] = "",
    images: Annotated[
        int, typer.Option("--images", metavar="N", help="Also a run on N images that keeps on chip what fits.")
    ] = 1,
) -> None:
    """Show where one network's cycles, bytes and energy go on one design, layer by layer.

    NETWORK may be one layer, conv:CxHxW,N,KxK[,stride=S][,pads=P][,groups=G], fc:INPUTS,OUTPUTS or gemm:MxKxN, or a
    topology of SCALE-Sim (.csv), whose layers run one after the other, each alone. --design takes its .cfg files.
    """
    from accel.compiler.choose import parse
    from accel.flow import conventions, int8, outputs, report, tables
    from accel.flow import images as images_job
    from accel.flow import simulate as job
    from accel.flow import trace as trace_job
    from accel.flow.progress import progress

    if trace is not None:
        trace_job.check(trace)
        outputs.check(trace, (trace,), (network, design, calibration), "--trace")
        report.check_folder(trace.parent)
    conventions.check(like)
    if Path(network).suffix == topology.SUFFIX:
        options = ("--technique", technique), ("--calibration", calibration), ("--quantisation", quantisation)
        for name, given in (*options, ("--trace", trace), ("--images", images != 1)):
            if given:
                raise InputError(f"{name} must be left out with {network}, a list of layers that is no network")
        _simulate_topology(network, designs_module.load(design), parse(formats or ()), like, as_json)
        return
    chosen, on = int8.source(network, technique, input_shape(shape), quantisation), designs_module.load(design)
    data = chosen.data(calibration)
    with progress(2) as advance:
        advance(f"{chosen.title}: compressing")
        integer = chosen.make(data)
        advance(f"simulating on {on.name}")
        found = job.run(integer, on, data.calibration, parse(formats or ()))
        many = None
        if images != 1:
            many = images_job.run(integer, on, images, data.calibration, parse(formats or ()))
        if trace is not None:
            drawn = trace_job.of(integer, on, data.calibration, parse(formats or ()), trace)
            report.write(trace.parent, {trace.name: drawn})
    theirs = conventions.lines(conventions.shapes(integer), found) if like else []
    if as_json:
        more: dict[str, Any] = {"technique": chosen.technique, "data": data.source, "warnings": list(data.notes)}
        more |= {"scale_sim": conventions.record(theirs)} if like else {}
        _print_json(found.to_dict() | more | ({"run": many.to_dict()} if many else {}))
    else:
        tables.show_simulation(tables.console(), found)
        if many:
            typer.echo(many.line())
        if like:
            conventions.show_lines(tables.console(), theirs, on)
    _say_notes(data)


def _simulate_topology(path: str, on: Design, formats: Any, like: str, as_json: bool) -> None:
    """`accel simulate` of a list of layers."""
    from accel.flow import conventions, tables
    from accel.flow import simulate as job
    from accel.flow.progress import progress

    layers = topology.load(path)
    with progress(1) as advance:
        advance(f"simulating {len(layers)} layers on {on.name}")
        found = job.run_each(printable(Path(path).stem), layers, on, formats)
    theirs = conventions.lines(layers, found) if like else []
    if as_json:
        _print_json(found.to_dict() | ({"scale_sim": conventions.record(theirs)} if like else {}))
        return
    tables.show_simulation(tables.console(), found)
    if like:
        conventions.show_lines(tables.console(), theirs, on)


@app.command()
def program(
    network: RunNetwork,
    design: OneDesign = "edge",
    technique: OneTechnique = "",
    formats: WeightFormats = None,
    calibration: Calibration = "",
    quantisation: Quantisation = "",
    shape: InputShape = "",
    as_json: AsJson = False,
) -> None:
    """Print the commands that run one network on one design, one a line; a program a stretch."""
    from accel.compile import compile_network
    from accel.compiler.choose import parse
    from accel.flow import int8
    from accel.models.integers.stretches import stretches

    chosen, on = int8.source(network, technique, input_shape(shape), quantisation), designs_module.load(design)
    data = chosen.data(calibration)
    made = [compile_network(part, on, parse(formats or ())) for part in stretches(chosen.make(data))]
    if as_json:
        _print_json(made[0].to_dict() if len(made) == 1 else {"programs": [each.to_dict() for each in made]})
    else:
        typer.echo("\n".join(each.text() for each in made), nl=False)
    _say_notes(data)


@app.command()
def emit(
    network: RunNetwork,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for the files.")],
    design: OneDesign = "",
    technique: OneTechnique = "",
    formats: WeightFormats = None,
    calibration: Calibration = "",
    quantisation: Quantisation = "",
    shape: InputShape = "",
    point: Annotated[int | None, typer.Option(metavar="N", help="A point that accel explore found.")] = None,
    storage: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where it is. [default: accel-out/NETWORK/explore/explore.db]")
    ] = None,
    board: Annotated[
        str, typer.Option(metavar="BOARD", help="Also what runs it on a board: ulx3s.", autocompletion=board_names)
    ] = "",
    images: Annotated[
        int, typer.Option("--images", metavar="N", help="Also a run on N images, with weights that stay on chip.")
    ] = 1,
    as_json: AsJson = False,
) -> None:
    """Write the accelerator as Verilog, with DRAM image, register map and a self-checking test bench."""
    from accel.compiler.choose import parse
    from accel.flow import emit as job
    from accel.flow import int8, outputs, report
    from accel.flow.progress import progress
    from accel.resources.clock import clock_notes

    chosen_board = boards.board(board) if board else None
    if point is not None or storage:
        if point is None or design or technique or formats or quantisation or images != 1:
            raise InputError("--point N [--storage FILE] says design, technique and formats: leave those options out")
        on, data = _emit_point(network, out, point, storage, calibration, shape, chosen_board)
    else:
        chosen = int8.source(network, technique, input_shape(shape), quantisation)
        if chosen_board and not design:
            on = boards.default_design(chosen_board)
        else:
            on = designs_module.load(design := design or "edge")
        outputs.check(out, (out / name for name in job.FILES), (network, design, calibration))
        report.check_folder(out)
        job.check(out)
        data = chosen.data(calibration)
        with progress(2) as advance:
            advance(f"{chosen.title}: compressing")
            integer = chosen.make(data)
            advance("writing Verilog")
            job.emit(integer, on, out, data.calibration, parse(formats or ()), data.host, chosen_board, images)
    for note in clock_notes(on):
        say(f"accel: {note}")
    _say_notes(data)
    _say_written(out, as_json)


def _emit_point(
    network: str, out: Path, number: int, storage: Path | None, calibration: str, shape: str, board: Board | None
) -> tuple[Design, Data]:  # fmt: skip
    """`accel emit --point`: the design and the data of what was written."""
    from accel.flow import emit as job
    from accel.flow import outputs, report
    from accel.flow.explore import candidates, stored_point
    from accel.flow.progress import progress

    source = candidates.source(network, calibration, shape=input_shape(shape))
    kept = storage or Path("accel-out") / source.name / "explore" / "explore.db"
    outputs.check(out, (out / name for name in job.FILES), (network, calibration, kept))
    report.check_folder(out)
    job.check(out)
    with progress(2) as advance:
        advance(f"point {number}: compressing")
        found = stored_point.load(kept, source, number)
        advance("writing Verilog")
        job.emit(found.network, found.design, out, source.data.calibration, found.formats, source.data.host, board)
    return found.design, source.data


def _say_written(out: Path, as_json: bool) -> None:
    """What `accel emit` wrote."""
    if as_json:
        files = sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file())
        _print_json({"folder": str(out), "files": files})
    else:
        typer.echo(f"wrote {out}")


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
    with report.made(out.parent):
        size_bytes = int8.save(chosen, made, out)
    _say_notes(data)
    if as_json:
        found: dict[str, Any] = {"file": str(out), "bytes": size_bytes, "technique": chosen.technique}
        _print_json(found | (blame.record(layers) if noise else {}))
        return
    if noise:
        blame.show(tables.console(), layers)
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

    _check_seed(seed)
    aim = (objective, accuracy, limit, trainings)
    if design:
        from accel.flow.tailor.verb import tailored

        wrong = {"RECIPE": recipe, "--test": test, "--labels": labels, "--storage-only": storage_only}
        for name, given in wrong.items():
            if given:
                raise InputError(f"{name} must be left out with --for, which searches and judges on held-out images")
        found = tailored(network, design, *aim, images, out, seed)
        if as_json:
            _print_json(job.record(found.outcome) | {"for": found.record()})
        else:
            job.show(tables.console(), found.outcome)
        found.check()
        return
    if any(given is not None and given != "" for given in aim):
        raise InputError("--objective, --accuracy, --limit and --trainings must come with --for DESIGN")
    if recipe is None:
        raise InputError("compress must have a recipe: give RECIPE, or --for DESIGN to search one")
    chosen = load(recipe)
    if storage_only:
        from accel.flow import storage

        known = network in zoo.ARCHITECTURES
        of = zoo.architecture(network, seed=None) if known else zoo.resolve(network)
        if as_json:
            _print_json(storage.record(of, chosen))
        else:
            storage.show(tables.console(), of, chosen)
        return
    if out is None:
        raise InputError("compress must have an output: give --out FILE (or --storage-only)")
    float_network, from_zoo = _network(network)
    _check_trainable(float_network, images)
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
    data = resolve(float_network, from_zoo, test=judged, labels=labels)
    with report.made(states):
        outcome = job.run(float_network, chosen, data, images, states, seed, say, validation)
        job.save(outcome, out)
        forget(states)
    if as_json:
        _print_json(job.record(outcome))
    else:
        job.show(tables.console(), outcome)
    say(f"wrote {out}, {weights.name} and {page.name}")
    if float_network.host:
        say(f"accel: warning: {out.name} is what the accelerator runs; nodes before and behind it are not in it")


@app.command()
def explore(
    network: RunNetwork,
    space: Annotated[Path, typer.Option(metavar="FILE", help="A YAML file: what varies, objectives, constraints.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", metavar="DIR", help="Folder for the files.")] = None,
    storage: Annotated[
        Path | None, typer.Option(metavar="FILE", help="SQLite file of all points. [default: DIR/explore.db]")
    ] = None,
    sampler: Annotated[str, typer.Option(help="exhaustive, nsga2, tpe, or auto. [default: of the space]")] = "",
    points: Annotated[int | None, typer.Option(help="Points of a search. [default: of the space]")] = None,
    seed: Annotated[int | None, typer.Option(help="Of a search. [default: of the space]")] = None,
    workers: Annotated[int, typer.Option(help="Processes; 0: as many as processors.")] = 0,
    dask: Annotated[str, typer.Option(metavar="ADDRESS", help="A Dask scheduler, tcp://HOST:8786, to work.")] = "",
    verify: Annotated[int, typer.Option(metavar="K", help="Run the Verilog of the first K points of the front.")] = 0,
    as_json: AsJson = False,
    calibration: Calibration = "",
    test: Test = "",
    labels: Labels = "",
    images: Images = None,
    shape: InputShape = "",
) -> None:
    """Find the best designs, techniques and formats for a network, out of a space of them.

    A run that was cut short goes on where it was. Files go to accel-out/NETWORK/explore; docs/explore.md says what a
    space may hold.
    """
    from accel.flow import outputs, report, tables
    from accel.flow.explore import candidates, show
    from accel.flow.explore import explore as job
    from accel.flow.explore import space as spaces
    from accel.flow.explore import verify as checks
    from accel.flow.explore.storage import opened
    from accel.flow.progress import progress, rated

    chosen = spaces.load(space).searched(sampler or None, points, seed)
    if workers < 0 or verify < 0:
        raise InputError(f"--workers and --verify must be 0 or more, not {min(workers, verify)}")
    if verify:
        checks.check()
    source = candidates.source(network, calibration, test, labels, input_shape(shape))
    folder = out or Path("accel-out") / source.name / "explore"
    kept = storage or folder / "explore.db"
    read: list[str | Path] = [network, space, calibration, test, labels, *candidates.names(chosen)]
    outputs.check(folder, (*(folder / name for name in show.FILES), kept), (*read, *outputs.images(images)))
    report.check_folder(folder)
    report.check_folder(kept.parent)
    kept.parent.mkdir(parents=True, exist_ok=True)
    with opened(kept) as points_of:
        with progress(job.steps(chosen)) as advance:
            study = job.prepare(source, chosen, points_of, images, advance, say)
        try:
            explored = job.explore(study, job.workers_of(workers, dask), rated)
        except KeyboardInterrupt:
            say(f"accel: interrupted; what was explored is in {kept}, and the same command goes on from there")
            raise
    report.write(folder, show.files(explored))
    if as_json:
        _print_json(show.record(explored))
    else:
        show.show(tables.console(), explored)
    for one in explored.defects[:1]:
        say(f"accel: warning: {len(explored.defects)} points met a defect of accel; point {one.number}: {one.reason}")
    _say_notes(source.data)
    say(f"files: {folder} (front.csv, front.json, points.csv, front.png); points: {kept}")
    failed = 0
    for number in explored.front[:verify]:
        cycles = explored.outcomes[number].metrics["cycles"]
        found = checks.verify(study, number, cycles)
        failed += bool(found)
        say(f"point {number}: {found or f'{cycles:,.0f} cycles, bytes and counters in Verilog, as explored'}")
    if failed:
        raise typer.Exit(1)


@app.command()
def train(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help=f"{', '.join(zoo.NAMES)}, or an experiment: hinton, ba-caruana (MNIST), "
            "urban, kim (Fashion-MNIST or CIFAR-10), resnet-8 (CIFAR-10).",
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

    _check_seed(seed or 0)
    outputs.check(out, (out, out.with_name(out.name + ".state")) if out.name else (), outputs.images(data))
    if name in experiments.EXPERIMENTS:
        if epochs is not None or seed is not None:
            raise InputError(f"experiment {name} has epochs and seeds of its own: leave out --epochs and --seed")
        found = experiments.run(tables.console(stderr=as_json), name, data, out, validation)
        if as_json:
            _print_json(found)
        return
    if name not in zoo.NAMES:
        known = ", ".join((*zoo.NAMES, *experiments.EXPERIMENTS))
        raise InputError(f"name of what to train must be one of {known}, not {name!r}")
    where = tables.console(stderr=as_json)
    last = job.run(where, name, data, out, 10 if epochs is None else epochs, seed or 0, validation)
    if as_json:
        _print_json({"network": name, "file": str(out), **last})


@app.command()
def designs(
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="Print this design as YAML, to start one's own.")] = "",
    as_json: AsJson = False,
) -> None:
    """List the designs that ship, or print one as YAML with what each field means."""
    from accel.flow import tables
    from accel.flow.design_fields import commented

    if name:
        one = designs_module.load(name)
        if as_json:
            _print_json(one.model_dump())
        else:
            typer.echo(commented(one), nl=False)
        return

    found = [designs_module.load(known) for known in designs_module.names()]
    if as_json:
        _print_json([one.model_dump() for one in found])
        return
    tables.show(tables.console(), "", tables.DESIGN_COLUMNS, found)


@app.command()
def synth(
    source: Annotated[
        str,
        typer.Argument(metavar="DIR|DESIGN", help="A folder that emit wrote, or a design by name or as a YAML file."),
    ],
    target: Annotated[
        str, typer.Option(metavar="PART", help="ecp5-25f, ecp5-85f, up5k or xc7. [default: the design's, or ecp5-85f]")
    ] = "",
    place: Annotated[bool, typer.Option("--place/--no-place", help="Place and route as well, if it fits.")] = True,
    as_json: AsJson = False,
) -> None:
    """Synthesise the hardware for an FPGA: LUTs, registers, multipliers and block RAM by component, and the clock.

    Needs the extra `fpga` (Yosys and nextpnr from the package index).
    """
    from accel.flow import synth as job
    from accel.flow import tables
    from accel.flow.progress import progress

    given = job.target(target) if target else None
    on = given or job.default_target(job.design_of(source))
    job.check(on, place)
    of = job.source(source)
    with progress(job.steps(of, on, place)) as advance:
        found = job.run(of, on, place, advance)
    if as_json:
        _print_json(job.record(found))
    else:
        job.show(tables.console(), found)
