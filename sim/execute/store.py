"""STORE: an activation bank to DRAM."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from accel import layout
from accel.commands import Store, Target
from accel.design import Design
from accel.memories import ACTIVATION
from accel.program import Program
from accel.sim.execute.machine import Machine, check


def store(machine: Machine, c: Store, config: None) -> None:
    """Write the rows of a STORE, but for what has no strobes."""
    design = machine.program.design
    kept = _kept(design, c)
    for row in range(c.rows):
        source = (c.src_addr + row * c.src_pitch) % (ACTIVATION.banks * ACTIVATION.bank_words)
        bank, at = machine.bank(ACTIVATION, source)
        check(at + c.row_words <= bank.shape[1], "activation range", c)
        data = layout.words_to_dram(bank[:, at : at + c.row_words], design.beat_bytes).view(np.uint8)
        size = -(-data.shape[1] // design.beat_bytes) * design.beat_bytes
        address = c.dram_addr + row * c.dram_pitch - machine.boundary
        check(address >= 0 and address + size <= machine.dynamic.shape[1], "DRAM range", c)
        before = machine.dynamic[:, address : address + data.shape[1]]
        if kept is not None:
            data = np.where(kept[row], data, before)
        before[:] = data
        machine.dynamic[:, address + data.shape[1] : address + size] = 0


def written(program: Program) -> NDArray[np.bool_]:
    """(dram_bytes) Which bytes of DRAM the program writes; all others hold after a run what they held before."""
    design, found = program.design, np.zeros(program.dram_bytes, np.bool_)
    for c in program.commands:
        if not isinstance(c, Store):
            continue
        kept = _kept(design, c)
        size = layout.beats(design, Target.ACTIVATION, c.row_words) * design.beat_bytes
        for row in range(c.rows):
            bytes_of_row = found[c.dram_addr + row * c.dram_pitch :][:size]
            here = np.ones(size, np.bool_)
            if kept is not None:
                here[: kept.shape[1]] = kept[row]
            bytes_of_row |= here
    return found


def _kept(design: Design, c: Store) -> NDArray[np.bool_] | None:
    """Which bytes of its words a STORE writes, (rows, bytes of a row's words); None: all."""
    if not (c.unused_lanes or c.gap_words):
        return None
    number = np.arange(c.rows * c.row_words).reshape(c.rows, c.row_words, 1)
    in_line = (c.line_at + np.arange(c.row_words)[:, None]) % max(1, c.line_words)
    kept = (np.arange(design.word_lanes) < design.word_lanes - c.unused_lanes) | (number < c.full_words)
    if c.gap_words:
        kept &= in_line < c.line_words - c.gap_words
    words = np.ones((c.rows, c.row_words, layout.stride_bytes(design.word_lanes, design.beat_bytes)), np.bool_)
    words[..., : design.word_lanes] = kept
    return words.reshape(c.rows, -1)
