"""Matrix layers on the sparse engine: tiled as for the systolic array, but weights are lists of entries."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields

import numpy as np

from accel.commands import ConfigCompute, Load, Target, most
from accel.compiler.estimate import Machine, acc_shift
from accel.compiler.first_layer import Reading
from accel.compiler.geometry import matrix_geometry
from accel.compiler.lower.constants import Constants
from accel.compiler.lower.lowering import Lowering, Setting, Shortage, Writing
from accel.compiler.lower.matrix import fused, info, made, operator, readings
from accel.compiler.lower.matrix import task as matrix_task
from accel.compiler.lower.matrix_commands import Block
from accel.compiler.lower.matrix_task import Task, Tiling
from accel.compiler.lower.matrix_tiling import cheapest
from accel.compiler.lower.matrix_write import MatrixWriter
from accel.compiler.lower.taper import Chunk
from accel.compiler.lower.window import check_window
from accel.compiler.ops import Facts
from accel.compiler.parts import with_biases
from accel.compiler.ring import Ring
from accel.compiler.sparse_weights import SparseWeights, sparse_weights
from accel.compiler.step import Step
from accel.compiler.transfers import Row, load_words
from accel.design import Design
from accel.entries import stored_bits
from accel.models.errors import InputError
from accel.models.integers.layers import CODES
from accel.models.integers.network import IntegerNetwork, MatrixLayer, Requantise
from accel.rows import COMPUTE, LOAD
from accel.timing.sparse import clear_words, facts_of_play

LARGEST_COLUMNS = most(Load, "row_words")


@dataclass(frozen=True)
class SparseTask(Task):
    """As `Task`; `rows_of`: rows of entries of a block of so many tiles and groups, at most; `pointers` on chip.

    `lanes` in a channel group, `units` of a block of pixels and their `columns` in all. `stored_bits` of an entry.
    """

    rows_of: Callable[[int, int], int] = field(compare=False)
    pointers: int
    lanes: int
    columns: int
    stored_bits: int
    largest_rows: int
    entry_bits: int

    def words(self, machine: Machine, tiles: int, groups: int) -> int:
        """Rows of entries for one COMPUTE; more, if pointers are what is short."""
        rows, columns, largest = self._block(machine, tiles, groups)
        if columns > largest or rows > self.largest_rows:
            return max(rows, machine.weights + 1)
        return max(rows, -(-columns * machine.weights // largest))

    def _block(self, machine: Machine, tiles: int, groups: int) -> tuple[int, int, int]:
        """Rows of entries and columns of a COMPUTE, and the most columns that it can have."""
        rows = self.rows_of(tiles, groups) + machine.weight_align
        columns = min(self.columns, groups * self.lanes * self.geometry.taps)
        return rows, columns, min(self.pointers, LARGEST_COLUMNS)

    def short(self, machine: Machine) -> Shortage | None:
        """Of pointers, or of rows that a LOAD can bring."""
        rows, columns, largest = self._block(machine, 1, 1)
        if columns > largest:
            return Shortage("pointers", columns, largest)
        return Shortage("rows of entries in a LOAD", rows, self.largest_rows) if rows > self.largest_rows else None

    def total_words(self, machine: Machine) -> int:
        """Rows of entries of the whole layer."""
        return self.rows_of(len(self.reach), max(self.reach))

    def word_cycles(self, machine: Machine) -> float:
        """Cycles in which a row of entries is loaded."""
        return machine.weight_cycles * self.stored_bits / 8

    def stream_cycles(self, machine: Machine, pixels: int, tiles: int) -> float:
        """Cycles in which the engine computes a block of so many pixels, for all output tiles, `tiles` a COMPUTE.

        Each COMPUTE broadcasts all activations again: tiles should be together.
        """
        rounds = -(-len(self.reach) // tiles)
        read = max(self.reach) * self.geometry.taps * pixels
        entries = self.rows_of(min(tiles, len(self.reach)), max(self.reach))
        return rounds * max(read, -(-pixels // machine.rows) * max(self.columns, entries))

    def weight_bytes(self, machine: Machine, words: int) -> int:
        """Bytes of a weight buffer of so many rows of entries."""
        return -(-words * machine.cols * self.entry_bits // 8)


def without_zero_point(r: Requantise, layer: MatrixLayer, zero_point: int) -> Requantise:
    """Records for sums of weights times (code - zero point) instead of weights times codes."""
    if zero_point == 0:
        return r
    sums = layer.weights.reshape(len(layer.weights), -1).sum(axis=1, dtype=np.int64)
    return with_biases(r, r.bias.astype(np.int64) + zero_point * sums)


def check(layer: MatrixLayer, network: IntegerNetwork, design: Design) -> None:
    """Raise InputError for what COMPUTE cannot express: sums are of activations less the zero point."""
    check_window(layer, network, most(ConfigCompute, "stride_y"), most(ConfigCompute, "kernel_h"))
    zero_point, limit = network.tensors[layer.input].zero_point, 1 << design.widths.accumulator - 1
    largest = layer.largest_sum // -CODES[0] * max(zero_point - CODES[0], CODES[1] - zero_point)
    if largest >= limit:
        raise InputError(
            f"sums can reach {largest:,}, accumulators of {design.widths.accumulator} bits hold {limit - 1:,}"
        )


def weights(step: Step, design: Design, reading: Reading) -> SparseWeights:
    """The weights as the engine sees them."""
    assert isinstance(step.layer, MatrixLayer)
    unfolded = reading.unfolded
    geometry, arrange = (unfolded.geometry, unfolded.arrange) if unfolded else (step.geometry, None)
    return sparse_weights(
        step.layer, geometry, design, arrange, reading.as_dense, step.source.lanes, made(step, design)
    )


def task(s: Setting) -> SparseTask:
    """What tiling must know."""
    assert isinstance(s.weights, SparseWeights)
    common, contract, found = matrix_task(s), s.machine.contract, s.weights
    bits = stored_bits(found.run_bits, found.format.bits)
    beats = most(Load, "row_beats") // contract.beats_per_word[Target.WEIGHT] * contract.words_per_beat[Target.WEIGHT]
    values = {f.name: getattr(common, f.name) for f in fields(common)}
    values["uniform"] = common.uniform and s.zero_point == 0  # else biases differ
    return SparseTask(
        **values,
        rows_of=found.rows_of,
        pointers=contract.pointers,
        lanes=found.rows,
        columns=sum(found.columns((0, found.groups))),
        stored_bits=bits,
        largest_rows=beats * 8 // bits,
        entry_bits=contract.entry_bits,
    )


def choose(machine: Machine, task: SparseTask) -> Tiling | Shortage:
    """The cheapest tiling, or why there is none. It depends on the weights: nothing is remembered."""
    return cheapest(machine, task)


def write(w: Writing) -> None:
    """Append the step's operations to the stream."""
    SparseWriter(w).write()


