"""Bit-exact execution of a Program: commands in program order on modelled buffers, for many inputs at once.

Nothing here knows about time; but an action may say what its command's time depends on (`accel.sim.execute.facts`).
`machine` has the memories, and the other files one unit each.
"""

from accel.sim.execute.machine import ExecutionError as ExecutionError
from accel.sim.execute.run import execute
from accel.sim.execute.run import execute_memory as execute_memory
from accel.sim.execute.run import zero_macs as zero_macs
from accel.sim.execute.store import written as written

__all__ = ["execute"]
