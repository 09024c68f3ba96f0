"""Verilog of a design, every distinct component once, and what a linter may be told about it."""

from __future__ import annotations

from functools import lru_cache

from amaranth.lib import wiring

from accel.design import Design
from accel.on_chip import constant_words
from accel.program import Program
from accel.rtl.core import Core
from accel.rtl.identifiers import plain_identifiers
from accel.rtl.modules import convert
from accel.rtl.multiplier import models
from accel.rtl.multiplier_models import GUARDED
from accel.rtl.on_chip import rom_verilog
from accel.rtl.ram import RAM_VERILOG, STORE_VERILOG
from accel.rtl.registered_ram import DP16KD, REGISTERED_VERILOG
from accel.rtl.reset import ActiveLow
from accel.rtl.top import Accelerator

__all__ = ["core_text", "verilog_text"]

TOP = "accelerator"

# Rules of `verilator -Wall` that the text breaks on purpose, and why that is harmless. Every other rule holds.
WAIVERS = {
    "DECLFILENAME": "all modules are in one file",
    "WIDTHEXPAND": "operands of different widths are extended by Verilog's own rules, as is meant",
    "WIDTHTRUNC": "a sum is a bit wider than its register, and a logical not reads a vector, as is meant",
    "UNUSEDPARAM": "parameters of a multiplier block that its model does not need",
    "UNUSEDSIGNAL": "fields of commands that a unit does not use, and bits that a slice leaves over",
    "PROCASSINIT": "registers have an initial value as well as a reset: FPGAs load it with the bit stream",
    "CASEINCOMPLETE": "a value is assigned before the case statement, which changes it for the cases that it names",
}


def verilog_text(design: Design) -> str:
    """The accelerator as Verilog, top module `TOP`. The text grows with the distinct components, not with R x C.

    Of a design with DRAM: a core without is made of its program, by `core_text`.
    """
    return _text(design)


@lru_cache(4)  # two seconds each, and a network of several stretches asks for the same several times
def _text(design: Design) -> str:
    return text_of(Accelerator(design), design)


def text_of(component: wiring.Component, design: Design) -> str:
    """A component of a design's hardware as Verilog, module `TOP`, with the memories that all others are made of."""
    if design.reset == "active-low":
        component = ActiveLow(component)
    modules = convert(component, TOP).values()
    blocks = any(" ram_registered " in text for text in modules)
    text = "\n".join([*modules, RAM_VERILOG, STORE_VERILOG, *([REGISTERED_VERILOG] if blocks else [])])
    found = plain_identifiers(text) + models(design)
    return found + (GUARDED.format(DP16KD) if blocks else "")


def core_text(program: Program) -> str:
    """A core without DRAM as Verilog, its program and weights included, top module `TOP`."""
    rom = rom_verilog(program.design.memory.axi_bits, constant_words(program))
    return text_of(Core(program), program.design) + rom


def waivers_text() -> str:
    """`WAIVERS` as a Verilator control file."""
    lines = ["`verilator_config", f"// Rules of -Wall that {TOP}.v does not follow, each with the reason."]
    for rule, reason in WAIVERS.items():
        lines += [f"// {rule}: {reason}.", f'lint_off -rule {rule} -file "*{TOP}.v"']
    return "\n".join(lines) + "\n"
