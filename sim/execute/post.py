"""POST: windows of sums or activations, requantised."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel.commands import ConfigPost, Post
from accel.datapath import FACTOR_BITS
from accel.memories import ACCUMULATOR, ACTIVATION, CODE_BITS, PARAMETER, TABLE, TABLE_ENTRIES, Memory
from accel.records import filter_words, unpack_records, unpack_taps
from accel.sim.execute.machine import Machine, check

LEAST_SUM = np.iinfo(np.int32).min
LARGEST_FACTOR = 1 << FACTOR_BITS - 1


def post(machine: Machine, c: Post, config: ConfigPost) -> None:
    """Write the outputs of a POST."""
    value = _filtered(machine, c, config) if c.filter else _reduced(machine, c, config)
    bias, multiplier, shift = _records(machine, c, config)
    per = machine.program.design.word_lanes // machine.program.design.lanes
    d = c.dst_chunk + np.arange(c.chunks)[:, None, None]
    pixels = np.arange(c.out_h)[:, None] * config.dst_row_pitch + np.arange(c.out_w) * c.dst_step
    offset = (d // per) * config.dst_plane + pixels

    def words(address: int, offset: NDArray[np.int64], depth: int) -> NDArray[np.int64]:
        found = (address + offset) % ACTIVATION.bank_words
        check(int(found.max()) < depth, "activation range", c)
        return found

    r: NDArray[np.int64] = np.zeros(1, np.int64)
    if c.residual:
        operand = _chunks(machine, ACTIVATION, c.res_addr)
        at = words(c.res_addr, d // per * c.res_plane if c.res_plane else offset, operand.shape[1])
        r = operand[:, at, d % per].astype(np.int64) - config.res_zero_point
        r = -r if config.subtract else r
    if config.multiply:
        value = (value + config.uniform_bias + LARGEST_FACTOR) % (2 * LARGEST_FACTOR) - LARGEST_FACTOR
        y = _round_shift(value * r * config.uniform_multiplier, np.full(1, config.uniform_shift, np.int64))
    else:
        y = _round_shift((value + bias) * multiplier, shift)
        y = y + _round_shift(r * config.res_multiplier, np.full(1, config.res_shift, np.int64))
    y = y + config.zero_point
    target = _chunks(machine, ACTIVATION, c.dst_addr)
    at = words(c.dst_addr, offset, target.shape[1])
    codes = np.clip(y, config.low, config.high).astype(np.int8)
    if config.table:
        entries = machine.constants[TABLE].reshape(-1, TABLE_ENTRIES)[config.table_bank].view(np.int8)
        codes = entries[codes.astype(np.int64) + (1 << CODE_BITS - 1)]
    target[:, at, np.broadcast_to(d % per, offset.shape)] = codes


def _chunks(machine: Machine, memory: Memory, address: int) -> NDArray:
    """The bank of an address, (batch, words, lanes), as (batch, words, chunks, P)."""
    bank, _ = machine.bank(memory, address)
    return bank.reshape(*bank.shape[:2], -1, machine.program.design.lanes)


def _reduced(machine: Machine, c: Post, config: ConfigPost) -> NDArray[np.int64]:
    """(batch, chunks, out_h, out_w, P) maximum or sum over each window."""
    memory = ACTIVATION if c.from_activation else ACCUMULATOR
    source = _chunks(machine, memory, c.src_addr)
    at, per = c.src_addr % memory.bank_words, source.shape[2]
    part = c.src_chunk + np.arange(c.chunks)[:, None, None]
    oy, ox = np.arange(c.out_h)[:, None], np.arange(c.out_w)
    outside = config.res_zero_point if c.reduce_sum else LEAST_SUM
    reduce = np.add if c.reduce_sum else np.maximum
    value: NDArray[np.int64] | None = None
    for wy in range(config.win_h):
        for wx in range(config.win_w):
            iy, ix = c.iy0 + oy * config.stride_y + wy, c.ix0 + ox * config.stride_x + wx
            inside = (iy >= 0) & (iy < config.in_h) & (ix >= 0) & (ix < config.in_w)
            word = at + (part // per) * config.src_plane + oy * config.src_row_step + wy * config.src_row_pitch
            word = (word + ox * config.stride_x + wx) % memory.bank_words
            used = np.broadcast_to(inside, word.shape)
            check(bool((word[used] < source.shape[1]).all()), "source range", c)
            element = source[:, np.where(inside, word, 0), part % per].astype(np.int64)
            element = np.where(inside[..., None], element, outside)
            value = element if value is None else reduce(value, element)
    assert value is not None
    return value


def _filtered(machine: Machine, c: Post, config: ConfigPost) -> NDArray[np.int64]:
    """(batch, chunks, out_h, out_w, P) weighted sums over windows."""
    source = _chunks(machine, ACTIVATION, c.src_addr)
    per, (y0, x0) = source.shape[2], (max(0, c.iy0), max(0, c.ix0))
    part = (c.src_chunk + np.arange(c.chunks))[:, None, None]

    def word(iy: NDArray[np.int64], ix: NDArray[np.int64]) -> NDArray[np.int64]:
        at = c.src_addr + (part // per) * config.src_plane + (iy - y0) * config.src_row_pitch + ix - x0
        return at % ACTIVATION.bank_words

    passing = word(
        np.arange(y0, max(y0, min(config.in_h, y0 + c.stream_h)))[:, None],
        np.arange(x0, max(x0, min(config.in_w, x0 + c.stream_w))),
    )
    check(bool((passing < source.shape[1]).all()), "source range", c)
    taps = _parameters(machine, c, unpack_taps, machine.program.design.lanes, c.filter)
    value = np.zeros((len(source), c.chunks, c.out_h, c.out_w, source.shape[3]), np.int64)
    for wy, wx in np.ndindex(taps.shape[2:]):
        iy = c.iy0 + np.arange(c.out_h)[:, None] * config.stride_y + wy
        ix = c.ix0 + np.arange(c.out_w) * config.stride_x + wx
        inside = (iy >= 0) & (iy < config.in_h) & (ix >= 0) & (ix < config.in_w)
        element = source[:, np.where(inside, word(iy, ix), 0), part % per].astype(np.int64)
        value += np.where(inside[..., None], element, config.res_zero_point) * taps[:, None, None, :, wy, wx]
    return value


def _parameters(machine: Machine, c: Post, unpack: Callable[..., Any], *arguments: int) -> Any:
    """What `unpack` makes of the parameter words of all chunks."""
    memory, count = machine.constants[PARAMETER], c.chunks * (filter_words(c.filter) or 1)
    check(c.param_addr + count <= len(memory), "parameter range", c)
    return unpack(memory[c.param_addr : c.param_addr + count], *arguments)


def _records(machine: Machine, c: Post, config: ConfigPost) -> tuple[NDArray[np.int64], ...]:
    """bias, multiplier, shift, each broadcastable to (chunks, 1, 1, P)."""
    if c.uniform:
        values = (config.uniform_bias, config.uniform_multiplier, config.uniform_shift)
        return tuple(np.array(v, np.int64).reshape(1, 1, 1, 1) for v in values)
    lanes, step = machine.program.design.lanes, filter_words(c.filter) or 1
    return tuple(values[::step].reshape(c.chunks, 1, 1, lanes) for values in _parameters(machine, c, unpack_records))


def _round_shift(value: NDArray[np.int64], shift: NDArray[np.int64]) -> NDArray[np.int64]:
    half = np.where(shift > 0, np.int64(1) << np.maximum(shift - 1, 0), 0)
    return (value + half) >> shift
