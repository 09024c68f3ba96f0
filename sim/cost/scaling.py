"""Energy and area of logic between nodes (Stillmaker and Baas, Integration 58, 2017). Logic only: at 65 over 45 nm it
says 1.2 to 1.6 where CACTI says 1.8 to 2.0 for SRAM, so memories and leakage come from CACTI's table at each node.

Energy of a node at a voltage is a V^2 + b V + c; a factor is the quotient of two nodes at their voltages. Constants are
those of 45 nm at 0.9 V (Horowitz); the other voltages are usual ones of the nodes, unverified. 22 nm is not among the
paper's nodes: it lies between 32 and 20 in logarithms.
"""

from __future__ import annotations

from math import log

from accel.sim.cost.constants import LOGIC_NODE_NM

SOURCE = "Stillmaker and Baas, Integration 58, 2017: energy E(V) of a node, and area; verified but for the voltages"

# By node in nm: a, b, c, the voltage (V), and the area of 45 nm logic there.
NODES = {
    90: (4.762, -4.781, 2.092, 1.1, 2.8),
    65: (3.755, -4.398, 1.975, 1.0, 1.5),
    45: (1.103, -0.362, 0.2767, 0.9, 1.0),
    32: (0.9559, -0.7823, 0.471, 0.9, 0.46),
    20: (0.373, -0.1582, 0.04104, 0.8, 0.21),
}


def energy_at(node_nm: int, voltage: float) -> float:
    """The paper's polynomial, in units of its own."""
    a, b, c, _, _ = NODES[node_nm]
    return a * voltage**2 + b * voltage + c


def _between(node_nm: int, values: dict[int, float]) -> float:
    """The value of a node, or between those of its neighbours, in logarithms of both."""
    if node_nm in values:
        return values[node_nm]
    above, below = min(n for n in values if n > node_nm), max(n for n in values if n < node_nm)
    share = log(above / node_nm) / log(above / below)
    return float(values[above] * (values[below] / values[above]) ** share)


_ANCHOR = energy_at(LOGIC_NODE_NM, NODES[LOGIC_NODE_NM][3])
_ENERGY = {node: energy_at(node, NODES[node][3]) / _ANCHOR for node in NODES}
_AREA = {node: NODES[node][4] for node in NODES}

# By node of a design: what logic takes there over what it takes at 45 nm.
ENERGY_FACTOR = {node: _between(node, _ENERGY) for node in (22, 32, 45, 65, 90)}
AREA_FACTOR = {node: _between(node, _AREA) for node in (22, 32, 45, 65, 90)}
