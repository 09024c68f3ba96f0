"""What a command reads and writes: the one place from which order, waits and prefetching are derived.

An access is a set of words: `ROWS` runs of `LENGTH` words, `PITCH` words apart, from `START` up to `END`. Runs may be a
little larger than what is touched (a block of some columns counts its rows as a whole); that costs a wait, never
correctness. A row of the table of accesses has `ACCESSES` of them for one command, and then the ports that it uses.
"""

from __future__ import annotations

from itertools import accumulate

from accel.commands import Opcode, Target
from accel.design import Design
from accel.entries import entry_rows
from accel.layout import packed_words
from accel.memories import (
    ACCUMULATOR,
    ACTIVATION,
    BY_TARGET,
    CODEBOOK,
    CODEBOOK_ENTRIES,
    PARAMETER,
    POINTER,
    TABLE_WORDS,
    WEIGHT,
)
from accel.memories import TABLE as TABLE_MEMORY
from accel.records import filter_words
from accel.rows import COMPUTE, CONFIG_COMPUTE, CONFIG_POST, LOAD, OPCODE, POST, STORE
from accel.timing.compute import code_bits, tiles_of
from accel.timing.kernel import Ints, MutableInts, part
from accel.timing.machine import Machine
from accel.timing.window import windows
from accel.units import SHARED_READ_PORTS, SHARED_WRITE_PORTS

# Where words lie that commands exchange: a number for each bank, and DRAM, counted in beats of the data segment.
ACT, WEIGHTS, PARAMETERS, CODEBOOKS, DRAM, POINTERS, LOOKUPS = 0, 2, 3, 4, 5, 6, 7
PLACES = 8

ACCESSES = 5  # of a command, at most
PLACE, WRITE, START, END, LENGTH, ROWS, PITCH = range(7)
SIZE = 7
PORTS = ACCESSES * SIZE  # bits: a port of each bank of each memory whose port several units use
TABLE = PORTS + 1
NOTHING = -1  # a PLACE

ACT_READ, ACC_READ, ACT_WRITE, PORT_COUNT = accumulate(
    (m.banks for m in (*SHARED_READ_PORTS, *SHARED_WRITE_PORTS)), initial=0
)
assert (SHARED_READ_PORTS, SHARED_WRITE_PORTS) == ((ACTIVATION, ACCUMULATOR), (ACTIVATION,))

ACT_BANK, ACC_BANK = ACTIVATION.bank_words, ACCUMULATOR.bank_words
TO_ACTIVATION, TO_WEIGHT, TO_PROGRAM = int(Target.ACTIVATION), int(Target.WEIGHT), int(Target.PROGRAM)
TO_TABLE = int(Target.TABLE)
PLACE_OF = (ACT, WEIGHTS, PARAMETERS, CODEBOOKS)  # by LOAD target, but for the bank
OP_LOAD, OP_COMPUTE, OP_POST, OP_STORE = (int(o) for o in (Opcode.LOAD, Opcode.COMPUTE, Opcode.POST, Opcode.STORE))

assert [BY_TARGET[target] for target in Target][:4] == [ACTIVATION, WEIGHT, PARAMETER, CODEBOOK]


def depths(design: Design, data_beats: int) -> list[int]:
    """Words of each place."""
    sizes = [memory.words(design) for memory in (ACTIVATION, ACTIVATION, WEIGHT, PARAMETER, CODEBOOK)]
    return [*sizes, data_beats, POINTER.words(design), TABLE_MEMORY.words(design)]


@part
def put(table: MutableInts, a: int, place: int, write: int, start: int, length: int, rows: int, pitch: int) -> int:
    """One access at `a`; the place after it."""
    if rows > 1 and pitch <= length:
        length, rows = (rows - 1) * pitch + length, 1
    table[a + PLACE], table[a + WRITE], table[a + START] = place, write, start
    table[a + LENGTH], table[a + ROWS], table[a + PITCH] = length, rows, pitch
    table[a + END] = start + (rows - 1) * pitch + length
    return a + SIZE


