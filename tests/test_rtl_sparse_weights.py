"""The boxes of the sparse engine behind its broadcasts: unpacking, weight memories, PE, accumulators."""

from __future__ import annotations

from functools import cache
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.commands import ErrorCode, Load
from accel.datapath import OFFSET_BITS
from accel.rtl.sparse.accumulators import Accumulators
from accel.rtl.sparse.pe import PE
from accel.rtl.sparse.ports import broadcast_layout, entry_address_bits, entry_layout, sum_bits
from accel.rtl.sparse.unpack import Unpack
from accel.rtl.sparse.weights import Weights
from tests.benches.simulator import Bench, from_lanes, put, to_lanes
from tests.benches.unit_designs import (
    ACCUMULATOR_BANK,
    SPARSE_COLUMNS,
    SPARSE_ENTRIES,
    SPARSE_SUMS,
    sparse_design,
)

COLS = 3
Entry = tuple[int, int, int]  # last, run, value
ENTRY_BITS = entry_layout(sparse_design(2, COLS)).size


def number(entry: Entry) -> int:
    """An entry as the weight memory has it."""
    last, run, value = entry
    return last | run << 1 | value << 4


def slices(value: int, bits: int, count: int) -> list[int]:
    return [value >> bits * k & (1 << bits) - 1 for k in range(count)]


@cache
def unpack_of() -> Bench:
    return Bench(Unpack(sparse_design(2, COLS)))


