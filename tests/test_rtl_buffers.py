"""On-chip memories against Python lists."""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.design import Design, load
from accel.memories import PARAMETER
from accel.rtl.buffers import READERS, WRITERS, ActivationBanks, Buffer, Codebook
from tests.benches.simulator import from_lanes, read_all, simulate, to_lanes, write_all
from tests.benches.unit_designs import ACTIVATION_BANK, ACTIVATION_WORDS, compute_design


@settings(max_examples=10, deadline=None)
@given(st.randoms(use_true_random=False))
def test_activation_banks(rng: Random) -> None:
    """At most one reader and one writer a bank and cycle, any of them; data hold until the next read of the bank.

    What is read of a word that is written in the same cycle nobody may look at.
    """
    rng = Random(rng.getrandbits(32))  # too many numbers for Hypothesis
    rows = rng.randint(1, 5)
    dut = ActivationBanks(compute_design(rows, 1))
    banks = np.zeros((2, ACTIVATION_WORDS, rows), np.int64)
    seen: dict[str, tuple[int, list[int] | None]] = {}  # reader -> bank and data that it must see

    async def testbench(ctx: Any) -> None:
        for _ in range(150):
            expect: dict[str, tuple[int, list[int] | None]] = {}
            reading: dict[tuple[int, int], str] = {}  # bank and word -> reader
            for names, prefix in ((READERS, "r_"), (WRITERS, "w_")):
                users = rng.sample(names, 2)
                for name in names:
                    ctx.set(getattr(dut, prefix + name).en, 0)
                for bank, name in enumerate(users):
                    if rng.random() < 0.3:
                        continue
                    word = rng.choice([rng.randrange(ACTIVATION_WORDS), 3])
                    port = getattr(dut, prefix + name)
                    ctx.set(port.en, 1)
                    ctx.set(port.addr, bank * ACTIVATION_BANK + word)
                    if prefix == "r_":
                        expect[name] = bank, banks[bank, word].tolist()
                        reading[bank, word] = name
                        continue
                    values, mask = [rng.randint(-128, 127) for _ in range(rows)], rng.getrandbits(rows)
                    ctx.set(port.data, from_lanes(values))
                    ctx.set(port.mask, mask)
                    if mask and (bank, word) in reading:
                        expect[reading[bank, word]] = bank, None
                    banks[bank, word] = np.where([mask >> k & 1 for k in range(rows)], values, banks[bank, word])
            read = {bank for bank, _ in expect.values()}
            for name in [name for name, (bank, _) in seen.items() if bank in read]:
                del seen[name]
            seen.update(expect)
            await ctx.tick()
            for name, (_, values) in seen.items():
                assert values is None or to_lanes(ctx.get(getattr(dut, f"r_{name}").data), rows) == values

    simulate(dut, testbench)


def parameters_of(words: int, lanes: int) -> Design:
    """A design whose parameter buffer has so many words of so many records."""
    values = load("nano").model_dump()
    values["buffers"]["parameter_bytes"] = words * lanes * 8
    return Design.model_validate(values | {"post_lanes": lanes})


def test_buffer_of_wide_lanes() -> None:
    dut = Buffer(PARAMETER, parameters_of(5, 2))
    words = [k * 0x0123456789ABCDEF0011223344556677 & (1 << 128) - 1 for k in range(5)]

    async def testbench(ctx: Any) -> None:
        await write_all(ctx, dut.w, words)
        assert await read_all(ctx, dut.r, 5) == words

    simulate(dut, testbench)


def test_codebook() -> None:
    """Every column looks up its own code; banks are apart."""
    dut = Codebook(compute_design(1, 3))
    generator = np.random.default_rng(1)
    entries = generator.integers(0, 256, 512)

    async def testbench(ctx: Any) -> None:
        await write_all(ctx, dut.w, entries.tolist())
        ctx.set(dut.en, 1)
        for bank, codes in ((0, [0, 1, 255]), (1, [0, 1, 255]), (1, [7, 7, 8])):
            ctx.set(dut.bank, bank)
            ctx.set(dut.codes, from_lanes(codes))
            await ctx.tick()
            assert ctx.get(dut.entries) == from_lanes(entries[[256 * bank + code for code in codes]])

    simulate(dut, testbench)
