"""LOAD: DRAM to a memory."""

from __future__ import annotations

import numpy as np

from accel import layout
from accel.commands import Load, Target
from accel.entropy.lists import DecodedLists
from accel.entropy.program import TABLES
from accel.memories import ACTIVATION, BY_TARGET, TABLE_WORD_BYTES, WEIGHT
from accel.models.integers.layers import Int8
from accel.sim.execute.machine import Machine, check
from accel.sim.execute.sparse import load_entries, load_lists
from accel.timing.window import windows, words_complete

ADDRESSES = ACTIVATION.banks * ACTIVATION.bank_words


def load(machine: Machine, c: Load, config: None) -> None:
    """Write what the rows of a LOAD bring. A fetch of commands changes nothing here."""
    if c.target == Target.PROGRAM:
        return
    if c.coded or c.target in TABLES:
        _decode(machine, c)
        return
    design, memory = machine.program.design, BY_TARGET[c.target]
    beat, depth = design.beat_bytes, memory.words(design)
    for row in range(c.rows):
        data = machine.read_dram(c.dram_addr + row * c.dram_pitch, c.row_beats * beat, c)
        if c.window:
            _window(machine, c, row, data.view(np.int8))
            continue
        at = (c.dst_addr + row * c.dst_pitch) % ADDRESSES
        if memory is ACTIVATION:
            bank, word = machine.bank(ACTIVATION, at)
            words = layout.dram_to_words(data.view(np.int8), memory.word_bytes(design), beat)
            check(word + words.shape[1] <= depth, "activation range", c)
            bank[:, word : word + words.shape[1]] = words
            continue
        check(data.shape[0] == 1, "constants must lie in the constant part of DRAM", c)
        words = layout.dram_to_words(data[0].view(np.int8), memory.word_bytes(design), beat)
        if memory is WEIGHT and design.is_sparse:
            load_entries(machine, c, words.view(np.uint8))
            continue
        check(at + len(words) <= depth, f"{memory.name} range", c)
        machine.constants[memory][at : at + len(words)] = words.view(np.uint8)


def _window(machine: Machine, c: Load, row: int, data: Int8) -> None:
    """Write the words that a row (batch, bytes) of a window LOAD makes, in all windows that it is in."""
    design = machine.program.design
    number = np.arange(words_complete(data.shape[1] - c.skip_bytes, c.row_words, c.run, c.step, c.parts + 1))
    starts = c.skip_bytes + number // (c.parts + 1) * c.step + number % (c.parts + 1) * c.run
    words = data[:, starts[:, None] + np.arange(c.run)]
    for y in range(windows(c.rows, c.zero_code, c.code_bits)):
        lane = c.lane + (row - y * c.code_bits) * c.run
        if not 0 <= row - y * c.code_bits < c.zero_code or lane >= design.word_lanes:
            continue
        bank, word = machine.bank(ACTIVATION, (c.dst_addr + y * c.dst_pitch) % ADDRESSES)
        check(not len(number) or word + len(number) <= ACTIVATION.words(design), "activation range", c)
        bank[:, word : word + len(number), lane : lane + c.run] = words[:, :, : design.word_lanes - lane]


def _decode(machine: Machine, c: Load) -> None:
    """Write a code table, or what the decoder makes of a stream. Raises DamagedStream."""
    design, memory = machine.program.design, BY_TARGET[c.target]
    for row in range(c.rows):
        data = machine.read_dram(c.dram_addr + row * c.dram_pitch, c.row_beats * design.beat_bytes, c)
        check(data.shape[0] == 1, "constants must lie in the constant part of DRAM", c)
        at = c.dst_addr + row * (0 if c.coded else c.dst_pitch)
        made = machine.decoder.load(c, at, data[0])
        if made is None:
            check(at + data.shape[1] // TABLE_WORD_BYTES <= memory.words(design), f"{memory.name} range", c)
            continue
        if isinstance(made, DecodedLists):
            load_lists(machine, c, made)
            continue
        words = layout.pack_weight_columns(made.codes, c.code_bits, WEIGHT.lane_bits(design))
        check(at + len(words) <= memory.words(design), f"{memory.name} range", c)
        machine.constants[memory][at : at + len(words)] = words
