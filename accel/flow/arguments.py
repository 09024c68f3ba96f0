"""What several verbs of the command line take: their types, texts and completions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from accel import design as designs_module
from accel.board import BOARDS
from accel.models import zoo
from accel.models.errors import InputError
from accel.models.training.images import LARGEST_SHIFT


def input_shape(text: str) -> tuple[int, ...] | None:
    """The sizes in C,H,W; None if there are none. Raises InputError."""
    if not text:
        return None
    sizes = text.replace("x", ",").split(",")
    if not all(size.isascii() and size.isdigit() and len(size) < 10 for size in sizes):
        raise InputError(f"--input-shape must be whole numbers with commas between them, not {text!r}")
    return tuple(int(size) for size in sizes)


def networks() -> list[str]:
    """Names of networks that ship, for the completion."""
    return list(zoo.ALL)


def techniques() -> list[str]:
    """Names of techniques, for the completion."""
    from accel.flow.techniques import names

    return list(names())


def board_names() -> list[str]:
    """Names of boards, for the completion."""
    return list(BOARDS)


KNOWN = ", ".join(zoo.ALL)
NetworkArgument = Annotated[
    str,
    typer.Argument(
        metavar="NETWORK",
        help=f"An ONNX or .tflite file, or one of {KNOWN}; also encoded weights (.weights).",
        autocompletion=networks,
    ),
]
RunNetwork = Annotated[
    str,
    typer.Argument(
        metavar="NETWORK",
        help=f"An ONNX or .tflite file, or one of {KNOWN}; also encoded weights (.weights) and what quantise "
        "writes (.int8).",
        autocompletion=networks,
    ),
]
InputShape = Annotated[
    str,
    typer.Option(
        "--input-shape", metavar="C,H,W", help="Sizes of the input that the ONNX file leaves open, without the batch."
    ),
]
LARGEST_SEED = 2**32 - 1
DesignHelp = "A design by name (see `accel designs`), a YAML file or a .cfg of SCALE-Sim."
Calibration = Annotated[
    str, typer.Option(metavar="FILE", help="Inputs that set the ranges: .npy of floats [N,C,H,W], or mnist.")
]
Quantisation = Annotated[
    str,
    typer.Option(
        metavar="WORDS",
        help="How int8 is made: min-max, percentile[=P] or mse ranges; equalise; plain-biases; or best, which tries "
        "them. With commas between. [default: min-max]",
    ),
]
Test = Annotated[str, typer.Option(metavar="FILE", help="Test inputs for the accuracy column: .npy, or mnist.")]
Labels = Annotated[
    str, typer.Option(metavar="FILE", help="Classes of the test inputs, or values: .npy of integers or floats.")
]
Images = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="DATA",
        help="What steps that train learn: a folder of images by class, .npz, .npy or IDX files.",
    ),
]
Mean = Annotated[
    str,
    typer.Option(
        "--mean",
        metavar="M[,M,M]",
        help="Pixels (of images, of uint8) are read as (pixel / 255 - mean) / std; one number or one a channel, "
        "123.68/255 as well.",
    ),
]
Std = Annotated[str, typer.Option("--std", metavar="S[,S,S]", help="See --mean; 1/255 for pixels of 0..255.")]
Shift = Annotated[
    int,
    typer.Option(
        "--shift",
        metavar="N",
        min=0,
        max=LARGEST_SHIFT,
        help="Images that are learnt move by up to N pixels each way: for networks that were trained so. [default: 0]",
        show_default=False,
    ),
]
Mirror = Annotated[bool, typer.Option("--mirror", help="Half of the images that are learnt are mirrored: see --shift.")]
Validation = Annotated[
    bool,
    typer.Option("--validation", help="Hold out a sixth of the training images to judge on, instead of the test set."),
]
WeightFormats = Annotated[
    list[str] | None,
    typer.Option(
        "--formats",
        metavar="FORMAT",
        help="Weights plain, coded, dense, dense-coded (without their codebook), or auto (plain or coded: fewest "
        "cycles, then bytes); LAYER=FORMAT for some layers. Repeatable.",
    ),
]
Tries = Annotated[
    int,
    typer.Option("--tries", metavar="N", min=0, help="For each layer also time N programs with other tilings."),
]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print one JSON document on standard output, instead of tables and lines.")
]
OneTechnique = Annotated[
    str,
    typer.Option(
        help="dense (unless given), shared-8, -6, -4, -3, -2, as-is, or one of the zoo (deep, ...)",
        autocompletion=techniques,
    ),
]
OneDesign = Annotated[str, typer.Option(help=DesignHelp, autocompletion=designs_module.names)]
