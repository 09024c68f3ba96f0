"""Verilog of a design: every distinct component once."""

from __future__ import annotations

from accel.design import Design
from rtl.ram import RAM_VERILOG
from rtl.shared import convert
from rtl.top import Accelerator

TOP = "accelerator"


def verilog_text(design: Design) -> str:
    """The accelerator as Verilog, top module `TOP`. The text grows with the distinct components, not with R x C."""
    return "\n".join([RAM_VERILOG, *convert(Accelerator(design), TOP).values()])
