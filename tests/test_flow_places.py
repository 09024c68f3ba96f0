"""Where the multiplier blocks of a board's array stand: cells that there are, each at a place of its own."""

from __future__ import annotations

import re

import pytest

from accel.design import Array, Design, load
from accel.flow.emit_places import ARRAY, places, script
from accel.rtl.emit import TOP, verilog_text
from accel.synthesis.modules import parse

ULX3S = load("ulx3s")
BEL = re.compile(r"X(\d+)/Y(\d+)/MULT18_([0145])")


def sized(rows: int, cols: int) -> Design:
    return ULX3S.model_copy(update={"array": Array(rows=rows, cols=cols)})


@pytest.mark.parametrize("name", ["ulx3s", "nano-ecp5"])
def test_every_cell_is_one_of_the_netlist(name: str) -> None:
    """The path of instances to a block; there are as many as products."""
    design = load(name)
    tree = parse(verilog_text(design), TOP)
    modules = {".".join(("board_system", "accelerator", *path)): module for path, module in tree.paths()}
    found = places(design)
    assert len(found) == design.rows * design.cols
    for cell in found:
        path, block = cell.rsplit(".", 1)
        assert re.search(rf"MULT18X18D [^;]*\b{block} \(", tree.parts[modules[path]].text, re.S), cell


def test_no_place_is_taken_twice_and_each_is_one_of_the_part() -> None:
    """As many places as products for every array that three rows of 48 blocks hold column by column, else none."""
    for rows in range(1, 65):
        for cols in range(1, 65):
            found = list(places(sized(rows, cols)).values())
            assert len(found) == (rows * cols if rows <= 48 and -(-cols // (48 // rows)) <= 3 else 0)
            assert len(set(found)) == len(found)
            for place in found:
                match = BEL.fullmatch(place)
                assert match
                x, y, z = map(int, match.groups())
                assert y in (10, 34, 58)
                assert (x - z) in {13, 22, 31, 40, 49, 58, 69, 78, 87, 96, 105, 114}


def test_sums_go_to_a_neighbour_and_rows_stand_above_each_other() -> None:
    found = places(ULX3S)

    def at(row: int, col: int) -> tuple[int, int]:
        match = BEL.fullmatch(found[f"{ARRAY}.row_{row}.pe_{col}.product_block.block"])
        assert match
        return int(match[1]), int(match[2])

    for col in range(8):
        assert len({at(row, col)[1] for row in range(16)}) == 1
        assert all(0 < at(row + 1, col)[0] - at(row, col)[0] <= 11 for row in range(15))
    assert all(
        at(row, col) == (at(row, col - 3)[0], at(row, col - 3)[1] + 24) for row in range(16) for col in (3, 4, 5)
    )


@pytest.mark.parametrize("name", ["nano", "edge-xc7", "edge-sparse", "edge-os", "pico"])
def test_others_are_left_to_the_placer(name: str) -> None:
    design = load(name)
    if design.multiplier == "ecp5":  # pico: its part is another one
        assert places(design)
    else:
        assert places(design) == {}
        assert script(design).splitlines() == [
            "# Where the array's multiplier blocks stand; none if the placer chooses."
        ]


def test_sparse_and_output_stationary_arrays_of_blocks_too() -> None:
    for name in ("edge-sparse", "edge-os"):
        design = load(name).model_copy(update={"multiplier": "ecp5"})
        assert places(design) == {}


def test_the_script_has_a_line_for_each() -> None:
    lines = script(ULX3S).splitlines()[1:]
    assert len(lines) == 128
    assert lines[0] == f'setattr -set BEL "X13/Y10/MULT18_0" c:{ARRAY}.row_0.pe_0.product_block.block'
