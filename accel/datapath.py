"""Widths, registers and multipliers of the data path: the hardware is built with them and the cost model prices them.

Tests count both in the emitted Verilog (tests/test_accel_datapath.py).
"""

from __future__ import annotations

from accel.commands import ConfigPost, field_bits
from accel.design import Design
from accel.memories import CODE_BITS
from accel.records import TAP
from accel.structured import INDEX_BITS, QUAD

PRODUCT_BITS = 2 * CODE_BITS
OFFSET_BITS = CODE_BITS + 1  # of an activation in a sparse engine: its code less the zero point
SUM_BITS = 32  # of what the post-process reduces and adds a bias to
BIASED_BITS = SUM_BITS + 1
RESIDUAL_BITS = CODE_BITS + 1  # an operand minus its zero point
MULTIPLIER_BITS = field_bits(ConfigPost, "uniform_multiplier")
SHIFT_BITS = field_bits(ConfigPost, "uniform_shift")
FACTOR_BITS = MULTIPLIER_BITS + 1  # of a first operand that the second is multiplied with
LOW_BITS = 17  # of a sum that the first of two multipliers takes, without a sign

# A residual operand has at most so many bits when it is shifted, and with the zero point, with one to spare. A sum that
# needs more leads to the same end of the clip whatever is added: it is held at that of its range.
PARTNER_BITS = RESIDUAL_BITS + FACTOR_BITS
SCALED_BITS = PARTNER_BITS
BYTE = 3  # lowest bit of a shift by whole bytes
OPERAND_BITS = RESIDUAL_BITS + (1 << BYTE) - 1  # of a residual operand before its product, shifted left

# The widths of the factors: the lower and the upper part of a sum with its bias times the multiplier of its record; and
# a residual operand times the multiplier of its own, or, of a product of two activations, times the first operand,
# which has a sign.
REQUANTISE_MULTIPLIERS = ((LOW_BITS, MULTIPLIER_BITS), (BIASED_BITS - LOW_BITS, MULTIPLIER_BITS))
RESIDUAL_MULTIPLIER = (OPERAND_BITS, FACTOR_BITS)

# Bits of the adders of a lane, and of those that only a residual operand moves.
REQUANTISE_ADDERS = {"bias": BIASED_BITS, "product": BIASED_BITS, "total": SCALED_BITS + 1}
RESIDUAL_ADDERS = {"partner": PARTNER_BITS}


def flag_bits(design: Design) -> int:
    """Bits that a weight has beside it in the array: whether it is 0, and with 2:4 the index of its activation."""
    return 1 + (INDEX_BITS if design.two_of_four else 0)


def pe_lanes(design: Design) -> int:
    """Activations that a row of the array is given, one of which each PE multiplies with."""
    return QUAD if design.two_of_four else 1


def array_sum_bits(design: Design) -> int:
    """Bits of a sum in the array: where weights are held in PEs, of a product of each row; else all that is kept."""
    bits = design.widths.accumulator
    return (
        bits
        if design.output_stationary or design.is_sparse
        else min(bits, PRODUCT_BITS + (design.rows - 1).bit_length())
    )


def beside_weight_bits(design: Design) -> int:
    """Of the flags, those that travel through the array with a weight: whether it is 0 matters to gates only."""
    return flag_bits(design) - (not design.gates_zeros)


def product_registers(design: Design, bits: int) -> dict[str, int]:
    """Bits of the registers of a multiplier, with factors of 8 and the rest of `bits`; none beside a block's own."""
    stages = design.engine.multiplier_stages
    if not design.gates_zeros:
        return {}
    operands = {"product_left": bits - CODE_BITS, "product_right": CODE_BITS, "product_used": 1}
    return {**(operands if stages > 1 else {}), **{f"product{k or ''}": bits for k in range(max(1, stages - 1))}}


def pe_registers(design: Design) -> dict[str, int]:
    """Bits of each register of a processing element; of a sparse engine's PE, those of each multiplier and its sum."""
    flags, lanes, total = beside_weight_bits(design), pe_lanes(design), array_sum_bits(design)
    if design.is_sparse:
        acts = {f"acts_{k}": OFFSET_BITS for k in range(1 + design.memory_stages)}
        product = product_registers(design, OFFSET_BITS + CODE_BITS)
        if design.engine.multiplier_stages == 1:
            product["waiting"] = OFFSET_BITS + CODE_BITS
        return {**acts, **product, **dict.fromkeys(("total", "earlier", "selected"), design.widths.accumulator)}
    product = product_registers(design, PRODUCT_BITS)
    valid = {"valid": lanes} if design.gates_zeros else {}
    if design.output_stationary:
        return {
            "act": CODE_BITS, **valid, "first": 1, "last": 1, "shift": 1, "weight": CODE_BITS + flags, **product,
            "total": total, "drained": total,
        }  # fmt: skip
    weights = dict.fromkeys(("passing", "weight", "shadow"), CODE_BITS + flags)
    return {
        "act": CODE_BITS * lanes, **valid, "swap": 1, "half_way": 1, "capture": 1, **weights, **product, "total": total
    }  # fmt: skip


# Of the filter: registers and 4-input LUTs of its walk, and LUTs of a lane without those of its multipliers
# (`synth_ecp5` of the post-process unit of 2 and 4 lanes, with it less without).
FILTER_REGISTERS, FILTER_LUTS, FILTER_LANE_LUTS = 590, 1630, 380
FILTER_PRODUCT_LUTS = 197  # of a multiplier that is no block, its carry chains' 16 included (`accel synth`)
# What windows of 5 x 5 add: to the walk, and LUTs to a lane by its multipliers, in front of which elements are chosen.
LARGE_REGISTERS, LARGE_LUTS, LARGE_LANE_LUTS = 36, 230, {3: 200, 9: 257}


def filter_registers(design: Design) -> dict[str, int]:
    """Bits of each register of a lane of the filter; nothing without one."""
    multipliers, stages = design.filter_multipliers, design.post_multiplier_stages
    if not multipliers:
        return {}
    operands, taps = 2 * CODE_BITS if stages > 1 else 0, design.filter_side**2
    own = design.multiplier == "portable" or not design.filter_blocks  # else the block's
    each = operands + PRODUCT_BITS * max(1, stages - 1) if own else 0
    return {
        "filter_pixel": CODE_BITS, "window": taps * CODE_BITS, "taps": taps * CODE_BITS, "filter_records": TAP.first,
        "product": multipliers * each,
    }  # fmt: skip


def filter_area(design: Design) -> tuple[int, int]:
    """LUTs, without those of multipliers, and registers of the filter; nothing without one."""
    multipliers, lanes = design.filter_multipliers, design.lanes
    if not multipliers:
        return 0, 0
    luts, registers = FILTER_LUTS + lanes * FILTER_LANE_LUTS, FILTER_REGISTERS
    if design.filter_side > 3:
        luts, registers = luts + LARGE_LUTS + lanes * LARGE_LANE_LUTS[multipliers], registers + LARGE_REGISTERS
    return luts, registers + lanes * sum(filter_registers(design).values())
