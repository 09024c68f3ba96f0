"""The decoder against the software decoder: words, cycles and counts, whatever the streams and the beats' delays."""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import DomainRenamer, Module, ResetInserter, Signal
from numpy.typing import NDArray

from accel.commands import Load, Target
from accel.design import Design
from accel.entropy.decode import Coded, decode
from accel.entropy.encode import encode
from accel.entropy.encode_lists import Lists, encode_lists
from accel.entropy.lists import CodedLists
from accel.entropy.stream import Position
from accel.latency import DECODE_CYCLES
from accel.layout import pack_weight_columns
from accel.memories import TABLE_WORD_BYTES
from accel.rtl.decoder import decoder as decoders
from accel.rtl.decoder.decoder import Decoder, ListDecoder
from tests.benches.coded import draw_codes, tables_of
from tests.benches.simulator import Bench, put, simulate, to_lanes, write_all

WORDS = 4096


def design_of(cols: int, weight_rows: int, lanes: int, axi_bits: int) -> Design:
    return Design.model_validate(
        {
            "name": "decoder",
            "array": {"rows": weight_rows, "cols": cols, "weight_rows": weight_rows},
            "buffers": {
                "activation_bytes": 64 * weight_rows,
                "weight_bytes": WORDS * cols * weight_rows,
                "accumulator_bytes": 64 * cols,
                "parameter_bytes": 64,
            },
            "post_lanes": 1,
            "decoder_lanes": lanes,
            "memory": {"axi_bits": axi_bits, "latency_cycles": 1},
            "clock_mhz": 100,
        }
    )


async def write_tables(ctx: Any, dut: Decoder | ListDecoder, tables: tuple[bytes, bytes]) -> None:
    for port, table in zip((dut.w_run, dut.w_value), tables, strict=True):
        await write_all(ctx, port, np.frombuffer(table, f"<u{TABLE_WORD_BYTES}").tolist())


@pytest.mark.parametrize(
    ("cols", "weight_rows", "lanes", "axi_bits"),
    [(1, 1, 1, 32), (3, 2, 3, 64), (4, 2, 8, 32), (4, 1, 2, 128), (5, 1, 5, 512)],
)
def test_streams(cols: int, weight_rows: int, lanes: int, axi_bits: int) -> None:
    design = design_of(cols, weight_rows, lanes, axi_bits)
    dut = Decoder(design)
    rng = Random(cols * 1000 + lanes)

    async def bench(ctx):
        ctx.set(dut.enable, 1)
        await ctx.tick()
        for _ in range(12):
            await one(ctx)

    async def one(ctx) -> None:
        bits = rng.randint(1, 8)
        zero = rng.randrange(1 << bits)
        sizes = [rng.choice([1, 2, rng.randint(1, 80)]) for _ in range(rng.randint(1, 3))]
        if rng.random() < 0.4:  # many boundaries, where readers want nothing
            sizes = [rng.randint(15, 40) for _ in range(10)]
        blocks = [draw_codes(rng, size, design.weight_codes, bits, zero) for size in sizes]
        together = rng.random() < 0.6
        encoded = encode([blocks], lanes, design.beat_bytes, zero) if together else None
        together = encoded is not None
        encoded = encoded or encode([[b] for b in blocks], lanes, design.beat_bytes, zero)
        assert encoded
        await write_tables(ctx, dut, tables_of(encoded))
        position = Position.start(lanes)
        made = [block for stream in encoded.streams for block in stream]
        for number, (codes, block) in enumerate(zip(blocks, made, strict=True)):
            continues = together and number > 0
            coded = Coded(
                lanes, design.weight_codes, design.beat_bytes, len(codes), not continues, encoded.literal, zero, bits,
                tables_of(encoded),
            )  # fmt: skip
            expected = decode(coded, block.data.tobytes(), position if continues else Position.start(lanes))
            position = expected.position
            address = rng.randrange(100)
            load = Load(
                target=Target.WEIGHT, dst_addr=address, dst_pitch=len(codes),
                row_beats=len(block.data) // design.beat_bytes, coded=1,
                continues=int(continues), literal=int(encoded.literal), zero_code=zero, code_bits=bits,
            )  # fmt: skip
            words, cycles, runs, values = await play(ctx, load, block.data, expected.gaps.tolist())
            wanted = pack_weight_columns(codes, bits)
            assert sorted(words) == list(range(address, address + len(wanted)))
            for k, word in enumerate(wanted):
                assert words[address + k] == int.from_bytes(word.tobytes(), "little"), (number, k)
            assert cycles == expected.tail + DECODE_CYCLES
            assert (runs, values) == (expected.runs, expected.values)

    async def play(ctx, load: Load, data: NDArray[np.uint8], gaps: list[int]) -> tuple[dict[int, int], int, int, int]:
        """Words by address, cycles from the last beat to done, symbols decoded. Beats may be taken when `gaps` say."""
        ctx.set(dut.command, int.from_bytes(load.encode(), "little"))
        ctx.set(dut.take, 1)
        await ctx.tick()
        ctx.set(dut.take, 0)
        beats = data.reshape(-1, design.beat_bytes)
        words: dict[int, int] = {}
        at = runs = values = cycle = accepted = 0
        delay = rng.choice([0, 0, 0.5, 0.9])
        while True:
            ctx.set(dut.left, at < len(beats))
            offered = at < len(beats) and rng.random() >= delay
            ctx.set(dut.data, int.from_bytes(beats[at].tobytes(), "little") if offered else 0)
            want = ctx.get(dut.want)
            if at and at < len(beats):
                assert want == (cycle >= accepted + gaps[at - 1]), (cycle, accepted, gaps[at - 1])
            taken = bool(offered and want)
            ctx.set(dut.beat, taken)
            assert not ctx.get(dut.damaged)
            if ctx.get(dut.w_weight.en):
                words[ctx.get(dut.w_weight.addr)] = ctx.get(dut.w_weight.data)
            runs, values = runs + ctx.get(dut.event_run_reads), values + ctx.get(dut.event_value_reads)
            if ctx.get(dut.done):
                ctx.set(dut.beat, 0)
                await ctx.tick()
                return words, cycle - accepted, runs, values
            if taken:
                at, accepted = at + 1, cycle
            await ctx.tick()
            cycle += 1
            assert cycle < 20_000

    simulate(dut, bench)


