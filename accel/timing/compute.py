"""Timing of the compute unit: a closed form over the tiles of a command.

For T pixels a tile, N tiles (n tiles x groups x kernel), R rows, S = max(T, R, MIN_TILE_CYCLES):

    pop         p   = max(pushed + 1, waits, q of the command before,
                          last weight row of the command before)                (not for a configuration)
    weights     s_1 = max(p + 1, start of the last tile before)                 first row of the first tile issued
    feeder      q   = max(p + 1, last pixel of the command before)              command taken from the slot
    first tile  t_1 = max(q + 1, s_1 + R, start of the last tile before + MIN_TILE_CYCLES)
    later       s_j = t_{j-1} or later (a tile's R rows take R cycles), t_j = t_{j-1} + S
    done        e   = last pixel + FEED_CYCLES + array_cycles + ACC_CYCLES
"""

from __future__ import annotations

from functools import lru_cache

from accel.commands import Compute, ConfigCompute
from accel.design import Design
from accel.events import Event
from accel.latency import ACC_CYCLES, FEED_CYCLES, MIN_TILE_CYCLES, array_cycles
from accel.timing.step import Step


@lru_cache(maxsize=4096)
def inside_pairs(start: int, dilation: int, taps: int, stride: int, count: int, size: int) -> int:
    """How many (tap, output position) pairs of one dimension read inside 0..size-1."""
    total = 0
    for tap in range(taps):
        first = start + tap * dilation
        low = max(0, -(first // stride)) if first < 0 else 0
        high = min(count, -((first - size) // stride)) if first < size else 0
        total += max(0, high - low)
    return total


class ComputeTiming:
    """The unit's state between commands; `step` is called for its commands in program order."""

    def __init__(self, design: Design) -> None:
        self.design = design
        self.latency = FEED_CYCLES + array_cycles(design.rows, design.cols) + ACC_CYCLES
        self.slot_free = 0
        self.weights_free = 0
        self.tile_start = -MIN_TILE_CYCLES
        self.finished = 0  # last pixel of the last command
        self.config = ConfigCompute()

    def step(self, command: Compute | ConfigCompute, pushed: int, ready: int) -> Step:
        """Time one COMPUTE or CONFIG_COMPUTE: `pushed` into the queue, waits hold from `ready` on."""
        if isinstance(command, ConfigCompute):
            pop = max(pushed + 1, self.slot_free)
            self.config = command
            self.slot_free = max(pop + 1, self.finished)
            return Step(pop, self.slot_free, self.slot_free)
        rows, config = self.design.rows, self.config
        pop = max(pushed + 1, ready, self.slot_free, self.weights_free)
        pixels = command.out_h * command.out_w
        tiles = command.n_tiles * command.groups * config.kernel_h * config.kernel_w
        period = max(pixels, rows, MIN_TILE_CYCLES)
        taken = max(pop + 1, self.finished)
        first_weights = max(pop + 1, self.tile_start)
        start = max(taken + 1, first_weights + rows, self.tile_start + MIN_TILE_CYCLES)
        last_weights = first_weights if tiles == 1 else start + (tiles - 2) * period
        self.tile_start = start + (tiles - 1) * period
        self.finished = self.tile_start + pixels - 1
        self.slot_free = taken
        self.weights_free = last_weights + rows - 1
        issued = max(self.slot_free, self.weights_free)
        return Step(pop, issued, self.finished + self.latency, tiles * pixels, self._events(command, tiles, pixels))

    def _events(self, command: Compute, tiles: int, pixels: int) -> dict[Event, int]:
        rows, cols, config = self.design.rows, self.design.cols, self.config
        streamed = tiles * pixels
        taps = config.kernel_h * config.kernel_w
        inside = inside_pairs(
            command.iy0, config.dilation_y, config.kernel_h, config.stride_y, command.out_h, config.in_h
        ) * inside_pairs(command.ix0, config.dilation_x, config.kernel_w, config.stride_x, command.out_w, config.in_w)
        row_steps = taps * pixels * ((command.groups - 1) * rows + command.rows_last)
        macs = row_steps * ((command.n_tiles - 1) * cols + command.cols_last)
        sums = command.n_tiles * pixels
        return {
            Event.ACT_READS: inside * command.n_tiles * command.groups,
            Event.WEIGHT_READS: -(-tiles * rows * command.weight_bits // 8),
            Event.CODEBOOK_READS: tiles * rows * cols if command.use_codebook else 0,
            Event.ACC_READS: streamed - (0 if command.accumulate else sums),
            Event.ACC_WRITES: streamed,
            Event.MACS: macs,
            Event.MACS_GATED: streamed * rows * cols - macs,
            Event.STREAM_CYCLES: streamed,
        }
