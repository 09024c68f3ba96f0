"""`accel simulate` and `program`: one network on one design."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from accel import design as designs_module
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
    input_shape,
)
from accel.flow.said import say
from accel.flow.verbs.app import app, print_json, say_notes
from accel.models.errors import InputError, printable
from accel.scale_sim import topology
from accel.scale_sim.config import Array

if TYPE_CHECKING:
    from accel.flow.conventions import Line


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
    tries: Tries = 0,
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
        _simulate_topology(network, design, parse(formats or ()), tries, like, as_json)
        return
    array, on, reason = conventions.array_of(design) if like else (None, designs_module.load(design), "")
    chosen = int8.source(network, technique, input_shape(shape), quantisation)
    if on is None and (trace is not None or images != 1):
        raise InputError(reason)
    data = chosen.data(calibration)
    found = many = None
    with progress(2) as advance:
        advance(f"{chosen.title}: compressing")
        integer = chosen.make(data)
        if on is not None:
            advance(f"simulating on {on.name}")
            found = job.run(integer, on, data.calibration, parse(formats or ()), tries)
        if on is not None and images != 1:
            many = images_job.run(integer, on, images, data.calibration, parse(formats or ()), tries)
        if on is not None and trace is not None:
            drawn = trace_job.of(integer, on, data.calibration, parse(formats or ()), trace, tries)
            report.write(trace.parent, {trace.name: drawn})
    theirs = conventions.lines(conventions.shapes(integer), array, found) if array else []
    if array and found is None:
        _say_alone(integer.name, theirs, array, reason, as_json)
    elif found and as_json:
        more: dict[str, Any] = {"technique": chosen.technique, "data": data.source, "warnings": list(data.notes)}
        more |= {"scale_sim": conventions.record(theirs)} if like else {}
        print_json(found.to_dict() | more | ({"run": many.to_dict()} if many else {}))
    elif found:
        tables.show_simulation(tables.console(), found)
        if many:
            typer.echo(many.line())
        if array:
            conventions.show_lines(tables.console(), theirs, array)
    say_notes(data)


def _say_alone(name: str, theirs: Sequence[Line], array: Array, reason: str, as_json: bool) -> None:
    """SCALE-Sim's cycles without ours, and why there are none of ours."""
    from accel.flow import conventions, tables

    warning = f"there are only SCALE-Sim's cycles: {reason}"
    if as_json:
        print_json(conventions.record_alone(name, theirs, array, warning))
        return
    conventions.show_lines(tables.console(), theirs, array)
    say(f"accel: warning: {warning}")


def _simulate_topology(path: str, design: str, formats: Any, tries: int, like: str, as_json: bool) -> None:
    """`accel simulate` of a list of layers."""
    from accel.flow import conventions, tables
    from accel.flow import simulate as job
    from accel.flow.progress import progress

    layers, name = topology.load(path), printable(Path(path).stem)
    array, on, reason = conventions.array_of(design) if like else (None, designs_module.load(design), "")
    if array and on is None:
        _say_alone(name, conventions.lines(layers, array, None), array, reason, as_json)
        return
    assert on is not None
    with progress(1) as advance:
        advance(f"simulating {len(layers)} layers on {on.name}")
        found = job.run_each(name, layers, on, formats, tries)
    theirs = conventions.lines(layers, array, found) if array else []
    if as_json:
        print_json(found.to_dict() | ({"scale_sim": conventions.record(theirs)} if like else {}))
        return
    tables.show_simulation(tables.console(), found)
    if array:
        conventions.show_lines(tables.console(), theirs, array)


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
    tries: Tries = 0,
) -> None:
    """Print the commands that run one network on one design, one a line; a program a stretch."""
    from accel.compile import compile_network
    from accel.compiler.choose import parse
    from accel.flow import int8
    from accel.models.integers.stretches import stretches

    chosen, on = int8.source(network, technique, input_shape(shape), quantisation), designs_module.load(design)
    data = chosen.data(calibration)
    made = [compile_network(part, on, parse(formats or ()), tries) for part in stretches(chosen.make(data))]
    if as_json:
        print_json(made[0].to_dict() if len(made) == 1 else {"programs": [each.to_dict() for each in made]})
    else:
        typer.echo("\n".join(each.text() for each in made), nl=False)
    say_notes(data)