@settings(max_examples=12, deadline=None)
@given(st.randoms(use_true_random=False))
def test_words_are_unpacked_to_rows_of_entries(rng: Random) -> None:
    """Two blocks of entries of some bits, 8 at least; their words with pauses; `end` behind the last row."""
    bench, seed = unpack_of(), rng.getrandbits(32)

    async def body(ctx: Any) -> None:
        random, unit = Random(seed), bench.unit
        for _ in range(2):
            run_bits, value_bits, rows = random.randint(1, 3), random.randint(1, 8), random.randint(1, 9)
            size = max(8, 1 + run_bits + value_bits)
            entries = [
                [(random.randint(0, 1), random.getrandbits(run_bits), random.getrandbits(value_bits))
                 for _ in range(COLS)] for _ in range(rows)
            ]  # fmt: skip
            streams = [
                sum((e[0] | e[1] << 1 | e[2] << 1 + run_bits) << size * k for k, e in enumerate(column))
                for column in zip(*entries, strict=True)
            ]
            load = Load(
                dst_addr=random.randint(0, 40), dst_pitch=random.randint(0, 9), row_words=random.randint(1, 9),
                run=run_bits, step=value_bits,
            )  # fmt: skip
            put(ctx, unit, block=1, command=int.from_bytes(load.encode(), "little"))
            seen, started, ended, words = [], False, False, -(-rows * size // 8)
            sent = 0
            for cycle in range(4 * words + 8):
                if cycle:
                    ctx.set(unit.block, 0)
                en = cycle > 0 and sent < words and random.random() < 0.7
                put(ctx, unit.w_weight, en=en, data=from_lanes([s >> 8 * sent & 255 for s in streams]))
                last = sent + en == words and not ended
                put(ctx, unit, block_end=last)
                ended |= last
                _, _, start, enable, raw, end, *place = await ctx.tick().sample(
                    unit.o.start, unit.o.en, unit.o.entries, unit.o.end, unit.o.addr, unit.o.pointer, unit.o.columns
                )
                sent += en
                assert not (start and started)
                started |= bool(start)
                if start:
                    assert tuple(place) == (load.dst_addr, load.dst_pitch, load.row_words)
                if enable:
                    assert started
                    assert not end
                    assert enable == (1 << COLS) - 1
                    seen.append(slices(raw, ENTRY_BITS, COLS))
                if end:
                    break
            assert end
            assert seen[:rows] == [[number(e) for e in row] for row in entries]
            assert len(seen) == words * 8 // size

    bench.run(body)


@cache
def weights_of() -> Bench:
    return Bench(Weights(sparse_design(2, COLS)))


def draw_lists(random: Random, columns: int) -> list[list[Entry]]:
    """A list of entries a PE, column after column."""
    lists = []
    for _ in range(COLS):
        sizes = [random.choice([1, 1, 2, 3]) for _ in range(columns)]
        lists.append([(int(k == n - 1), random.randint(0, 7), random.getrandbits(8)) for n in sizes for k in range(n)])
    return lists


@settings(max_examples=12, deadline=None)
@given(st.randoms(use_true_random=False))
def test_each_pe_has_a_list_and_pointers_to_its_columns(rng: Random) -> None:
    """Lists come at paces of their own; what follows a PE's columns is written and begins none, and may not end."""
    bench, seed = weights_of(), rng.getrandbits(32)

    async def body(ctx: Any) -> None:
        random, unit = Random(seed), bench.unit
        columns, address, pointer = random.randint(1, 5), random.randint(0, 9), random.randint(0, 9)
        lists = [
            found + [(random.randint(0, 1), 0, 0) for _ in range(random.randint(0, 2))]
            for found in draw_lists(random, columns)
        ]
        put(ctx, unit.w, start=1, addr=address, pointer=pointer, columns=columns, limit=99)
        await ctx.tick()
        put(ctx, unit.w, start=0)
        left, writes, pointers = [list(found) for found in lists], 0, 0
        while any(left):
            en = [bool(rest) and random.random() < 0.6 for rest in left]
            now = [rest.pop(0) if go else (0, 0, 0) for rest, go in zip(left, en, strict=True)]
            ctx.set(unit.w.en, sum(go << pe for pe, go in enumerate(en)))
            ctx.set(unit.w.entries, from_lanes([number(e) for e in now], ENTRY_BITS))
            _, _, wrote, pointed, error = await ctx.tick().sample(
                unit.event_weight_writes, unit.event_pointer_writes, unit.error
            )
            assert (wrote, error) == (sum(en), 0)
            writes, pointers = writes + wrote, pointers + pointed
        put(ctx, unit.w, en=0, end=1)
        assert ctx.get(unit.error) == 0
        await ctx.tick()
        put(ctx, unit.w, end=0)
        assert pointers == COLS * columns
        for pe, found in enumerate(lists):
            begins = [0] + [k + 1 for k, entry in enumerate(found) if entry[0]]
            for column in range(columns):
                put(ctx, unit, r_pointer=1, column=pointer + column)
                await ctx.tick()
                bits = entry_address_bits(sparse_design(2, COLS))
                assert slices(ctx.get(unit.pointers), bits, COLS)[pe] == address + begins[column]
            for k, entry in enumerate(found):
                put(ctx, unit, r_pointer=0, r_en=1 << pe, r_addr=(address + k) << pe * bits)
                await ctx.tick()
                assert slices(ctx.get(unit.entries), ENTRY_BITS, COLS)[pe] == number(entry)

    bench.run(body)


@pytest.mark.parametrize(
    ("block", "code", "written"),
    [
        ({"columns": 3, "limit": 99}, ErrorCode.WEIGHTS, (2, 2)),  # a column is missing
        ({"columns": 2, "limit": 1}, ErrorCode.STREAM, (1, 1)),  # a list is longer than it may be
        ({"columns": 2, "limit": 99, "addr": SPARSE_ENTRIES - 1}, ErrorCode.BUFFER_RANGE, (1, 1)),
        ({"columns": 2, "limit": 99, "pointer": SPARSE_COLUMNS - 1}, ErrorCode.BUFFER_RANGE, (2, 1)),
        ({"columns": 2, "limit": 99}, ErrorCode.NONE, (2, 2)),
    ],
)
def test_lists_that_do_not_fit_are_flagged(block: dict[str, int], code: ErrorCode, written: tuple[int, int]) -> None:
    """Two entries a PE, each a column; `written` entries and pointers a PE."""
    bench, entries = weights_of(), 2

    async def body(ctx: Any) -> None:
        unit, found, counts = bench.unit, set(), [0, 0]
        put(ctx, unit.w, start=1, addr=0, pointer=0)
        put(ctx, unit.w, **block)
        await ctx.tick()
        put(ctx, unit.w, start=0, en=7, entries=from_lanes([number((1, 0, 9))] * COLS, ENTRY_BITS))
        for cycle in range(entries + 3):
            if cycle == entries:
                ctx.set(unit.w.en, 0)
            ctx.set(unit.w.end, cycle == entries + 1)
            _, _, error, *wrote = await ctx.tick().sample(
                unit.error, unit.event_weight_writes, unit.event_pointer_writes
            )
            found.add(error)
            counts = [total + count for total, count in zip(counts, wrote, strict=True)]
        assert found - {0} == {code} - {0}
        assert counts == [COLS * count for count in written]

    bench.run(body)


@cache
def accumulators_of(rows: int) -> Bench:
    return Bench(Accumulators(sparse_design(rows, COLS)))


@pytest.mark.parametrize("rows", [1, 4])
@settings(max_examples=8, deadline=None)
@given(rng=st.randoms(use_true_random=False))
def test_pes_use_one_bank_and_the_post_process_the_other(rng: Random, rows: int) -> None:
    bench, seed = accumulators_of(rows), rng.getrandbits(32)
    design = sparse_design(rows, COLS)
    address, width = sum_bits(design), 24 * rows

    async def body(ctx: Any) -> None:
        random, unit = Random(seed), bench.unit
        memory = [[[None] * COLS for _ in range(SPARSE_SUMS)] for _ in range(2)]  # [bank][word][PE]
        outside_before, read_before = False, ([None] * COLS, [None] * COLS, 0)
        for cycle in range(60):
            bank = cycle // 20 % 2
            clear, word = cycle % 20 < SPARSE_SUMS, cycle % 20
            reads = [random.randrange(SPARSE_SUMS) for _ in range(COLS)]
            writes = [random.randrange(SPARSE_SUMS + 1) for _ in range(COLS)]
            en = [not clear and random.random() < 0.7 for _ in range(COLS)]
            data = [random.getrandbits(width) for _ in range(COLS)]
            other, lane = random.randrange(SPARSE_SUMS), random.randrange(rows)
            put(
                ctx, unit, bank=bank, clear=clear, clear_addr=word, r_en=7, r_addr=from_lanes(reads, address),
                w_en=sum(go << pe for pe, go in enumerate(en)), w_addr=from_lanes(writes, address),
                w_data=from_lanes(data, width),
            )  # fmt: skip
            put(ctx, unit.r_post, en=1, addr=(1 - bank) * ACCUMULATOR_BANK + other * rows + lane)
            written = [word if clear else writes[pe] if en[pe] else None for pe in range(COLS)]
            # Nothing is said of a word that is written while it is read.
            old = [memory[bank][reads[pe]][pe] if written[pe] != reads[pe] else None for pe in range(COLS)]
            post = memory[1 - bank][other]
            fits = [go and writes[pe] < SPARSE_SUMS for pe, go in enumerate(en)]
            # What was read in the cycle before is there, whatever the bank is now.
            for pe, value in enumerate(slices(ctx.get(unit.r_data), width, COLS)):
                assert read_before[0][pe] in (None, value)
            for pe, value in enumerate(slices(ctx.get(unit.r_post.data), 24, COLS)):
                found = read_before[1][pe]
                assert found is None or found >> 24 * read_before[2] & (1 << 24) - 1 == value
            read_before = old, list(post), lane
            assert ctx.get(unit.event_acc_writes) == (COLS if clear else sum(fits))
            _, _, outside = await ctx.tick().sample(unit.outside)
            assert outside == outside_before
            outside_before = any(go and not fit for go, fit in zip(en, fits, strict=True))
            for pe in range(COLS):
                if clear:
                    memory[bank][word][pe] = 0
                elif fits[pe]:
                    memory[bank][writes[pe]][pe] = data[pe]

    bench.run(body)


@cache
def pe_of(rows: int, stages: int, multiplier: str, memory_stages: int) -> Bench:
    return Bench(PE(sparse_design(rows, COLS, stages, multiplier=multiplier, memory_stages=memory_stages)))


@pytest.mark.parametrize(
    ("rows", "stages", "multiplier", "memory_stages"),
    [(1, 2, "portable", 1), (2, 1, "portable", 2), (2, 3, "portable", 1), (2, 1, "ecp5", 1), (1, 3, "xilinx", 2)],
)
@settings(max_examples=10, deadline=None)
@given(rng=st.randoms(use_true_random=False))
def test_a_pe_adds_the_products_of_its_columns(
    rng: Random, rows: int, stages: int, multiplier: str, memory_stages: int
) -> None:
    """Broadcasts as fast as there is room; an entry out of its column or its block is flagged and adds nothing."""
    bench, seed = pe_of(rows, stages, multiplier, memory_stages), rng.getrandbits(32)
    layout = broadcast_layout(sparse_design(rows, COLS, stages))

    async def body(ctx: Any) -> None:
        random, unit = Random(seed), bench.unit
        n_tiles, shift, coded = random.randint(2, 5), random.randint(0, 1), random.randint(0, 1)
        damaged = random.random() < 0.3
        codebook = [random.randint(-128, 127) for _ in range(256)]
        entries: list[Entry] = []
        columns = []
        for _ in range(random.randint(1, 5)):
            columns.append(len(entries))
            at = -1
            while True:
                run = random.randint(0, 7 if damaged else min(7, n_tiles - at - 2))
                at += run + 1
                last = at >= n_tiles - 1 or random.random() < 0.3
                entries.append((int(last), run, random.choice([0, random.getrandbits(8)])))
                if last:
                    break
        high = len(entries) - (damaged and random.random() < 0.5)
        sends = []
        for _ in range(random.randint(1, 12)):
            acts = [random.choice([0, random.randint(-255, 255)]) for _ in range(rows)]
            pixels = random.randint(1, rows)
            acts = [act if r < pixels else 0 for r, act in enumerate(acts)]
            sends.append(
                {"start": random.choice(columns), "acts": acts, "block": random.randint(0, 3), "pixels": pixels,
                 "zeros": acts[:pixels].count(0)}
            )  # fmt: skip
        want, wrong, zeros, steps = [[0] * rows for _ in range(64)], 0, 0, 0
        for send in sends:
            place, k = -1, send["start"]
            while True:
                last, run, raw = entries[k]
                place += run + 1
                value = codebook[raw] if coded else raw - (raw >> 7 << 8)
                steps += 1
                zeros += send["pixels"] if value == 0 else send["zeros"]
                if place >= n_tiles or k >= high:
                    wrong += 1
                else:
                    target = want[send["block"] + (place << shift)]
                    for r in range(rows):
                        target[r] += send["acts"][r] * value
                k += 1
                if last:
                    break
        put(ctx, unit, flush=1, use_codebook=coded, n_tiles=n_tiles, acc_shift=shift, low=0, high=high)
        await ctx.tick()
        ctx.set(unit.flush, 0)
        sums = [0] * 64
        counted = {"wrong": 0, "entries": 0, "zeros": 0}
        room, pause = True, 0
        while pause < 10:
            push = bool(sends) and room and random.random() < 0.8
            ctx.set(unit.push, push)
            if push:
                send = sends.pop(0)
                raw = layout.const(send | {"acts": from_lanes(send["acts"], OFFSET_BITS)}).as_value().value
                ctx.set(unit.broadcast, raw)
            room = bool(ctx.get(unit.room))
            quiet = ctx.get(unit.quiet)
            _, _, *now = await ctx.tick().sample(
                unit.r_entry_en, unit.r_entry_addr, unit.code_en, unit.code, unit.r_sum_en, unit.r_sum_addr,
                unit.w_sum_en, unit.w_sum_addr, unit.w_sum_data, unit.wrong, unit.event_entry, unit.event_zeros,
            )  # fmt: skip
            reads, entry, looks, code, sum_reads, word, writes, to, data, bad, stepped, nothing = now
            if reads:
                ctx.set(unit.r_entry_data, number(entries[entry]))
            if looks:
                ctx.set(unit.code_data, codebook[code])
            if sum_reads:  # as a memory: what was there before this cycle's write, or anything if that is its word
                garbage = random.getrandbits(24 * rows)
                ctx.set(unit.r_sum_data, garbage if writes and to == word else sums[word])
            if writes:
                sums[to] = data
            counted["wrong"] += bad
            counted["entries"] += stepped
            counted["zeros"] += nothing
            pause = pause + 1 if quiet and not push and not sends else 0
        assert counted == {"wrong": wrong, "entries": steps, "zeros": zeros}
        assert [to_lanes(value, rows, 24) for value in sums] == want

    bench.run(body)
