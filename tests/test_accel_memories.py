"""The table of memories against the emitted Verilog, against the fields that address them, and against a design."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import fields
from random import Random

import pytest

from accel import memories
from accel.commands import COMMANDS, Target, field_bits
from accel.design import Design, load
from accel.events import Event
from accel.layout import target_depth, word_bytes
from accel.memories import MEMORIES
from accel.rtl.emit import verilog_text
from accel.rtl.ram import RAM_VERILOG
from tests.benches.draw import draw_design, draw_sparse_design
from tests.benches.unit_designs import ACCUMULATOR_BANK, ACTIVATION_BANK
from tests.benches.wide import wide


def with_sums(design: Design, bits: int) -> Design:
    return design.model_copy(update={"widths": design.widths.model_copy(update={"accumulator": bits})})


def instances(text: str) -> Counter[tuple[int, int, int]]:
    """(width, words, lanes) of each `ram` and `ram_registered` but the counters'.

    No module that is instantiated several times has one.
    """
    found: Counter[tuple[int, int, int]] = Counter()
    for module in re.findall(r"^module .*?^endmodule", text, re.MULTILINE | re.DOTALL):
        cells = re.findall(r"^ +ram(?:_registered)? #\((.*?)\)\s*\S+ \(", module, re.MULTILINE | re.DOTALL)
        assert not cells or module.split("(")[0].split()[1].startswith("accelerator_"), module.splitlines()[0]
        for cell in cells if "_csr_counters" not in module.split("(")[0] else []:
            width, words, lanes = (re.search(rf"\.{p}\(32'd(\d+)\)", cell) for p in ("WIDTH", "DEPTH", "LANES"))
            assert width
            assert words
            found[int(width[1]), int(words[1]), int(lanes[1]) if lanes else 1] += 1
    return found


DESIGNS = [
    load("nano"),
    with_sums(load("nano"), 21),
    load("edge"),
    load("nano").model_copy(update={"filter_multipliers": 9}),
    load("nano").model_copy(update={"filter_multipliers": 3, "filter_side": 5}),
    *(draw_sparse_design(Random(7200 + k), f"sparse{k}") for k in range(3)),
    *(with_sums(draw_design(Random(7100 + k), f"random{k}"), 20 + 3 * k) for k in range(4)),
]


@pytest.mark.parametrize(
    "design",
    [pytest.param(design, marks=wide if k % 3 else ()) for k, design in enumerate(DESIGNS)],
    ids=lambda d: f"{d.name}-{d.rows}x{d.cols}-{d.widths.accumulator}",
)
def test_the_table_is_what_is_emitted(design: Design) -> None:
    expected: Counter[tuple[int, int, int]] = Counter()
    for memory in memories.of(design):
        count, words, width = memory.cells(design)
        expected[width, words, memory.lanes(design) if memory.masked else 1] += count
    assert instances(verilog_text(design)) == expected


def test_a_memory_has_one_read_and_one_write_port() -> None:
    ports = re.findall(r"^ +(?:input|output)(?: reg)?(?: \[.*?\])? (\w+)", RAM_VERILOG, re.MULTILINE)
    assert sorted(ports) == ["clk", "r_addr", "r_data", "r_en", "w_addr", "w_data", "w_en"]


def test_every_address_of_a_memory_has_its_width() -> None:
    """The fields that hold an address, as docs/formats.md has them; LOAD's reaches every target."""
    held = {
        memories.ACTIVATION: ["COMPUTE.act_addr", "POST.src_addr", "POST.dst_addr", "POST.res_addr", "STORE.src_addr"],
        memories.WEIGHT: ["COMPUTE.weight_addr"],
        memories.POINTER: ["COMPUTE.pointer_addr"],
        memories.ACCUMULATOR: ["COMPUTE.acc_addr"],
        memories.PARAMETER: ["POST.param_addr"],
    }
    named = [name for names in held.values() for name in names] + ["LOAD.dst_addr"]
    kinds = {kind.OPCODE.name: kind for kind in COMMANDS.values()}
    everything = [f"{name}.{f.name}" for name, kind in kinds.items() for f in fields(kind) if f.name.endswith("_addr")]
    assert sorted(named) == sorted(n for n in everything if not n.endswith("dram_addr"))
    for memory, names in held.items():
        for name in names:
            kind, field = name.split(".")
            assert field_bits(kinds[kind], field) == memory.address_bits, name
    for memory in MEMORIES:
        assert memory.target is None or memory.address_bits <= field_bits(kinds["LOAD"], "dst_addr")
    assert (memories.ACTIVATION.bank_words, memories.ACCUMULATOR.bank_words) == (ACTIVATION_BANK, ACCUMULATOR_BANK)


def test_sizes_by_hand() -> None:
    nano = load(
        "nano"
    )  # 8 x 8, two weight rows a word; 64 KiB of activations, 16 of weights, 16 of sums, 4 of records, 64 commands
    words = {memory.name: (memory.banks, memory.words(nano), memory.width_bits(nano)) for memory in MEMORIES}
    assert words == {
        "activation": (2, 4096, 64), "weight": (1, 1024, 128), "accumulator": (2, 256, 256), "parameter": (1, 64, 512),
        "codebook": (1, 512, 8), "program": (1, 64, 256), "pointer": (1, 0, 80),
        "run table": (1, 16, 32), "value table": (1, 80, 32), "line": (1, 128, 128), "table": (1, 128, 32),
    }  # fmt: skip
    large = nano.model_copy(update={"filter_multipliers": 9, "filter_side": 5})  # a line of four rows
    assert (memories.LINE.words(large), memories.LINE.width_bits(large)) == (128, 4 * 64)
    sums = with_sums(nano, 21)  # a bank has as many words, and each is narrower
    assert (memories.ACCUMULATOR.words(sums), memories.ACCUMULATOR.width_bits(sums)) == (256, 8 * 21)
    assert {t: (target_depth(nano, t), word_bytes(nano, t)) for t in Target} == {
        Target.ACTIVATION: (4096, 8), Target.WEIGHT: (1024, 16), Target.PARAMETER: (64, 64), Target.CODEBOOK: (512, 1),
        Target.PROGRAM: (64, 32), Target.RUN_TABLE: (16, 4), Target.VALUE_TABLE: (80, 4),
        Target.TABLE: (128, 4),
    }  # fmt: skip


def test_every_access_event_belongs_to_a_memory() -> None:
    others = {Event.BROADCASTS, Event.FILTER_STEPS}  # all PEs look a pointer up; a word of the line comes, one goes
    counted = {memory.reads for memory in MEMORIES} | {memory.writes for memory in MEMORIES}
    named = {event for event in Event if event.name.endswith(("_READS", "_WRITES"))} | {Event.COMMANDS}
    assert counted == named | others
