"""What a command reads and writes: the one place from which order, waits and prefetching are derived.

An access is a set of words: `rows` runs of `length` words, `pitch` words apart, from `start`. Runs may be a little
larger than what is touched (a block of some columns counts its rows as a whole); that costs a wait, never correctness.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from accel.commands import (
    ACCUMULATOR_BANK,
    ACTIVATION_BANK,
    Command,
    Compute,
    ConfigCompute,
    ConfigPost,
    Load,
    Post,
    Store,
    Target,
)
from accel.design import Design
from accel.layout import beats, beats_per_word, target_depth, words_per_beat


class Memory(IntEnum):
    """Memories whose contents commands exchange. DRAM is counted in beats of the data segment."""

    ACTIVATION_0 = 0
    ACTIVATION_1 = 1
    WEIGHT = 2
    PARAMETER = 3
    CODEBOOK = 4
    DRAM = 5


class Access(NamedTuple):
    """Words `start + i * pitch + j` of a memory, i < rows, j < length."""

    memory: Memory
    write: bool
    start: int
    length: int
    rows: int = 1
    pitch: int = 0


class Port(NamedTuple):
    """The single port of an activation bank (or of an accumulator bank, where `write` is False)."""

    accumulator: bool
    bank: int
    write: bool


_TARGET_MEMORY = {Target.WEIGHT: Memory.WEIGHT, Target.PARAMETER: Memory.PARAMETER, Target.CODEBOOK: Memory.CODEBOOK}


class Accesses:
    """Follows the configuration commands and gives the accesses and ports of each command after them."""

    def __init__(self, design: Design) -> None:
        self.design = design
        self.compute = ConfigCompute()
        self.post = ConfigPost()

    def of(self, command: Command, data: bool = False) -> tuple[list[Access], list[Port]]:
        """Accesses and ports of `command`; `data`: its DRAM address counts from the data segment."""
        match command:
            case Load():
                return self._load(command, data)
            case Compute():
                return self._compute(command)
            case Post():
                return self._post(command)
            case Store():
                return self._store(command)
            case ConfigCompute():
                self.compute = command
            case ConfigPost():
                self.post = command
        return [], []

    def _load(self, c: Load, data: bool) -> tuple[list[Access], list[Port]]:
        target = Target(c.target)
        found, ports = [], []
        if target is Target.PROGRAM:
            return [], []
        words = c.row_beats * words_per_beat(self.design, target) // beats_per_word(self.design, target)
        if target is Target.ACTIVATION:
            bank, word = divmod(c.dst_addr, ACTIVATION_BANK)
            length = c.row_words if c.window else words
            found.append(Access(Memory(bank), True, word, length, c.rows, c.dst_pitch))
            ports.append(Port(False, bank, True))
        else:
            found.append(Access(_TARGET_MEMORY[target], True, c.dst_addr, words, c.rows, c.dst_pitch))
        if data:
            beat = self.design.beat_bytes
            found.append(Access(Memory.DRAM, False, c.dram_addr // beat, c.row_beats, c.rows, c.dram_pitch // beat))
        return found, ports

    def _compute(self, c: Compute) -> tuple[list[Access], list[Port]]:
        cfg, design = self.compute, self.design
        bank, word = divmod(c.act_addr, ACTIVATION_BANK)
        found = []
        y0, y1 = _span(c.iy0, c.out_h, cfg.stride_y, cfg.kernel_h, cfg.dilation_y, cfg.in_h)
        x0, x1 = _span(c.ix0, c.out_w, cfg.stride_x, cfg.kernel_w, cfg.dilation_x, cfg.in_w)
        if y0 < y1 and x0 < x1:
            pitch = cfg.row_step // cfg.stride_y
            first = (word + (y0 - c.iy0) * pitch + x0 - c.ix0) % ACTIVATION_BANK
            length = (y1 - 1 - y0) * pitch + x1 - x0
            found.append(Access(Memory(bank), False, first, length, c.groups, cfg.plane))
        rows = c.n_tiles * c.groups * cfg.kernel_h * cfg.kernel_w * design.rows
        found.append(Access(Memory.WEIGHT, False, c.weight_addr, -(-rows * c.weight_bits // 8)))
        if c.use_codebook:
            found.append(Access(Memory.CODEBOOK, False, 256 * c.codebook_bank, 256))
        return found, [Port(False, bank, False), Port(True, c.acc_addr // ACCUMULATOR_BANK, False)]

    def _post(self, c: Post) -> tuple[list[Access], list[Port]]:
        cfg, per = self.post, self.design.rows // self.design.lanes
        found, ports = [], []
        if c.from_activation:
            bank, word = divmod(c.src_addr, ACTIVATION_BANK)
            ports.append(Port(False, bank, False))
            y0, y1 = _span(c.iy0, c.out_h, cfg.stride_y, cfg.win_h, 1, cfg.in_h)
            x0, x1 = _span(c.ix0, c.out_w, cfg.stride_x, cfg.win_w, 1, cfg.in_w)
            if y0 < y1 and x0 < x1:
                low, high = c.src_chunk // per, (c.src_chunk + c.chunks - 1) // per
                offset = (y0 - c.iy0) * cfg.src_row_pitch + x0 - c.ix0
                first = (word + low * cfg.src_plane + offset) % ACTIVATION_BANK
                length = (y1 - 1 - y0) * cfg.src_row_pitch + x1 - x0
                found.append(Access(Memory(bank), False, first, length, high - low + 1, cfg.src_plane))
        else:
            ports.append(Port(True, c.src_addr // ACCUMULATOR_BANK, False))
        low, high = c.dst_chunk // per, (c.dst_chunk + c.chunks - 1) // per
        length = (c.out_h - 1) * cfg.dst_row_pitch + c.out_w
        operands = [(c.dst_addr, True)] + ([(c.res_addr, False)] if c.residual else [])
        for address, write in operands:
            bank, word = divmod(address, ACTIVATION_BANK)
            start = word + low * cfg.dst_plane
            found.append(Access(Memory(bank), write, start, length, high - low + 1, cfg.dst_plane))
            ports.append(Port(False, bank, write))
        if not c.uniform:
            found.append(Access(Memory.PARAMETER, False, c.param_addr, c.chunks))
        return found, ports

    def _store(self, c: Store) -> tuple[list[Access], list[Port]]:
        bank, word = divmod(c.src_addr, ACTIVATION_BANK)
        beat = self.design.beat_bytes
        length = beats(self.design, Target.ACTIVATION, c.row_words)
        return [
            Access(Memory(bank), False, word, c.row_words, c.rows, c.src_pitch),
            Access(Memory.DRAM, True, c.dram_addr // beat, length, c.rows, c.dram_pitch // beat),
        ], [Port(False, bank, False)]


def _span(first: int, count: int, stride: int, kernel: int, dilation: int, limit: int) -> tuple[int, int]:
    """Positions that `count` windows touch, clipped to 0..limit."""
    return max(0, first), min(limit, first + (count - 1) * stride + (kernel - 1) * dilation + 1)


class Marks:
    """One number for each word of each memory: the last command that touched it. 0 is none."""

    def __init__(self, design: Design, data_beats: int) -> None:
        depth = {
            Memory.ACTIVATION_0: design.activation_words,
            Memory.ACTIVATION_1: design.activation_words,
            Memory.WEIGHT: design.weight_words,
            Memory.PARAMETER: design.parameter_words,
            Memory.CODEBOOK: target_depth(design, Target.CODEBOOK),
            Memory.DRAM: data_beats,
        }
        self.words: dict[Memory, NDArray[np.int32]] = {m: np.zeros(n, np.int32) for m, n in depth.items()}

    def latest(self, access: Access) -> int:
        """The largest mark in the access."""
        return int(self._view(access).max())

    def set(self, access: Access, mark: int) -> None:
        """Mark every word of the access."""
        self._view(access)[...] = mark

    def _view(self, access: Access) -> NDArray[np.int32]:
        words = self.words[access.memory]
        end = access.start + (access.rows - 1) * access.pitch + access.length
        assert access.start >= 0, access
        assert end <= len(words), (access, len(words))
        if access.rows == 1:
            return words[access.start : access.start + access.length]
        return as_strided(words[access.start :], (access.rows, access.length), (4 * access.pitch, 4))
