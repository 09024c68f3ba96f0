"""The on-chip memories: `Ram`, that every buffer is made of, and `Store`, a few words that are read at once."""

from __future__ import annotations

from amaranth.hdl import Array, ClockSignal, Instance, Module, Mux, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from accel.rtl.modules import is_collecting

RAM_VERILOG = """\
// All buffers are this module: one write port with a lane mask, one read port, both synchronous. A word that is read in
// the cycle in which it is written may come as anything, and nobody uses it: no family needs logic around its block RAM
// (what the attributes say to Yosys, Vivado and Quartus). Contents need no initial value, but for a memory with ZEROS:
// what is never written there is read as zeros. For an ASIC, put the process's SRAM macros here, selected by WIDTH and
// DEPTH.
module ram #(
    parameter WIDTH = 8,
    parameter DEPTH = 16,
    parameter LANES = 1,
    parameter ZEROS = 0,
    parameter ADDRESS = $clog2(DEPTH)
) (
    input clk,
    input [LANES-1:0] w_en,
    input [ADDRESS-1:0] w_addr,
    input [WIDTH-1:0] w_data,
    input r_en,
    input [ADDRESS-1:0] r_addr,
    output reg [WIDTH-1:0] r_data
);
    localparam LANE = WIDTH / LANES;
    (* no_rw_check, rw_addr_collision = "no", ramstyle = "no_rw_check" *)
    reg [WIDTH-1:0] words [0:DEPTH-1];
    integer k;
    generate if (ZEROS) begin : zeroed
        integer word;
        initial for (word = 0; word < DEPTH; word = word + 1) words[word] = {WIDTH{1'b0}};
    end endgenerate
    always @(posedge clk) begin
        for (k = 0; k < LANES; k = k + 1)
            if (w_en[k]) words[w_addr][k*LANE +: LANE] <= w_data[k*LANE +: LANE];
        if (r_en) r_data <= words[r_addr];
    end
endmodule
"""

STORE_VERILOG = """\
// A few words that are written at the clock and read at once: the LUT RAM of an FPGA, or registers.
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


class Ram(wiring.Component):
    """`depth` words (2 or more) of `width` bits in `lanes` equal lanes.

    Lane k of `w_data` is written at the clock edge if `w_en[k]`. `r_data` is the word at `r_addr` from the cycle after
    `r_en` on, until the next read; if any lane of that word is written in the cycle of `r_en` it is garbage, here its
    inverse. In emitted Verilog it is an instance of the module `ram` (RAM_VERILOG): Amaranth's own memory would write
    out every initial word. `zeros`: what is never written there is 0.
    """

    def __init__(self, width: int, depth: int, lanes: int = 1, zeros: bool = False) -> None:
        self.width, self.depth, self.lanes, self.zeros = width, depth, lanes, zeros
        address = (depth - 1).bit_length()
        super().__init__(
            {
                "w_en": In(lanes), "w_addr": In(address), "w_data": In(width),
                "r_en": In(1), "r_addr": In(address), "r_data": Out(width),
            }
        )  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        if is_collecting():
            zeros = {"p_ZEROS": 1} if self.zeros else {}
            m.submodules.cells = Instance(
                "ram", p_WIDTH=self.width, p_DEPTH=self.depth, p_LANES=self.lanes, i_clk=ClockSignal(), **zeros,
                i_w_en=self.w_en, i_w_addr=self.w_addr, i_w_data=self.w_data,
                i_r_en=self.r_en, i_r_addr=self.r_addr, o_r_data=self.r_data,
            )  # fmt: skip
            return m
        m.submodules.cells = cells = memory.Memory(shape=self.width, depth=self.depth, init=[])
        read, write = cells.read_port(), cells.write_port(granularity=self.width // self.lanes)
        collided = Signal(name="collided")
        with m.If(self.r_en):
            m.d.sync += collided.eq(self.w_en.any() & (self.w_addr == self.r_addr))
        m.d.comb += [
            write.en.eq(self.w_en), write.addr.eq(self.w_addr), write.data.eq(self.w_data),
            read.en.eq(self.r_en), read.addr.eq(self.r_addr), self.r_data.eq(Mux(collided, ~read.data, read.data)),
        ]  # fmt: skip
        return m


class Store(wiring.Component):
    """`depth` words (2 or more) of `width` bits: `w_data` is written at the clock edge if `w_en`, `r_data` is the word
    at `r_addr` in the same cycle. In emitted Verilog it is an instance of the module `store` (STORE_VERILOG).
    """

    def __init__(self, width: int, depth: int) -> None:
        self.width, self.depth = width, depth
        address = (depth - 1).bit_length()
        super().__init__(
            {
                "w_en": In(1), "w_addr": In(address), "w_data": In(width),
                "r_addr": In(address), "r_data": Out(width),
            }
        )  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        if is_collecting():
            m.submodules.cells = Instance(
                "store", p_WIDTH=self.width, p_DEPTH=self.depth, i_clk=ClockSignal(),
                i_w_en=self.w_en, i_w_addr=self.w_addr, i_w_data=self.w_data,
                i_r_addr=self.r_addr, o_r_data=self.r_data,
            )  # fmt: skip
            return m
        words = Array(Signal(self.width, name=f"word_{k}", reset_less=True) for k in range(self.depth))
        m.d.comb += self.r_data.eq(words[self.r_addr])
        with m.If(self.w_en):
            m.d.sync += words[self.w_addr].eq(self.w_data)
        return m
