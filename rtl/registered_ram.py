"""A memory whose words leave from a register behind it: on an ECP5 the block RAM's own."""

from __future__ import annotations

from amaranth.hdl import ClockSignal, Instance, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from accel.design import Design
from accel.rtl.modules import is_collecting
from accel.rtl.pipeline import later
from accel.rtl.ram import Ram

WORDS, BITS = 512, 36  # of a DP16KD as it is used for words without lanes
DEEP_WORDS, DEEP_BITS = 4096, 4  # and for more words, with any lanes of whole such pieces


def _address(words: int) -> int:
    return (words - 1).bit_length()


def _bus(port: str, name: str, first: int, bits: int, begin: int = 0) -> str:
    """Connections of so many bits of `port` from `begin` on to those of `name` from `first` on."""
    return ", ".join(f".{port}{begin + k}({name}[{first + k}])" for k in range(bits))


def _bits(port: str, bits: int) -> str:
    """All bits of a port, the highest first."""
    return ", ".join(f"{port}{k}" for k in reversed(range(bits)))


def _nothing(port: str, first: int, value: str) -> str:
    """Connections of `port` from bit `first` of 18 on to a value that says nothing."""
    return ", ".join(f".{port}{k}({value})" for k in range(first, 18))


_SETTINGS = """.REGMODE_A("OUTREG"), .REGMODE_B("OUTREG"),
            .RESETMODE("SYNC"), .ASYNC_RESET_RELEASE("SYNC"), .CSDECODE_A("0b000"), .CSDECODE_B("0b000"),
            .CLKAMUX("CLKA"), .CLKBMUX("CLKB"), .GSR("AUTO")"""
_CONTROL = """.OCEA(1'b1), .RSTA(1'b0), .CSA0(1'b0), .CSA1(1'b0), .CSA2(1'b0),
            .CLKB(clk), .CEB(1'b1), .WEB(1'b0), .OCEB(1'b1), .RSTB(1'b0),
            .CSB0(1'b0), .CSB1(1'b0), .CSB2(1'b0)"""


def _inputs(*ports: tuple[str, int]) -> str:
    return ", ".join("input " + _bits(port, bits).replace(", ", ", input ") for port, bits in ports)


REGISTERED_VERILOG = f"""\
// `ram` with a register behind it: block RAMs of an ECP5 and their own registers, {WORDS} words of {BITS} bits each,
// or where there are lanes or more words {DEEP_WORDS} of {DEEP_BITS} bits. No synthesiser of ours moves a register into
// them. A word is there in the second cycle after its address only. It reads in every cycle: whether somebody asks is
// known late, and whether the block's register asks for the enable too is not left to chance.
module ram_registered #(
    parameter WIDTH = 36,
    parameter DEPTH = {WORDS},
    parameter LANES = 1,
    parameter ADDRESS = $clog2(DEPTH)
) (
    input clk,
    input [LANES-1:0] w_en,
    input [ADDRESS-1:0] w_addr,
    input [WIDTH-1:0] w_data,
    input [ADDRESS-1:0] r_addr,
    output [WIDTH-1:0] r_data
);
    localparam DEEP = LANES > 1 || DEPTH > {WORDS};
    localparam PART = DEEP ? {DEEP_BITS} : {BITS};
    localparam BLOCKS = (WIDTH + PART - 1) / PART;
    localparam PLACE = DEEP ? {_address(DEEP_WORDS)} : {_address(WORDS)};
    wire [PART*BLOCKS-1:0] given, found;
    wire [PLACE-1:0] to, from;
    generate
        if (PART * BLOCKS > WIDTH) begin : filled
            assign given = {{{{PART * BLOCKS - WIDTH{{1'b0}}}}, w_data}};
        end else begin : full
            assign given = w_data;
        end
        if (ADDRESS < PLACE) begin : short
            assign to = {{{{PLACE - ADDRESS{{1'b0}}}}, w_addr}};
            assign from = {{{{PLACE - ADDRESS{{1'b0}}}}, r_addr}};
        end else begin : long
            assign to = w_addr;
            assign from = r_addr;
        end
    endgenerate
    assign r_data = found[WIDTH-1:0];
    genvar block;
    generate if (DEEP) for (block = 0; block < BLOCKS; block = block + 1) begin : deep
        wire [{DEEP_BITS - 1}:0] in = given[{DEEP_BITS}*block +: {DEEP_BITS}], out;
        assign found[{DEEP_BITS}*block +: {DEEP_BITS}] = out;
        DP16KD #(
            .DATA_WIDTH_A({DEEP_BITS}), .DATA_WIDTH_B({DEEP_BITS}), {_SETTINGS}
        ) cells (
            .CLKA(clk), .CEA(w_en[{DEEP_BITS}*block/(WIDTH/LANES)]), .WEA(1'b1), {_CONTROL},
            .ADA0(1'b0), .ADA1(1'b0), .ADB0(1'b0), .ADB1(1'b0),
            {_bus("ADA", "to", 0, 12, 2)},
            {_bus("ADB", "from", 0, 12, 2)},
            {_bus("DIA", "in", 0, DEEP_BITS)},
            {_nothing("DIA", DEEP_BITS, "1'b0")},
            {_nothing("DIB", 0, "1'b0")},
            {_bus("DOB", "out", 0, DEEP_BITS)},
            {_nothing("DOB", DEEP_BITS, "")},
            {_nothing("DOA", 0, "")}
        );
    end else for (block = 0; block < BLOCKS; block = block + 1) begin : blocks
        wire [{BITS - 1}:0] in = given[{BITS}*block +: {BITS}], out;
        assign found[{BITS}*block +: {BITS}] = out;
        DP16KD #(
            .DATA_WIDTH_A({BITS}), .DATA_WIDTH_B({BITS}), {_SETTINGS}
        ) cells (
            .CLKA(clk), .CEA(w_en), .WEA(1'b1), {_CONTROL},
            .ADA0(1'b1), .ADA1(1'b1), .ADA2(1'b1), .ADA3(1'b1), .ADA4(1'b0),
            .ADB0(1'b0), .ADB1(1'b0), .ADB2(1'b0), .ADB3(1'b0), .ADB4(1'b0),
            {_bus("ADA", "to", 0, 9, 5)},
            {_bus("ADB", "from", 0, 9, 5)},
            {_bus("DIA", "in", 0, 18)},
            {_bus("DIB", "in", 18, 18)},
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
    parameter CLKBMUX = "CLKB", parameter GSR = "ENABLED", parameter WRITEMODE_A = "NORMAL",
    parameter WRITEMODE_B = "NORMAL"
) (
    input CLKA, input CEA, input WEA, input OCEA, input RSTA, input CLKB, input CEB, input WEB, input OCEB, input RSTB,
    {_inputs(("CSA", 3), ("ADA", 14), ("CSB", 3), ("ADB", 14))},
    {_inputs(("DIA", 18), ("DIB", 18))},
    output {_bits("DOA", 18).replace(" ", " output ")},
    output {_bits("DOB", 18).replace(" ", " output ")}
);
    // Of {WORDS} words {BITS} bits, which both ports give together; or of {DEEP_WORDS} {DEEP_BITS} at either port.
    localparam DEEP = DATA_WIDTH_B == {DEEP_BITS};
    localparam PART = DEEP ? {DEEP_BITS} : 9, PARTS = DEEP ? 1 : 4, TOP = DEEP ? {DEEP_WORDS - 1} : {WORDS - 1};
    reg [PARTS*PART-1:0] words [0:TOP];
    reg [PARTS*PART-1:0] read, held;
    wire [13:0] at_a = {{{_bits("ADA", 14)}}}, at_b = {{{_bits("ADB", 14)}}};
    wire [$clog2(TOP+1)-1:0] to = at_a[13 -: $clog2(TOP+1)], from = at_b[13 -: $clog2(TOP+1)];
    wire [{BITS - 1}:0] given = {{{_bits("DIB", 18)}, {_bits("DIA", 18)}}}, found;
    wire [PARTS-1:0] write = {{PARTS{{CEA & WEA}}}} & (DEEP ? 1'b1 : at_a[PARTS-1:0]);
    generate if (DEEP) begin : deep
        assign found = {{{{{18 - DEEP_BITS}{{1'b0}}}}, REGMODE_B == "OUTREG" ? held : read, 18'd0}};
    end else begin : wide
        assign found = REGMODE_B == "OUTREG" ? held : read;
    end endgenerate
    assign {{{_bits("DOA", 18)}}} = found[17:0];
    assign {{{_bits("DOB", 18)}}} = found[35:18];
    integer k;
    always @(posedge CLKA)
        for (k = 0; k < PARTS; k = k + 1) if (write[k]) words[to][PART*k +: PART] <= given[PART*k +: PART];
    // A word that is read while it is written is garbage.
    always @(posedge CLKB) if (CEB) begin
        read <= write != 0 && to == from ? ~words[from] : words[from];
        if (OCEB) held <= read;
    end
endmodule
"""


