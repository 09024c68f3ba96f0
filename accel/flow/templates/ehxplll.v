// Stands for the PLL of an ECP5 in simulation: its clock is the oscillator's, and good after some cycles.
/* verilator lint_off UNUSEDPARAM */
/* verilator lint_off UNUSEDSIGNAL */
module EHXPLLL #(
    parameter PLLRST_ENA = "", INTFB_WAKE = "", STDBY_ENABLE = "", DPHASE_SOURCE = "", OUTDIVIDER_MUXA = "",
    OUTDIVIDER_MUXB = "", OUTDIVIDER_MUXC = "", OUTDIVIDER_MUXD = "", CLKI_DIV = 1, CLKFB_DIV = 1, FEEDBK_PATH = "",
    CLKOP_ENABLE = "", CLKOP_DIV = 1, CLKOP_CPHASE = 0, CLKOP_FPHASE = 0
) (
    input CLKI, CLKFB, RST, STDBY, ENCLKOP, PLLWAKESYNC, PHASESEL0, PHASESEL1, PHASEDIR, PHASESTEP, PHASELOADREG,
    output CLKOP, CLKINTFB, LOCK
);
    reg [3:0] cycles = 0;
    assign CLKOP = CLKI;
    assign CLKINTFB = CLKI;
    assign LOCK = cycles[3];
    always @(posedge CLKI) if (!cycles[3]) cycles <= cycles + 1;
endmodule