class SparseConstants(Constants):
    """Loads entries with their pointers. `placed` by chunk: the word of its first pointer."""

    weights: SparseWeights

    def begin(self, chunks: list[Chunk], visits: Iterable[Chunk] | None = None) -> None:
        """As for every engine; pointers lie together as weights do."""
        self.placed: dict[Chunk, int] = {}
        self.serial: dict[Chunk, int] = {}
        self.stream.pointers.reserve(sum(sum(self.weights.columns(groups)) for _, groups in chunks))
        super().begin(chunks, visits)

    def _rings(self) -> list[tuple[Ring, Callable[[Chunk], int]]]:
        """Entries and pointers: a chunk comes again where either are gone."""
        return [*super()._rings(), (self.stream.pointers, lambda chunk: sum(self.weights.columns(chunk[1])))]

    def chunk_words(self, chunk: Chunk) -> int:
        """Rows of a chunk's entries in the weight memory, with what the last beat may add."""
        block, words = self.weights.entries(*chunk), self.weight_words
        if self.weights.format.coded:
            return block.rows
        return max(block.rows, block.written(-(-block.words // words.per_beat) * words.per_beat))

    def chunk(self, chunk: Chunk) -> tuple[int, int]:
        """Address and item of a chunk's entries."""
        key = (self.key, chunk, self.serial.get(chunk, 0))
        found = self.stream.weights.find(key)
        if found and self.stream.pointers.find(key):
            return found
        self.serial[chunk] = key[2] + 1
        key = (self.key, chunk, key[2] + 1)
        block, columns = self.weights.entries(*chunk), sum(self.weights.columns(chunk[1]))
        item = self.stream.item_count
        address = self.stream.weights.take(self.chunk_words(chunk), key, item)
        self.placed[chunk] = pointer = self.stream.pointers.take(columns, key, item)
        if self.coded:
            return address, self.coded.item(chunk, address, dst_pitch=pointer)
        if chunk not in self.offsets:
            self.offsets[chunk] = self.stream.words(self.weight_words, block.words, block.pack)
        (load,) = load_words(self.weight_words, self.offsets[chunk], address, block.words)
        load[LOAD.dst_pitch], load[LOAD.row_words] = pointer, columns
        load[LOAD.run], load[LOAD.step] = block.run_bits, block.value_bits
        return address, self.stream.item([load], False)


class SparseWriter(MatrixWriter):
    """Writes one matrix step for the sparse engine."""

    weights: SparseWeights
    constants: SparseConstants

    def constants_of(self, key: int) -> Constants:
        """What brings the layer's constants on chip."""
        self.played: dict[tuple[Chunk, int, int], Facts] = {}
        self.requantise = without_zero_point(self.requantise, self.weights.layer, self.w.input.zero_point)
        return SparseConstants(self.stream, self.machine, self.weights, self.requantise, key)

    def finish(self, made: Row, chunk: Chunk, block: Block) -> Facts:
        """Where entries, pointers and sums lie; how long the engine takes if no activation is zero."""
        pixels = block.height * block.width
        found, shift = self.weights.entries(*chunk), acc_shift(pixels, self.machine.rows)
        made[COMPUTE.entries], made[COMPUTE.pointer_addr] = found.rows, self.constants.placed[chunk]
        made[COMPUTE.acc_shift] = shift
        tiles = chunk[0][1] - chunk[0][0]
        clear = 0 if made[COMPUTE.accumulate] else clear_words(tiles, shift)
        key = (chunk, pixels, clear)
        if key not in self.played:
            columns = self.weights.columns(chunk[1])
            self.played[key] = facts_of_play(self.stream.design, pixels, clear, columns, found.lengths)
        return self.played[key]


SPARSE = Lowering(operator, check, fused, matrix_geometry, readings, weights, task, choose, write, info)
