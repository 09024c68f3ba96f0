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
REGISTER_FILE_32 = Constant(
    "REGISTER_FILE_32", "32-bit access of a register file", 1.0, DEEP_COMPRESSION, 45, 0.9, "verified"
)
SRAM_32KB_32 = Constant("SRAM_32KB_32", "32-bit access of a 32 KB SRAM", 5.0, DEEP_COMPRESSION, 45, 0.9, "verified")
DRAM_32 = Constant("DRAM_32", "32 bits to or from DRAM", 640.0, DEEP_COMPRESSION, 45, 0.0, "verified")

CONSTANTS = (
    ADD_INT32, MUL_INT8, MUL_INT32, ADD_INT32_HIGH, MUL_INT32_HIGH, REGISTER_BIT, REGISTER_FILE_32, SRAM_32KB_32,
    DRAM_32,
)  # fmt: skip

LOGIC_NODE_NM = 45  # the node at which compute energies are given, whatever the design's

SRAM_TABLE = "sram_cacti7.csv"
SRAM_SOURCE = "CACTI 7: type ram, one read-write port, one bank, 300 K; access energies and leakage by cell and node"
