"""CACTI's table: reproduced, held out, monotone, not extrapolated."""

from __future__ import annotations

import csv
import statistics
from itertools import pairwise
from math import exp, log
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accel.sim.cost import sram

TABLE = Path(sram.__file__).parents[1] / "data" / "sram_cacti7.csv"
CELLS, NODES, WIDTHS = ("itrs-lstp", "itrs-lop", "itrs-hp"), (22, 32, 45, 65, 90), (32, 64, 256)
FIELDS = ("read_pj", "write_pj", "leakage_mw", "area_mm2")


def rows() -> list[dict[str, str]]:
    return list(csv.DictReader(TABLE.read_text().splitlines()))


def test_the_table_is_reproduced_at_its_points() -> None:
    for row in rows():
        found = sram.macro(row["cell"], int(row["node_nm"]), int(row["size_bytes"]), int(row["width_bits"]))
        assert found.read_pj == pytest.approx(1000 * float(row["read_energy_nJ"]))
        assert found.write_pj == pytest.approx(1000 * float(row["write_energy_nJ"]))
        assert found.leakage_mw == pytest.approx(float(row["leakage_mW"]))
        assert found.area_mm2 == pytest.approx(float(row["area_mm2"]))


@pytest.mark.parametrize("field", FIELDS)
def test_leave_one_size_out(monkeypatch: pytest.MonkeyPatch, field: str) -> None:
    """Each inner size left out in turn, of every cell and node: a gap of sixteen, twice as wide as any real one."""
    errors = []
    for cell in CELLS:
        for node in NODES:
            full = dict(sram._table(cell, node))
            for size, width in full:
                if size in (min(full)[0], max(full)[0]):
                    continue
                rest = {key: value for key, value in full.items() if key[0] != size}
                monkeypatch.setattr(sram, "_table", lambda *_, rest=rest: rest)
                found = getattr(sram.macro(cell, node, size, width), field)
                monkeypatch.undo()
                errors.append(abs(found / getattr(full[size, width], field) - 1))
    assert len(errors) == len(CELLS) * len(NODES) * len(WIDTHS) * 5
    assert statistics.median(errors) <= 0.15


@given(st.sampled_from(CELLS), st.sampled_from(NODES), st.floats(32, 256), st.data())
def test_monotone_in_size(cell: str, node: int, width: float, data: st.DataObject) -> None:
    sizes = sorted(exp(x) for x in data.draw(st.lists(st.floats(log(1024), log(1 << 22)), min_size=2, max_size=4)))
    sizes = [min(max(size, 1024.0), float(1 << 22)) for size in sizes]
    for one, other in pairwise([sram.macro(cell, node, size, width) for size in sizes]):
        for field in FIELDS:
            assert getattr(one, field) <= getattr(other, field) * (1 + 1e-9)


@given(st.sampled_from(CELLS), st.sampled_from(NODES), st.integers(1, 1 << 20), st.integers(1, 1100), st.integers(1, 9))
def test_a_memory_with_more_words_is_no_cheaper(cell: str, node: int, words: int, width: int, more: int) -> None:
    one, other = sram.memory(cell, node, words, width), sram.memory(cell, node, words * more, width)
    for field in ("leakage_mw", "area_mm2"):
        assert getattr(one, field) <= getattr(other, field) * (1 + 1e-9)


@pytest.mark.parametrize(("size", "width"), [(1023, 32), ((1 << 22) + 1, 32), (4096, 31), (4096, 257)])
def test_extrapolation_is_refused(size: int, width: int) -> None:
    with pytest.raises(ValueError, match="a memory macro must have"):
        sram.macro("itrs-lop", 45, size, width)


def test_unknown_cell_is_refused() -> None:
    with pytest.raises(KeyError, match="dram at 45 nm"):
        sram.macro("dram", 45, 4096, 32)


def test_wide_words_are_macros_side_by_side_large_memories_banks_and_narrow_words_folded() -> None:
    one = sram.macro("itrs-lop", 45, 16384, 256)
    wide = sram.memory("itrs-lop", 45, 512, 1024)
    assert wide == sram.Sram(4 * one.read_pj, 4 * one.write_pj, 4 * one.leakage_mw, 4 * one.area_mm2)
    bank = sram.macro("itrs-lop", 45, 1 << 22, 256)
    large = sram.memory("itrs-lop", 45, 1 << 18, 256)
    assert large == sram.Sram(bank.read_pj, bank.write_pj, 2 * bank.leakage_mw, 2 * bank.area_mm2)
    assert sram.memory("itrs-lop", 45, 2, 8) == sram.macro("itrs-lop", 45, 1024, 32)
    assert sram.memory("itrs-lop", 45, 4096, 8) == sram.macro("itrs-lop", 45, 4096, 32)


def test_sram_agrees_with_deep_compression_within_its_order() -> None:
    """CACTI's low-power cell at 32 KB and 32 bits beside the 5 pJ of the literature."""
    assert 2.5 < sram.macro("itrs-lop", 45, 32768, 32).read_pj < 10
