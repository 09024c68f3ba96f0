"""`accel explore`: the best designs out of a space."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from accel.flow.arguments import AsJson, Calibration, Images, InputShape, Labels, RunNetwork, Test, input_shape
from accel.flow.said import say
from accel.flow.verbs.app import app, print_json, say_notes
from accel.models.errors import InputError


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
        print_json(show.record(explored))
    else:
        show.show(tables.console(), explored)
    for one in explored.defects[:1]:
        say(f"accel: warning: {len(explored.defects)} points met a defect of accel; point {one.number}: {one.reason}")
    for note in show.notes(explored):
        say(f"accel: {note}")
    say_notes(source.data)
    say(f"files: {folder} (front.csv, front.json, points.csv, front.png); points: {kept}")
    failed = 0
    for number in explored.front[:verify]:
        cycles = explored.outcomes[number].metrics["cycles"]
        found = checks.verify(study, number, cycles)
        failed += bool(found)
        say(f"point {number}: {found or f'{cycles:,.0f} cycles, bytes and counters in Verilog, as explored'}")
    if failed:
        raise typer.Exit(1)
