"""Designs that are synthesised for the fit of `accel.resources`, and those that it is checked on."""

from __future__ import annotations

from accel.design import Design, load


def _design(name: str, rows: int, cols: int, axi_bits: int, *, weight_rows: int = 1, **more: object) -> Design:
    """A design with small buffers, unless `more` fields say otherwise."""
    values: dict = {
        "name": name,
        "array": {"rows": rows, "cols": cols, "weight_rows": weight_rows},
        "buffers": {
            "activation_bytes": 16384, "weight_bytes": 8192, "accumulator_bytes": 8192, "parameter_bytes": 2048,
        },
        "memory": {"axi_bits": axi_bits, "latency_cycles": 16},
        "clock_mhz": 25,
    }  # fmt: skip
    buffers = more.pop("buffers", {})
    values["buffers"] |= buffers
    memory = more.pop("memory", {})
    values["memory"] |= memory
    return Design.model_validate(values | more)


SPARSE = {"kind": "sparse", "pointers": 512}
TWO_OF_FOUR = {"kind": "systolic", "sparsity": "2:4"}

# Each field moves in several of them, and not together with another one.
FITTED = (
    _design("f-4x4", 4, 4, 32),
    _design("f-8x4", 8, 4, 64, weight_rows=2, widths={"accumulator": 24}, buffers={"activation_bytes": 40000}),
    _design("f-sparse-4x4", 4, 4, 32, engine=SPARSE),
    _design("f-4x8", 4, 8, 32, weight_rows=4, decoder_lanes=8, post_lanes=2, engine={"multiplier_stages": 2}),
    _design("f-2of4-4x4", 4, 4, 64, engine=TWO_OF_FOUR, weight_rows=2, post_multiplier_stages=2),
    _design("f-12x6", 12, 6, 128, weight_rows=3, post_lanes=3, widths={"accumulator": 20},
            buffers={"program_commands": 256}),
    _design("f-sparse-8x4", 8, 4, 64, engine=SPARSE | {"queue_depth": 4, "multiplier_stages": 3},
            widths={"accumulator": 24}),
    _design("f-16x4", 16, 4, 32, weight_rows=2, decoder_lanes=4, memory={"axi_address_bits": 64}),
    _design("f-2of4-8x8", 8, 8, 32, engine=TWO_OF_FOUR, widths={"accumulator": 24}, post_lanes=2),
    _design("f-4x16", 4, 16, 128, weight_rows=2, engine={"multiplier_stages": 3}, post_multiplier_stages=3,
            buffers={"accumulator_bytes": 32768, "weight_bytes": 30000}),
    _design("f-sparse-1x8", 1, 8, 32, engine=SPARSE | {"index_bits": 5, "pointers": 2048}, post_lanes=2),
    _design("f-16x16", 16, 16, 64, weight_rows=8, decoder_lanes=32, post_lanes=4, memory={"outstanding_bursts": 16}),
)  # fmt: skip
CHECKED = (
    load("nano"),
    _design("c-6x4", 6, 4, 64, weight_rows=2, widths={"accumulator": 28}, decoder_lanes=2, post_lanes=2),
    _design("c-sparse-4x8", 4, 8, 64, engine=SPARSE | {"queue_depth": 6}, buffers={"activation_bytes": 32768}),
    _design("c-2of4-8x4", 8, 4, 64, engine=TWO_OF_FOUR, weight_rows=2, buffers={"weight_bytes": 12000}),
    _design("c-8x8", 8, 8, 128, weight_rows=4, engine={"multiplier_stages": 2}, decoder_lanes=16, post_lanes=4),
    load("edge"),
    load("edge-sparse"),
)
