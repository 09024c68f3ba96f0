"""`accel emit`, `synth` and `designs`: the hardware."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from accel import board as boards
from accel import design as designs_module
from accel.board import Board
from accel.design import Design
from accel.flow.arguments import (
    AsJson,
    Calibration,
    InputShape,
    OneDesign,
    OneTechnique,
    Quantisation,
    RunNetwork,
    Tries,
    WeightFormats,
    board_names,
    input_shape,
)
from accel.flow.said import say
from accel.flow.verbs.app import app, print_json, say_notes
from accel.models.errors import InputError

if TYPE_CHECKING:
    from accel.flow.data import Data


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
    tries: Tries = 0,
) -> None:
    """Write the accelerator as Verilog, with DRAM image, register map and a self-checking test bench."""
    from accel.compiler.choose import parse
    from accel.flow import emit as job
    from accel.flow import int8, outputs, report
    from accel.flow.progress import progress
    from accel.resources.clock import clock_notes

    chosen_board = boards.board(board) if board else None
    if point is not None or storage:
        if point is None or design or technique or formats or quantisation or tries or images != 1:
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
            job.emit(integer, on, out, data.calibration, parse(formats or ()), data.host, chosen_board, images, tries)
    for note in clock_notes(on, str(out)):
        say(f"accel: {note}")
    say_notes(data)
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
        print_json({"folder": str(out), "files": files})
    else:
        typer.echo(f"wrote {out}")


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
        print_json(job.record(found))
    else:
        job.show(tables.console(), found)
    if found.failed:
        raise InputError(found.failed)


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
            print_json(one.model_dump())
        else:
            typer.echo(commented(one), nl=False)
        return

    found = [designs_module.load(known) for known in designs_module.names()]
    if as_json:
        print_json([one.model_dump() for one in found])
        return
    tables.show(tables.console(), "", tables.DESIGN_COLUMNS, found)
