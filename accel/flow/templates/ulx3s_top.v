// The pins, the clock and the reset of a ULX3S around board_system: $clock MHz of the oscillator's $input MHz.
module top #(
    parameter DIVIDER = $divider  // cycles of a bit: $baud baud
) (
    input clk_25mhz,
    input btn_fire1,    // reset
    output ftdi_rxd,    // to the host
    input ftdi_txd,     // from the host
    output [7:0] led,
    output wifi_gpio0   // 1 keeps the ESP32 from taking the board
);
    wire clk, locked, irq;

    (* FREQUENCY_PIN_CLKI="$input" *)
    (* FREQUENCY_PIN_CLKOP="$clock" *)
    (* ICP_CURRENT="12" *) (* LPF_RESISTOR="8" *) (* MFG_ENABLE_FILTEROPAMP="1" *) (* MFG_GMCREF_SEL="2" *)
    EHXPLLL #(
        .PLLRST_ENA("DISABLED"), .INTFB_WAKE("DISABLED"), .STDBY_ENABLE("DISABLED"), .DPHASE_SOURCE("DISABLED"),
        .OUTDIVIDER_MUXA("DIVA"), .OUTDIVIDER_MUXB("DIVB"), .OUTDIVIDER_MUXC("DIVC"), .OUTDIVIDER_MUXD("DIVD"),
        .CLKI_DIV($input_divider), .CLKFB_DIV($feedback_divider), .FEEDBK_PATH("CLKOP"),
        .CLKOP_ENABLE("ENABLED"), .CLKOP_DIV($output_divider), .CLKOP_CPHASE($phase), .CLKOP_FPHASE(0)
    ) pll (
        .CLKI(clk_25mhz), .CLKFB(clk), .CLKOP(clk), .LOCK(locked), .CLKINTFB(),
        .RST(1'b0), .STDBY(1'b0), .ENCLKOP(1'b0), .PLLWAKESYNC(1'b0),
        .PHASESEL0(1'b0), .PHASESEL1(1'b0), .PHASEDIR(1'b1), .PHASESTEP(1'b1), .PHASELOADREG(1'b1)
    );

    // At rest until the clock is good and the button was let go for 16 cycles.
    reg [1:0] button = 2'b11;
    reg [15:0] held = 16'hFFFF;
    always @(posedge clk) begin
        button <= {button[0], btn_fire1 | ~locked};
        held <= button[1] ? 16'hFFFF : {held[14:0], 1'b0};
    end

    board_system board_system (
        .clk(clk), .rst(held[15]), .divider(DIVIDER[15:0]), .rx(ftdi_txd), .tx(ftdi_rxd), .irq(irq)
    );
    assign led = {4'b0, irq, ~ftdi_rxd, ~ftdi_txd, locked};
    assign wifi_gpio0 = 1'b1;
endmodule
