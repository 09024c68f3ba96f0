"""A memory whose words leave from a register behind it: on an ECP5 the block RAM's own."""

from __future__ import annotations

from amaranth.hdl import ClockSignal, Instance, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from accel.design import Design
from accel.rtl.modules import is_collecting
from accel.rtl.pipeline import later
from accel.rtl.ram import Ram

WORDS, BITS = 512, 36  # of a DP16KD as it is used here


def _bus(port: str, name: str, first: int, bits: int) -> str:
    """Connections of `port`0, `port`1 and so on to bits of `name` from `first` on."""
    return ", ".join(f".{port}{k}({name}[{first + k}])" for k in range(bits))


def _bits(port: str, bits: int) -> str:
    """All bits of a port, the highest first."""
    return ", ".join(f"{port}{k}" for k in reversed(range(bits)))


def _inputs(*ports: tuple[str, int]) -> str:
    return ", ".join("input " + _bits(port, bits).replace(", ", ", input ") for port, bits in ports)


REGISTERED_VERILOG = f"""\
// `ram` with a register behind it: block RAMs of an ECP5, {WORDS} words of {BITS} bits each, and their own registers.
// No synthesiser of ours moves a register into them. A word is there in the second cycle after its `r_en` only.
module ram_registered #(
    parameter WIDTH = 36,
    parameter DEPTH = {WORDS},
    parameter ADDRESS = $clog2(DEPTH)
) (
    input clk,
    input w_en,
    input [ADDRESS-1:0] w_addr,
    input [WIDTH-1:0] w_data,
    input r_en,
    input [ADDRESS-1:0] r_addr,
    output [WIDTH-1:0] r_data
);
    localparam BLOCKS = (WIDTH + {BITS - 1}) / {BITS};
    // Whether its enable is asked for by the block's register too is not left to chance: it is on in both cycles.
    reg reading = 0;
    always @(posedge clk) reading <= r_en;
    wire [{BITS}*BLOCKS-1:0] given, found;
    wire [8:0] to, from;
    generate
        if ({BITS} * BLOCKS > WIDTH) begin : filled
            assign given = {{{{{BITS} * BLOCKS - WIDTH{{1'b0}}}}, w_data}};
        end else begin : full
            assign given = w_data;
        end
        if (ADDRESS < 9) begin : short
            assign to = {{{{9 - ADDRESS{{1'b0}}}}, w_addr}};
            assign from = {{{{9 - ADDRESS{{1'b0}}}}, r_addr}};
        end else begin : long
            assign to = w_addr;
            assign from = r_addr;
        end
    endgenerate
    assign r_data = found[WIDTH-1:0];
    genvar block;
    generate for (block = 0; block < BLOCKS; block = block + 1) begin : blocks
        wire [{BITS - 1}:0] in = given[{BITS}*block +: {BITS}], out;
        assign found[{BITS}*block +: {BITS}] = out;
        DP16KD #(
            .DATA_WIDTH_A({BITS}), .DATA_WIDTH_B({BITS}), .REGMODE_A("OUTREG"), .REGMODE_B("OUTREG"),
            .RESETMODE("SYNC"), .ASYNC_RESET_RELEASE("SYNC"), .CSDECODE_A("0b000"), .CSDECODE_B("0b000"),
            .CLKAMUX("CLKA"), .CLKBMUX("CLKB"), .GSR("AUTO")
        ) cells (
            .CLKA(clk), .CEA(w_en), .WEA(1'b1), .OCEA(1'b1), .RSTA(1'b0), .CSA0(1'b0), .CSA1(1'b0), .CSA2(1'b0),
            .ADA0(1'b1), .ADA1(1'b1), .ADA2(1'b1), .ADA3(1'b1), .ADA4(1'b0),
            {", ".join(f".ADA{k + 5}(to[{k}])" for k in range(9))},
            {_bus("DIA", "in", 0, 18)},
            {_bus("DIB", "in", 18, 18)},
            .CLKB(clk), .CEB(r_en | reading), .WEB(1'b0), .OCEB(1'b1), .RSTB(1'b0),
            .CSB0(1'b0), .CSB1(1'b0), .CSB2(1'b0), .ADB0(1'b0), .ADB1(1'b0), .ADB2(1'b0), .ADB3(1'b0), .ADB4(1'b0),
            {", ".join(f".ADB{k + 5}(from[{k}])" for k in range(9))},
            {_bus("DOA", "out", 0, 18)},
            {_bus("DOB", "out", 18, 18)}
        );
    end endgenerate
endmodule
"""