def is_in_blocks(design: Design, width: int, depth: int, lanes: int = 1) -> bool:
    """Whether such a `RegisteredRam` is made of the ECP5's block RAMs with their own registers.

    It takes as many as `ram` then: not where lanes are so few words that a block's would be empty.
    """
    shallow = lanes == 1 and depth <= WORDS
    deep = width // lanes % DEEP_BITS == 0 and DEEP_WORDS // 2 < depth <= DEEP_WORDS
    return design.multiplier == "ecp5" and (shallow or deep)


class RegisteredRam(wiring.Component):
    """`Ram` whose `r_data` is the word at `r_addr` in the second cycle after `r_en`, and only then.

    In any other cycle it is garbage, here its inverse.
    """

    def __init__(self, design: Design, width: int, depth: int, lanes: int = 1) -> None:
        self.width, self.depth, self.lanes = width, depth, lanes
        self.in_blocks = is_in_blocks(design, width, depth, lanes)
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
        if is_collecting() and self.in_blocks:
            m.submodules.cells = Instance(
                "ram_registered", p_WIDTH=self.width, p_DEPTH=self.depth, p_LANES=self.lanes,
                i_clk=ClockSignal(),
                i_w_en=self.w_en, i_w_addr=self.w_addr, i_w_data=self.w_data,
                i_r_addr=self.r_addr, o_r_data=self.r_data,
            )  # fmt: skip
            return m
        m.submodules.cells = cells = Ram(self.width, self.depth, self.lanes)
        held = Signal(self.width, name="held", reset_less=True)
        m.d.comb += [
            cells.w_en.eq(self.w_en), cells.w_addr.eq(self.w_addr), cells.w_data.eq(self.w_data),
            cells.r_en.eq(self.r_en), cells.r_addr.eq(self.r_addr), self.r_data.eq(held),
        ]  # fmt: skip
        m.d.sync += held.eq(cells.r_data)
        if not is_collecting():
            m.d.comb += self.r_data.eq(Mux(later(m, self.r_en, 2, "read"), held, ~held))
        return m


def memory(design: Design, width: int, depth: int, lanes: int = 1) -> Ram | RegisteredRam:
    """A memory whose words are there `memory_stages` cycles after `r_en`; with two, in that cycle only."""
    return RegisteredRam(design, width, depth, lanes) if design.memory_stages > 1 else Ram(width, depth, lanes)
