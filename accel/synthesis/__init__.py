"""Logic synthesis of emitted Verilog with free tools: what it takes of an FPGA, block by block, and how fast it is."""
