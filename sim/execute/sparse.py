"""The sparse engine: LOADs of entries, and COMPUTEs on them, which take as long as activations and weights ask for."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from accel.commands import Compute, ConfigCompute, Load
from accel.entries import unpack_entries
from accel.entropy.lists import RUN_AT, VALUE_AT, DecodedLists
from accel.memories import ACCUMULATOR, CODEBOOK, CODEBOOK_ENTRIES, POINTER, run_bits
from accel.sim.execute.machine import Machine, check
from accel.sim.execute.sums import exact_product, taken_words
from accel.timing.sparse import clear_words, facts_of_play


class Decoded(NamedTuple):
    """What a COMPUTE's entries say.

    Entries of each column (columns, C), those of value 0 among them, of all PEs (columns), and the weights (columns,
    n_tiles * C).
    """

    lengths: NDArray[np.int64]
    zeros: NDArray[np.int64]
    weights: NDArray[np.int8]


def load_entries(machine: Machine, c: Load, words: NDArray[np.uint8]) -> None:
    """Write the entries in (n, C) words, and the pointers to the columns that begin with them."""
    found, entries = unpack_entries(words, c.run, c.step), machine.entries
    rows = len(found.last)
    check(c.dst_addr + rows <= len(entries.last), "weight range", c)
    check(c.dst_pitch + c.row_words <= len(machine.pointers), "pointer range", c)
    for memory, new in zip(entries, found, strict=True):
        memory[c.dst_addr : c.dst_addr + rows] = new
    begins = np.concatenate([np.ones((1, found.last.shape[1]), np.bool_), found.last[:-1] == 1])
    number = np.cumsum(found.last, axis=0)  # columns that end with or before an entry
    check(bool((number[-1] >= c.row_words).all()), "columns are missing", c)
    row, pe = np.nonzero(begins & (np.cumsum(begins, axis=0) <= c.row_words))
    column = np.cumsum(begins, axis=0)[row, pe] - 1
    machine.pointers[c.dst_pitch + column, pe] = c.dst_addr + row
    machine.decoded.clear()


def load_lists(machine: Machine, c: Load, made: DecodedLists) -> None:
    """Write the entries that the decoder makes, of each PE as many as it has, and the pointers to its columns."""
    entries, bits = machine.entries, run_bits(machine.program.design)
    check(c.dst_addr + int(made.sizes.max()) <= len(entries.last), "weight range", c)
    check(c.dst_pitch + c.row_words <= len(machine.pointers), "pointer range", c)
    pe, place = np.nonzero(np.arange(made.numbers.shape[1]) < made.sizes[:, None])
    numbers = made.numbers[pe, place]
    last, row = numbers & 1, c.dst_addr + place
    runs = (numbers >> RUN_AT) & (1 << bits) - 1
    for memory, values in zip(entries, (last, runs, numbers >> VALUE_AT), strict=True):
        memory[row, pe] = values
    begins = np.append(True, last[:-1] == 1)  # each PE's list begins behind the last column of the one before
    column = (np.cumsum(begins) - 1) % c.row_words
    machine.pointers[c.dst_pitch + column[begins], pe[begins]] = row[begins]
    machine.decoded.clear()


def compute(machine: Machine, c: Compute, config: ConfigCompute) -> dict[int, list[int]] | None:
    """Add (or write) the sums of a COMPUTE; its facts if they are wanted."""
    design = machine.program.design
    taps, pixels = config.kernel_h * config.kernel_w, c.out_h * c.out_w
    lanes = [design.word_lanes] * (c.groups - 1) + [c.rows_last]
    found = _decoded(machine, c, sum(lanes) * taps)
    taken = taken_words(machine, c, config)  # (batch, pixels, groups, taps, lanes)
    codes = np.concatenate(
        [taken[:, :, g, :, :count].reshape(machine.batch, pixels, -1) for g, count in enumerate(lanes)], axis=2
    )
    columns = codes.astype(np.int16) - config.pad_value
    sums = exact_product(columns.reshape(machine.batch * pixels, -1), found.weights, factor=2)
    sums = sums.reshape(machine.batch, pixels, c.n_tiles, design.cols).transpose(0, 2, 1, 3)
    bank, first = machine.bank(ACCUMULATOR, c.acc_addr)
    plane, clear = design.rows << c.acc_shift, clear_words(c.n_tiles, c.acc_shift)
    check(pixels <= plane and first + clear * design.rows <= bank.shape[1], "accumulator range", c)
    if not c.accumulate:
        bank[:, first : first + clear * design.rows] = 0
    limit = 1 << ACCUMULATOR.lane_bits(design) - 1
    for n in range(c.n_tiles):
        view = bank[:, first + n * plane : first + n * plane + pixels]
        view += sums[:, n]
        check(bool(view.min() >= -limit and view.max() < limit), "accumulator overflow", c)
    if machine.zero_macs is not None:
        machine.zero_macs.append(_zero_products(columns, design.rows, found))
    if not machine.timed:
        return None
    blocks = -(-pixels // design.rows)
    padded = np.zeros((machine.batch, blocks * design.rows, columns.shape[2]), np.bool_)
    padded[:, :pixels] = columns != 0
    zero = np.where(padded.reshape(machine.batch, blocks, design.rows, -1).any(axis=2), 0, 1)
    units = [count for count in lanes for _ in range(taps)]
    clear = 0 if c.accumulate else clear
    played = [facts_of_play(design, pixels, clear, units, found.lengths, each) for each in zero]
    return {fact: [one[fact] for one in played] for fact in played[0]}


def _zero_products(taken: NDArray[np.int16], rows: int, found: Decoded) -> NDArray[np.int64]:
    """Of each input, products of entries that are read with an activation (batch, pixels, columns) or a value of 0."""
    total, entries = np.zeros(len(taken), np.int64), found.lengths.sum(axis=1)
    for first in range(0, taken.shape[1], rows):
        block = taken[:, first : first + rows]
        zeros = block.shape[1] - np.count_nonzero(block, axis=1)  # (batch, columns)
        sent = zeros < block.shape[1]
        total += (sent * (zeros * (entries - found.zeros) + block.shape[1] * found.zeros)).sum(axis=1)
    return total


def _decoded(machine: Machine, c: Compute, columns: int) -> Decoded:
    """Lengths and weights of so many columns, from pointers and entries as the PEs follow them."""
    key = (c.weight_addr, c.entries, c.pointer_addr, c.n_tiles, columns, c.use_codebook, c.codebook_bank)
    if key in machine.decoded:
        return machine.decoded[key]
    design, (last, run, value) = machine.program.design, machine.entries
    check(c.weight_addr + c.entries <= len(last), "weight range", c)
    check(c.pointer_addr + columns <= POINTER.words(design), "pointer range", c)
    block = slice(c.weight_addr, c.weight_addr + c.entries)
    start = machine.pointers[c.pointer_addr : c.pointer_addr + columns] - c.weight_addr
    check(bool((start >= 0).all() and (start < c.entries).all()), "a pointer outside the block", c)
    # The entry that ends the column of each entry: the next one that is `last`.
    numbers = np.where(last[block] == 1, np.arange(c.entries)[:, None], c.entries)
    ends = np.minimum.accumulate(numbers[::-1], axis=0)[::-1]
    end = np.take_along_axis(ends, start, 0)
    check(bool((end < c.entries).all()), "a column that leaves the block", c)
    lengths = end - start + 1
    flat_lengths, flat_start = lengths.T.ravel(), start.T.ravel()  # by PE
    total = int(flat_lengths.sum())
    firsts = np.cumsum(flat_lengths) - flat_lengths
    at = np.arange(total) - np.repeat(firsts - flat_start, flat_lengths)
    pe = np.repeat(np.arange(design.cols), lengths.sum(axis=0))
    column = np.repeat(np.tile(np.arange(columns), design.cols), flat_lengths)
    steps = np.cumsum(run[block][at, pe].astype(np.int64) + 1)
    before = np.concatenate([[0], steps])[firsts]
    n = steps - np.repeat(before, flat_lengths) - 1
    check(bool((n < c.n_tiles).all()), "an index past its column", c)
    codes = value[block][at, pe]
    if c.use_codebook:
        codes = machine.constants[CODEBOOK][CODEBOOK_ENTRIES * c.codebook_bank + codes.astype(np.int64), 0]
    weights = np.zeros((columns, c.n_tiles * design.cols), np.int8)
    weights[column, n * design.cols + pe] = codes.view(np.int8)
    zeros = np.bincount(column, codes == 0, columns).astype(np.int64)
    machine.decoded[key] = Decoded(lengths, zeros, weights)
    return machine.decoded[key]