DP16KD = f"""\
module DP16KD #(
    parameter DATA_WIDTH_A = 18, parameter DATA_WIDTH_B = 18, parameter REGMODE_A = "NOREG",
    parameter REGMODE_B = "NOREG", parameter RESETMODE = "SYNC", parameter ASYNC_RESET_RELEASE = "SYNC",
    parameter CSDECODE_A = "0b000", parameter CSDECODE_B = "0b000", parameter CLKAMUX = "CLKA",
    parameter CLKBMUX = "CLKB", parameter GSR = "ENABLED"
) (
    input CLKA, input CEA, input WEA, input OCEA, input RSTA, input CLKB, input CEB, input WEB, input OCEB, input RSTB,
    {_inputs(("CSA", 3), ("ADA", 14), ("CSB", 3), ("ADB", 14))},
    {_inputs(("DIA", 18), ("DIB", 18))},
    output {_bits("DOA", 18).replace(" ", " output ")},
    output {_bits("DOB", 18).replace(" ", " output ")}
);
    reg [{BITS - 1}:0] words [0:{WORDS - 1}];
    reg [{BITS - 1}:0] read, held;
    wire [{WORDS.bit_length() - 2}:0] to = {{ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5}};
    wire [{WORDS.bit_length() - 2}:0] from = {{ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5}};
    wire [{BITS - 1}:0] given = {{{_bits("DIB", 18)}, {_bits("DIA", 18)}}};
    wire [3:0] write = {{4{{CEA & WEA}}}} & {{ADA3, ADA2, ADA1, ADA0}};
    assign {{{_bits("DOA", 18)}}} = REGMODE_A == "OUTREG" ? held[17:0] : read[17:0];
    assign {{{_bits("DOB", 18)}}} = REGMODE_B == "OUTREG" ? held[35:18] : read[35:18];
    integer k;
    always @(posedge CLKA) for (k = 0; k < 4; k = k + 1) if (write[k]) words[to][9*k +: 9] <= given[9*k +: 9];
    // A word that is read while it is written is garbage.
    always @(posedge CLKB) if (CEB) begin
        read <= write != 0 && to == from ? ~words[from] : words[from];
        if (OCEB) held <= read;
    end
endmodule
"""


def is_in_blocks(design: Design, depth: int) -> bool:
    """Whether a `RegisteredRam` of so many words is made of the ECP5's block RAMs with their own registers."""
    return design.multiplier == "ecp5" and depth <= WORDS


class RegisteredRam(wiring.Component):
    """`Ram` with one lane whose `r_data` is the word at `r_addr` in the second cycle after `r_en`, and only then.

    In any other cycle it is garbage, here its inverse.
    """

    def __init__(self, design: Design, width: int, depth: int) -> None:
        self.width, self.depth, self.in_blocks = width, depth, is_in_blocks(design, depth)
        address = (depth - 1).bit_length()
        super().__init__(
            {
                "w_en": In(1), "w_addr": In(address), "w_data": In(width),
                "r_en": In(1), "r_addr": In(address), "r_data": Out(width),
            }
        )  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        if is_collecting() and self.in_blocks:
            m.submodules.cells = Instance(
                "ram_registered", p_WIDTH=self.width, p_DEPTH=self.depth, i_clk=ClockSignal(),
                i_w_en=self.w_en, i_w_addr=self.w_addr, i_w_data=self.w_data,
                i_r_en=self.r_en, i_r_addr=self.r_addr, o_r_data=self.r_data,
            )  # fmt: skip
            return m
        m.submodules.cells = cells = Ram(self.width, self.depth)
        held = Signal(self.width, name="held", reset_less=True)
        m.d.comb += [
            cells.w_en.eq(self.w_en), cells.w_addr.eq(self.w_addr), cells.w_data.eq(self.w_data),
            cells.r_en.eq(self.r_en), cells.r_addr.eq(self.r_addr), self.r_data.eq(held),
        ]  # fmt: skip
        m.d.sync += held.eq(cells.r_data)
        if not is_collecting():
            m.d.comb += self.r_data.eq(Mux(later(m, self.r_en, 2, "read"), held, ~held))
        return m
