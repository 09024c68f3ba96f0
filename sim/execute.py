"""Bit-exact execution of a Program: commands in program order on modelled buffers, for many inputs at once.

Nothing here knows about time. Sums are made by BLAS and are exact: a product of two int8 codes is below 2**14 in
magnitude, so a sum of K of them is below K * 2**14, and every partial sum in any order as well. float32 holds all
integers up to 2**24 and is used for K <= 2**10; float64 holds them up to 2**53, which K <= 2**34 (more than a COMPUTE
can ask for) does not reach. Sums across commands are added as int64 and checked against the accumulator's width.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel import layout
from accel.commands import (
    ACCUMULATOR_BANK,
    ACTIVATION_BANK,
    Compute,
    ConfigCompute,
    ConfigPost,
    Load,
    Post,
    Store,
    Target,
)
from accel.design import Design
from accel.legal import check
from accel.program import Program

__all__ = ["execute"]

FLOAT32_TERMS = 1 << 10
BATCH_BYTES = 1 << 28  # memory for one batch of buffers


class ExecutionError(Exception):
    """The program does what the hardware would refuse: an address outside a memory."""


@dataclass
class _Machine:
    """Buffers for `batch` inputs. DRAM below `boundary` is constant and shared by them."""

    program: Program
    batch: int
    boundary: int
    static: NDArray[np.uint8]
    dynamic: NDArray[np.uint8]
    activations: NDArray[np.int8]  # (2, batch, words, R)
    accumulators: NDArray[np.int64]  # (2, batch, words, C)
    weights: NDArray[np.uint8]
    parameters: NDArray[np.uint8]
    codebook: NDArray[np.uint8]
    compute: ConfigCompute = field(default_factory=ConfigCompute)
    post: ConfigPost = field(default_factory=ConfigPost)


def execute(program: Program, codes: NDArray[np.int8]) -> NDArray[np.int8]:
    """Run the program on int8 input codes (N, C, H, W); returns the output codes (N, C, H, W).

    Raises ExecutionError if a command leaves a memory, IllegalCommandError if one is illegal by itself.
    """
    check(program.design, program.commands)
    outputs = []
    per_input = (program.dram_bytes - _boundary(program)) + _buffer_bytes(program)
    step = int(max(1, min(256, BATCH_BYTES // max(1, per_input))))
    for first in range(0, len(codes), step):
        outputs.append(_output(_run(program, codes[first : first + step])))
    return np.concatenate(outputs)


def execute_memory(program: Program, codes: NDArray[np.int8]) -> NDArray[np.uint8]:
    """The whole DRAM content (dram_bytes) after running one input (C, H, W). Raises as `execute` does."""
    check(program.design, program.commands)
    machine = _run(program, codes[None])
    return np.concatenate([machine.static, machine.dynamic[0]])


def _run(program: Program, codes: NDArray[np.int8]) -> _Machine:
    """The machine after all commands."""
    machine = _make(program, codes)
    for command in program.commands:
        action = _ACTIONS.get(type(command))
        if action:
            action(machine, command)
    return machine


def _boundary(program: Program) -> int:
    stores = [c.dram_addr for c in program.commands if isinstance(c, Store)]
    return min([len(program.image), program.input.offset, program.output.offset, *stores])


def _buffer_bytes(program: Program) -> int:
    design = program.design
    return 2 * design.activation_words * design.rows + 16 * design.accumulator_words * design.cols


def _make(program: Program, codes: NDArray[np.int8]) -> _Machine:
    design, boundary, batch = program.design, _boundary(program), len(codes)
    dynamic = np.zeros((batch, program.dram_bytes - boundary), np.uint8)
    dynamic[:, : len(program.image) - boundary] = program.image[boundary:]
    packed = program.pack_input(codes)
    at = program.input.offset - boundary
    dynamic[:, at : at + packed.shape[-1]] = packed
    return _Machine(
        program,
        batch,
        boundary,
        program.image[:boundary],
        dynamic,
        np.zeros((2, batch, design.activation_words, design.rows), np.int8),
        np.zeros((2, batch, design.accumulator_words, design.cols), np.int64),
        np.zeros((design.weight_words, design.cols), np.uint8),
        np.zeros((design.parameter_words, 8 * design.lanes), np.uint8),
        np.zeros((512, 1), np.uint8),
    )


def _output(machine: _Machine) -> NDArray[np.int8]:
    program = machine.program
    rows, beat = program.design.rows, program.design.beat_bytes
    place = program.output.layout
    assert isinstance(place, layout.WordTensor)
    size = place.words(rows) * layout.stride_bytes(rows, beat)
    at = program.output.offset - machine.boundary
    return place.unpack(layout.dram_to_words(machine.dynamic[:, at : at + size].view(np.int8), rows, beat))


def _check(ok: bool, what: str, command: object) -> None:
    if not ok:
        raise ExecutionError(f"{what}: {command}")


def _read_dram(machine: _Machine, address: int, size: int, command: object) -> NDArray[np.uint8]:
    """(batch or 1, size) bytes; (1, size) when they are constant."""
    _check(address + size <= machine.program.dram_bytes, "DRAM range", command)
    if address + size <= machine.boundary:
        return machine.static[None, address : address + size]
    _check(address >= machine.boundary, "a load spans constants and data", command)
    return machine.dynamic[:, address - machine.boundary : address - machine.boundary + size]


def _load(machine: _Machine, c: Load) -> None:
    design, target = machine.program.design, Target(c.target)
    if target is Target.PROGRAM:
        return
    beat = design.beat_bytes
    zeta = layout.word_bytes(design, target)
    depth = layout.target_depth(design, target)
    for row in range(c.rows):
        data = _read_dram(machine, c.dram_addr + row * c.dram_pitch, c.row_beats * beat, c)
        at = (c.dst_addr + row * c.dst_pitch) % (2 * ACTIVATION_BANK)
        if target is Target.ACTIVATION:
            bank, word = machine.activations[at // ACTIVATION_BANK], at % ACTIVATION_BANK
            if c.window:
                index = c.skip_bytes + np.arange(c.row_words)[:, None] * c.step + np.arange(c.run)
                _check(int(index[-1, -1]) < c.row_beats * beat, "a window leaves its row", c)
                _check(word + c.row_words <= depth, "activation range", c)
                bank[:, word : word + c.row_words, c.lane : c.lane + c.run] = data.view(np.int8)[:, index]
            else:
                words = layout.dram_to_words(data.view(np.int8), zeta, beat)
                _check(word + words.shape[1] <= depth, "activation range", c)
                bank[:, word : word + words.shape[1]] = words
            continue
        _check(data.shape[0] == 1, "constants must lie in the constant part of DRAM", c)
        words = layout.dram_to_words(data[0].view(np.int8), zeta, beat).view(np.uint8)
        _check(at + len(words) <= depth, f"{target.name.lower()} range", c)
        buffer = {
            Target.WEIGHT: machine.weights,
            Target.PARAMETER: machine.parameters,
            Target.CODEBOOK: machine.codebook,
        }[target]
        buffer[at : at + len(words)] = words


def _weights(machine: _Machine, c: Compute, taps: int) -> NDArray[np.int8]:
    """(n_tiles, groups * taps * R, C) int8 weights of a COMPUTE, gated rows zero."""
    design = machine.program.design
    n = c.n_tiles * c.groups * taps * design.rows
    words = -(-n * c.weight_bits // 8)
    _check(c.weight_addr + words <= design.weight_words, "weight range", c)
    raw = layout.unpack_weight_columns(machine.weights[c.weight_addr : c.weight_addr + words], c.weight_bits, n)
    table = machine.codebook[256 * c.codebook_bank : 256 * c.codebook_bank + 256, 0]
    weights = (table[raw] if c.use_codebook else raw).view(np.int8)
    shaped = weights.reshape(c.n_tiles, c.groups, taps, design.rows, design.cols).copy()
    shaped[:, -1, :, c.rows_last :] = 0
    return shaped.reshape(c.n_tiles, -1, design.cols)


def _compute(machine: _Machine, c: Compute) -> None:
    design, cfg = machine.program.design, machine.compute
    taps, pixels = cfg.kernel_h * cfg.kernel_w, c.out_h * c.out_w
    weights = _weights(machine, c, taps)
    ky, kx = np.arange(cfg.kernel_h)[:, None, None, None], np.arange(cfg.kernel_w)[:, None, None]
    oy, ox = np.arange(c.out_h)[:, None], np.arange(c.out_w)
    iy = c.iy0 + ky * cfg.dilation_y + oy * cfg.stride_y
    ix = c.ix0 + kx * cfg.dilation_x + ox * cfg.stride_x
    inside = ((iy >= 0) & (iy < cfg.in_h) & (ix >= 0) & (ix < cfg.in_w)).reshape(taps, pixels)
    offset = ky * cfg.tap_row_step + kx * cfg.dilation_x + oy * cfg.row_step + ox * cfg.stride_x
    bank = machine.activations[c.act_addr // ACTIVATION_BANK]
    base = c.act_addr % ACTIVATION_BANK + np.arange(c.groups)[:, None, None] * cfg.plane
    address = (base + offset.reshape(taps, pixels)) % ACTIVATION_BANK
    inside = np.broadcast_to(inside, address.shape)
    _check(bool((address[inside] < design.activation_words).all()), "activation range", c)
    # Pixels first, so that what is taken lies as the product reads it.
    inside, address = inside.transpose(2, 0, 1), np.where(inside, address, 0).transpose(2, 0, 1)
    taken = bank.take(address, 1)  # (batch, pixels, groups, taps, R)
    if not inside.all():
        taken[:, ~inside] = cfg.pad_value
    terms = c.groups * taps * design.rows
    real: type[np.floating[Any]] = np.float32 if terms <= FLOAT32_TERMS else np.float64
    left = taken.astype(real).reshape(machine.batch * pixels, terms)
    right = weights.astype(real).transpose(1, 0, 2).reshape(terms, -1)
    sums = (left @ right).reshape(machine.batch, pixels, c.n_tiles, design.cols).transpose(0, 2, 1, 3)
    total = sums.astype(np.int64).reshape(machine.batch, c.n_tiles * pixels, design.cols)
    word = c.acc_addr % ACCUMULATOR_BANK
    _check(word + c.n_tiles * pixels <= design.accumulator_words, "accumulator range", c)
    view = machine.accumulators[c.acc_addr // ACCUMULATOR_BANK, :, word : word + c.n_tiles * pixels]
    if c.accumulate:
        total += view
    limit = 1 << design.widths.accumulator - 1
    _check(bool(total.min() >= -limit and total.max() < limit), "accumulator overflow", c)
    view[...] = total


def _round_shift(value: NDArray[np.int64], shift: NDArray[np.int64]) -> NDArray[np.int64]:
    half = np.where(shift > 0, np.int64(1) << np.maximum(shift - 1, 0), 0)
    return (value + half) >> shift


def _records(machine: _Machine, c: Post) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """bias, multiplier, shift, each broadcastable to (chunks, 1, 1, P)."""
    cfg, lanes = machine.post, machine.program.design.lanes
    if c.uniform:
        values = (cfg.uniform_bias, cfg.uniform_multiplier, cfg.uniform_shift)
        return tuple(np.array(v, np.int64).reshape(1, 1, 1, 1) for v in values)  # type: ignore[return-value]
    _check(c.param_addr + c.chunks <= machine.program.design.parameter_words, "parameter range", c)
    raw = machine.parameters[c.param_addr : c.param_addr + c.chunks].reshape(c.chunks, 1, 1, lanes, 8)
    bias = np.ascontiguousarray(raw[..., :4]).view("<i4")[..., 0].astype(np.int64)
    multiplier = np.ascontiguousarray(raw[..., 4:6]).view("<u2")[..., 0].astype(np.int64)
    return bias, multiplier, (raw[..., 6] & 63).astype(np.int64)


def _chunks(memory: NDArray, lanes: int) -> NDArray:
    """(batch, words, Z) as (batch, words, Z / P, P)."""
    return memory.reshape(*memory.shape[:2], -1, lanes)


def _post(machine: _Machine, c: Post) -> None:
    design, cfg = machine.program.design, machine.post
    lanes = design.lanes
    q = np.arange(c.chunks)[:, None, None]
    oy, ox = np.arange(c.out_h)[:, None], np.arange(c.out_w)
    if c.from_activation:
        source = _chunks(machine.activations[c.src_addr // ACTIVATION_BANK], lanes)
        at, per, part, wrap = c.src_addr % ACTIVATION_BANK, design.rows // lanes, c.src_chunk + q, ACTIVATION_BANK
    else:
        source = _chunks(machine.accumulators[c.src_addr // ACCUMULATOR_BANK], lanes)
        at, per, part, wrap = c.src_addr % ACCUMULATOR_BANK, design.cols // lanes, q, ACCUMULATOR_BANK
    outside = cfg.res_zero_point if c.reduce_sum else np.iinfo(np.int32).min
    reduce = np.add if c.reduce_sum else np.maximum
    value: NDArray[np.int64] | None = None
    for wy in range(cfg.win_h):
        for wx in range(cfg.win_w):
            iy, ix = c.iy0 + oy * cfg.stride_y + wy, c.ix0 + ox * cfg.stride_x + wx
            inside = (iy >= 0) & (iy < cfg.in_h) & (ix >= 0) & (ix < cfg.in_w)
            word = at + (part // per) * cfg.src_plane + oy * cfg.src_row_step + wy * cfg.src_row_pitch
            word = (word + ox * cfg.stride_x + wx) % wrap
            used = np.broadcast_to(inside, word.shape)
            _check(bool((word[used] < source.shape[1]).all()), "source range", c)
            element = source[:, np.where(inside, word, 0), part % per].astype(np.int64)
            element = np.where(inside[..., None], element, outside)
            value = element if value is None else reduce(value, element)
    assert value is not None
    bias, multiplier, shift = _records(machine, c)
    y = _round_shift((value + bias) * multiplier, shift) + cfg.zero_point
    d = c.dst_chunk + q
    per = design.rows // lanes
    offset = (d // per) * cfg.dst_plane + oy * cfg.dst_row_pitch + ox

    def words(address: int) -> NDArray[np.int64]:
        found = (address + offset) % ACTIVATION_BANK
        _check(int(found.max()) < design.activation_words, "activation range", c)
        return found

    if c.residual:
        operand = _chunks(machine.activations[c.res_addr // ACTIVATION_BANK], lanes)
        r = operand[:, words(c.res_addr), d % per].astype(np.int64)
        y = y + _round_shift((r - cfg.res_zero_point) * cfg.res_multiplier, np.full(1, cfg.res_shift, np.int64))
    target = _chunks(machine.activations[c.dst_addr // ACTIVATION_BANK], lanes)
    target[:, words(c.dst_addr), np.broadcast_to(d % per, offset.shape)] = np.clip(y, cfg.low, cfg.high).astype(np.int8)


def _store(machine: _Machine, c: Store) -> None:
    design = machine.program.design
    kept = _written(design, c)
    for row in range(c.rows):
        side, at = divmod((c.src_addr + row * c.src_pitch) % (2 * ACTIVATION_BANK), ACTIVATION_BANK)
        bank = machine.activations[side]
        _check(at + c.row_words <= design.activation_words, "activation range", c)
        data = layout.words_to_dram(bank[:, at : at + c.row_words], design.beat_bytes).view(np.uint8)
        size = -(-data.shape[1] // design.beat_bytes) * design.beat_bytes
        address = c.dram_addr + row * c.dram_pitch - machine.boundary
        _check(address >= 0 and address + size <= machine.dynamic.shape[1], "DRAM range", c)
        before = machine.dynamic[:, address : address + data.shape[1]]
        if kept is not None:
            data = np.where(kept[row], data, before)
        before[:] = data
        machine.dynamic[:, address + data.shape[1] : address + size] = 0


def written(program: Program) -> NDArray[np.bool_]:
    """(dram_bytes) Which bytes of DRAM the program writes; all others hold after a run what they held before."""
    design, found = program.design, np.zeros(program.dram_bytes, np.bool_)
    for c in program.commands:
        if not isinstance(c, Store):
            continue
        kept = _written(design, c)
        size = layout.beats(design, Target.ACTIVATION, c.row_words) * design.beat_bytes
        for row in range(c.rows):
            bytes_of_row = found[c.dram_addr + row * c.dram_pitch :][:size]
            here = np.ones(size, np.bool_)
            if kept is not None:
                here[: kept.shape[1]] = kept[row]
            bytes_of_row |= here
    return found


def _written(design: Design, c: Store) -> NDArray[np.bool_] | None:
    """Which bytes of its words a STORE writes, (rows, bytes of a row's words); None: all."""
    if not (c.unused_lanes or c.gap_words):
        return None
    number = np.arange(c.rows * c.row_words).reshape(c.rows, c.row_words, 1)
    in_line = (c.line_at + np.arange(c.row_words)[:, None]) % max(1, c.line_words)
    kept = (np.arange(design.rows) < design.rows - c.unused_lanes) | (number < c.full_words)
    if c.gap_words:
        kept &= in_line < c.line_words - c.gap_words
    words = np.ones((c.rows, c.row_words, layout.stride_bytes(design.rows, design.beat_bytes)), np.bool_)
    words[..., : design.rows] = kept
    return words.reshape(c.rows, -1)


def _configure_compute(machine: _Machine, c: ConfigCompute) -> None:
    machine.compute = c


def _configure_post(machine: _Machine, c: ConfigPost) -> None:
    machine.post = c


_ACTIONS: dict[type, Callable] = {
    Load: _load,
    ConfigCompute: _configure_compute,
    Compute: _compute,
    ConfigPost: _configure_post,
    Post: _post,
    Store: _store,
}
