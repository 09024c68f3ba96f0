"""What the size of each piece of the hardware follows from: a few numbers of the Design, as its structure has them.

A piece is a kind of module at a place of the hierarchy (`accel.synthesis.components.piece`), all instances together.
What a piece takes is the sum of its features times coefficients that are fitted on synthesis runs
(`python -m tests.benchmarks.resources`, which ends with an error if a piece that takes something is not named here);
those that matter most come first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from accel import marks
from accel.commands import COMMAND_BYTES
from accel.datapath import array_sum_bits, beside_weight_bits, pe_lanes, pe_registers
from accel.design import Design
from accel.memories import ACCUMULATOR, ACTIVATION, WEIGHT, Memory, of
from accel.registers import COUNTER_BITS

Numbers = tuple[float, ...]
LEAST_DELAY = 4  # cycles of a delay that is LUT RAM on an ECP5 (`accel.rtl.pipeline`, which nothing here may import)


@dataclass(frozen=True)
class Sizes:
    """Numbers of a design that features are made of."""

    design: Design

    @cached_property
    def rows(self) -> int:
        """Rows R of the array, or multipliers of a sparse PE."""
        return self.design.rows

    @cached_property
    def cols(self) -> int:
        """Columns C, or sparse PEs."""
        return self.design.cols

    @cached_property
    def places(self) -> int:
        """Multipliers of the array."""
        return self.rows * self.cols

    @cached_property
    def codes(self) -> int:
        """Codes of a weight word."""
        return self.design.weight_codes

    @cached_property
    def word(self) -> int:
        """Bits of an activation word."""
        return 8 * self.design.word_lanes

    @cached_property
    def beat(self) -> int:
        """Bits of a beat."""
        return self.design.memory.axi_bits

    @cached_property
    def lanes(self) -> int:
        """Lanes P of the post-process."""
        return self.design.lanes

    @cached_property
    def sums(self) -> int:
        """Bits of the sums of all columns."""
        return self.cols * self.design.widths.accumulator

    @cached_property
    def decoders(self) -> int:
        """Lanes of the decoder."""
        return self.design.decoder_lanes

    @cached_property
    def decodes(self) -> int:
        """1 with a decoder."""
        return int(self.decoders > 0)

    @cached_property
    def wide(self) -> int:
        """1 with addresses of 64 bits."""
        return int(self.design.memory.axi_address_bits > 32)

    @cached_property
    def stages(self) -> int:
        """Registers of a multiplier of the array."""
        return self.design.engine.multiplier_stages

    @cached_property
    def post_stages(self) -> int:
        """Registers of a multiplier of the post-process."""
        return self.design.post_multiplier_stages

    @cached_property
    def pairs(self) -> int:
        """1 with 2:4."""
        return int(self.design.two_of_four)

    @cached_property
    def portable(self) -> int:
        """1 with multipliers that are written as products."""
        return int(self.design.multiplier == "portable")

    @cached_property
    def blocks(self) -> int:
        """1 with multipliers that are instances of an FPGA's."""
        return 1 - self.portable

    @cached_property
    def behind(self) -> int:
        """Registers behind those of what is read on chip."""
        return self.design.memory_stages - 1

    @cached_property
    def codebooks(self) -> int:
        """1 with codebooks."""
        return int(self.design.codebooks)

    @cached_property
    def tables(self) -> int:
        """1 with tables behind the post-process."""
        return int(self.design.tables)

    @cached_property
    def products(self) -> int:
        """1 if two activations can be multiplied."""
        return int(self.design.operand_products)

    @cached_property
    def windows(self) -> int:
        """1 if a first layer is unfolded as it is read."""
        return int(self.design.windows)

    @cached_property
    def deep(self) -> int:
        """1 with queues of several commands, which are LUT RAM."""
        return int(self.design.buffers.queue_commands > 1)

    @cached_property
    def pe(self) -> int:
        """Register bits of a PE."""
        return sum(pe_registers(self.design).values())

    @cached_property
    def gates(self) -> int:
        """1 if a multiplier is left as it was for a zero."""
        return int(self.design.gates_zeros)

    @cached_property
    def sum_bits(self) -> int:
        """Bits of a sum inside the array."""
        return array_sum_bits(self.design)

    @cached_property
    def skew(self) -> int:
        """Register bits of the array's skew of activations and weights, and of the deskew of its sums.

        Of what all rows or columns are given alike, the longest delay has all others in it.
        """
        rows, cols, lanes = self.rows, self.cols, pe_lanes(self.design)
        # 2:4: the two rows of a pair are given the same.
        delays = [r for r in range(rows) if lanes == 1 or r % 2 or r in self._long([r])]
        word = self._registers((8 + int(self.design.gates_zeros)) * lanes, delays)
        weights = self.design.weight_rows * (
            self._registers(8 + beside_weight_bits(self.design), range(cols)) + cols - 1
        )
        return word + rows - 1 + weights + self.deskew

    @cached_property
    def deskew(self) -> int:
        """Register bits of the delays of the columns' sums."""
        return self._registers(self.sum_bits, range(self.cols))

    @cached_property
    def deskew_luts(self) -> int:
        """LUTs of those delays that are LUT RAM."""
        return self._luts(self.sum_bits, range(self.cols))

    @cached_property
    def skew_luts(self) -> tuple[int, int]:
        """The same of the delays of activations by row and of weights by column."""
        weight = 8 + beside_weight_bits(self.design)
        rows = self._luts(8 * pe_lanes(self.design), range(self.rows))
        return rows, self.design.weight_rows * self._luts(weight, range(self.cols))

    @cached_property
    def issue_luts(self) -> int:
        """The same of what is issued to the weights' segments but the first."""
        return (self.design.weight_rows - 1) * self._luts(32, [self.design.fill_cycles])

    @cached_property
    def in_luts(self) -> int:
        """1 where long delays are LUT RAM."""
        return int(self.design.multiplier == "ecp5")

    def _long(self, delays: Iterable[int]) -> list[int]:
        return [delay for delay in delays if self.in_luts and delay >= LEAST_DELAY]

    def _registers(self, bits: int, delays: Sequence[int]) -> int:
        """Of delays of values of so many bits: all their bits, or the last ones and places in LUT RAM."""
        long = self._long(delays)
        return bits * (sum(delays) - sum(long) + len(long)) + sum((delay - 2).bit_length() for delay in long)

    def _luts(self, bits: int, delays: Iterable[int]) -> int:
        """Of such delays in LUT RAM, which has 16 words of 4 bits in 4 LUTs."""
        return sum(4 * -(-bits // 4) * -(-(delay - 1) // 16) for delay in self._long(delays))

    @cached_property
    def output_skew(self) -> int:
        """The same where outputs stay."""
        weights = self._registers(8 + beside_weight_bits(self.design), range(self.cols))
        return self._registers(8 + int(self.design.gates_zeros), range(self.rows)) + weights + self.deskew

    @cached_property
    def pipeline(self) -> int:
        """Cycles that a pixel is in the array."""
        return self.rows + self.cols + self.stages

    @cached_property
    def counters(self) -> int:
        """Counters of events that this design has."""
        beside = 4 * self.decodes + 2 * (self.codebooks + self.tables + bool(self.design.filter_multipliers))
        return 19 + 3 * self.design.is_sparse + beside

    @cached_property
    def gathered(self) -> int:
        """Bits of the longest word on chip that the loader puts together, but the last beat."""
        return max(8 * COMMAND_BYTES, 64 * self.lanes, self.word, 8 * self.codes) - self.beat

    @cached_property
    def zeros(self) -> float:
        """Registers of the counter of products with a zero operand (`accel.rtl.systolic.zeros`)."""
        segments, size, lanes = self.design.weight_rows, self.design.fill_cycles, pe_lanes(self.design)
        each = _log(self.cols)
        shared = size + max(1, size * lanes // (2 if lanes > 1 else 1))  # of a segment's rows, in each cycle of delay
        delays = segments * (1 + size * (segments - 1) / 2) * shared + (1 + (segments - 1) * size) * (1 + each)
        held = 2 * self.rows * each * lanes
        return held + delays + segments * _log(size * self.cols) + _log(self.places)

    def address(self, memory: Memory) -> int:
        """Bits of the address of a word in a bank of a memory of this size."""
        return (memory.words(self.design) - 1).bit_length()


Features = Callable[[Sizes], Numbers]


def _log(number: int) -> int:
    return number.bit_length()


def _stores(dataflow: str) -> dict[str, Features]:
    """Delays in LUT RAM, each with what is inside of it."""
    found: dict[str, Features] = {
        "array/deskew_store": lambda s: (s.deskew_luts,),
        "array/skew_row_store": lambda s: (s.skew_luts[0],),
        "array/skew_col_store": lambda s: (s.skew_luts[1],),
    }
    if dataflow == "ws":
        found |= dict.fromkeys(("tags_store", "feeder/tags_store"), lambda s: (s.in_luts,))
        found["weights/issue_store"] = lambda s: (s.issue_luts,)
    else:
        found["columns/tags_store"] = lambda s: (s.in_luts,)
    return {f"{dataflow} compute/{name}{inside}": luts for name, luts in found.items() for inside in ("", "/cells")}


FEATURES: Mapping[str, Features] = {
    "glue": lambda s: (1, _log(s.places), s.decodes),
    "control": lambda s: (1,),
    "csr": lambda s: (1, s.counters, s.wide),
    "csr/counters": lambda s: (1, s.counters, _log(s.places), s.decodes),
    "queue": lambda s: (s.deep, 1 - s.deep),
    "sequencer": lambda s: (1, _log(s.design.buffers.program_commands), s.decodes),
    "sequencer/marks": lambda s: (marks.in_luts(s.design),),
    "sequencer/marks/cells": lambda s: (marks.in_luts(s.design),),
    "load": lambda s: (
        1, s.gathered, s.beat, s.decodes, 1 - s.deep, s.word * _log(s.beat), 8 * s.codes, s.codebooks, s.wide,
    ),
    "load/ahead": lambda s: (s.deep, 1 - s.deep),
    "load/ahead/cells": lambda s: (s.deep,),
    "load/ahead/cells/cells": lambda s: (s.deep,),
    "load/window": lambda s: (1, s.word * s.windows, s.word, s.beat, s.windows, s.gathered, s.decodes),
    "load/cutter": lambda s: (1, _log(s.beat), s.wide),
    "load/decoder": lambda s: (s.decoders, 1),
    "load/decoder/lane": lambda s: (s.decoders,),
    "load/decoder/lane/run": lambda s: (s.decoders,),
    "load/decoder/lane/value": lambda s: (s.decoders,),
    "load/decoder/run_table": lambda s: (1,),
    "load/decoder/value_table": lambda s: (1,),
    "load/decoder/window": lambda s: (s.decoders * s.beat, s.decoders, 1),
    "load/decoder/packer": lambda s: (s.codes, 1, s.decoders, s.codes * (s.codes // max(1, s.decoders) > 1)),
    "banks": lambda s: (s.word, 1, s.address(ACTIVATION)),
    "post": lambda s: (
        1, s.lanes, s.products * s.lanes, s.tables * s.lanes, s.sums, s.products, s.tables,
        s.design.word_lanes == s.lanes, s.word, s.lanes * s.post_stages, s.in_luts,
    ),
    "post/requantise": lambda s: (
        s.lanes * s.portable, s.lanes * s.blocks, s.lanes * s.products, s.lanes * s.portable * (s.post_stages > 1),
        s.lanes * s.blocks * (s.post_stages > 1), s.lanes * s.portable * (s.post_stages > 2),
    ),
    "post/address_store": lambda s: (s.in_luts,),
    "post/address_store/cells": lambda s: (s.in_luts,),
    "post/tables": lambda s: (s.lanes * s.tables,),
    "store": lambda s: (1, s.beat, s.word, s.wide, max(0, s.beat - s.word), max(0, s.word - s.beat)),
    "store/cutter": lambda s: (1, _log(s.beat), s.wide),
    "store/beats": lambda s: (s.beat, 1),
    "store/beats/cells": lambda s: (s.beat, 1),
    "store/marks": lambda s: (1,),
    "store/marks/cells": lambda s: (1,),
    "ws compute": lambda s: (1, s.pipeline * s.portable, s.pipeline),
    "ws compute/array": lambda s: (s.skew,),
    **_stores("ws"),
    "ws compute/array/row/pe": lambda s: (
        s.places * s.pe, s.places * s.gates, s.places * s.pairs, s.places * s.sum_bits * s.portable,
        s.places * s.sum_bits * s.blocks, s.places * (s.stages > 1),
    ),
    "ws compute/feeder": lambda s: (
        1, s.word, s.windows, s.cols, s.rows, s.word * s.behind, s.pairs, s.address(ACTIVATION), s.in_luts,
    ),
    "ws compute/weights": lambda s: (
        1, s.rows - s.design.fill_cycles, s.codes, s.address(WEIGHT), s.pairs, s.behind, s.issue_luts,
    ),
    "ws compute/weights/segment": lambda s: (
        s.codes * s.codebooks, s.codes, s.design.weight_rows, s.pairs * s.codes, s.codes * s.behind,
        s.codes * s.codebooks * s.behind, s.codes * _log(s.cols),
    ),
    "ws compute/zeros": lambda s: (s.zeros, s.rows, 1, s.pairs * s.rows, s.places),
    "ws compute/accumulators": lambda s: (s.sums, 1, s.sums * s.behind, s.cols, s.address(ACCUMULATOR)),
    "os compute": lambda s: (1, s.word, s.cols),
    "os compute/feeder": lambda s: (1, s.word, s.rows),
    "os compute/feeder/walk": lambda s: (1, s.word, s.rows),
    "os compute/turner": lambda s: (s.word * s.rows, 1, s.word),
    "os compute/columns": lambda s: (1, s.cols, s.rows),
    "os compute/weights": lambda s: (s.codes, 1, s.codes * _log(s.cols)),
    **_stores("os"),
    "os compute/array": lambda s: (s.output_skew, 1, s.rows),
    "os compute/array/row/pe": lambda s: (
        s.places * s.pe, s.places * s.sum_bits, s.places * s.gates, s.places * (s.stages > 1),
    ),
    "os compute/accumulators": lambda s: (s.sums, 1, s.cols, s.address(ACCUMULATOR)),
    "sparse compute": lambda s: (1, s.places, s.cols, s.rows, s.word),
    "sparse compute/pe": lambda s: (
        s.places * s.pe, s.cols, s.places, s.places * s.design.widths.accumulator, s.places * (s.stages > 1),
    ),
    "sparse compute/pe/queue": lambda s: (s.cols, s.places, s.cols * _log(s.design.engine.queue_depth)),  # type: ignore[union-attr]
    "sparse compute/pe/queue/cells": lambda s: (s.places, s.cols, s.cols * _log(s.rows)),
    "sparse compute/pe/queue/cells/cells": lambda s: (s.places, s.cols, s.cols * _log(s.rows)),
    "sparse compute/feeder/walk": lambda s: (1, s.rows, s.word),
    "sparse compute/feeder": lambda s: (1, s.word, s.rows, s.word * s.rows),
    "sparse compute/transposer": lambda s: (s.word * s.rows, s.word, 1, s.rows),
    "sparse compute/unpack": lambda s: (s.cols, 1),
    "sparse compute/weights": lambda s: (s.cols, 1, s.cols * s.address(WEIGHT)),
    "sparse compute/accumulators": lambda s: (s.sums * s.rows, s.cols, s.places, 1),
}  # fmt: skip
"""By piece. Those of the compute unit have the engine in front: "sparse", or the dataflow."""


def engine_of(design: Design) -> str:
    """What the pieces of the compute unit have in front."""
    return "sparse" if design.engine.kind == "sparse" else design.engine.dataflow


def label(design: Design, piece: str) -> str:
    """A piece's name in FEATURES."""
    if not piece:
        return "glue"
    if piece.split("/")[0] != "compute":
        return "queue" if piece.startswith("queue_") else piece
    return f"{engine_of(design)} {piece}"


def rams(design: Design) -> list[tuple[int, int, int, int]]:
    """The design's memories of the module `ram`: how many, bits of a word, words, lanes with masks."""
    found = []
    for memory in of(design):
        count, words, bits = memory.cells(design)
        found.append((count, bits, words, memory.lanes(design) if memory.masked else 1))
    return [*found, (1, COUNTER_BITS, Sizes(design).counters, 1)]
