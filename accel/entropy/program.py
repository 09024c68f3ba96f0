"""The coded LOADs of a program: their streams decoded from the DRAM image, in the order of the program."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from accel.commands import Load, Opcode, Target
from accel.design import Design
from accel.entropy.decode import Coded, Decoded, decode
from accel.entropy.lists import CodedLists, DecodedLists, decode_lists
from accel.entropy.stream import Position
from accel.memories import RUN_TABLE_BYTES, TABLE_WORD_BYTES, VALUE_TABLE_BYTES
from accel.program import Program
from accel.rows import LOAD, OPCODE, rows_of

TABLES, SIZES = (Target.RUN_TABLE, Target.VALUE_TABLE), (RUN_TABLE_BYTES, VALUE_TABLE_BYTES)
REMEMBERED = 512  # LOADs: a program is timed and executed more often than once


class Decoder:
    """The decoder's state between LOADs: code tables, and where its stream stands. `layer`: of the LOAD, for errors."""

    def __init__(self, design: Design) -> None:
        self.design = design
        self.tables = {target: np.zeros(size, np.uint8) for target, size in zip(TABLES, SIZES, strict=True)}
        self.sizes = dict.fromkeys(TABLES, 0)  # bytes up to the last one that was written
        self.position = Position.start(design.decoder_lanes, 1 - design.is_sparse)
        self.layer = ""

    def load(self, c: Load, at: int, data: NDArray[np.uint8]) -> Decoded | DecodedLists | None:
        """Take the bytes of a row of a LOAD of a table, to address `at`, or of a coded LOAD; what the latter becomes.

        Raises DamagedStream.
        """
        if c.target in TABLES:
            first = at * TABLE_WORD_BYTES
            self.tables[Target(c.target)][first : first + len(data)] = data
            self.sizes[Target(c.target)] = first + len(data)
            return None
        design = self.design
        runs, values = (self.tables[target][: self.sizes[target]].tobytes() for target in TABLES)
        begin = self.position if c.continues else Position.start(design.decoder_lanes, 1 - design.is_sparse)
        found: Decoded | DecodedLists
        if design.is_sparse:
            lists = CodedLists(
                design.decoder_lanes, design.cols, design.beat_bytes, c.row_words, c.step, c.run, c.dram_pitch,
                bool(c.literal), c.zero_code, c.code_bits, (runs, values),
            )  # fmt: skip
            found = _decode_lists(lists, data.tobytes(), begin, self.layer)
        else:
            coded = Coded(
                design.decoder_lanes, design.weight_codes, design.beat_bytes, c.dst_pitch, not c.continues,
                bool(c.literal), c.zero_code, c.code_bits, (runs, values),
            )  # fmt: skip
            found = _decode(coded, data.tobytes(), begin, self.layer)
        self.position = found.position
        return found


_decode, _decode_lists = lru_cache(REMEMBERED)(decode), lru_cache(REMEMBERED)(decode_lists)


def coded_loads(program: Program) -> list[tuple[int, Decoded | DecodedLists]]:
    """By number of the command, what each coded LOAD of a program becomes. Raises DamagedStream."""
    decoder, found = Decoder(program.design), list[tuple[int, Decoded | DecodedLists]]()
    rows = rows_of(program.commands)
    decoded = (rows[:, LOAD.coded] > 0) | np.isin(rows[:, LOAD.target], TABLES)
    for index in np.flatnonzero((rows[:, OPCODE] == Opcode.LOAD) & decoded).tolist():
        c = program.commands[index]
        assert isinstance(c, Load)
        decoder.layer = layer_name(program, index)
        size = c.row_beats * program.design.beat_bytes
        for row in range(c.rows):
            at = c.dram_addr + row * c.dram_pitch
            data = np.zeros(size, np.uint8)
            brought = program.image[at : at + size]
            data[: len(brought)] = brought
            made = decoder.load(c, c.dst_addr + row * c.dst_pitch, data)
            if made:
                found.append((index, made))
    return found


def layer_name(program: Program, index: int) -> str:
    """The layer of a command."""
    layer = program.layer_of[index]
    return program.layers[layer].name if layer >= 0 else ""
