"""What need not be loaded again for the next image of a run: constants that nothing else of the program overwrites.

Weights, records, codebooks and tables are allocated round and round (`accel.compiler.ring`), so what fits its memory is
where it was when the program ends. A LOAD is *resident* if no other LOAD of the program writes to its words, but one
that brings the same.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from accel.commands import Target
from accel.compiler.ops import Log, Segment
from accel.design import Design
from accel.layout import beats_per_word, packed_words, words_per_beat
from accel.memories import BY_TARGET, WEIGHT
from accel.rows import LOAD, Rows

Mask = NDArray[np.bool_]
TABLES = (Target.RUN_TABLE, Target.VALUE_TABLE)


def resident(design: Design, log: Log) -> Mask:
    """(n,) the rows of a log that are resident LOADs.

    Coded LOADs that go on where another one ended are so together; code tables if no coded LOAD is left.
    """
    found = np.zeros(len(log.rows), np.bool_)
    constant = log.loads & (log.segments == Segment.CONSTANTS)
    for target in Target:
        (mine,) = np.nonzero(constant & (log.rows[:, LOAD.target] == target))
        if target in (Target.PROGRAM, Target.ACTIVATION, *TABLES) or not len(mine):
            continue
        if target == Target.WEIGHT and design.is_sparse:
            found[mine] = _ascends(log.rows[mine])
        else:
            found[mine] = _alone(design, target, log.rows[mine])
    coded = log.loads & (log.rows[:, LOAD.coded] == 1)
    chain = np.cumsum(coded & (log.rows[:, LOAD.continues] == 0))
    broken = np.zeros(int(chain.max(initial=0)) + 1, np.bool_)
    broken[chain[coded & ~found]] = True
    found &= ~(coded & broken[chain])
    if not (coded & ~found).any():
        found |= constant & np.isin(log.rows[:, LOAD.target], TABLES)
    return found


def _ascends(rows: Rows) -> bool:
    """Whether the blocks of a sparse engine, of which a LOAD does not say how long they are, went round no ring."""
    _, first = np.unique(rows[:, LOAD.dram_addr], return_index=True)
    once = rows[np.sort(first)]
    return all((np.diff(once[:, column]) > 0).all() for column in (LOAD.dst_addr, LOAD.dst_pitch))


def _alone(design: Design, target: Target, rows: Rows) -> Mask:
    """(n,) which of the LOADs of one target no other one overwrites."""
    key = rows.copy()
    key[:, [LOAD.wait_compute, LOAD.wait_post, LOAD.wait_store]] = 0
    _, brings = np.unique(key, axis=0, return_inverse=True)
    brings = brings.ravel() + 1
    owner = np.zeros(BY_TARGET[target].words(design) * BY_TARGET[target].banks, np.int64)
    for at, row in enumerate(rows.tolist()):
        for first, behind in _spans(design, target, row):
            here = owner[first:behind]
            here[:] = np.where((here == 0) | (here == brings[at]), brings[at], -1)
    return np.array(
        [all((owner[a:b] > 0).all() for a, b in _spans(design, target, row)) for row in rows.tolist()], np.bool_
    )


def _spans(design: Design, target: Target, row: list[int]) -> list[tuple[int, int]]:
    """The words that each row of a LOAD writes."""
    if row[LOAD.coded]:
        words = packed_words(row[LOAD.dst_pitch], row[LOAD.code_bits], WEIGHT.lane_bits(design))
        return [(row[LOAD.dst_addr], row[LOAD.dst_addr] + words)]
    words = row[LOAD.row_beats] // beats_per_word(design, target) * words_per_beat(design, target)
    starts = [row[LOAD.dst_addr] + k * row[LOAD.dst_pitch] for k in range(row[LOAD.rows])]
    return [(start, start + words) for start in starts]


def without(log: Log, left_out: Mask) -> Log:
    """The log without some of its LOADs; what needs them needs what is left of those before."""
    kept = ~left_out
    numbers = np.unique(log.items[log.loads & kept])  # of the items that are left
    items = np.searchsorted(numbers, log.items)
    place = np.cumsum(kept) - 1
    return replace(
        log,
        rows=log.rows[kept],
        layers=log.layers[kept],
        segments=log.segments[kept],
        items=items[kept],
        facts={int(place[row]): found for row, found in log.facts.items() if kept[row]},
        streams=tuple((int(place[row]), found) for row, found in log.streams if kept[row]),
    )
