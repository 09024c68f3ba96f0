"""Designs that are synthesised for the fit of `accel.resources`, and those that it is checked on."""

from __future__ import annotations

from typing import Any

from accel.design import Design, load


def small(name: str, rows: int, cols: int, axi_bits: int, *, weight_rows: int = 1, **more: object) -> Design:
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
OS = {"kind": "systolic", "dataflow": "os"}
TWO_OF_FOUR = {"kind": "systolic", "sparsity": "2:4"}
ECP5: dict[str, Any] = {"multiplier": "ecp5", "memory_stages": 2, "post_multiplier_stages": 2}
THREE = {"multiplier_stages": 3}
LEAN: dict[str, Any] = {"codebooks": 0, "tables": 0, "operand_products": 0, "windows": 0}

WHOLE, WHOLE_AND_CHECKED, CLOCK_CHECKED = "", "^", "(?!)"
SIZED = "^(load|store|post|banks|compute|parameters)"  # what grows with the design
INSIDE = "^(compute|load/decoder)"

# What is synthesised of each: all (those for the check take no part in the fit), or pieces at places that match; of
# those whose clock alone is checked, nothing.
DESIGNS: tuple[tuple[Design, str], ...] = (
    (small("f-4x4", 4, 4, 32), WHOLE),
    (small("f-8x4", 8, 4, 64, weight_rows=2, widths={"accumulator": 24}, buffers={"activation_bytes": 40000}), WHOLE),
    (small("f-ecp5-4x4", 4, 4, 32, **ECP5, engine=THREE, post_lanes=2), WHOLE),
    (
        small(
            "f-lean-4x8", 4, 8, 64, **ECP5, **LEAN, engine=THREE, weight_rows=2, post_lanes=1,
            buffers={"queue_commands": 1},
        ),
        WHOLE,
    ),
    (
        small(
            "f-ecp5-16x8", 16, 8, 64, **ECP5, engine=THREE, weight_rows=4, post_lanes=4, widths={"accumulator": 28},
        ),
        SIZED,
    ),
    (small("f-os-4x4", 4, 4, 32, engine=OS), INSIDE),
    (small("f-4x8", 4, 8, 32, weight_rows=4, decoder_lanes=8, post_lanes=2, engine={"multiplier_stages": 2}), SIZED),
    (small("f-sparse-4x4", 4, 4, 32, engine=SPARSE), WHOLE),
    (small("f-2of4-4x4", 4, 4, 64, engine=TWO_OF_FOUR, weight_rows=2, post_multiplier_stages=2), SIZED),
    (small("f-16x8", 16, 8, 32, weight_rows=4), "^(load|post)"),
    (small("f-os-8x8", 8, 8, 64, engine=OS | THREE, widths={"accumulator": 24}, multiplier="ecp5"), INSIDE),
    (small("f-os-8x4", 8, 4, 64, engine=OS), INSIDE),
    (
        small(
            "f-sparse-8x2", 8, 2, 64, engine=SPARSE | THREE | {"queue_depth": 4}, widths={"accumulator": 24},
        ),
        INSIDE,
    ),
    (
        small("f-16x16", 16, 16, 64, weight_rows=4, engine=THREE, decoder_lanes=2, post_lanes=2),
        SIZED,
    ),
    (small("f-2of4-8x8", 8, 8, 32, engine=TWO_OF_FOUR, widths={"accumulator": 24}, post_lanes=2), INSIDE),
    (small("f-sparse-2x8", 2, 8, 32, engine=SPARSE | {"index_bits": 5, "pointers": 2048}), INSIDE),
    (load("nano"), WHOLE_AND_CHECKED),
    (load("nano-ecp5"), WHOLE_AND_CHECKED),
    (load("pico"), WHOLE_AND_CHECKED),
    (
        small("c-8x8", 8, 8, 64, weight_rows=4, engine={"multiplier_stages": 2}, buffers={"activation_bytes": 50000}),
        WHOLE_AND_CHECKED,
    ),
    (
        small("c-6x4", 6, 4, 64, weight_rows=2, widths={"accumulator": 28}, decoder_lanes=4, post_lanes=2),
        WHOLE_AND_CHECKED,
    ),
    (
        small("c-sparse-4x8", 4, 8, 64, engine=SPARSE | {"queue_depth": 6}, buffers={"activation_bytes": 32768}),
        WHOLE_AND_CHECKED,
    ),
    (load("edge"), WHOLE_AND_CHECKED),
    (small("c-lean-2x4", 2, 4, 32, **ECP5, **LEAN, engine=THREE, post_lanes=1), CLOCK_CHECKED),
    (small("c-os-4x2", 4, 2, 32, **LEAN, engine=OS, post_lanes=1), CLOCK_CHECKED),
    (small("c-decoder-4x2", 4, 2, 64, **ECP5, **LEAN, engine=THREE, decoder_lanes=2, post_lanes=1), CLOCK_CHECKED),
    (small("c-sparse-2x4", 2, 4, 32, **LEAN, engine=SPARSE, post_lanes=1), CLOCK_CHECKED),
)  # fmt: skip
