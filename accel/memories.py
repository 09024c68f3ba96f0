"""The on-chip memories: what each holds, how large a design makes it, its addresses, and what counts its accesses.

Compiler, simulator, cost model and hardware take sizes, addresses and events from here. A test compares the table with
the `ram` instances of the emitted Verilog (tests/test_accel_memories.py).

An address is `bank * bank_words + word`. `word` may be as large as the field of the command that holds it allows, while
the memory of a design has `words(design)` words a bank.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from accel.commands import COMMAND_BYTES, Compute, ConfigPost, Post, Store, Target, field_bits
from accel.events import Event
from accel.structured import INDEX_BITS

if TYPE_CHECKING:
    from accel.design import Design

CODE_BITS = 8  # of an activation, of a weight, and of a codebook entry: int8
SUM_BYTES = 4  # what a sum counts in Design.buffers.accumulator_bytes, whatever its width
CODEBOOK_ENTRIES = 1 << CODE_BITS  # of one codebook
CODEBOOKS = 1 << field_bits(Compute, "codebook_bank")
RECORD_BYTES = 8  # of a channel's requantisation: bias, multiplier, shift (accel.layout)
RUN_TABLE_BYTES, VALUE_TABLE_BYTES = 64, 320  # whole beats of every bus: a header of 16, and 48 and 256 symbols
TABLE_WORD_BYTES = 4  # of a code table or a table of the post-process, that are written in a cycle
TABLE_ENTRIES = 1 << CODE_BITS  # of one table of the post-process: an output code for each code
TABLES = 1 << field_bits(ConfigPost, "table_bank")
TABLE_WORDS = TABLE_ENTRIES // TABLE_WORD_BYTES  # of one table
LARGEST_PROGRAM = 1 << 10  # words of a program buffer, whose places no command names


@dataclass(frozen=True)
class Memory:
    """One kind of on-chip memory.

    `banks`: memories of their own, each with its ports, that the highest bits of an address choose between. `copies`:
    equal memories that are written together and read apart. `parts`: memories side by side, each with an equal part of
    a word's lanes, that an access of the word reads or writes all. `words`: words of one bank. A word is `lanes` times
    `lane_bits` bits; with `masked` its lanes are written one by one. Every memory has one read port and one write port.
    `address_bits`: of an address, bank included. `reads`, `writes`: the events that count its accesses. `buffer`: the
    field of Design.buffers that sizes it. `exists`: in this design.

    That is how its users see it. A sparse engine has a memory a PE where a systolic one has a word of C lanes: then
    `split` says so, a count of memories that a bank consists of, and bits of their words; `fold` words share one row of
    these. An access that is counted reads one of the copies or parts, but all with `reads_all`, and writes all, but one
    without `writes_all`. `beside_bits`: bits beside a word that no LOAD brings, since the hardware finds them.
    """

    name: str
    buffer: str | None
    target: Target | None
    words: Callable[[Design], int]
    lanes: Callable[[Design], int]
    lane_bits: Callable[[Design], int]
    address_bits: int
    reads: Event
    writes: Event
    banks: int = 1
    copies: Callable[[Design], int] = lambda design: 1
    parts: Callable[[Design], int] = lambda design: 1
    masked: bool = False
    exists: Callable[[Design], bool] = lambda design: True
    split: Callable[[Design], tuple[int, int] | None] = lambda design: None
    fold: Callable[[Design], int] = lambda design: 1
    reads_all: bool = False
    writes_all: Callable[[Design], bool] = lambda design: True
    beside_bits: Callable[[Design], int] = lambda design: 0

    @property
    def word_bits(self) -> int:
        """Bits of the address of a word in a bank; the bank is above them."""
        return self.address_bits - (self.banks - 1).bit_length()

    @property
    def bank_words(self) -> int:
        """Addresses of a bank: as many words as it can have in any design."""
        return 1 << self.word_bits

    def width_bits(self, design: Design) -> int:
        """Bits of a word."""
        return self.lanes(design) * self.lane_bits(design)

    def cells(self, design: Design) -> tuple[int, int, int]:
        """The memories that it is made of: how many, words of each, bits of a word."""
        copies, parts = self.copies(design), self.parts(design)
        count, bits = self.split(design) or (copies * parts, self.width_bits(design) // parts)
        return self.banks * count, self.words(design) // self.fold(design), bits + self.beside_bits(design)

    def read_cells(self, design: Design) -> int:
        """How many of these a counted read touches."""
        parts = self.split(design)
        return (parts[0] if self.reads_all else 1) if parts else self.parts(design)

    def written_cells(self, design: Design) -> int:
        """How many of these a counted write touches."""
        parts = self.split(design)
        if parts:
            return parts[0] if self.writes_all(design) else 1
        return self.parts(design) * self.copies(design)

    def word_bytes(self, design: Design) -> int:
        """Bytes of a word that a LOAD brings."""
        return -(-self.width_bits(design) // 8)


def weight_lane_bits(design: Design) -> int:
    """Bits of a lane of a weight word: of the largest code that a row may have, its index included."""
    return CODE_BITS + (INDEX_BITS if design.two_of_four else 0)


def run_bits(design: Design) -> int:
    """Bits of an entry's run of zeros in the weight memory; 0 if there are no entries."""
    return design.engine.index_bits if design.engine.kind == "sparse" else 0


