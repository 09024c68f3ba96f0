"""Registers and multipliers that the cost model prices, counted in the emitted Verilog; the engine of a design."""

from __future__ import annotations

import re
from typing import get_args

import pytest
from amaranth.hdl import Fragment

from accel.datapath import (
    REQUANTISE_ADDERS,
    REQUANTISE_MULTIPLIERS,
    RESIDUAL_ADDERS,
    RESIDUAL_MULTIPLIER,
    pe_registers,
)
from accel.design import Design, Sparse, Systolic
from accel.rtl.engines import ENGINES, compute_unit
from accel.rtl.modules import convert
from accel.rtl.output_stationary.pe import PE as OutputPE
from accel.rtl.requantise import Requantise
from accel.rtl.systolic.pe import PE
from accel.rtl.systolic.unit import ComputeUnit
from accel.rtl.top import Accelerator
from tests.benches.unit_designs import compute_design, post_design


def registers(text: str) -> dict[str, int]:
    """Name and bits of what is assigned at a clock edge."""
    widths = {
        name: int(high or 0) + 1 for high, name in re.findall(r"^ +reg (?:signed )?(?:\[(\d+):0\] )?(\w+)", text, re.M)
    }
    clocked = {name for body in re.findall(r"always @\(posedge clk\).*?(?=always|assign|endmodule)", text, re.S)
               for name in re.findall(r"(\w+) <= ", body)}  # fmt: skip
    return {name: widths[name] for name in clocked}


@pytest.mark.parametrize("stages", [1, 2, 3])
@pytest.mark.parametrize(("rows", "bits"), [(1, 32), (8, 32), (64, 20)])
def test_registers_of_a_processing_element(rows: int, bits: int, stages: int) -> None:
    """A sum has the bits of a product (-128 * -128 needs 16), one more for each doubling of the rows."""
    design = compute_design(rows, 1, bits, stages)
    (text,) = convert(PE(design), "pe").values()
    assert sorted(registers(text).values()) == sorted(pe_registers(design).values())
    total = min(bits, (rows * 2**14).bit_length() + 1)
    assert sum(pe_registers(design).values()) == total + [55, 72, 88][stages - 1]


@pytest.mark.parametrize("dataflow", ["ws", "os"])
def test_registers_beside_a_multiplier_block(dataflow: str) -> None:
    """Those of the multiplier are in the block, and nothing tells a gate of zeros."""
    design = compute_design(8, 1, 32, 3, dataflow=dataflow, multiplier="ecp5")
    made = (PE if dataflow == "ws" else OutputPE)(design)
    text = convert(made, "pe")["pe"]
    assert sorted(registers(text).values()) == sorted(pe_registers(design).values())
    assert sum(pe_registers(design).values()) == (4 * 8 + 3 + 19 if dataflow == "ws" else 2 * 8 + 3 + 2 * 32)


@pytest.mark.parametrize("stages", [1, 2, 3])
def test_registers_of_a_processing_element_that_holds_a_sum(stages: int) -> None:
    design = compute_design(1, 1, 27, stages, dataflow="os")
    (text,) = convert(OutputPE(design), "pe").values()
    assert sorted(registers(text).values()) == sorted(pe_registers(design).values())


@pytest.mark.parametrize("stages", [1, 2, 3])
def test_multipliers_of_a_lane(stages: int) -> None:
    """Two for a sum, a residual operand's; an unsigned multiplier is a bit wider as a signed one."""
    (text,) = convert(Requantise(post_design(1, 1, 1, multiplier_stages=stages)), "requantise").values()
    word = r"([\\$\w]+)(?:\[(\d+):(\d+)\])?"  # with one register the factors are wires without a name, \$2 and the like
    widths = {name: int(high) + 1 for high, name in re.findall(r"(?:reg|wire) \[(\d+):0\] ([\\$\w]+)", text)}

    def bits(factor: str) -> int:
        parts = [part for part in re.findall(word, factor) if part[0] in widths]
        return sum(int(high) - int(low) + 1 if high else widths[name] for name, high, low in parts)

    found = [(bits(left), bits(right)) for left, right in re.findall(r" = (.*) \* (.*);", text)]
    assert sorted(found) == sorted([*REQUANTISE_MULTIPLIERS, RESIDUAL_MULTIPLIER])
    assert len(re.findall(r" \+ ", text)) == len(REQUANTISE_ADDERS) + len(RESIDUAL_ADDERS)


def test_every_engine_of_the_schema_has_a_component() -> None:
    kinds = {kind for engine in (Systolic, Sparse) for kind in get_args(engine.model_fields["kind"].annotation)}
    assert set(ENGINES) == kinds
    made = compute_unit(compute_design(2, 2))
    Fragment.get(made, None)
    assert isinstance(made, ComputeUnit)


def test_the_hardware_is_that_of_the_design_s_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another component under the name, and the accelerator is built with it."""
    asked: list[Design] = []

    def other(design: Design) -> ComputeUnit:
        asked.append(design)
        return ComputeUnit(design)

    monkeypatch.setitem(ENGINES, "systolic", other)
    design = compute_design(1, 2)
    Fragment.get(Accelerator(design), None)
    assert asked == [design]
