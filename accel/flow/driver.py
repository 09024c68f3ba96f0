"""The C driver of an emitted folder: two files that are the same for all, and headers made of registers and network."""

from __future__ import annotations

import json
from collections.abc import Iterator
from math import prod

from accel.design import Design
from accel.flow.emit_text import template
from accel.flow.register_map import definitions
from accel.layout import RowTensor, stride_bytes
from accel.program import Placement
from accel.registers import VERSION, registers
from accel.series import Series, pages

SOURCES = ("accel.h", "accel.c")
FILES = (*SOURCES, "accel_registers.h", "accel_network.h")


def files(series: Series, image_bytes: int, cycles: tuple[int, int]) -> dict[str, str]:
    """The files by name. `image_bytes`: of what must lie in memory before a start; `cycles`: of the first image of a
    run and of each further one, as simulated.
    """
    return {
        **{name: template(name) for name in SOURCES},
        "accel_registers.h": registers_header(),
        "accel_network.h": network_header(series, image_bytes, cycles),
    }


def registers_header() -> str:
    """What the driver knows of the hardware, whatever the design."""
    what = "Registers (byte offsets), performance counters, codes of errors."
    return _guarded("ACCEL_REGISTERS_H", what, definitions())


def _guarded(guard: str, what: str, lines: list[str]) -> str:
    return "\n".join([f"/* {what} */", f"#ifndef {guard}", f"#define {guard}", "", *lines, "", "#endif", ""])


def network_header(series: Series, image_bytes: int, cycles: tuple[int, int]) -> str:
    """Where everything of a program lies, as macros and as the constants that the driver's functions take."""
    program, following, design = series.first, series.following, series.first.design
    spans = [*program.input_span, *program.output_span]
    values = {
        "NETWORK_NAME": json.dumps(program.name),
        "DESIGN_NAME": json.dumps(design.name),
        "VERSION_VALUE": f"0x{VERSION:08X}u",
        "ARRAY_VALUE": f"0x{next(r.reset for r in registers(design) if r.name == 'ARRAY'):08X}u",
        "ADDRESS_BITS": f"{design.memory.axi_address_bits}u",
        "IMAGE_BYTES": f"{image_bytes}u /* of image.bin */",
        "DRAM_BYTES": f"{program.dram_bytes}u /* that a run may touch, from DRAM_BASE on */",
        "IMAGE_PROGRAM_OFFSET": f"{program.program_offset}u",
        "IMAGE_PROGRAM_COUNT": f"{program.first_fetch}u",
        "NEXT_PROGRAM_OFFSET": f"{following.program_offset}u",
        "NEXT_PROGRAM_COUNT": f"{following.first_fetch}u",
        "CYCLES": f"{cycles[0]}u /* of an image, behind the memory that design.yaml states */",
        "NEXT_CYCLES": f"{cycles[1]}u /* of each further image of a run */",
        "INPUT_LEAST_STEP": f"{pages(spans[1] - spans[0])}u /* bytes, from image to image of a run */",
        "OUTPUT_LEAST_STEP": f"{pages(spans[3] - spans[2])}u",
    }
    lines = ['#include "accel.h"', "", *_macros("ACCEL", values)]
    for end, places in (("INPUT", program.inputs), ("OUTPUT", program.outputs)):
        for number, place in enumerate(places):
            lines += ["", f"/* {place.name} */", *_macros(_prefix(end, number), dict(_tensor(place, design)))]
    lines += [""]
    for end, places in (("INPUT", program.inputs), ("OUTPUT", program.outputs)):
        lines += [f"static const struct accel_tensor accel_{end.lower()}s[] = {{"]
        lines += [f"    {_initialiser(_prefix(end, number), place)}," for number, place in enumerate(places)]
        lines += ["};"]
    lines += [
        "static const struct accel_network accel_network = {",
        "    ACCEL_NETWORK_NAME, ACCEL_DESIGN_NAME, ACCEL_VERSION_VALUE, ACCEL_ARRAY_VALUE, ACCEL_ADDRESS_BITS,",
        "    ACCEL_IMAGE_BYTES, ACCEL_DRAM_BYTES, ACCEL_IMAGE_PROGRAM_OFFSET, ACCEL_IMAGE_PROGRAM_COUNT,",
        "    ACCEL_NEXT_PROGRAM_OFFSET, ACCEL_NEXT_PROGRAM_COUNT,",
        f"    {', '.join(f'{at}u' for at in spans)},",
        f"    {len(program.inputs)}u, {len(program.outputs)}u, accel_inputs, accel_outputs,",
        "};",
    ]
    return _guarded("ACCEL_NETWORK_H", f"{program.name} on {design.name}: image.bin, and its tensors.", lines)


def _prefix(end: str, number: int) -> str:
    return f"ACCEL_{end}_{number}" if number else f"ACCEL_{end}"


def _macros(prefix: str, values: dict[str, str]) -> list[str]:
    return [f"#define {prefix}_{name} {value}" for name, value in values.items()]


def _tensor(place: Placement, design: Design) -> Iterator[tuple[str, str]]:
    """The macros of a tensor: what `struct accel_tensor` holds."""
    layout = place.layout
    size = {"OFFSET": place.offset, "BYTES": place.bytes(design)}
    size |= dict(zip(("CHANNELS", "HEIGHT", "WIDTH"), place.shape, strict=True))
    yield from ((name, f"{value}u") for name, value in size.items())
    yield "CODES", f"{prod(place.shape)}u"
    yield "SCALE", _float(place.scale)
    yield "ZERO_POINT", f"({place.zero_point})"
    if isinstance(layout, RowTensor):
        yield "ROW_PITCH", f"{layout.pitch_bytes}u /* bytes */"
        yield from ((f"PAD_{side}", f"{n}u") for side, n in zip(SIDES, layout.pads, strict=True))
        yield "PAD_VALUE", f"({layout.pad_value})"
        return
    yield "ROW_PITCH", f"{layout.row_pitch}u /* words */"
    yield "LANES", f"{design.word_lanes}u"
    yield "STRIDE_BYTES", f"{stride_bytes(design.word_lanes, design.beat_bytes)}u"
    yield "PLANE", f"{layout.plane}u /* words */"


SIDES = ("TOP", "LEFT", "BOTTOM", "RIGHT")


def _float(value: float) -> str:
    """A float32 constant of C: nine digits say which one it is."""
    text = f"{value:.9g}"
    return f"{text}f" if set(text) & set(".e") else f"{text}.0f"


def _initialiser(prefix: str, place: Placement) -> str:
    """A `struct accel_tensor` in the order of its fields."""
    rows = isinstance(place.layout, RowTensor)
    names = ["OFFSET", "BYTES", "CHANNELS", "HEIGHT", "WIDTH", "ROW_PITCH"]
    fields = ["ACCEL_ROWS" if rows else "ACCEL_WORDS", *(f"{prefix}_{name}" for name in names)]
    fields += ["0u"] * 3 if rows else [f"{prefix}_{name}" for name in ("LANES", "STRIDE_BYTES", "PLANE")]
    fields += [f"{prefix}_PAD_{side}" for side in SIDES] if rows else ["0u"] * 4
    fields += [f"{prefix}_PAD_VALUE" if rows else "0", f"{prefix}_ZERO_POINT", f"{prefix}_SCALE"]
    return f"{{{', '.join(fields)}}}"