def entry_bits(design: Design) -> int:
    """Bits of an entry in the weight memory of a sparse engine: last, run, value."""
    return 1 + run_bits(design) + CODE_BITS


def _weight_bits(design: Design) -> int:
    """Bits of a word of the weight buffer: of C entries, or of the codes of w rows."""
    return design.cols * (entry_bits(design) if design.is_sparse else weight_lane_bits(design) * design.weight_rows)


def _sums(design: Design) -> int:
    """Sums of each column in an accumulator bank: whole rows of a PE's memory, if the engine is sparse."""
    words = design.buffers.accumulator_bytes // 2 // (SUM_BYTES * design.cols)
    return words // design.rows * design.rows if design.is_sparse else words


def _mark_bits(design: Design) -> int:
    """What commands break, beside each."""
    from accel.marks import in_luts, mark_bits  # whose rules ask this table

    return 0 if in_luts(design) else mark_bits(design)


ACTIVATION = Memory(
    "activation", "activation_bytes", Target.ACTIVATION,
    words=lambda d: d.buffers.activation_bytes // 2 // d.word_lanes,
    lanes=lambda d: d.word_lanes,
    lane_bits=lambda d: CODE_BITS,
    address_bits=field_bits(Store, "src_addr"),
    reads=Event.ACT_READS,
    writes=Event.ACT_WRITES,
    banks=2,
    masked=True,
)  # fmt: skip
WEIGHT = Memory(
    "weight", "weight_bytes", Target.WEIGHT,
    words=lambda d: 8 * d.buffers.weight_bytes // _weight_bits(d),
    lanes=lambda d: d.weight_rows * d.cols,
    lane_bits=lambda d: weight_lane_bits(d),
    address_bits=field_bits(Compute, "weight_addr"),
    reads=Event.WEIGHT_READS,
    writes=Event.WEIGHT_WRITES,
    parts=lambda d: d.weight_rows,
    split=lambda d: (d.cols, entry_bits(d)) if d.is_sparse else None,
    writes_all=lambda d: not d.is_sparse,
)  # fmt: skip
ACCUMULATOR = Memory(
    "accumulator", "accumulator_bytes", None,
    words=_sums,
    lanes=lambda d: d.cols,
    lane_bits=lambda d: d.widths.accumulator,
    address_bits=field_bits(Compute, "acc_addr"),
    reads=Event.ACC_READS,
    writes=Event.ACC_WRITES,
    banks=2,
    split=lambda d: (d.cols, d.rows * d.widths.accumulator) if d.is_sparse else None,
    fold=lambda d: d.rows if d.is_sparse else 1,
    writes_all=lambda d: not d.is_sparse,
)  # fmt: skip
PARAMETER = Memory(
    "parameter", "parameter_bytes", Target.PARAMETER,
    words=lambda d: d.buffers.parameter_bytes // (RECORD_BYTES * d.lanes),
    lanes=lambda d: d.lanes,
    lane_bits=lambda d: 8 * RECORD_BYTES,
    address_bits=field_bits(Post, "param_addr"),
    reads=Event.PARAM_READS,
    writes=Event.PARAM_WRITES,
)  # fmt: skip
CODEBOOK = Memory(
    "codebook", None, Target.CODEBOOK,
    words=lambda d: CODEBOOKS * CODEBOOK_ENTRIES,
    lanes=lambda d: 1,
    lane_bits=lambda d: CODE_BITS,
    address_bits=(CODEBOOKS * CODEBOOK_ENTRIES - 1).bit_length(),
    reads=Event.CODEBOOK_READS,
    writes=Event.CODEBOOK_WRITES,
    copies=lambda d: d.weight_rows * d.cols,
    exists=lambda d: d.codebooks > 0,
)  # fmt: skip
POINTER = Memory(  # of a sparse engine: where each column of weights begins, of each PE
    "pointer", None, None,
    words=lambda d: d.engine.pointers if d.engine.kind == "sparse" else 0,
    lanes=lambda d: d.cols,
    lane_bits=lambda d: (WEIGHT.words(d) - 1).bit_length(),
    address_bits=field_bits(Compute, "pointer_addr"),
    reads=Event.BROADCASTS,
    writes=Event.POINTER_WRITES,
    exists=lambda d: d.is_sparse,
    split=lambda d: (d.cols, (WEIGHT.words(d) - 1).bit_length()),
    reads_all=True,
    writes_all=lambda d: False,
)  # fmt: skip
RUN_TABLE = Memory(
    "run table", None, Target.RUN_TABLE,
    words=lambda d: RUN_TABLE_BYTES // TABLE_WORD_BYTES,
    lanes=lambda d: TABLE_WORD_BYTES,
    lane_bits=lambda d: CODE_BITS,
    address_bits=(RUN_TABLE_BYTES // TABLE_WORD_BYTES - 1).bit_length(),
    reads=Event.RUN_READS,
    writes=Event.RUN_TABLE_WRITES,
    copies=lambda d: d.decoder_lanes,
    exists=lambda d: d.decoder_lanes > 0,
)  # fmt: skip
VALUE_TABLE = Memory(
    "value table", None, Target.VALUE_TABLE,
    words=lambda d: VALUE_TABLE_BYTES // TABLE_WORD_BYTES,
    lanes=lambda d: TABLE_WORD_BYTES,
    lane_bits=lambda d: CODE_BITS,
    address_bits=(VALUE_TABLE_BYTES // TABLE_WORD_BYTES - 1).bit_length(),
    reads=Event.VALUE_READS,
    writes=Event.VALUE_TABLE_WRITES,
    copies=lambda d: d.decoder_lanes,
    exists=lambda d: d.decoder_lanes > 0,
)  # fmt: skip
LINE = Memory(  # of the filter: the rows above the one that passes, two or four
    "line", None, None,
    words=lambda d: d.filter_line,
    lanes=lambda d: (d.filter_side - 1) * d.lanes,
    lane_bits=lambda d: CODE_BITS,
    address_bits=field_bits(Post, "stream_w"),
    reads=Event.FILTER_STEPS,
    writes=Event.FILTER_STEPS,
    exists=lambda d: d.filter_multipliers > 0,
)  # fmt: skip
TABLE = Memory(
    "table", None, Target.TABLE,
    words=lambda d: TABLES * TABLE_WORDS,
    lanes=lambda d: TABLE_WORD_BYTES,
    lane_bits=lambda d: CODE_BITS,
    address_bits=(TABLES * TABLE_WORDS - 1).bit_length(),
    reads=Event.TABLE_READS,
    writes=Event.TABLE_WRITES,
    copies=lambda d: d.lanes,
    exists=lambda d: d.tables > 0,
)  # fmt: skip
PROGRAM = Memory(
    "program", "program_commands", Target.PROGRAM,
    words=lambda d: d.buffers.program_commands,
    lanes=lambda d: 1,
    lane_bits=lambda d: 8 * COMMAND_BYTES,
    address_bits=(LARGEST_PROGRAM - 1).bit_length(),
    reads=Event.COMMANDS,
    writes=Event.COMMANDS,
    beside_bits=_mark_bits,
)  # fmt: skip

MEMORIES = (ACTIVATION, WEIGHT, ACCUMULATOR, PARAMETER, CODEBOOK, PROGRAM, POINTER, RUN_TABLE, VALUE_TABLE, LINE, TABLE)
BY_TARGET: dict[int, Memory] = {memory.target: memory for memory in MEMORIES if memory.target is not None}


def of(design: Design) -> tuple[Memory, ...]:
    """The memories that a design has."""
    return tuple(memory for memory in MEMORIES if memory.exists(design))
