"""The register map as SystemRDL 2.0, from the table that the hardware is made of."""

from __future__ import annotations

import re

from accel.design import Design
from accel.registers import COUNTERS, Bits, Register, registers

SOFTWARE = {"rw": "rw", "ro": "r", "wo": "w", "w1c": "r"}
HARDWARE = {"rw": "r", "ro": "w", "wo": "r", "w1c": "w"}


def rdl(design: Design) -> str:
    """An addrmap `accelerator`, the register file of a design as it is at byte offsets from `s_axil`'s base."""
    lines = [
        f"// The registers of the accelerator of the design {design.name}.",
        "addrmap accelerator {",
        '    name = "accelerator";',
        "    default regwidth = 32;",
        "    default accesswidth = 32;",
    ]
    for register in (*registers(design), *COUNTERS):
        lines += ["", *_register(register)]
    return "\n".join([*lines, "};", ""])


def _register(register: Register) -> list[str]:
    whole = Bits("value", register.align, register.text, register.bits - register.align)
    lines = ["    reg {", f"        desc = {_quoted(register.text)};"]
    for part in register.parts or (whole,):
        sw, hw = ("rw", "rw") if part.cleared else (SOFTWARE[register.access], HARDWARE[register.access])
        reset = register.reset >> part.low & (1 << part.bits) - 1
        more = [f"desc = {_quoted(part.text)};"] + ["onwrite = woclr;"] * part.cleared
        place = f"[{part.low + part.bits - 1}:{part.low}] = {part.bits}'h{reset:x}"
        lines.append(f"        field {{ sw = {sw}; hw = {hw}; {' '.join(more)} }} {part.name}{place};")
    return [*lines, f"    }} {register.name} @ 0x{register.offset:03X};"]


def _quoted(text: str) -> str:
    return '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'
