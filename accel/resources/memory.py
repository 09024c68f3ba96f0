"""What an on-chip memory takes on an ECP5, as Yosys maps the emitted module `ram`: exact in blocks and registers.

tests/test_resources.py asks Yosys itself.
"""

from __future__ import annotations

from functools import lru_cache

# Words of a block of 18 Kb at each width; memories are cut into columns of a width and rows of as many words.
SHAPES = ((36, 512), (18, 1024), (9, 2048), (4, 4096), (2, 8192), (1, 16384))
BYTE_BITS = 9  # that a block writes apart
BLOCK_COST, SMALL_COST = 128, 4  # of a block, and of 16 words of 4 bits in LUTs, to Yosys' memory_libmap
SMALL_BITS, SMALL_WORDS = 4, 16


@lru_cache(maxsize=4096)
def blocks_and_registers(width: int, depth: int, lanes: int = 1) -> tuple[int, int, int]:
    """Blocks, registers and LUTs used as memory of `depth` words of `width` bits in `lanes` lanes with masks.

    A block has the register of what is read itself; which of several rows was read is held beside them. LUTs have none.
    """
    blocks, rows = _cut(width, depth, lanes)
    small = lanes * -(-width // lanes // SMALL_BITS) * -(-depth // SMALL_WORDS)
    if small * SMALL_COST < blocks * BLOCK_COST:
        return 0, width, small * 4
    return blocks, (rows - 1).bit_length(), 0


def rows_of(width: int, depth: int, lanes: int = 1) -> int:
    """Rows of blocks that a word is chosen from."""
    return _cut(width, depth, lanes)[1]


def _cut(width: int, depth: int, lanes: int) -> tuple[int, int]:
    """Blocks and rows of the cut with the fewest of both.

    Blocks of whole bytes are filled with the bytes of all rows: 6 lanes of 1365 words are 3 rows of 6 bytes, which are
    18 bytes in 5 blocks of 4.
    """
    lane = -(-width // lanes)
    found = []
    for shape, words in SHAPES:
        rows = -(-depth // words)
        if shape < BYTE_BITS:
            found.append((lanes * -(-lane // shape) * rows, rows))
        else:
            found.append((-(-lanes * -(-lane // BYTE_BITS) * rows // (shape // BYTE_BITS)), rows))
    return min(found)
