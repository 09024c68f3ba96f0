"""A whole accelerator for place and route, with as many pins as a package has: its ports behind shift registers.

So everything is placed as in a bitstream, its clock on a global net.
"""

from __future__ import annotations

import re

from accel.rtl.emit import TOP

HARNESS = "harness"
_PORT = re.compile(r"^  (input|output) (?:\[(\d+):0\] )?(\w+);", re.M)


def harnessed(verilog: str) -> tuple[str, int]:
    """The text with a module `harness` around the accelerator, and how many registers that adds.

    Inputs are shifted in; outputs are taken into a register, a port's bit each, and shifted out.
    """
    inside = verilog[verilog.index(f"module {TOP}(") :]
    ports = [(way, int(high or 0) + 1, name) for way, high, name in _PORT.findall(inside[: inside.index("endmodule")])]
    connected, counts = {"clk": "clk", "rst": "rst"}, {"input": 0, "output": 0}
    for way, bits, name in ports:
        if name not in connected:
            low = counts[way]
            counts[way] += bits
            connected[name] = f"{'given' if way == 'input' else 'found'}[{low + bits - 1}:{low}]"
    given, found = counts["input"], counts["output"]
    wired = ",\n".join(f"    .{name}({to})" for name, to in connected.items())
    text = f"""
module {HARNESS}(clk, rst, take, bit_in, bit_out);
  input clk;
  input rst;
  input take;
  input bit_in;
  output bit_out;
  wire [{found - 1}:0] found;
  reg [{given - 1}:0] given;
  reg [{found - 1}:0] kept;
  assign bit_out = kept[{found - 1}];
  always @(posedge clk)
    given <= {{given[{given - 2}:0], bit_in}};
  always @(posedge clk)
    kept <= take ? found : {{kept[{found - 2}:0], bit_in}};
  {TOP} core (
{wired}
  );
endmodule
"""
    return verilog + text, given + found
