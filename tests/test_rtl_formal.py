"""The AXI ports proved, for every memory and command: payloads that stay, 4 KiB, WLAST, outstanding bursts, beats.

By induction, with the invariants that it takes (tests/formal/*.sv), on small designs: widths of data and lengths of
bursts are as small as the cases that differ need.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from accel.design import Design
from accel.entropy.stream import CHUNK_BITS
from accel.latency import store_fifo_beats
from accel.layout import Target, beats_per_word, words_per_beat
from accel.rtl.decoder.entry_lane import EntryLane
from accel.rtl.decoder.lane import Lane
from accel.rtl.loader import Loader
from accel.rtl.sparse.queue import Queue
from accel.rtl.storer import Storer
from tests.benches.formal import proved
from tests.benches.wide import wide


def design_of(rows: int, burst_beats: int, address_bits: int = 32) -> Design:
    """Beats of 4 bytes, words of `rows` bytes."""
    return Design.model_validate(
        {
            "name": "formal",
            "array": {"rows": rows, "cols": 1},
            "buffers": {
                "activation_bytes": 1024 * rows,
                "weight_bytes": 64,
                "accumulator_bytes": 64,
                "parameter_bytes": 64,
            },
            "post_lanes": 1,
            "memory": {
                "axi_bits": 32,
                "axi_address_bits": address_bits,
                "latency_cycles": 1,
                "burst_beats": burst_beats,
                "outstanding_bursts": 2,
            },
            "clock_mhz": 100,
        }
    )


def storer(rows: int, address_bits: int = 32, memory_stages: int = 1) -> tuple[Storer, dict[str, int]]:
    plain = design_of(rows, 4, address_bits)
    design = Design.model_validate(plain.model_dump() | {"memory_stages": memory_stages})
    return Storer(design), {
        "ADDRESS": address_bits,
        "BYTES": design.beat_bytes,
        "BURST": design.memory.burst_beats,
        "PER_BEAT": words_per_beat(design, Target.ACTIVATION),
        "PER_WORD": beats_per_word(design, Target.ACTIVATION),
        "FIFO": store_fifo_beats(design),
        "COME": memory_stages,
        "LANES": rows,
    }


@pytest.mark.parametrize(
    ("rows", "address_bits", "memory_stages"),
    [
        pytest.param(4, 32, 1, marks=wide),
        pytest.param(4, 32, 2, marks=wide),
        pytest.param(2, 32, 1, marks=pytest.mark.slow),
        pytest.param(8, 32, 1, marks=pytest.mark.slow),
        pytest.param(8, 32, 2, marks=pytest.mark.slow),
        pytest.param(4, 64, 1, marks=pytest.mark.slow),
    ],
    ids=[
        "a word a beat", "a word a beat, two registers", "two words a beat", "two beats a word",
        "two beats a word, two registers", "64 bits of address",
    ],
)  # fmt: skip
def test_storer(rows: int, address_bits: int, memory_stages: int, tmp_path: Path) -> None:
    unit, parameters = storer(rows, address_bits, memory_stages)
    assert proved(unit, "storer", parameters, tmp_path)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("assign axi__awvalid = opened | waiting;", "assign axi__awvalid = opened;"),  # it does not stay
        pytest.param("in_burst == 2'h2", "in_burst == 2'h3", marks=pytest.mark.slow),  # WLAST and the end, a beat early
        pytest.param("rows_left - 1'h1", "rows_left - 2'h2", marks=pytest.mark.slow),  # a row too few
    ],
    ids=["valid", "last", "count"],
)
def test_a_storer_that_is_broken_is_found(old: str, new: str, tmp_path: Path) -> None:
    unit, parameters = storer(4)

    def damage(text: str) -> str:
        assert old in text
        return text.replace(old, new)

    assert not proved(unit, "storer", parameters, tmp_path, damage)


def loader(address_bits: int = 32, decoder_lanes: int = 0) -> tuple[Loader, dict[str, int]]:
    plain = design_of(4, 2, address_bits)
    design = Design.model_validate(plain.model_dump() | {"decoder_lanes": decoder_lanes})
    return Loader(design), {
        "ADDRESS": address_bits,
        "BYTES": design.beat_bytes,
        "BURST": 2,
        "AHEAD": design.buffers.queue_commands,
    }


@pytest.mark.parametrize("address_bits", [pytest.param(32, marks=wide), pytest.param(64, marks=pytest.mark.slow)])
def test_loader(address_bits: int, tmp_path: Path) -> None:
    unit, parameters = loader(address_bits)
    assert proved(unit, "loader", parameters, tmp_path)


DECODERS = "loader_decoder_*"  # parts of the decoder; what begins and ends its work stays


@wide
def test_loader_with_a_decoder(tmp_path: Path) -> None:
    """Coded LOADs too, and those of code tables: whatever lanes and window of the decoder say."""
    unit, parameters = loader(decoder_lanes=1)
    assert proved(unit, "loader", parameters, tmp_path, cut=DECODERS)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("old", "new"),
    [("= active & left;", "= active;"), ("= over & left;", "= 1'h0;")],
    ids=["takes beats of the next command", "does not see that beats are left"],
)
def test_a_decoder_that_is_broken_is_found(old: str, new: str, tmp_path: Path) -> None:
    unit, parameters = loader(decoder_lanes=1)

    def damage(text: str) -> str:
        assert text.count(old) == 1
        return text.replace(old, new)

    assert not proved(unit, "loader", parameters, tmp_path, damage, DECODERS)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("old", "new"),
    [
        (
            "assign axi__arvalid = offers | waiting;",
            "assign axi__arvalid = offers;",
        ),  # it does not stay
        ("in_flight == 1'h1", "in_flight == 2'h2"),  # a burst too many
        ("rows_left - 1'h1", "rows_left - 2'h2"),  # a row too few
    ],
    ids=["valid", "outstanding", "count"],
)
def test_a_loader_that_is_broken_is_found(old: str, new: str, tmp_path: Path) -> None:
    unit, parameters = loader()

    def damage(text: str) -> str:
        assert old in text
        return text.replace(old, new)

    assert not proved(unit, "loader", parameters, tmp_path, damage)


@pytest.mark.parametrize("depth", [1, 2, 3, 8])
def test_queue_of_a_pe(depth: int, tmp_path: Path) -> None:
    assert proved(Queue(2, depth), "queue", {"DEPTH": depth}, tmp_path)


def test_a_queue_that_is_broken_is_found(tmp_path: Path) -> None:
    """Room that forgets what is pushed in the same cycle: a queue that overflows."""

    def damage(text: str) -> str:
        assert text.count(" = level + push;") == 2  # for room, and for the level itself
        return text.replace(" = level + push;", " = level;", 1)

    assert not proved(Queue(2, 3), "queue", {"DEPTH": 3}, tmp_path, damage)


def test_decoder_lane(tmp_path: Path) -> None:
    """For every stream and every code."""
    assert proved(Lane(), "decoder_lane", {"CHUNK": CHUNK_BITS}, tmp_path)


def entry_lane() -> EntryLane:
    """A lane with one PE, and runs of three zeros at most."""
    design = design_of(1, burst_beats=4).model_dump()
    engine = {"kind": "sparse", "index_bits": 2, "pointers": 16}
    return EntryLane(Design.model_validate(design | {"engine": engine, "decoder_lanes": 1}))


def test_a_lane_of_a_sparse_engine(tmp_path: Path) -> None:
    assert proved(entry_lane(), "decoder_entry_lane", {"CHUNK": CHUNK_BITS}, tmp_path)


@pytest.mark.slow
def test_a_lane_that_goes_on_behind_its_last_column_is_not_proved(tmp_path: Path) -> None:
    def damage(text: str) -> str:
        good = "columns == 1'h1"
        assert good in text
        return text.replace(good, "columns == 2'h2")

    assert not proved(entry_lane(), "decoder_entry_lane", {"CHUNK": CHUNK_BITS}, tmp_path, damage)


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ("{ longest, 1'h0 }", "{ 1'h0, longest }"),
        ("left == 2'h2", "left == 2'h3"),
        ("zeros_now == 1'h1", "zeros_now == 2'h2"),
    ],
    ids=["one chunk is thought to be enough", "a run's last code but one is missed", "a value's is missed"],
)
def test_a_lane_that_asks_too_late_is_not_proved(good: str, bad: str, tmp_path: Path) -> None:
    def damage(text: str) -> str:
        assert good in text
        return text.replace(good, bad)

    assert not proved(Lane(), "decoder_lane", {"CHUNK": CHUNK_BITS}, tmp_path, damage)
