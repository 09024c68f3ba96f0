"""Which bytes of a STORE exist: lanes that have a channel, words that have a pixel. The others are not written."""

from __future__ import annotations

from accel.compiler.transfers import Row, Words
from accel.layout import WordTensor
from accel.rows import STORE


def with_strobes(stores: list[Row], words: Words, layout: WordTensor, dram: int) -> list[Row]:
    """STOREs of a tensor that lies at byte `dram`, with the fields that say what of their words exists."""
    lanes = words.size_bytes
    groups = layout.groups(lanes)
    last_group, unused = (groups - 1) * layout.plane, groups * lanes - layout.channels
    gap = layout.row_pitch - layout.width
    for store in stores:
        first = (store[STORE.dram_addr] - dram) // words.stride_bytes
        count, rows, pitch = store[STORE.row_words], store[STORE.rows], store[STORE.dram_pitch] // words.stride_bytes
        if unused and first + (rows - 1) * pitch + count > last_group:
            store[STORE.unused_lanes] = unused
            if first < last_group:
                before = (last_group - first - row * pitch for row in range(rows))
                store[STORE.full_words] = sum(min(max(full, 0), count) for full in before)
        if gap:
            store[STORE.line_at] = first % layout.row_pitch
            store[STORE.line_words], store[STORE.gap_words] = layout.row_pitch, gap
    return stores
