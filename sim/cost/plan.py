"""What is priced of a design, looked up once: memories with their table entries, logic with the factors of its node."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from accel.design import Design
from accel.dram import Rank, rank_of
from accel.sim.cost.constants import Values
from accel.sim.cost.scaling import AREA_FACTOR, ENERGY_FACTOR
from accel.sim.cost.sram import SMALLEST_BYTES, Sram, memory
from accel.sim.cost.structure import Block, MemoryShape, blocks, memories


@cache
def leakage_density_mw_per_mm2(cell: str, node_nm: int) -> float:
    """Leakage of the table's SRAM of 32 KiB and 64 bits over its area: what logic of that cell is compared to."""
    one = memory(cell, node_nm, 4096, 64)
    return one.leakage_mw / one.area_mm2


@dataclass(frozen=True)
class Plan:
    """A design as the cost model sees it. `memories`: each kind with one of its memories as the table has it."""

    design: Design
    memories: tuple[tuple[MemoryShape, Sram], ...]
    blocks: tuple[Block, ...]
    rank: Rank | None
    energy_factor: float
    area_factor: float
    leakage_density_mw_per_mm2: float

    @classmethod
    def of(cls, design: Design) -> Plan:
        """The plan of a design."""
        cell, node = design.technology.sram_cell, design.technology.node_nm
        priced = tuple((shape, memory(cell, node, shape.words, shape.width_bits)) for shape in memories(design))
        return cls(
            design, priced, blocks(design), rank_of(design), ENERGY_FACTOR[node], AREA_FACTOR[node],
            leakage_density_mw_per_mm2(cell, node),
        )  # fmt: skip

    def memory_mm2(self, v: Values) -> dict[str, float]:
        """Area by kind of memory. One smaller than the table's smallest is of flip-flops, if they are smaller."""
        found, bit = {}, v["REGISTER_AREA"] * v["PLACEMENT"] * self.area_factor * 1e-6
        for shape, one in self.memories:
            area, bits = one.area_mm2 * v["TWO_PORT_AREA"], shape.words * shape.width_bits
            found[shape.name] = shape.count * (min(area, bits * bit) if bits < 8 * SMALLEST_BYTES else area)
        return found

    def logic_mm2(self, v: Values) -> dict[str, float]:
        """Area by component of the logic."""
        unit = v["PLACEMENT"] * self.area_factor * 1e-6
        multiplier, lut, register = v["MULTIPLY_AREA"] * unit, v["LUT_AREA"] * unit, v["REGISTER_AREA"] * unit
        return {
            b.name: b.multiplier_bits2 * multiplier + b.luts * lut + (b.registers + b.kept) * register
            for b in self.blocks
        }

    def leakage_mw(self, v: Values) -> dict[str, float]:
        """Leakage of the memories and of the logic."""
        cells = sum(shape.count * one.leakage_mw for shape, one in self.memories)
        logic = sum(self.logic_mm2(v).values()) * self.leakage_density_mw_per_mm2
        return {
            "memory leakage": cells * v["TWO_PORT_LEAKAGE"] * v["SRAM_HEAT"],
            "logic leakage": logic * v["LOGIC_LEAKAGE"],
        }
