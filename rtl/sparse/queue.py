"""The queue of broadcasts in front of a PE."""

from __future__ import annotations

from amaranth.hdl import ClockSignal, Instance, Module, Mux, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from accel.rtl.modules import is_collecting

STORE_VERILOG = """\
// A few words that are written at the clock and read at once: registers, or the distributed memory of an FPGA.
module store #(
    parameter WIDTH = 8,
    parameter DEPTH = 8,
    parameter ADDRESS = $clog2(DEPTH)
) (
    input clk,
    input w_en,
    input [ADDRESS-1:0] w_addr,
    input [WIDTH-1:0] w_data,
    input [ADDRESS-1:0] r_addr,
    output [WIDTH-1:0] r_data
);
    reg [WIDTH-1:0] words [0:DEPTH-1];
    assign r_data = words[r_addr];
    always @(posedge clk) if (w_en) words[w_addr] <= w_data;
endmodule
"""


class Queue(wiring.Component):
    """FIFO of `depth` words: what is pushed in cycle t is offered (`valid`, `data`) from t + 1 on.

    `room`: not full, counting what is pushed in this cycle but not what is taken in it; who saw it pushes in the next
    cycle at the latest. `take` only when `valid`, `push` only after `room`. `flush` empties it.
    """

    def __init__(self, width: int, depth: int) -> None:
        self.width, self.depth = width, depth
        super().__init__(
            {
                "flush": In(1), "push": In(1), "i": In(width), "room": Out(1),
                "valid": Out(1), "o": Out(width), "take": In(1),
            }
        )  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        depth = max(2, self.depth)  # of the store: an address has a bit at least
        level = Signal(range(self.depth + 1), name="level")
        read, write = Signal(range(depth), name="read"), Signal(range(depth), name="write")
        m.d.comb += [self.room.eq(level + self.push < self.depth), self.valid.eq(level != 0)]
        m.d.sync += level.eq(level + self.push - self.take)
        for pointer, moved in ((read, self.take), (write, self.push)):
            with m.If(moved):
                m.d.sync += pointer.eq(Mux(pointer == depth - 1, 0, pointer + 1))
        with m.If(self.flush):
            m.d.sync += [level.eq(0), read.eq(0), write.eq(0)]
        if is_collecting():
            m.submodules.cells = Instance(
                "store", p_WIDTH=self.width, p_DEPTH=depth, i_clk=ClockSignal(),
                i_w_en=self.push, i_w_addr=write, i_w_data=self.i, i_r_addr=read, o_r_data=self.o,
            )  # fmt: skip
            return m
        m.submodules.cells = cells = memory.Memory(shape=self.width, depth=depth, init=[])
        read_port, write_port = cells.read_port(domain="comb"), cells.write_port()
        m.d.comb += [
            write_port.en.eq(self.push), write_port.addr.eq(write), write_port.data.eq(self.i),
            read_port.addr.eq(read), self.o.eq(read_port.data),
        ]  # fmt: skip
        return m
