"""What tiling and ordering must know of a design, and estimates of what commands cost in cycles.

Estimates choose tiles and order loads; nothing depends on their being exact.
"""

from __future__ import annotations

from dataclasses import dataclass

from accel.commands import COMMAND_BYTES, Target
from accel.design import Design
from accel.latency import ACC_CYCLES, FEED_CYCLES, MIN_TILE_CYCLES, array_cycles
from accel.layout import beats_per_word, words_per_beat

COMMAND_CYCLES = 4  # what one more command costs in a unit that is busy all the time


def beat_cycles(design: Design, target: Target, window: bool = False) -> int:
    """Cycles from one beat of a LOAD to the next."""
    unpack = design.beat_bytes if window else words_per_beat(design, target)
    return max(unpack, design.memory.beat_interval_cycles)


def word_cycles(design: Design, target: Target) -> float:
    """Cycles that a word of a LOAD takes, in a long row."""
    cycles = max(beat_cycles(design, target), answer_cycles(design)) * beats_per_word(design, target)
    return cycles / words_per_beat(design, target)


def answer_cycles(design: Design) -> float:
    """Cycles a beat that the memory's latency costs when few bursts may be outstanding."""
    memory = design.memory
    return (memory.latency_cycles + 2) / (memory.outstanding_bursts * memory.burst_beats)


def compute_latency(design: Design) -> int:
    """Cycles from a pixel's address to its complete sum."""
    return FEED_CYCLES + array_cycles(design.rows, design.cols) + ACC_CYCLES


@dataclass(frozen=True)
class Machine:
    """Sizes in words, costs in cycles. `*_align`: words of a beat; capacities are whole beats."""

    rows: int
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
    def of(cls, design: Design) -> Machine:
        """The machine of a design."""
        align = {target: words_per_beat(design, target) for target in Target}
        return cls(
            rows=design.rows,
            cols=design.cols,
            lanes=design.lanes,
            chunks=design.cols // design.lanes,
            row_chunks=design.rows // design.lanes,
            accumulators=design.accumulator_words,
            weight_align=align[Target.WEIGHT],
            weights=whole(design.weight_words, align[Target.WEIGHT]),
            parameter_align=align[Target.PARAMETER],
            parameters=whole(design.parameter_words, align[Target.PARAMETER]),
            activation_align=align[Target.ACTIVATION],
            weight_cycles=word_cycles(design, Target.WEIGHT),
            activation_cycles=word_cycles(design, Target.ACTIVATION),
            command_cycles=COMMAND_BYTES / design.beat_bytes * design.memory.beat_interval_cycles,
            latency=design.memory.latency_cycles,
        )

    def tile_cycles(self, pixels: float) -> float:
        """Cycles of one weight tile with `pixels` activations."""
        return max(pixels, self.rows, MIN_TILE_CYCLES)

    def chunk_words(self, taps: int, bits: int, tiles: int, groups: int) -> int:
        """Words of the weight buffer for one COMPUTE, whole beats."""
        return up(-(-tiles * groups * taps * self.rows * bits // 8), self.weight_align)

    def out_groups(self, tiles: int, outputs: int) -> int:
        """Channel groups that `tiles` output tiles touch when the first of them starts a group."""
        return -(-min(outputs, tiles * self.cols) // self.rows)


def whole(words: int, align: int) -> int:
    """The largest multiple of `align` up to `words`."""
    return words // align * align


def up(words: int, align: int) -> int:
    """The smallest multiple of `align` from `words` on."""
    return -(-words // align) * align
