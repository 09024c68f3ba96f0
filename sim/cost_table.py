"""The constants of the cost model, each with its source, node, voltage and status.

`accel.sim.cost` multiplies these by events and does nothing else. Statuses: "verified" was read in the source or in a
publication that quotes it, "unverified" is recalled without a copy at hand. A test refuses a constant without them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

HOROWITZ = "Horowitz, Computing's energy problem, ISSCC 2014, figure 1.1.9"
DEEP_COMPRESSION = "Han et al., Deep Compression and EIE, arXiv 1510.00149 and 1602.01528, table I"
ALADDIN = "Shao et al., Aladdin, ISCA 2014, functional unit table at 1 ns"


@dataclass(frozen=True)
class Constant:
    """One number of a source: `value_pj` for one `what`, at a node and a voltage (0 for off-chip memory)."""

    name: str
    what: str
    value_pj: float
    source: str
    node_nm: int
    voltage: float
    status: Literal["verified", "unverified"]


ADD_INT32 = Constant("ADD_INT32", "32-bit integer addition", 0.1, HOROWITZ, 45, 0.9, "verified")
MUL_INT8 = Constant("MUL_INT8", "8-bit integer multiplication", 0.2, HOROWITZ, 45, 0.9, "verified")
MUL_INT32 = Constant("MUL_INT32", "32-bit integer multiplication", 3.1, HOROWITZ, 45, 0.9, "verified")
MUL_INT32_HIGH = Constant("MUL_INT32_HIGH", "32-bit integer multiplication", 12.68, ALADDIN, 40, 0.9, "verified")
ADD_INT32_HIGH = Constant("ADD_INT32_HIGH", "32-bit integer addition", 0.21, ALADDIN, 40, 0.9, "verified")
REGISTER_BIT = Constant("REGISTER_BIT", "clocking one flip-flop", 0.009, ALADDIN, 40, 0.9, "verified")
SRAM_32KB_32 = Constant("SRAM_32KB_32", "32-bit access of a 32 KB SRAM", 5.0, DEEP_COMPRESSION, 45, 0.9, "verified")
DRAM_32 = Constant("DRAM_32", "32 bits to or from DRAM", 640.0, DEEP_COMPRESSION, 45, 0.0, "verified")

CONSTANTS = (
    ADD_INT32, MUL_INT8, MUL_INT32, ADD_INT32_HIGH, MUL_INT32_HIGH, REGISTER_BIT, SRAM_32KB_32, DRAM_32,
)  # fmt: skip

LOGIC_NODE_NM = 45  # the node at which compute energies are given, whatever the design's


@dataclass(frozen=True)
class Factor:
    """A ratio that a price is multiplied by, and between what it may lie."""

    name: str
    what: str
    value: float
    low: float
    high: float
    source: str
    status: Literal["verified", "unverified"]


# CACTI's memories have one port for reads and writes, ours a read and a write port that work in the same cycle.
EIGHT_TRANSISTORS = "a cell of 8 transistors instead of 6, about 1.3 times as large (Chang et al., VLSI 2005), so wires"
TWO_PORT_ACCESS = Factor(
    "TWO_PORT_ACCESS", "energy of an access of a memory with two ports, of one with one", 1.14, 1.0, 2.0,
    f"{EIGHT_TRANSISTORS} are 1.14 times as long; low: one port used twice a cycle; high: two memories",
    "unverified",
)  # fmt: skip
TWO_PORT_LEAKAGE = Factor(
    "TWO_PORT_LEAKAGE", "leakage of a memory with two ports, of one with one", 1.33, 1.0, 2.0,
    "8 transistors in a cell instead of 6; low: one port used twice a cycle; high: two memories",
    "unverified",
)  # fmt: skip
FACTORS = (TWO_PORT_ACCESS, TWO_PORT_LEAKAGE)

SRAM_TABLE = "sram_cacti7.csv"
SRAM_SOURCE = (
    "CACTI 7: type ram, one read-write port, one bank, 300 K; access energies and leakage by cell and node. Our"
    f" memories have a read and a write port: accesses times {TWO_PORT_ACCESS.value} ({TWO_PORT_ACCESS.low} to"
    f" {TWO_PORT_ACCESS.high}), leakage times {TWO_PORT_LEAKAGE.value} ({TWO_PORT_LEAKAGE.low} to"
    f" {TWO_PORT_LEAKAGE.high}), unverified"
)
