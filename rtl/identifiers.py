"""Plain Verilog identifiers in what Yosys writes: `[A-Za-z_][A-Za-z0-9_]*` and no keyword.

Amaranth tells names of one scope apart by `$` and a number, and Yosys writes what is no simple identifier with a
backslash (`\\weights$95 `, `\\tag.valid `). Tools that read netlists by lines, and people, stumble over both.
"""

from __future__ import annotations

import re

_NAMES = re.compile(
    r"(?P<skip>//[^\n]*|/\*.*?\*/|\"[^\"\n]*\"|'[sS]?[bodhBODH][0-9a-fA-F_xXzZ?]+|\$[A-Za-z_]\w*)"
    r"|\\(?P<escaped>\S+)\s"  # white space ends an escaped identifier, and goes with it
    r"|(?P<simple>[A-Za-z_][\w$]*)",
    re.DOTALL,
)

# Of IEEE 1364-2005 and IEEE 1800-2017: words that a signal could well be called.
KEYWORDS = frozenset(
    re.findall(
        r"\w+",
        """
    accept_on alias always always_comb always_ff always_latch and assert assign assume automatic before begin
    bind bins bit break buf byte case cell chandle checker class clocking config const constraint context
    continue cover cross deassign default define design disable dist do edge else end enum event eventually
    expect export extends extern final first_match for force foreach forever fork function generate genvar
    global if iff implements implies import incdir include initial inout input inside instance int integer
    interconnect interface intersect join let liblist library local localparam logic longint macromodule
    matches medium modport module nand negedge nettype new nexttime nor not null or output package packed
    parameter posedge primitive priority program property protected pull0 pull1 pulldown pullup pure rand
    randc randcase real ref reg reject_on release repeat restrict return scalared sequence shortint shortreal
    signed small soft solve specify static string strong strong0 strong1 struct super supply0 supply1 table
    tagged task this throughout time timeprecision timeunit tran tri tri0 tri1 triand trior trireg type
    typedef union unique unsigned until untyped use uwire var vectored virtual void wait wand weak weak0 weak1
    while wildcard wire with within wor xnor xor
    """,
    )
)


def plain_identifiers(text: str) -> str:
    """`text` with every identifier that is not plain renamed, the same name always to the same one."""
    taken = {match["simple"] for match in _NAMES.finditer(text) if match["simple"]}
    renamed: dict[str, str] = {}

    def rename(match: re.Match[str]) -> str:
        name = match["escaped"] or match["simple"]
        if not name or (match["simple"] and "$" not in name):
            return match[0]
        if name not in renamed:
            stem = re.sub(r"\W+", "_", name.replace("$auto$verilog_backend.cc", "$init")).strip("_")
            stem = f"n{stem}" if stem[:1].isdigit() else stem
            found, count = stem, 1
            while found in taken or found in KEYWORDS:
                found, count = f"{stem}_{count}", count + 1
            taken.add(found)
            renamed[name] = found
        return renamed[name] + (" " if match["escaped"] else "")

    return _NAMES.sub(rename, text)
