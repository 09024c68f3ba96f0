"""What the boxes of the sparse engine exchange."""

from __future__ import annotations

from amaranth.lib import data
from amaranth.lib.wiring import Out, Signature

from accel.commands import COMMAND_BYTES, Compute, Load, field_bits
from accel.datapath import OFFSET_BITS
from accel.design import Design
from accel.memories import ACCUMULATOR, CODE_BITS, WEIGHT, run_bits

COLUMN_BITS = field_bits(Load, "row_words")  # of a count of columns
INDEX_BITS = 12  # of a place in a column: with those that runs lead to behind it, before the error is seen


def entry_address_bits(design: Design) -> int:
    """Bits of the word of an entry in a design's weight memory."""
    return (WEIGHT.words(design) - 1).bit_length()


def sum_bits(design: Design) -> int:
    """Bits of the word of R sums in an accumulator bank of a PE."""
    return ACCUMULATOR.word_bits - (design.rows - 1).bit_length()


def entry_layout(design: Design) -> data.StructLayout:
    """An entry as the weight memory holds it."""
    return data.StructLayout({"last": 1, "run": run_bits(design), "value": CODE_BITS})


LIMIT_BITS = field_bits(Load, "dram_pitch")


def entry_lists_port(design: Design) -> Signature:
    """Entries on their way into the weight memory.

    `start`: a block begins, `columns` of each PE, whose first entries go to word `addr` and first pointers to
    `pointer`; a PE gets `limit` entries at most. Later `en`: of each PE, an entry is there, which goes to the next word
    of its memory. `end`: the block has ended before this cycle; another may start in it.
    """
    return Signature(
        {
            "start": Out(1), "addr": Out(field_bits(Load, "dst_addr")), "pointer": Out(field_bits(Load, "dst_pitch")),
            "columns": Out(COLUMN_BITS), "limit": Out(LIMIT_BITS), "end": Out(1), "en": Out(design.cols),
            "entries": Out(design.cols * entry_layout(design).size),
        }
    )  # fmt: skip


def loaded_block(design: Design) -> dict:
    """What a sparse engine sees of LOADs of weights: one is taken, the command itself, and its last word is written.

    If there is a decoder, also the PEs that get an entry, and the entries (see `ListDecoder`). No other engine sees it.
    """
    if not design.is_sparse:
        return {}
    found = {"block": Out(1), "block_command": Out(8 * COMMAND_BYTES), "block_end": Out(1)}
    if design.decoder_lanes:
        found |= {"listed": Out(design.cols), "entries": Out(design.cols * entry_layout(design).size)}
    return found


def broadcast_layout(design: Design) -> data.StructLayout:
    """What a PE's queue holds of a broadcast: where its column begins, the activations, and where their sums go.

    `block`: the word of the pixels' sums in the first tile; `pixels` that exist, and how many of them are zero.
    """
    count = design.rows.bit_length()
    return data.StructLayout(
        {
            "start": entry_address_bits(design), "acts": OFFSET_BITS * design.rows, "block": sum_bits(design),
            "pixels": count, "zeros": count,
        }
    )  # fmt: skip


N_TILES_BITS = field_bits(Compute, "n_tiles")
