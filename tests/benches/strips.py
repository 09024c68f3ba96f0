"""Whether steps of a program run by strips."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from accel.commands import Opcode
from accel.program import Program
from accel.rows import OPCODE


def by_strips(program: Program) -> bool:
    """Whether the array goes back to an earlier layer."""
    computes = program.commands.rows[:, OPCODE] == Opcode.COMPUTE
    return any(after < before for before, after in pairwise(np.asarray(program.layer_of)[computes].tolist()))
