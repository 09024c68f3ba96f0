"""The sentence above a table, where the answer is known: from real rows, and from rows with other numbers in them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from accel.design import load
from accel.events import Event
from accel.flow.compare import Row
from accel.flow.verdict import verdict
from accel.program import Compulsory
from accel.sim.result import LayerResult
from tests.benches.flow_networks import comparison


def rows(design: str = "edge") -> list[Row]:
    return [row for row in comparison().rows if row.design == design]


def other(row: Row, title: str, latency: float, energy: float, /, **changed: Any) -> Row:
    """A row with another title and other ratios; of its run `limits`, `macs` or `beats` (moved, a share)."""
    work: LayerResult = row.work
    if "limits" in changed:
        work = replace(work, limits=changed.pop("limits"))
    if "macs" in changed:
        must = work.info.must
        work = replace(work, info=replace(work.info, must=Compulsory(changed.pop("macs"), must.read_bytes, 0)))
    if "beats" in changed:
        share = changed.pop("beats")
        work = replace(work, events={event: int(count * share) for event, count in work.events.items()})
    run = replace(row.run, total=replace(row.run.total, work=work))
    return replace(row, title=title, latency_ratio=latency, energy_ratio=energy, run=run, **changed)


def test_fewer_bytes_pay_where_dram_is_the_limit() -> None:
    """LeNet-300-100 reads each weight once, and its 8-bit weights come as fast as they shift in one row a cycle.

    With four rows a cycle the memory is slower than the array at 3 bits still, so that fewer bits save time as well.
    """
    first, _, six, four, three, _ = found = rows()
    assert [row.work.limited_by for row in found] == ["DRAM read"] * 6
    assert verdict(found) == (
        f"On edge dense int8 is limited by DRAM read ({100 * first.work.limits['DRAM read'] / first.work.cycles:.0f} % "
        'of its cycles), and "shared, 3 bits" pays most: '
        f"{three.work.cycles / first.work.cycles:.2f} of the latency and "
        f"{three.energy.total_pj.nominal / first.energy.total_pj.nominal:.2f} of the energy, "
        "with 1.00 of the products and "
        f"{three.work.dram_bytes / first.work.dram_bytes:.2f} of the bytes; "
        f'"shared, 6 bits" ({six.latency_ratio:.2f}, {six.energy_ratio:.2f}) and '
        f'"shared, 4 bits" ({four.latency_ratio:.2f}, {four.energy_ratio:.2f}) pay too, but less; '
        '"shared, 8 bits" saves neither time nor energy, because the bytes and the products stay; '
        '"shared, 2 bits" costs more than 1 point of accuracy.'
    )


def test_what_costs_accuracy_does_not_pay() -> None:
    found = rows()
    worse = [replace(row, accuracy_percent=90.0 if "3 bits" in row.title else 99.0) for row in found]
    sentence = verdict(worse)
    assert '"shared, 2 bits" pays most' in sentence
    assert sentence.endswith('; "shared, 3 bits" costs more than 1 point of accuracy.')
    unknown = verdict([replace(row, accuracy_percent=None) for row in found])
    assert '"shared, 2 bits" pays most' in unknown
    assert unknown.endswith("; accuracy was not measured.")


FILL = {"weight fill": 60, "DRAM read": 40}


@pytest.mark.parametrize(
    ("latency", "energy", "changed", "words"),
    [
        (1.0, 0.6, {"limits": FILL}, '"it" saves energy but no time, because weight fill limits it'),
        (1.0, 1.0, {"stored_bytes": 1}, '"it" saves storage only, because the hardware reads it as dense'),
        (1.0, 1.0, {}, '"it" saves neither time nor energy, because the bytes and the products stay'),
        (1.0, 1.0, {"macs": 10, "limits": FILL}, '"it" saves neither time nor energy, because weight fill limits it'),
        (0.5, 0.9, {}, '"it" (0.50, 0.90) pays too, but less'),
        (0.1, 0.1, {"macs": 26_620, "beats": 0.25}, '"it" pays most: 0.10 of the latency and 0.10 of the energy, with '
         "0.10 of the products and 0.25 of the bytes"),
    ],
)  # fmt: skip
def test_each_reason(latency: float, energy: float, changed: dict[str, Any], words: str) -> None:
    """Beside a technique that halves both."""
    first = rows()[0]
    cycles = {"limits": {"array": first.work.cycles}}
    it = other(first, "it", latency, energy, **changed)
    assert words in verdict([first, other(first, "half", 0.5, 0.5, **cycles), it])


def test_products_of_a_sparse_engine_are_those_that_it_does() -> None:
    """Its zeros are the network's products still, and none of the engine's."""
    first = rows()[0]
    macs, design = first.work.info.must.macs, load("edge-sparse")
    done = [replace(first.work, design=design, events={**first.work.events, Event.MACS: n}) for n in (macs, macs // 4)]
    dense, pruned = (replace(first, run=replace(first.run, total=replace(first.run.total, work=w))) for w in done)
    assert "0.25 of the products and 1.00 of the bytes" in verdict([dense, other(pruned, "pruned", 0.5, 0.5)])


def test_several_are_named_together() -> None:
    first = rows()[0]
    some = [other(first, title, 1.0, 0.6, limits={cause: 9}) for title, cause in (("a", "array"), ("b", "program"))]
    sentence = verdict([first, *some, other(first, "c", 1.0, 0.5, limits={"array": 9})])
    assert '"c" pays most' in sentence
    assert '"a" and "b" save energy but no time, because array and program limit them' in sentence


def test_nothing_pays() -> None:
    first = rows()[0]
    sentence = verdict([first, other(first, "it", 1.2, 1.0)])
    assert ", and nothing pays; " in sentence
    worse = verdict([first, other(first, "it", 1.2, 0.9)])
    assert ", and nothing pays; " in worse
    assert '"it" saves energy but no time' in worse


def test_one_row() -> None:
    assert verdict(rows("nano")[:1]).endswith("% of its cycles); there is nothing to compare it to.")