LANES = "lanes"  # the clock domain of components that a reset does not reach into, as in the Verilog


def in_lanes(m: Module, make: Any, instance: str, module: str) -> Any:
    component = make()
    m.submodules[instance] = DomainRenamer(LANES)(component)
    return component


def test_a_run_that_is_broken_off_leaves_no_entry_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two PEs of a lane, each with two columns of three weights; a reset in each cycle of a run, and the run again."""
    monkeypatch.setattr(decoders, "shared", in_lanes)
    codes = np.array([[[0, 6, 0], [5, 5, 5]], [[0, 0, 0], [3, 0, 1]]], np.uint8)
    want = [[(1, 1, 6), (0, 0, 5), (0, 0, 5), (1, 0, 5)], [(1, 0, 0), (0, 0, 3), (1, 1, 1)]]
    values = design_of(2, 1, 1, 32).model_dump() | {"engine": {"kind": "sparse", "index_bits": 2, "pointers": 16}}
    design = Design.model_validate(values)
    encoded = encode_lists([[Lists(codes, codes != 0, 4)]], CodedLists(1, 2, 4, 2, 3, 2, 4, False, 0, 3, (b"", b"")))
    assert encoded
    beats = encoded.streams[0][0].data.view("<u4").tolist()
    load = Load(
        target=Target.WEIGHT, row_beats=len(beats), coded=1, row_words=2, step=3, run=2, dram_pitch=4, code_bits=3
    )
    dut, reset, top = ListDecoder(design), Signal(), Module()
    top.submodules.dut = ResetInserter(reset)(dut)
    bench = Bench(top)
    bench.simulator.add_clock(1e-6, domain=LANES)

    async def run(ctx: Any, cycles: int) -> tuple[list[list[tuple[int, int, int]]], int]:
        """What each PE gets until it is done, or in so many cycles, of which the last one is a reset; how many."""
        found: list[list[tuple[int, int, int]]] = [[], []]
        put(ctx, dut, command=int.from_bytes(load.encode(), "little"), take=1)
        sent = 0
        for cycle in range(cycles):
            put(ctx, dut, left=sent < len(beats), data=beats[min(sent, len(beats) - 1)])
            beat = ctx.get(dut.want)
            ctx.set(dut.beat, beat)
            ctx.set(reset, cycle == cycles - 1)
            _, _, en, entries, done = await ctx.tick().sample(dut.en, dut.entries, dut.done)
            put(ctx, dut, take=0, beat=0)
            sent += beat
            for pe, entry in enumerate(to_lanes(entries, 2, 11)):
                if en >> pe & 1:
                    found[pe].append((entry & 1, entry >> 1 & 3, entry >> 3 & 255))
            if done:
                break
        ctx.set(reset, 0)
        return found, cycle + 1

    async def body(ctx: Any) -> None:
        await write_tables(ctx, dut, tables_of(encoded))
        found, cycles = await run(ctx, 200)
        assert found == want
        for broken_off in range(1, cycles + 1):
            await run(ctx, broken_off)
            assert ctx.get(dut.en) == 0, broken_off
            await write_tables(ctx, dut, tables_of(encoded))
            assert (await run(ctx, 200)) == (want, cycles), broken_off

    bench.run(body)
