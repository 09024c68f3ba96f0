"""The constants of the cost model, each with its source, node, voltage, range and status: one table, `CONSTANTS`.

`accel.sim.cost` multiplies these by counts and does nothing else. `low` and `high` are the ends of what sources and
circumstances give, `nominal` is what single figures are made with. Statuses: "verified" was read in the source or in a
publication that quotes it, or follows from such numbers by the arithmetic that `source` states; "unverified" is
recalled or estimated. A test refuses a constant without them. `python -m accel.sim.cost.tables docs/cost.md` prints it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

HOROWITZ = "Horowitz, Computing's energy problem, ISSCC 2014"
DEEP_COMPRESSION = "Han et al., Deep Compression and EIE, arXiv 1510.00149 and 1602.01528, table I"
ALADDIN = "Shao et al., Aladdin, ISCA 2014, power models of a commercial 40 nm library"
EIE = "Han et al., EIE, arXiv 1602.01528, table II"

LOGIC_NODE_NM = 45  # the node of the constants of logic; `accel.sim.cost.scaling` goes on from there

Unit = Literal["pJ", "pJ/bit", "pJ/bit^2", "um^2/bit", "um^2/bit^2", "um^2/LUT", "nJ", "mW", "ratio"]


@dataclass(frozen=True)
class Constant:
    """One number: `nominal` of `unit` for one `what`, which may lie between `low` and `high`.

    `node_nm` and `voltage` are those of the source; a ratio has none, a DRAM device no node that its maker states.
    """

    name: str
    what: str
    unit: Unit
    low: float
    nominal: float
    high: float
    source: str
    node_nm: int | None
    voltage: float | None
    status: Literal["verified", "unverified"]


def _logic(name: str, what: str, unit: Unit, values: tuple[float, float, float], source: str, sure: bool) -> Constant:
    return Constant(name, what, unit, *values, source, 45, 0.9, "verified" if sure else "unverified")


def _ratio(name: str, what: str, values: tuple[float, float, float], source: str, sure: bool = False) -> Constant:
    return Constant(name, what, "ratio", *values, source, None, None, "verified" if sure else "unverified")


LOGIC = (
    _logic("MULTIPLY", "multiplication, of the product of its widths", "pJ/bit^2", (3.1 / 1024, 0.0061, 12.68 / 1024),
           f"low: 3.1 pJ for 32 x 32 bits, {HOROWITZ}; high: 12.68 pJ, {ALADDIN} at 1 ns; nominal: their geometric"
           " mean (1.6 pJ for 16 x 16 bits, where EIE's arithmetic takes 1.45 with its addition)", True),
    _logic("ADD", "addition, of its width", "pJ/bit", (0.1 / 32, 0.0045, 0.2104 / 32),
           f"low: 0.1 pJ for 32 bits, {HOROWITZ}; high: 0.21 pJ, {ALADDIN} at 1 ns; nominal: their geometric"
           " mean", True),
    _logic("REGISTER", "a flip-flop in a cycle in which it is clocked", "pJ/bit", (0.0008, 0.0027, 0.009),
           f"high: {ALADDIN}; low: 1.026 mW at 800 MHz and 9,465 um2 of registers, clock gated, {EIE}, over Aladdin's"
           " 5.98 um2 a flip-flop; nominal: their geometric mean", True),
    _logic("MULTIPLY_AREA", "multiplier, of the product of its widths", "um^2/bit^2", (3.4, 4.4, 6.2),
           f"3495 um2 for 32 x 32 bits and 282 for 8 x 8, {HOROWITZ}, recalled; high: 6351 um2, {ALADDIN} at"
           " 1 ns", False),
    _logic("LUT_AREA", "logic that an FPGA has a 4-input LUT for, as a bit of an adder", "um^2/LUT", (2.2, 4.4, 8.7),
           f"137 um2 for 32 bits and 36 for 8, {HOROWITZ}, recalled; high: 278 um2 for 32 bits, {ALADDIN} at 1 ns; low:"
           " half, for LUTs that are not full", False),
    _logic("REGISTER_AREA", "flip-flop", "um^2/bit", (4.5, 5.98, 9.0),
           f"nominal: {ALADDIN}; low: without reset, high: with a multiplexer for its enable, both estimated", False),
    _ratio("PLACEMENT", "area of placed logic over that of its cells", (1.04, 1.4, 2.0), f"low: filler of a PE, {EIE};"
           " the rest estimated"),
    _ratio("CLOCK_TREE", "energy of the clock tree over that of the flip-flops that it drives", (0.5, 1.0, 1.83),
           f"high: 1.874 over 1.026 mW, {EIE}; the rest estimated"),
    _ratio("ACTIVITY", "share of the LUTs of decoder, control and post-process that change in a cycle of work",
           (0.03, 0.1, 0.3), "estimated"),
    _ratio("RESIDUAL", "share of requantised values that a residual operand is added to", (0.0, 0.0, 1.0),
           "not counted by hardware; of most layers none"),
    _ratio("LOGIC_LEAKAGE", "leakage of an area of logic over that of SRAM with the same cell, node and area",
           (1.0, 1.6, 4.0), f"12.3, 8.1 and 12.4 mW/mm2 of multiplier, adder and register, {ALADDIN}, over 6.7 to 8.4"
           " of the table's itrs-lop at 45 nm; high: warmer"),
)  # fmt: skip

EIGHT_TRANSISTORS = "a cell of 8 transistors instead of 6, about 1.3 times as large (Chang et al., VLSI 2005)"
ONE_OR_TWO = "low: one port used twice a cycle; high: two memories"
SRAM = (
    _ratio("SRAM_ACCESS", "energy of an access over the table's, between its points", (0.85, 1.0, 1.15),
           "leave-one-size-out error of the interpolation (tests/test_sim_cost_sram.py)", True),
    _ratio("SRAM_HEAT", "leakage of SRAM over the table's, which is for 300 K", (1.0, 1.0, 4.0),
           "high: 85 C, estimated"),
    # CACTI's memories have one port for reads and writes, ours a read and a write port that work in the same cycle.
    _ratio("TWO_PORT_ACCESS", "energy of an access of a memory with two ports, of one with one", (1.0, 1.14, 2.0),
           f"{EIGHT_TRANSISTORS}, so wires are 1.14 times as long; {ONE_OR_TWO}"),
    _ratio("TWO_PORT_LEAKAGE", "leakage of a memory with two ports, of one with one", (1.0, 1.33, 2.0),
           f"8 transistors in a cell instead of 6; {ONE_OR_TWO}"),
    _ratio("TWO_PORT_AREA", "area of a memory with two ports, of one with one", (1.0, 1.3, 2.0),
           f"{EIGHT_TRANSISTORS}; {ONE_OR_TWO}"),
)  # fmt: skip


# Core of a device, as DRAMPower's memory specification has it: nJ a row, pJ a bit read and written, mW precharged and
# active, mW of refresh in the mean.
def _device(
    prefix: str, sheet: str, voltage: float, row: float, read: float, write: float, idle: float, active: float,
    refresh: float,
) -> tuple[Constant, ...]:  # fmt: skip
    sizes: tuple[tuple[str, str, Unit, tuple[float, float, float]], ...] = (
        ("ACTIVATE", "activation and precharge of a row", "nJ", (row, row, row)),
        ("READ", "bit read", "pJ/bit", (read, read, read)),
        ("WRITE", "bit written", "pJ/bit", (write, write, write)),
        ("STANDBY", "standby of a device with active banks (low: precharged)", "mW", (idle, active, active)),
        ("REFRESH", "refresh of a device", "mW", (refresh, refresh, refresh)),
    )
    source = f"from DRAMPower's memory specification, Micron {sheet}"
    return tuple(
        Constant(f"{prefix}_{name}", f"{prefix}: {what}", unit, *values, source, None, voltage, "verified")
        for name, what, unit, values in sizes
    )


def _io(prefix: str, values: tuple[float, float, float], voltage: float, source: str) -> Constant:
    what = f"{prefix}: I/O of a bit, both ends"
    return Constant(f"{prefix}_IO", what, "pJ/bit", *values, source, None, voltage, "unverified")


IO_METHOD = "termination included, estimated by the arithmetic of Micron's TN-41-01"
DRAM = (
    *_device("DDR3", "2 Gb DDR3-1600 x16", 1.5, 4.688, 13.18, 13.77, 63.0, 67.5, 7.85),
    _io("DDR3", (5.0, 10.0, 20.0), 1.5, IO_METHOD),
    *_device("DDR4", "4 Gb DDR4-2400 x8", 1.2, 1.477, 8.78, 7.80, 45.9, 52.8, 5.94),
    _io("DDR4", (3.0, 7.0, 15.0), 1.2, IO_METHOD),
    *_device("LPDDR3", "4 Gb LPDDR3-1600 x32", 1.2, 4.050, 5.14, 5.88, 49.2, 57.6, 6.88),
    _io("LPDDR3", (2.5, 3.8, 6.0), 1.2,
        "not terminated: 7 pF at 1.2 V, charged in a quarter of the bits, and a pair of strobes for 8 (low: without);"
        " high: a board instead of a package on a package; estimated"),
    _ratio("DATASHEET", "what a device draws over what its specification says", (0.6, 1.0, 1.0),
           "specifications are limits; measured devices drew less (Ghose et al., SIGMETRICS 2018), recalled"),
    Constant("FLAT_DRAM", "32 bits to or from DRAM, as the literature counts", "pJ", 640.0, 640.0, 640.0,
             DEEP_COMPRESSION, None, 0.9, "verified"),
)  # fmt: skip

LITERATURE = (
    _logic("FLAT_SRAM", "32-bit access of a 32 KB SRAM, for comparison only", "pJ", (5.0,) * 3, DEEP_COMPRESSION, True),
)

CONSTANTS = (*LOGIC, *SRAM, *DRAM, *LITERATURE)

Values = Mapping[str, float]  # of the constants by name
LOW: Values = MappingProxyType({c.name: c.low for c in CONSTANTS})
NOMINAL: Values = MappingProxyType({c.name: c.nominal for c in CONSTANTS})
HIGH: Values = MappingProxyType({c.name: c.high for c in CONSTANTS})

SRAM_TABLE = "sram_cacti7.csv"
SRAM_SOURCE = (
    "CACTI 7: type ram, one read-write port, one bank, 300 K; energy of an access, leakage and area by cell, node, size"
    " and width, interpolated in logarithms, with the ratios SRAM_ACCESS, SRAM_HEAT and TWO_PORT_*"
)