@part
def accesses_of(m: Machine, rows: Ints, r: int, c: int, data: int, table: MutableInts, t: int) -> int:
    """Accesses and ports, at `t`, of the command at `r` with its configuration at `c`.

    `data`: its DRAM address counts from the data segment.
    """
    for k in range(ACCESSES):
        table[t + k * SIZE + PLACE] = NOTHING
    table[t + PORTS] = 0
    opcode = rows[r + OPCODE]
    if opcode == OP_LOAD:
        return _load(m, rows, r, data, table, t)
    if opcode == OP_COMPUTE:
        return _compute(m, rows, r, c, table, t)
    if opcode == OP_POST:
        return _post(m, rows, r, c, table, t)
    return _store(m, rows, r, table, t) if opcode == OP_STORE else 0


@part
def row_beats_words(m: Machine, rows: Ints, r: int) -> int:
    """Words of a row of a LOAD of plain words."""
    target = rows[r + LOAD.target]
    return rows[r + LOAD.row_beats] * m.words_per_beat[target] // m.beats_per_word[target]


@part
def _load(m: Machine, rows: Ints, r: int, data: int, table: MutableInts, t: int) -> int:
    target, count = rows[r + LOAD.target], rows[r + LOAD.rows]
    if target == TO_TABLE:
        words = row_beats_words(m, rows, r)
        put(table, t, LOOKUPS, 1, rows[r + LOAD.dst_addr], words, count, rows[r + LOAD.dst_pitch])
        return 0
    if target >= TO_PROGRAM:  # nobody else uses a program buffer, or the tables of the loader's decoder
        return 0
    row_beats, bank, word = rows[r + LOAD.row_beats], 0, rows[r + LOAD.dst_addr]
    words = row_beats_words(m, rows, r)
    if target == TO_ACTIVATION:
        bank, word = word // ACT_BANK, word % ACT_BANK
        if rows[r + LOAD.window]:
            words = rows[r + LOAD.row_words]
            count = windows(count, rows[r + LOAD.zero_code], rows[r + LOAD.code_bits])
        table[t + PORTS] = 1 << ACT_WRITE + bank
    if target == TO_WEIGHT and m.sparse:
        words = entry_rows(words, rows[r + LOAD.run], rows[r + LOAD.step])
        if rows[r + LOAD.coded]:
            words = rows[r + LOAD.dram_pitch]
        a = put(table, t, POINTERS, 1, rows[r + LOAD.dst_pitch], rows[r + LOAD.row_words], 1, 0)
        put(table, a, WEIGHTS, 1, word, words, 1, 0)
        return 0
    if rows[r + LOAD.coded]:
        words = packed_words(rows[r + LOAD.dst_pitch], rows[r + LOAD.code_bits], m.weight_lane_bits)
    a = put(table, t, PLACE_OF[target] + bank, 1, word, words, count, rows[r + LOAD.dst_pitch])
    if data:
        first, pitch = rows[r + LOAD.dram_addr] // m.beat_bytes, rows[r + LOAD.dram_pitch] // m.beat_bytes
        put(table, a, DRAM, 0, first, row_beats, rows[r + LOAD.rows], pitch)
    return 0


