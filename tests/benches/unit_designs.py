"""The designs in front of which the units are tested: small memories of known numbers of words."""

from __future__ import annotations

from functools import cache
from random import Random

from accel.design import Design

ACTIVATION_BANK, ACCUMULATOR_BANK = 1 << 19, 1 << 14  # words from one bank to the next: the highest bit is the bank
# memories of `compute_design`, in words
ACTIVATION_WORDS = 70  # of each bank
WEIGHT_WORDS = 120
ACCUMULATOR_WORDS = 32  # of each bank; a power of two, so that a write outside would hit another word
# memories of `sparse_design`
SPARSE_ENTRIES = 48  # of each PE
SPARSE_COLUMNS = 20
SPARSE_SUMS = 8  # words of R sums of each PE and bank
# memories of `post_design`
HALF = 32  # words of an activation bank that commands read, before those that they write (swapped by a configuration)
SUMS = 40  # of each bank
RECORDS = 8
LINE = 9  # columns that pass the filter


def compute_design(
    rows: int, cols: int, bits: int = 32, multiplier_stages: int = 1, weight_rows: int = 1, two_of_four: bool = False,
    dataflow: str = "ws", multiplier: str = "portable", memory_stages: int = 1,
) -> Design:  # fmt: skip
    lanes, lane_bits = rows * (2 if two_of_four else 1), 10 if two_of_four else 8
    return Design.model_validate(
        {
            "name": "unit",
            "array": {"rows": rows, "cols": cols, "weight_rows": weight_rows},
            "widths": {"accumulator": bits},
            "multiplier": multiplier,
            "memory_stages": memory_stages,
            "engine": {
                "dataflow": dataflow,
                "multiplier_stages": multiplier_stages,
                "sparsity": "2:4" if two_of_four else "none",
            },
            "buffers": {
                "activation_bytes": max(64, 2 * ACTIVATION_WORDS * lanes),
                "weight_bytes": max(64, -(-WEIGHT_WORDS * weight_rows * cols * lane_bits // 8)),
                "accumulator_bytes": max(64, 8 * ACCUMULATOR_WORDS * cols),
                "parameter_bytes": 1024,
            },
            "memory": {"axi_bits": 32, "latency_cycles": 1},
            "clock_mhz": 100,
        }
    )


@cache
def sparse_design(
    rows: int,
    cols: int,
    stages: int = 1,
    queue_depth: int = 2,
    word_factor: int = 1,
    multiplier: str = "portable",
    memory_stages: int = 1,
) -> Design:
    """A sparse engine with `SPARSE_ENTRIES` entries, `SPARSE_COLUMNS` pointers, `SPARSE_SUMS` words of sums a bank."""
    lanes = word_factor * max(rows, cols)
    engine = {
        "kind": "sparse", "queue_depth": queue_depth, "index_bits": 3, "pointers": SPARSE_COLUMNS,
        "word_factor": word_factor, "multiplier_stages": stages,
    }  # fmt: skip
    return Design.model_validate(
        {
            "name": "sparse",
            "array": {"rows": rows, "cols": cols},
            "multiplier": multiplier,
            "memory_stages": memory_stages,
            "widths": {"accumulator": 24},
            "engine": engine,
            "buffers": {
                "activation_bytes": 2 * ACTIVATION_WORDS * lanes,
                "weight_bytes": -(-SPARSE_ENTRIES * cols * (1 + 3 + 8) // 8),
                "accumulator_bytes": 8 * SPARSE_SUMS * rows * cols,
                "parameter_bytes": 1024,
            },
            "memory": {"axi_bits": 32, "latency_cycles": 1},
            "clock_mhz": 100,
        }
    )


def post_design(
    chunks_in: int, chunks_out: int, lanes: int, bits: int = 32, multiplier_stages: int = 1,
    filter_multipliers: int = 0, operand_products: int = 1, multiplier: str = "portable", memory_stages: int = 1,
    filter_blocks: int = 1, filter_side: int = 3,
) -> Design:  # fmt: skip
    """A design with C = chunks_in * lanes and R = chunks_out * lanes."""
    rows, cols = chunks_out * lanes, chunks_in * lanes
    return Design.model_validate(
        {
            "name": "unit",
            "array": {"rows": rows, "cols": cols},
            "widths": {"accumulator": bits},
            "buffers": {
                "activation_bytes": 2 * 2 * HALF * rows,
                "weight_bytes": 1024,
                "accumulator_bytes": 8 * SUMS * cols,
                "parameter_bytes": RECORDS * 8 * lanes,
            },
            "post_lanes": lanes,
            "memory_stages": memory_stages,
            "post_multiplier_stages": multiplier_stages,
            "filter_multipliers": filter_multipliers,
            "filter_blocks": filter_blocks,
            "filter_side": filter_side if filter_multipliers else 3,
            "filter_line": LINE,
            "operand_products": operand_products,
            "multiplier": multiplier,
            "memory": {"axi_bits": 32, "latency_cycles": 1},
            "clock_mhz": 100,
        }
    )


def draw_multiplier(rng: Random) -> str:
    """One of the makes."""
    return rng.choice(["portable", "portable", "ecp5", "xilinx"])


def divisor(rng: Random, number: int) -> int:
    """A divisor, the number itself included."""
    return rng.choice([d for d in range(1, number + 1) if number % d == 0])


@cache
def sequencer_design(bits: int = 64, filter_side: int = 3, cols: int = 6) -> Design:
    return Design.model_validate(
        {
            "name": "sequencer",
            "array": {"rows": 12, "cols": cols},
            "buffers": {
                "activation_bytes": 4096,
                "weight_bytes": 4096,
                "accumulator_bytes": 4096,
                "parameter_bytes": 4096,
                "program_commands": 8,
            },
            "post_lanes": 3,
            "decoder_lanes": 2,
            "operand_products": 0,
            "codebooks": 0,
            "tables": 0,
            "filter_multipliers": 3,
            "filter_side": filter_side,
            "filter_line": LINE,
            "memory": {"axi_bits": bits, "latency_cycles": 20},
            "clock_mhz": 100,
        }
    )


CORE = Design.model_validate(
    {
        "name": "small",
        "array": {"rows": 8, "cols": 8},
        "buffers": {
            "activation_bytes": 16384,
            "weight_bytes": 4096,
            "accumulator_bytes": 8192,
            "parameter_bytes": 1024,
        },
        "memory": {"kind": "on-chip", "bits": 64, "bytes": 1 << 20},
        "clock_mhz": 50,
    }
)
