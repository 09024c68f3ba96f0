"""What tiling and ordering must know of a design, and estimates of what commands cost in cycles.

Estimates choose tiles and order loads; nothing depends on their being exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from accel.commands import COMMAND_BYTES, Target
from accel.design import Design
from accel.layout import packed_words
from accel.timing.compute import tile_cycles
from accel.timing.load import beat_spacing, unpack_cycles
from accel.timing.machine import Machine as Contract

COMMAND_CYCLES = 4  # what one more command costs in a unit that is busy all the time


def beat_cycles(contract: Contract, target: Target) -> int:
    """Cycles from one beat of a LOAD to the next, but of a window load."""
    return beat_spacing(contract, unpack_cycles(contract, target))


def word_cycles(contract: Contract, target: Target) -> float:
    """Cycles that a word of a LOAD takes, in a long row."""
    cycles = max(beat_cycles(contract, target), answer_cycles(contract)) * contract.beats_per_word[target]
    return cycles / contract.words_per_beat[target]


def answer_cycles(contract: Contract) -> float:
    """Cycles a beat that the memory's latency costs when few bursts may be outstanding."""
    return (contract.latency + 2) / (contract.outstanding * contract.burst)


@dataclass(frozen=True)
class Machine:
    """Sizes in words, costs in cycles. `*_align`: words of a beat; capacities are whole beats.

    `contract` has the numbers that time follows from exactly.
    """

    contract: Contract
    rows: int
    word_lanes: int
    cols: int
    lanes: int
    chunks: int  # chunks of P channels in C columns
    row_chunks: int  # and in an activation word
    accumulators: int
    weight_align: int
    weights: int
    parameter_align: int
    parameters: int
    activation_align: int
    weight_cycles: float
    activation_cycles: float
    command_cycles: float
    latency: int

    @classmethod
    @lru_cache(4)
    def of(cls, design: Design) -> Machine:
        """The machine of a design."""
        contract = Contract.of(design)
        align = contract.words_per_beat
        return cls(
            contract=contract,
            rows=design.rows,
            word_lanes=design.word_lanes,
            cols=design.cols,
            lanes=design.lanes,
            chunks=design.cols // design.lanes,
            row_chunks=design.word_lanes // design.lanes,
            accumulators=design.accumulator_words,
            weight_align=align[Target.WEIGHT],
            weights=whole(design.weight_words, align[Target.WEIGHT]),
            parameter_align=align[Target.PARAMETER],
            parameters=whole(design.parameter_words, align[Target.PARAMETER]),
            activation_align=align[Target.ACTIVATION],
            weight_cycles=word_cycles(contract, Target.WEIGHT),
            activation_cycles=word_cycles(contract, Target.ACTIVATION),
            command_cycles=COMMAND_BYTES / contract.beat_bytes * contract.interval,
            latency=contract.latency,
        )

    def __hash__(self) -> int:
        # Tilings are remembered by machines. All the rest follows from these, but where a machine stands for several
        # (`first_layer.ways`).
        return hash((self.contract, self.accumulators, self.weights, self.parameters, self.activation_cycles))

    def tile_cycles(self, pixels: int) -> int:
        """Cycles of one weight tile with `pixels` activations."""
        return tile_cycles(self.contract, pixels)

    @property
    def sparse(self) -> bool:
        """Whether the engine is sparse: then accumulators are counted in sums, R a word, and weights in entries."""
        return bool(self.contract.sparse)

    def plane(self, pixels: int) -> int:
        """Accumulators from one output tile of a block of so many pixels to the next."""
        return self.rows << acc_shift(pixels, self.rows) if self.sparse else pixels

    def block_pixels(self, tiles: int) -> int:
        """Pixels that a block of so many output tiles may have."""
        most = self.accumulators // tiles
        if not self.sparse:
            return most
        return self.rows << (most // self.rows).bit_length() - 1 if most >= self.rows else 0

    def chunk_words(self, taps: int, bits: int, tiles: int, groups: int) -> int:
        """Words of the weight buffer for one COMPUTE, whole beats."""
        return up(
            packed_words(tiles * groups * taps * self.contract.fill_cycles, bits, self.contract.weight_lane_bits),
            self.weight_align,
        )

    def out_groups(self, tiles: int, outputs: int) -> int:
        """Channel groups that `tiles` output tiles touch when the first of them starts a group."""
        return -(-min(outputs, tiles * self.cols) // self.word_lanes)


def acc_shift(pixels: int, rows: int) -> int:
    """The least COMPUTE.acc_shift for a block of so many pixels, R a word."""
    return (-(-pixels // rows) - 1).bit_length()


def whole(words: int, align: int) -> int:
    """The largest multiple of `align` up to `words`."""
    return words // align * align


def up(words: int, align: int) -> int:
    """The smallest multiple of `align` from `words` on."""
    return -(-words // align) * align
