"""Where the multiplier blocks of a board's array stand: as its sums and activations flow, not wherever there is room.

Sums go from row to row, in wires of some 30 bits, activations from column to column, in some 10. So a column is a
stretch of a row of blocks, which an ECP5-85F has three of, columns that share one have their rows side by side, and a
row of the array is at the same place in all of them. A placer moves everything else.
"""

from __future__ import annotations

from accel.design import Design

# Of an LFE5U-85F, as nextpnr's database has them: 52 blocks in each of three rows of tiles. The first four of each are
# left to other multipliers.
GROUPS = (13, 22, 31, 40, 49, 58, 69, 78, 87, 96, 105, 114)
SITES = tuple((x + dx, f"MULT18_{z}") for x in GROUPS for dx, z in ((0, 0), (1, 1), (4, 4), (5, 5)))
BANDS = {1: (34,), 2: (34, 58), 3: (10, 34, 58)}  # by how many are needed, from top to bottom
ARRAY = "board_system.accelerator.compute.array"


def places(design: Design) -> dict[str, str]:
    """The places (BELs of nextpnr) of the array's blocks by cell of the flat netlist; none for other engines, portable
    multipliers, and arrays that three rows of blocks do not hold.
    """
    if design.multiplier != "ecp5" or design.is_sparse or design.output_stationary:
        return {}
    most = len(SITES) // design.rows  # columns in a row of blocks
    bands = -(-design.cols // most) if most else 0
    if bands not in BANDS:
        return {}
    beside = -(-design.cols // bands)
    begin = (len(SITES) - beside * design.rows) // 2
    found = {}
    for column in range(design.cols):
        y, k = BANDS[bands][column // beside], column % beside
        for row in range(design.rows):
            x, site = SITES[begin + row * beside + k]
            found[f"{ARRAY}.row_{row}.pe_{column}.product_block.block"] = f"X{x}/Y{y}/{site}"
    return found


def script(design: Design) -> str:
    """The places as commands of Yosys."""
    lines = (f'setattr -set BEL "{place}" c:{cell}' for cell, place in places(design).items())
    return "# Where the array's multiplier blocks stand; none if the placer chooses.\n" + "".join(
        f"{x}\n" for x in lines
    )