@part
def _compute(m: Machine, rows: Ints, r: int, c: int, table: MutableInts, t: int) -> int:
    bank, word = rows[r + COMPUTE.act_addr] // ACT_BANK, rows[r + COMPUTE.act_addr] % ACT_BANK
    iy0, ix0, groups = rows[r + COMPUTE.iy0], rows[r + COMPUTE.ix0], rows[r + COMPUTE.groups]
    kernel_h, kernel_w = rows[c + CONFIG_COMPUTE.kernel_h], rows[c + CONFIG_COMPUTE.kernel_w]
    stride_y = rows[c + CONFIG_COMPUTE.stride_y]
    y0, x0 = max(0, iy0), max(0, ix0)
    y1 = span_end(
        iy0, rows[r + COMPUTE.out_h], stride_y, kernel_h, rows[c + CONFIG_COMPUTE.dilation_y],
        rows[c + CONFIG_COMPUTE.in_h],
    )  # fmt: skip
    x1 = span_end(
        ix0, rows[r + COMPUTE.out_w] + rows[c + CONFIG_COMPUTE.beside], rows[c + CONFIG_COMPUTE.stride_x], kernel_w,
        rows[c + CONFIG_COMPUTE.dilation_x], rows[c + CONFIG_COMPUTE.in_w],
    )  # fmt: skip
    a = t
    if y0 < y1 and x0 < x1:
        pitch = rows[c + CONFIG_COMPUTE.row_step] // stride_y
        first = (word + (y0 - iy0) * pitch + x0 - ix0) % ACT_BANK
        a = put(table, a, ACT + bank, 0, first, (y1 - 1 - y0) * pitch + x1 - x0, groups, rows[c + CONFIG_COMPUTE.plane])
    structured = rows[r + COMPUTE.structured]
    weights = tiles_of(m, rows[r + COMPUTE.n_tiles], groups, kernel_h * kernel_w, structured) * m.fill_cycles
    bits = code_bits(rows[r + COMPUTE.weight_bits], structured)
    words = packed_words(weights, bits, m.weight_lane_bits)
    if m.sparse:
        words = rows[r + COMPUTE.entries]
        columns = ((groups - 1) * m.word_lanes + rows[r + COMPUTE.rows_last]) * kernel_h * kernel_w
        a = put(table, a, POINTERS, 0, rows[r + COMPUTE.pointer_addr], columns, 1, 0)
    a = put(table, a, WEIGHTS, 0, rows[r + COMPUTE.weight_addr], words, 1, 0)
    if rows[r + COMPUTE.use_codebook]:
        put(table, a, CODEBOOKS, 0, CODEBOOK_ENTRIES * rows[r + COMPUTE.codebook_bank], CODEBOOK_ENTRIES, 1, 0)
    table[t + PORTS] = (1 << ACT_READ + bank) | (1 << ACC_READ + rows[r + COMPUTE.acc_addr] // ACC_BANK)
    return 0


@part
def _post(m: Machine, rows: Ints, r: int, c: int, table: MutableInts, t: int) -> int:
    per, chunks, a = m.word_lanes // m.lanes, rows[r + POST.chunks], t
    source, out_h, out_w = rows[r + POST.src_addr], rows[r + POST.out_h], rows[r + POST.out_w]
    if rows[r + POST.from_activation]:
        bank, word = source // ACT_BANK, source % ACT_BANK
        ports = 1 << ACT_READ + bank
        iy0, ix0 = rows[r + POST.iy0], rows[r + POST.ix0]
        y0, x0 = max(0, iy0), max(0, ix0)
        if rows[r + POST.filter]:
            iy0, ix0 = y0, x0  # where the source begins
            y1 = min(rows[c + CONFIG_POST.in_h], y0 + rows[r + POST.stream_h])
            x1 = min(rows[c + CONFIG_POST.in_w], x0 + rows[r + POST.stream_w])
        else:
            y1 = span_end(
                iy0, out_h, rows[c + CONFIG_POST.stride_y], rows[c + CONFIG_POST.win_h], 1, rows[c + CONFIG_POST.in_h]
            )
            x1 = span_end(
                ix0, out_w, rows[c + CONFIG_POST.stride_x], rows[c + CONFIG_POST.win_w], 1, rows[c + CONFIG_POST.in_w]
            )
        if y0 < y1 and x0 < x1:
            pitch, plane = rows[c + CONFIG_POST.src_row_pitch], rows[c + CONFIG_POST.src_plane]
            low, high = rows[r + POST.src_chunk] // per, (rows[r + POST.src_chunk] + chunks - 1) // per
            first = (word + low * plane + (y0 - iy0) * pitch + x0 - ix0) % ACT_BANK
            a = put(table, a, ACT + bank, 0, first, (y1 - 1 - y0) * pitch + x1 - x0, high - low + 1, plane)
    else:
        ports = 1 << ACC_READ + source // ACC_BANK
    plane = rows[c + CONFIG_POST.dst_plane]
    low, high = rows[r + POST.dst_chunk] // per, (rows[r + POST.dst_chunk] + chunks - 1) // per
    length = (out_h - 1) * rows[c + CONFIG_POST.dst_row_pitch] + (out_w - 1) * rows[r + POST.dst_step] + 1
    for write in range(1 if rows[r + POST.residual] == 0 else 0, 2):
        address = rows[r + POST.dst_addr] if write else rows[r + POST.res_addr]
        bank, word = address // ACT_BANK, address % ACT_BANK
        if rows[r + POST.res_plane] and not write:
            a = put(table, a, ACT + bank, 0, word, 1, high + 1, rows[r + POST.res_plane])
        else:
            a = put(table, a, ACT + bank, write, word + low * plane, length, high - low + 1, plane)
        ports |= 1 << (ACT_WRITE if write else ACT_READ) + bank
    if rows[r + POST.filter]:
        words = filter_words(rows[r + POST.filter])
        a = put(table, a, PARAMETERS, 0, rows[r + POST.param_addr], words * chunks, 1, 0)
    elif not rows[r + POST.uniform]:
        a = put(table, a, PARAMETERS, 0, rows[r + POST.param_addr], chunks, 1, 0)
    if rows[c + CONFIG_POST.table]:
        put(table, a, LOOKUPS, 0, TABLE_WORDS * rows[c + CONFIG_POST.table_bank], TABLE_WORDS, 1, 0)
    table[t + PORTS] = ports
    return 0


@part
def _store(m: Machine, rows: Ints, r: int, table: MutableInts, t: int) -> int:
    bank, word = rows[r + STORE.src_addr] // ACT_BANK, rows[r + STORE.src_addr] % ACT_BANK
    count, words = rows[r + STORE.rows], rows[r + STORE.row_words]
    beats = -(-words // m.words_per_beat[TO_ACTIVATION]) * m.beats_per_word[TO_ACTIVATION]
    first, pitch = rows[r + STORE.dram_addr] // m.beat_bytes, rows[r + STORE.dram_pitch] // m.beat_bytes
    a = put(table, t, ACT + bank, 0, word, words, count, rows[r + STORE.src_pitch])
    put(table, a, DRAM, 1, first, beats, count, pitch)
    table[t + PORTS] = 1 << ACT_READ + bank
    return 0


@part
def span_end(first: int, count: int, stride: int, kernel: int, dilation: int, limit: int) -> int:
    """Where the positions end that `count` windows touch from `first` on, at most `limit`."""
    return min(limit, first + (count - 1) * stride + (kernel - 1) * dilation + 1)


@part
def overlap(table: Ints, a: int, b: int) -> int:
    """Whether two accesses of one place share a word."""
    if table[a + START] >= table[b + END] or table[b + START] >= table[a + END]:
        return 0
    if table[a + ROWS] > table[b + ROWS]:
        a, b = b, a
    if table[b + ROWS] == 1:
        return 1
    start, length, pitch = table[b + START], table[b + LENGTH], table[b + PITCH]
    for k in range(table[a + ROWS]):
        low = table[a + START] + k * table[a + PITCH] - start  # the run is low..high of b's own words
        high = low + table[a + LENGTH]
        if max(0, (low - length) // pitch + 1) <= min(table[b + ROWS] - 1, (high - 1) // pitch):
            return 1
    return 0
