"""Each constant says where it comes from; the page about them is the table."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from accel.sim.cost import constants, scaling, tables
from accel.sim.cost.constants import CONSTANTS, HIGH, LOW, NOMINAL, Constant


def refuse(constant: Constant) -> None:
    """Raise unless the constant says what, how much, from where, at which node and voltage, and how sure."""
    assert 0 <= constant.low <= constant.nominal <= constant.high
    assert constant.high > 0
    assert constant.what
    assert constant.unit
    assert len(constant.source) >= 9
    assert constant.status in ("verified", "unverified")
    if constant.unit == "ratio":
        assert constant.node_nm is constant.voltage is None
    else:
        assert constant.voltage is not None
        assert 0.5 <= constant.voltage <= 2
        assert (constant.node_nm is None) == ("DDR" in constant.name or "DRAM" in constant.name)
        assert constant.node_nm is None or 5 <= constant.node_nm <= 180


@pytest.mark.parametrize("constant", CONSTANTS, ids=lambda c: c.name)
def test_every_constant_has_a_source(constant: Constant) -> None:
    refuse(constant)


@pytest.mark.parametrize(
    "change",
    [{"source": ""}, {"node_nm": None}, {"node_nm": 0}, {"voltage": None}, {"status": "sure"}, {"low": 1.0},
     {"high": 0.0}, {"low": -1.0}, {"what": ""}, {"unit": "ratio"}],
)  # fmt: skip
def test_a_constant_without_one_is_refused(change: dict) -> None:
    refuse(CONSTANTS[0])
    with pytest.raises(AssertionError):
        refuse(dataclasses.replace(CONSTANTS[0], **change))


def test_names_are_there_once_and_the_three_sets_are_the_table() -> None:
    assert len(NOMINAL) == len(CONSTANTS)
    for constant in CONSTANTS:
        values = (LOW[constant.name], NOMINAL[constant.name], HIGH[constant.name])
        assert values == (constant.low, constant.nominal, constant.high)


def test_no_number_of_the_model_stands_elsewhere() -> None:
    """Energies and areas are multiplied by what CONSTANTS has; other files have counts, units of ten, and names."""
    folder = Path(constants.__file__).parent
    for name in ("energies.py", "plan.py", "summary.py"):
        text = re.sub(r'"""[\s\S]*?"""|#.*', "", (folder / name).read_text())
        found = set(re.findall(r"(?<![\w.\]])\d+(?:\.\d+)?(?:e-?\d+)?(?!\w)", text))
        assert found <= {"0", "1", "2", "8", "32", "64", "4096", "0.0", "1.0", "1e3", "1e-3", "1e-6", "1e6", "2e-3"}, (
            name
        )


def test_the_page_has_the_table() -> None:
    page = (Path(__file__).parents[1] / "docs" / "cost.md").read_text(encoding="utf-8")
    assert tables.replace(page) == page, "run python -m accel.sim.cost.tables docs/cost.md"


def test_scaling_by_hand() -> None:
    """E(V) of both nodes; 22 nm between its neighbours; memories are not scaled with it."""
    e65, e45 = 3.755 - 4.398 + 1.975, 1.103 * 0.81 - 0.362 * 0.9 + 0.2767
    assert scaling.ENERGY_FACTOR[65] == pytest.approx(e65 / e45)
    assert scaling.ENERGY_FACTOR[45] == scaling.AREA_FACTOR[45] == 1
    for factor in (scaling.ENERGY_FACTOR, scaling.AREA_FACTOR):
        values = [factor[node] for node in (22, 32, 45, 65, 90)]
        assert values == sorted(values)
        assert values[0] < 0.5
    assert 0.21 < scaling.AREA_FACTOR[22] < 0.46


def test_geometric_means_are_those_that_the_sources_say() -> None:
    for constant in CONSTANTS:
        if "geometric" in constant.source:
            assert constant.nominal == pytest.approx((constant.low * constant.high) ** 0.5, rel=0.03), constant.name
