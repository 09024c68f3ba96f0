"""Weight issue: rows of tiles from the weight buffer, unpacked and looked up, into the array's shadow registers."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from accel.commands import COMMAND_BYTES, Compute, ConfigCompute
from accel.design import Design
from accel.latency import WEIGHT_FEED, cycles, until
from accel.memories import CODEBOOK, WEIGHT
from accel.rtl.buffers import Buffer, Codebook
from accel.rtl.layouts import field_signal, layout
from accel.rtl.pipeline import later
from accel.rtl.ports import write_port


class WeightIssue(wiring.Component):
    """Issues the R rows of each tile of a COMPUTE, one a cycle, a tile ahead of the feeder.

    `take` with `command` (the raw COMMAND) when `free`: with the last row of the command before, or later. `config` is
    the feeder's CONFIG_COMPUTE, which does not change while a COMPUTE is pending. Row 0 of a tile is issued when no
    other tile waits to be swapped in, at the earliest in the cycle in which the feeder starts the tile before
    (`tile_start`). `loaded`: the feeder may start the tile (from the cycle after its last row was issued). `weights`
    and `capture` reach the array's edge FEED_CYCLES after a row is issued. `outside`: a word beyond the buffer was read
    in the cycle before.
    """

    def __init__(self, design: Design) -> None:
        self.design = design
        super().__init__(
            {
                "take": In(1),
                "command": In(8 * COMMAND_BYTES),
                "config": In(8 * COMMAND_BYTES),
                "free": Out(1),
                "tile_start": In(1),
                "loaded": Out(1),
                "w_weight": In(write_port(WEIGHT, design)),
                "w_codebook": In(write_port(CODEBOOK, design)),
                "weights": Out(8 * design.cols),
                "capture": Out(1),
                "outside": Out(1),
                "event_weight_reads": Out(1),
                "event_codebook_reads": Out(range(design.cols + 1)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        rows, cols = self.design.rows, self.design.cols
        m.submodules.buffer = buffer = Buffer(WEIGHT, self.design)
        m.submodules.codebook = codebook = Codebook(self.design)
        wiring.connect(m, wiring.flipped(self.w_weight), buffer.w)
        wiring.connect(m, wiring.flipped(self.w_codebook), codebook.w)
        command = data.View(layout(Compute), Signal(8 * COMMAND_BYTES, name="running", reset_less=True))
        config = data.View(layout(ConfigCompute), self.config)
        busy, pending = Signal(name="busy"), Signal(name="pending")
        row = Signal(range(max(2, rows)), name="row")
        kx, ky = field_signal(ConfigCompute, "kernel_w", "kx"), field_signal(ConfigCompute, "kernel_h", "ky")
        group, tile = field_signal(Compute, "groups", "group"), field_signal(Compute, "n_tiles", "tile")
        go, last_row, end = Signal(name="go"), Signal(name="last_row"), Signal(name="end")
        m.d.comb += [
            self.free.eq(~busy | end),
            go.eq(busy & ((row != 0) | ~pending | self.tile_start)),
            last_row.eq(row == rows - 1),
        ]
        with m.If(self.tile_start):
            m.d.sync += [pending.eq(0), self.loaded.eq(0)]
        with m.If(go):
            m.d.sync += [row.eq(Mux(last_row, 0, row + 1)), pending.eq(1)]
            with m.If(last_row):
                m.d.sync += [self.loaded.eq(1), kx.eq(kx + 1)]
                with m.If(kx == config.kernel_w - 1):
                    m.d.sync += [kx.eq(0), ky.eq(ky + 1)]
                    with m.If(ky == config.kernel_h - 1):
                        m.d.sync += [ky.eq(0), group.eq(group + 1)]
                        with m.If(group == command.groups - 1):
                            m.d.sync += [group.eq(0), tile.eq(tile + 1)]
                            with m.If(tile == command.n_tiles - 1):
                                m.d.comb += end.eq(1)
                                m.d.sync += busy.eq(0)
        # Does this row need another word of the weight buffer?
        available = Signal(range(16), name="available")  # bits a column that are unpacked from memory and not used
        address = Signal(
            WEIGHT.address_bits + 1, name="address"
        )  # one bit more than an address has: it does not wrap around
        needs = available < command.weight_bits
        m.d.comb += [buffer.r.en.eq(go & needs), buffer.r.addr.eq(address), self.event_weight_reads.eq(buffer.r.en)]
        m.d.sync += self.outside.eq(buffer.r.en & (address >= self.design.weight_words))
        with m.If(go):
            m.d.sync += available.eq(available + Mux(needs, 8, 0) - command.weight_bits)
            with m.If(needs):
                m.d.sync += address.eq(address + 1)
        with m.If(self.take):
            head = data.View(layout(Compute), self.command)
            m.d.sync += [
                command.eq(head), busy.eq(1), address.eq(head.weight_addr), available.eq(0), tile.eq(0), group.eq(0)
            ]  # fmt: skip

        def after(stage: str, value: Value, name: str) -> Value:
            """`value` of the cycle of the issue when the row leaves a stage of `accel.latency.WEIGHT_FEED`."""
            return later(m, value, until(WEIGHT_FEED, stage), name)

        # "read": the word is there; take b bits a column.
        at1, needs1, left1 = after("read", go, "at"), after("read", needs, "needs"), after("read", available, "left")
        bits1 = after("read", command.weight_bits, "bits")
        codes = Signal(8 * cols, name="codes")
        mask = Signal(8, name="mask")
        m.d.comb += mask.eq((1 << bits1) - 1)
        for c in range(cols):
            rest = Signal(8, name=f"rest_{c}", reset_less=True)
            joined = Signal(16, name=f"joined_{c}")
            # Bits above `left1` in `rest` are zero: every shift leaves exactly the unused ones.
            m.d.comb += joined.eq(Mux(left1 == 0, 0, rest) | (Mux(needs1, buffer.r.data.word_select(c, 8), 0) << left1))
            with m.If(at1):
                m.d.sync += [rest.eq(joined >> bits1), codes.word_select(c, 8).eq(joined & mask)]
        # "unpack": the codes are there, and looked up.
        uses = go & command.use_codebook
        m.d.comb += [
            codebook.en.eq(after("unpack", uses, "look_up")),
            codebook.bank.eq(after("unpack", command.codebook_bank, "bank")),
            codebook.codes.eq(codes),
            self.event_codebook_reads.eq(Mux(codebook.en, cols, 0)),
        ]
        # "decode": at the array's edge. `capture` is the last of its registers.
        plain = Signal(8 * cols, reset_less=True, name="plain")
        m.d.sync += [
            plain.eq(codes),
            self.capture.eq(later(m, go & (row == 0), cycles(WEIGHT_FEED) - 1, "start")),
        ]
        decoded = after("decode", command.use_codebook, "decoded")
        m.d.comb += self.weights.eq(Mux(decoded, codebook.entries, plain))
        return m
