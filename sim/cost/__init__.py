"""What a design costs: area, energy, power; each with the constants at their low, nominal and high values."""

from accel.sim.cost.energies import Energy, Range, energy
from accel.sim.cost.structure import STORE, MemoryShape, memories
from accel.sim.cost.summary import Area, Cost, Counted, Swing, area, cost_of, sensitivity

__all__ = [
    "STORE", "Area", "Cost", "Counted", "Energy", "MemoryShape", "Range", "Swing", "area", "cost_of", "energy",
    "memories", "sensitivity",
]  # fmt: skip
