"""The memories that commands work on: those of `accel.memories`, for a batch of inputs, and DRAM."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel.commands import Opcode
from accel.entries import Entries
from accel.entropy.program import Decoder
from accel.memories import ACCUMULATOR, ACTIVATION, CODEBOOK, PARAMETER, POINTER, TABLE, WEIGHT, Memory
from accel.program import Program
from accel.rows import OPCODE, STORE, rows_of
from accel.timing.machine import Machine as Contract

# What every input of a batch finds alike, and what each has of its own.
CONSTANTS = (WEIGHT, PARAMETER, CODEBOOK, TABLE)
DATA: dict[Memory, np.dtype[Any]] = {ACTIVATION: np.dtype(np.int8), ACCUMULATOR: np.dtype(np.int64)}


class ExecutionError(Exception):
    """The program does what the hardware would refuse: an address outside a memory."""


@dataclass(frozen=True)
class Machine:
    """Contents of memories and DRAM for `batch` inputs; actions write into the arrays.

    `data`: by memory with contents of each input, (banks, batch, words, lanes); `constants`: by other memory, (words,
    bytes). DRAM below `boundary` is constant and shared (`static`); `dynamic` (batch, bytes) is above. `zero_macs`:
    of each COMPUTE so far, the products with a zero operand in each input; None: nobody asks for them.

    A sparse engine has `entries` (words, C) and `pointers` (columns, C) of each PE instead of weight words; `decoded`:
    what its COMPUTEs made of them, since the last LOAD. `timed`: actions say what their commands' time depends on.
    """

    program: Program
    batch: int
    boundary: int
    static: NDArray[np.uint8]
    dynamic: NDArray[np.uint8]
    data: dict[Memory, NDArray]
    constants: dict[Memory, NDArray[np.uint8]]
    entries: Entries
    pointers: NDArray[np.int64]
    decoded: dict[Any, Any]
    decoder: Decoder
    zero_macs: list[NDArray[np.int64]] | None = None
    timed: bool = False

    @cached_property
    def contract(self) -> Contract:
        """The design as timing sees it."""
        return Contract.of(self.program.design)

    def read_dram(self, address: int, size: int, command: object) -> NDArray[np.uint8]:
        """(batch or 1, size) bytes; (1, size) when they are constant. Raises ExecutionError outside of DRAM."""
        check(address + size <= self.program.dram_bytes, "DRAM range", command)
        if address + size <= self.boundary:
            return self.static[None, address : address + size]
        check(address >= self.boundary, "a load spans constants and data", command)
        return self.dynamic[:, address - self.boundary : address - self.boundary + size]

    @property
    def whole(self) -> NDArray[np.uint8]:
        """(batch, bytes) all of DRAM."""
        return np.concatenate([np.broadcast_to(self.static, (self.batch, self.boundary)), self.dynamic], axis=1)

    def bank(self, memory: Memory, address: int) -> tuple[NDArray, int]:
        """The (batch, words, lanes) bank that an address of activations or sums is in, and the word in it."""
        bank, word = divmod(address, memory.bank_words)
        return self.data[memory][bank], word


def _zeros(kind: np.dtype[Any], *shape: int) -> NDArray:
    return np.zeros(shape, kind)


def check(ok: bool, what: str, command: object) -> None:
    """Raises ExecutionError unless `ok`."""
    if not ok:
        raise ExecutionError(f"{what}: {command}")


def boundary(program: Program) -> int:
    """The first byte of DRAM that may differ between inputs."""
    rows = rows_of(program.commands)
    stores = rows[rows[:, OPCODE] == Opcode.STORE, STORE.dram_addr].tolist()
    ends = (place.offset for place in (*program.inputs, *program.outputs))
    return min([len(program.image), *ends, *stores])


def bytes_per_input(program: Program) -> int:
    """Memory that one input of a batch takes."""
    design = program.design
    banks = sum(m.banks * m.words(design) * m.lanes(design) * kind.itemsize for m, kind in DATA.items())
    return program.dram_bytes - boundary(program) + banks


def make(
    program: Program, codes: NDArray[np.int8], count: bool = False, timed: bool = False, after: Machine | None = None
) -> Machine:
    """The machine at the start of a run on input codes, (N, C, H, W) or as `Program.packed` takes them.

    Memories hold zeros, DRAM image and inputs.

    `count`: products with a zero operand are counted. `timed`: what time depends on is wanted, of each input.
    `after`: memories and DRAM hold what another program of the design left there, whose machine is used up by this.
    """
    if after is not None:
        return _taken_over(after, program, codes, count, timed)
    design, constant, batch = program.design, boundary(program), len(codes)
    dynamic = np.zeros((batch, program.dram_bytes - constant), np.uint8)
    dynamic[:, : len(program.image) - constant] = program.image[constant:]
    for at, packed in program.packed(codes):
        dynamic[:, at - constant : at - constant + packed.shape[-1]] = packed
    return Machine(
        program,
        batch,
        constant,
        program.image[:constant],
        dynamic,
        {m: _zeros(kind, m.banks, batch, m.words(design), m.lanes(design)) for m, kind in DATA.items()},
        {m: _zeros(np.dtype(np.uint8), m.words(design), m.word_bytes(design)) for m in CONSTANTS},
        Entries(*(_zeros(np.dtype(np.uint8), WEIGHT.words(design) * design.is_sparse, design.cols) for _ in range(3))),
        _zeros(np.dtype(np.int64), POINTER.words(design), design.cols),
        {},
        Decoder(design),
        [] if count else None,
        timed,
    )


def _taken_over(after: Machine, program: Program, codes: NDArray[np.int8], count: bool, timed: bool) -> Machine:
    constant, before = boundary(program), after.whole
    memory = np.zeros((len(before), program.dram_bytes), np.uint8)
    memory[:, : before.shape[1]] = before
    for at, packed in program.packed(codes):
        memory[:, at : at + packed.shape[-1]] = packed
    return replace(
        after,
        program=program,
        boundary=constant,
        static=memory[0, :constant],
        dynamic=memory[:, constant:],
        zero_macs=[] if count else None,
        timed=timed,
    )
