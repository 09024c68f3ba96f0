"""Facts of coded LOADs, which follow from the bits of their streams, and the table of gaps."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from accel.latency import DECODE_CYCLES
from accel.timing.machine import FACTS, GAP, GAPS, LISTED, RUNS, VALUES, Machine


class Stream(Protocol):
    """What the time and the counts of a coded LOAD depend on: an encoded block, or a decoded one.

    `gaps`: cycles from each of its beats to the next that can be taken; `tail`: from the last one to the last step;
    `runs`, `values`: symbols; `entries`: of all PEs of a sparse engine.
    """

    @property
    def gaps(self) -> NDArray[np.int64]:
        """Of each beat but the last."""

    @property
    def tail(self) -> int:
        """Cycles from the last beat to the last step."""

    @property
    def runs(self) -> int:
        """Runs decoded."""

    @property
    def values(self) -> int:
        """Values decoded."""

    @property
    def entries(self) -> int:
        """Entries written, 0 if the engine is not sparse."""


def with_streams(
    machine: Machine, facts: NDArray[np.int64], streams: Iterable[tuple[int, Stream]]
) -> NDArray[np.int64]:
    """Put what streams say into the flat `facts` of commands of these numbers; returns the table of gaps."""
    tables, size = [np.zeros(1, np.int64)], 1
    for index, stream in streams:
        f = index * FACTS
        facts[f + GAPS], facts[f + GAP] = size, stream.tail + DECODE_CYCLES
        facts[f + RUNS], facts[f + VALUES], facts[f + LISTED] = stream.runs, stream.values, stream.entries
        found = np.append(0, np.cumsum(np.maximum(stream.gaps, machine.interval)))
        tables.append(found)
        size += len(found)
    return np.concatenate(tables)
