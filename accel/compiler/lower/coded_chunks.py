"""The chunks of a matrix layer as coded LOADs: one stream that goes on from chunk to chunk, or one each."""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from accel.commands import Load, Target, most
from accel.compiler.ops import Stream
from accel.compiler.transfers import load_words, words_of
from accel.compiler.weights import Chunk, LayerWeights
from accel.entropy.encode import Block
from accel.memories import CODE_BITS, TABLE_WORD_BYTES
from accel.models.errors import InputError
from accel.rows import row_of


class NotCodableError(InputError):
    """A layer that no coded LOAD can bring: it needs more code words, or a chunk more beats, than there are."""


class CodedChunks:
    """Declares the items of a layer's chunks. The tables are loaded before the first; the loader keeps its order.

    `streams`: the chunks in the order in which they are loaded first. Raises NotCodableError.
    """

    def __init__(self, stream: Stream, weights: LayerWeights, streams: list[list[Chunk]]) -> None:
        design = stream.design
        if weights.code_bits > CODE_BITS:
            raise NotCodableError(f"codes must have at most {CODE_BITS} bits for the decoder, not {weights.code_bits}")
        encoded = weights.encoded(tuple(map(tuple, streams)), design.decoder_lanes, design.beat_bytes)
        if encoded is None and any(len(chunks) > 1 for chunks in streams):
            streams = [[chunk] for chunks in streams for chunk in chunks]
            encoded = weights.encoded(tuple(map(tuple, streams)), design.decoder_lanes, design.beat_bytes)
        if encoded is None:
            raise NotCodableError("the codes of its weights must be fewer for the decoder's tables")
        self.stream, self.weights = stream, weights
        stream.encoded[stream.layer] = encoded
        for target, table in zip((Target.RUN_TABLE, Target.VALUE_TABLE), encoded.tables, strict=True):
            words = words_of(design, target)
            count = -(-len(table) // TABLE_WORD_BYTES)
            offset = stream.words(words, count, partial(_table_words, table, count))
            stream.item(load_words(words, offset, 0, count), False)
        self.literal = encoded.literal
        self.placed: dict[Chunk, tuple[Block, int, bool]] = {}  # block, offset in the image, does it continue
        for chunks, blocks in zip(streams, encoded.streams, strict=True):
            sizes = [len(block.data) for block in blocks]
            offset = stream.constant(sum(sizes), partial(_joined, blocks))
            for number, (chunk, block) in enumerate(zip(chunks, blocks, strict=True)):
                fields = weights.coded_fields(*chunk)
                if sizes[number] // design.beat_bytes > most(Load, "row_beats") or any(
                    value > most(Load, name) for name, value in fields.items()
                ):
                    raise NotCodableError(f"a coded LOAD must have fewer than {sizes[number]:,} bytes")
                self.placed[chunk] = block, offset + sum(sizes[:number]), number > 0

    def item(self, chunk: Chunk, address: int, **more: int) -> int:
        """Declare the LOAD of a chunk to an address of the weight buffer; `more` of its fields."""
        block, offset, continues = self.placed[chunk]
        load = row_of(
            Load, dram_addr=offset, target=Target.WEIGHT, dst_addr=address,
            row_beats=len(block.data) // self.stream.design.beat_bytes, coded=1, continues=int(continues),
            literal=int(self.literal), zero_code=self.weights.format.pad_code, code_bits=self.weights.code_bits,
            **self.weights.coded_fields(*chunk), **more,
        )  # fmt: skip
        return self.stream.coded_item(load, block)


def _table_words(table: bytes, count: int) -> NDArray[np.uint8]:
    return np.frombuffer(table.ljust(count * TABLE_WORD_BYTES, b"\0"), np.uint8).reshape(count, TABLE_WORD_BYTES)


def _joined(blocks: list[Block]) -> NDArray[np.uint8]:
    return np.concatenate([block.data for block in blocks])
