"""Verilog of a design: every distinct component once."""

from __future__ import annotations

from pathlib import Path

from amaranth.back import verilog

from accel.design import Design
from rtl.shared import collecting
from rtl.top import Accelerator


def verilog_text(design: Design) -> str:
    """The accelerator as Verilog, top module `accelerator`. The text grows with the distinct components, not R x C."""
    with collecting() as table:
        parts = [verilog.convert(Accelerator(design), name="accelerator", strip_internal_attrs=True)]
    parts += [
        verilog.convert(component, name=name, strip_internal_attrs=True) for name, component in sorted(table.items())
    ]
    return "\n".join(parts)


def write_verilog(design: Design, path: Path) -> None:
    """Write `verilog_text` to a file."""
    path.write_text(verilog_text(design), encoding="utf-8")
