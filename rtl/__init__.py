"""The accelerator in Amaranth, and its emission as Verilog."""
