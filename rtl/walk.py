"""Walks through a COMPUTE in blocks of R pixels: the word of each pixel, or that it is padding (implicit im2col)."""

from __future__ import annotations

from amaranth.hdl import Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from accel.commands import COMMAND_BYTES, Compute, ConfigCompute, field_bits, most
from accel.design import Design
from accel.memories import ACTIVATION
from accel.rtl.layouts import field_signal, layout
from accel.rtl.ports import word_of

# A row or column of the tensor as far as any command reaches: it may be taken modulo, but not come back to the tensor.
POSITION_BITS = (
    most(Compute, "iy0")
    + (most(Compute, "out_h") - 1) * most(ConfigCompute, "stride_y")
    + (most(ConfigCompute, "kernel_h") - 1) * most(ConfigCompute, "dilation_y")
).bit_length()


class BlockWalk(wiring.Component):
    """From `begin` on one pixel a `step`:

    for block in blocks of R pixels, in row-major order:  for tile:  for group, ky, kx:  for pixel in block

    with one tile only unless `tiles`. `active`: there is a pixel. It is number `row` of its block, `address` is its
    word and `inside` says that it is no padding; `end_unit`: it is the block's last one under this kernel position and
    group. `start`: that is the first of the tile, `end_tile`: the last; `end_group`: the group is the last one,
    `end_tiles`: the tile is, `end_pixels`: the pixel is. `head` is the command at `begin`, `command` it from then on,
    `config` its configuration. `flush`: it is forgotten.
    """

    def __init__(self, design: Design, tiles: bool) -> None:
        self.design, self.tiles = design, tiles
        super().__init__(
            {
                "begin": In(1), "head": In(8 * COMMAND_BYTES), "config": In(8 * COMMAND_BYTES),
                "command": In(8 * COMMAND_BYTES), "step": In(1), "flush": In(1),
                "active": Out(1), "address": Out(ACTIVATION.word_bits), "inside": Out(1),
                "row": Out(range(max(2, design.rows))), "tile": Out(field_bits(Compute, "n_tiles")),
                **{f"end_{name}": Out(1) for name in ("unit", "group", "tile", "tiles", "pixels")}, "start": Out(1),
            }
        )  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        config, command = data.View(layout(ConfigCompute), self.config), data.View(layout(Compute), self.command)
        word_bits = ACTIVATION.word_bits
        active, row = Signal(name="walking"), Signal.like(self.row, name="pixel_row")
        # The pixel, without what the kernel position adds: row and column of the output, word, and coordinates; and
        # the same of the first pixel of the block, and of the one behind this pixel.
        kinds = (
            ("oy", field_signal(Compute, "out_h").shape()), ("ox", field_signal(Compute, "out_w").shape()),
            ("line", word_bits), ("at", word_bits), ("iy", signed(POSITION_BITS)), ("ix", signed(POSITION_BITS)),
        )  # fmt: skip
        here, first, after = (
            {name: Signal(shape, name=f"{which}_{name}") for name, shape in kinds}
            for which in ("here", "first", "after")
        )
        kx, ky = field_signal(ConfigCompute, "kernel_w", "kx"), field_signal(ConfigCompute, "kernel_h", "ky")
        group, tile = field_signal(Compute, "groups", "group"), Signal.like(self.tile, name="tile_number")
        tap, at_ky, at_group = (Signal(word_bits, name=n) for n in ("tap", "at_ky", "at_group"))
        dy, dx = Signal(POSITION_BITS - 1, name="dy"), Signal(POSITION_BITS - 1, name="dx")
        counters = {"x": here["ox"], "y": here["oy"], "kx": kx, "ky": ky, "group": group, "tile": tile}
        lasts = {name: Signal.like(counter, name=f"last_{name}") for name, counter in counters.items()}
        ends = {name: counter == lasts[name] for name, counter in counters.items()}
        end_x, end_kx, end_ky = ends["x"], ends["kx"], ends["ky"]
        last_tile: Value = ends["tile"] if self.tiles else Const(1)
        m.d.comb += [
            self.active.eq(active), self.row.eq(row), self.tile.eq(tile),
            self.end_group.eq(ends["group"]), self.end_tiles.eq(last_tile),
            self.end_pixels.eq(end_x & ends["y"]),
            self.end_unit.eq((row == self.design.rows - 1) | self.end_pixels),
            self.end_tile.eq(end_kx & end_ky & self.end_group), self.start.eq((group == 0) & (ky == 0) & (kx == 0)),
            after["ox"].eq(Mux(end_x, 0, here["ox"] + 1)), after["oy"].eq(here["oy"] + end_x),
            after["line"].eq(here["line"] + Mux(end_x, config.row_step, 0)),
            after["at"].eq(Mux(end_x, here["line"] + config.row_step, here["at"] + config.stride_x)),
            after["ix"].eq(Mux(end_x, command.ix0, here["ix"] + config.stride_x)),
            after["iy"].eq(here["iy"] + Mux(end_x, config.stride_y, 0)),
        ]  # fmt: skip

        def move(target: dict, source: dict) -> list:
            return [target[name].eq(source[name]) for name in source]

        with m.If(self.step):
            m.d.sync += [row.eq(Mux(self.end_unit, 0, row + 1)), *move(here, after)]
            with m.If(self.end_unit):
                m.d.sync += [
                    *move(here, first), kx.eq(kx + 1), tap.eq(tap + config.dilation_x), dx.eq(dx + config.dilation_x)
                ]  # fmt: skip
                with m.If(end_kx):
                    next_ky = word_of(ACTIVATION, at_ky + config.tap_row_step)
                    m.d.sync += [
                        kx.eq(0), dx.eq(0), ky.eq(ky + 1), dy.eq(dy + config.dilation_y),
                        tap.eq(next_ky), at_ky.eq(next_ky),
                    ]  # fmt: skip
                    with m.If(end_ky):
                        next_group = word_of(ACTIVATION, at_group + config.plane)
                        m.d.sync += [ky.eq(0), dy.eq(0), group.eq(group + 1)]
                        m.d.sync += [signal.eq(next_group) for signal in (tap, at_ky, at_group)]
                with m.If(self.end_tile):
                    m.d.sync += [group.eq(0), tile.eq(tile + 1)]
                    m.d.sync += [signal.eq(0) for signal in (tap, at_ky, at_group)]
                    with m.If(last_tile):
                        m.d.sync += [tile.eq(0), *move(here, after), *move(first, after)]
                        with m.If(self.end_pixels):
                            m.d.sync += active.eq(0)
        with m.If(self.begin):
            m.d.sync += [active.eq(1), row.eq(0)]
            m.d.sync += [signal.eq(0) for signal in (kx, ky, group, tile, tap, at_ky, at_group, dy, dx)]
            head = data.View(layout(Compute), self.head)
            counts = {
                "x": head.out_w, "y": head.out_h, "kx": config.kernel_w, "ky": config.kernel_h, "group": head.groups,
                "tile": head.n_tiles,
            }  # fmt: skip
            m.d.sync += [lasts[name].eq(count - 1) for name, count in counts.items()]
            for place in (here, first):
                m.d.sync += [place["oy"].eq(0), place["ox"].eq(0), place["iy"].eq(head.iy0), place["ix"].eq(head.ix0)]
                m.d.sync += [place["line"].eq(head.act_addr), place["at"].eq(head.act_addr)]
        with m.Elif(self.flush):
            m.d.sync += active.eq(0)
        iy, ix = here["iy"] + dy, here["ix"] + dx
        m.d.comb += [
            self.address.eq(here["at"] + tap),
            self.inside.eq((iy >= 0) & (iy < config.in_h) & (ix >= 0) & (ix < config.in_w)),
        ]
        return m
