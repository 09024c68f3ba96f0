"""What several verbs of the command line take: their types, texts and completions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from accel import design as designs_module
from accel.models import zoo


def networks() -> list[str]:
    """Names of networks that ship, for the completion."""
    return list(zoo.NAMES)


def techniques() -> list[str]:
    """Names of techniques, for the completion."""
    from accel.flow.techniques import names

    return list(names())


NetworkArgument = Annotated[
    str,
    typer.Argument(
        metavar="NETWORK",
        help=f"An ONNX file, or one of {', '.join(zoo.NAMES)}; also encoded weights (.weights).",
        autocompletion=networks,
    ),
]
RunNetwork = Annotated[
    str,
    typer.Argument(
        metavar="NETWORK",
        help=f"An ONNX file, or one of {', '.join(zoo.NAMES)}; also encoded weights (.weights) and what quantise "
        "writes (.int8).",
        autocompletion=networks,
    ),
]
LARGEST_SEED = 2**32 - 1
DesignHelp = "A design by name (see `accel designs`) or a YAML file."
Calibration = Annotated[
    str, typer.Option(metavar="FILE", help="Inputs that set the ranges: .npy of floats [N,C,H,W], or mnist.")
]
Test = Annotated[str, typer.Option(metavar="FILE", help="Test inputs for the accuracy column: .npy, or mnist.")]
Labels = Annotated[str, typer.Option(metavar="FILE", help="Classes of the test inputs: .npy of integers.")]
Images = Annotated[
    Path | None, typer.Option("--data", metavar="DIR", help="Folder with IDX files, for steps that train.")
]
Validation = Annotated[
    bool,
    typer.Option("--validation", help="Hold out a sixth of the training images to judge on, instead of the test set."),
]
WeightFormats = Annotated[
    list[str] | None,
    typer.Option(
        "--formats",
        metavar="FORMAT",
        help="Weights coded, plain, or auto (fewest cycles, then bytes); LAYER=FORMAT for some layers. Repeatable.",
    ),
]
OneTechnique = Annotated[
    str,
    typer.Option(
        help="dense (unless given), shared-8, -6, -4, -3, -2, as-is, or one of the zoo (deep, ...)",
        autocompletion=techniques,
    ),
]
OneDesign = Annotated[str, typer.Option(help=DesignHelp, autocompletion=designs_module.names)]
