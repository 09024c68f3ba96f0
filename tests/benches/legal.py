"""Commands that are legal on `sequencer_design`, and legal ones with the change that makes them illegal."""

from __future__ import annotations

from dataclasses import fields, replace
from random import Random

from accel.commands import Command, Compute, ConfigCompute, ConfigPost, Load, Post, Store

CONFIGURATION: list[Command] = [ConfigCompute(), ConfigPost()]  # what COMPUTE and POST need before them
WINDOW = Load(window=1, run=5, lane=7, step=1, row_words=1, zero_code=2, code_bits=1)
FILTER = Post(filter=1, from_activation=1, reduce_sum=1, stream_h=1, stream_w=9, iy0=-2, ix0=-2)
CODED = Load(target=1, coded=1, dst_pitch=1, code_bits=1)
BAD = [
    *((Load(), {name: 0}) for name in ("row_beats", "rows")),
    *((Load(), {"target": value}) for value in (3, 7)),
    (CODED, {"target": 2}),
    (CODED, {"rows": 2}),
    (CODED, {"dst_pitch": 0}),
    (CODED, {"code_bits": 0}),
    (CODED, {"code_bits": 9}),
    (Load(), {"dram_addr": 4}),
    (Load(), {"dram_pitch": 12}),
    *((WINDOW, {name: 0}) for name in ("run", "step", "row_words")),
    (WINDOW, {"target": 1}),
    (WINDOW, {"lane": 8}),
    (WINDOW, {"run": 6}),
    (WINDOW, {"run": 127, "lane": 63}),
    *((WINDOW, {"zero_code": value}) for value in (0, 13)),
    *((WINDOW, {"code_bits": value}) for value in (0, 3)),
    (WINDOW, {"parts": 4}),
    *(
        (ConfigCompute(), {name: 0})
        for name in ("stride_x", "stride_y", "dilation_x", "dilation_y", "kernel_h", "kernel_w", "in_h", "in_w")
    ),
    (ConfigCompute(beside=1), {"stride_x": 2}),
    *((Compute(), {name: 0}) for name in ("out_h", "out_w", "groups", "n_tiles", "weight_bits")),
    *((Compute(), {"weight_bits": value}) for value in (7, 9)),
    (Compute(), {"use_codebook": 1}),
    *((Compute(), {"rows_last": value}) for value in (0, 13)),
    *((Compute(), {"cols_last": value}) for value in (0, 7)),
    (Compute(), {"structured": 1}),
    *((ConfigPost(), {name: 0}) for name in ("win_h", "win_w", "stride_y", "stride_x", "in_h", "in_w")),
    (ConfigPost(), {"multiply": 1}),
    (ConfigPost(), {"table": 1}),
    *((Post(), {name: 0}) for name in ("out_h", "out_w", "chunks", "dst_step")),
    (Post(from_activation=1), {"src_chunk": 4}),
    *((Post(), {"src_chunk": value}) for value in (2, 3)),
    (Post(), {"dst_chunk": 4}),
    (FILTER, {"filter": 2}),
    *((FILTER, {name: 0}) for name in ("from_activation", "reduce_sum", "stream_h", "stream_w")),
    (FILTER, {"residual": 1}),
    *((FILTER, {name: -3}) for name in ("iy0", "ix0")),
    *((FILTER, {"stream_w": value}) for value in (2, 10)),
    *((Store(), {name: 0}) for name in ("row_words", "rows")),
    (Store(), {"dram_addr": 4}),
    (Store(), {"dram_pitch": 4}),
    *((Store(), {"unused_lanes": value}) for value in (12, 63)),
    (Store(), {"gap_words": 1}),
    (Store(line_words=9), {"gap_words": 3, "line_at": 9}),
]


# On `sequencer_design` with windows of 5 x 5.
WIDE = replace(FILTER, filter=2, iy0=-4, ix0=-4)
BAD_WIDE = [
    (FILTER, {"filter": 3}),
    *((FILTER, {name: -3}) for name in ("iy0", "ix0")),
    *((WIDE, {name: -5}) for name in ("iy0", "ix0")),
]


def draw_legal(rng: Random, kind: type[Command]) -> Command:
    """Any command of this kind that the sequencer of `sequencer_design` lets pass."""
    values = {}
    for f in fields(kind):
        bits, signed = f.metadata["bits"], f.metadata["signed"]
        low = -(1 << bits - 1) if signed else 1
        values[f.name] = rng.randint(low, (1 << bits - signed) - 1)
    if kind is Load:
        run = rng.randint(1, 12)
        values |= {"target": rng.choice([0, 1, 2, 4, 5, 6]), "window": 0, "run": run, "lane": rng.randint(0, 12 - run)}
        values["coded"] = rng.randint(0, 1) if values["target"] == 1 else 0
        if values["coded"]:
            values |= {"rows": 1, "code_bits": rng.randint(1, 8)}
        values["window"] = rng.randint(0, 1) if values["target"] == 0 else 0
        if values["window"]:
            values |= {"zero_code": rng.randint(1, 12), "parts": rng.randint(0, min(7, 24 // run - 1))}
            values["code_bits"] = rng.randint(1, values["zero_code"])
    if kind in (Load, Store):
        values["dram_addr"] &= ~63
        values["dram_pitch"] &= ~63
    if kind is Store:
        values |= {"unused_lanes": rng.randint(0, 11), "line_at": rng.randint(0, values["line_words"] - 1)}
    if kind is ConfigCompute and values["beside"]:
        values["stride_x"] = 1
    if kind is ConfigPost:
        values |= {"multiply": 0, "table": 0}
    if kind is Compute:
        values |= {"weight_bits": 8, "rows_last": rng.randint(1, 12), "cols_last": rng.randint(1, 6)}
        values |= {"structured": 0, "use_codebook": 0}
    if kind is Post:
        values |= {"src_chunk": rng.randint(0, 3 if values["from_activation"] else 1)}
        values |= {"dst_chunk": rng.randint(0, 3), "filter": rng.randint(0, 1)}
    if kind is Post and values["filter"]:
        values |= {"from_activation": 1, "reduce_sum": 1, "residual": 0, "stream_w": rng.randint(3, 9)}
        values |= {"iy0": max(-2, values["iy0"]), "ix0": max(-2, values["ix0"])}
    return kind(**values)
