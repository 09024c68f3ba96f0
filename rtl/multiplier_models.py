"""Models, for simulators, of the multiplier blocks that `accel.rtl.multiplier` instantiates, as far as it uses them."""

from __future__ import annotations

_A, _B, _P = (
    ", ".join(f"{port}{k}" for k in reversed(range(bits))) for port, bits in (("A", 18), ("B", 18), ("P", 36))
)

MULT18X18D = f"""\
module MULT18X18D #(
    parameter REG_INPUTA_CLK = "NONE", parameter REG_INPUTB_CLK = "NONE", parameter REG_PIPELINE_CLK = "NONE",
    parameter REG_OUTPUT_CLK = "NONE", parameter GSR = "ENABLED"
) (
    input {_A.replace(" ", " input ")},
    input {_B.replace(" ", " input ")},
    input SIGNEDA, input SIGNEDB, input SOURCEA, input SOURCEB, input CLK0, input CE0, input RST0,
    output {_P.replace(" ", " output ")}
);
    wire [18:0] a_in = {{SIGNEDA & A17, {_A}}}, b_in = {{SIGNEDB & B17, {_B}}};
    reg [18:0] a_held = 0, b_held = 0;
    wire [18:0] a = REG_INPUTA_CLK == "NONE" ? a_in : a_held, b = REG_INPUTB_CLK == "NONE" ? b_in : b_held;
    wire [37:0] product = $signed(a) * $signed(b);
    reg [37:0] middle = 0, behind = 0;
    wire [37:0] passed = REG_PIPELINE_CLK == "NONE" ? product : middle;
    assign {{{_P}}} = REG_OUTPUT_CLK == "NONE" ? passed[35:0] : behind[35:0];
    always @(posedge CLK0)
        if (RST0) {{a_held, b_held, middle, behind}} <= 0;
        else if (CE0) {{a_held, b_held, middle, behind}} <= {{a_in, b_in, product, passed}};
endmodule
"""

DSP48E1 = """\
module DSP48E1 #(
    parameter ACASCREG = 1, parameter ADREG = 1, parameter ALUMODEREG = 1, parameter AREG = 1, parameter BCASCREG = 1,
    parameter BREG = 1, parameter CARRYINREG = 1, parameter CARRYINSELREG = 1, parameter CREG = 1, parameter DREG = 1,
    parameter INMODEREG = 1, parameter MREG = 1, parameter OPMODEREG = 1, parameter PREG = 1
) (
    input CLK, input [29:0] A, input signed [17:0] B, input [47:0] C, input [24:0] D,
    input [3:0] ALUMODE, input CARRYIN, input [2:0] CARRYINSEL, input [4:0] INMODE, input [6:0] OPMODE,
    input CEA1, input CEA2, input CEAD, input CEALUMODE, input CEB1, input CEB2, input CEC, input CECARRYIN,
    input CECTRL, input CED, input CEINMODE, input CEM, input CEP,
    input RSTA, input RSTALLCARRYIN, input RSTALUMODE, input RSTB, input RSTC, input RSTCTRL, input RSTD,
    input RSTINMODE, input RSTM, input RSTP,
    output [47:0] P
);
    // X and Y together are the product, Z is 0 and they are added: OPMODE 0000101, ALUMODE 0000 and nothing else.
    reg signed [24:0] a_held = 0;
    reg signed [17:0] b_held = 0;
    reg signed [42:0] m_held = 0;
    reg [47:0] p_held = 0;
    wire signed [24:0] a = AREG == 0 ? A[24:0] : a_held;
    wire signed [17:0] b = BREG == 0 ? B : b_held;
    wire signed [42:0] product = a * b;
    wire signed [42:0] m = MREG == 0 ? product : m_held;
    wire [47:0] sum = OPMODE == 7'b0000101 && ALUMODE == 0 ? {{5{m[42]}}, m} : 48'bx;
    assign P = PREG == 0 ? sum : p_held;
    always @(posedge CLK) begin
        if (RSTA) a_held <= 0; else if (CEA2) a_held <= A[24:0];
        if (RSTB) b_held <= 0; else if (CEB2) b_held <= B;
        if (RSTM) m_held <= 0; else if (CEM) m_held <= product;
        if (RSTP) p_held <= 0; else if (CEP) p_held <= sum;
    end
endmodule
"""

MODELS = {"ecp5": MULT18X18D, "xilinx": DSP48E1}
"""By the design's `multiplier`."""

GUARDED = """\
// The model of a block of the FPGA as far as it is used here, for simulators. Tools that synthesise define SYNTHESIS
// and have the block itself.
`ifndef SYNTHESIS
{}`endif
"""
