"""IDX, the file format of MNIST: a header with the shape, then the bytes."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from accel.models.errors import InputError
from accel.models.files import read_whole, write_whole

MOST_BYTES = 2**28  # five times what the images of MNIST take
UNSIGNED_BYTES = b"\0\0\x08"


def read_idx(path: str | Path) -> NDArray[np.uint8]:
    """The bytes of one IDX file (gzipped if it ends in .gz), in the shape that its header states.

    Raises InputError if the file is missing or not an IDX file of unsigned bytes.
    """
    path = Path(path)
    content = read_whole(path, MOST_BYTES)
    if path.suffix == ".gz":
        content = _unpacked(content, path)
    if len(content) < 4 or content[:3] != UNSIGNED_BYTES:
        raise InputError(f"{path} must be an IDX file of unsigned bytes, and is not")
    rank = content[3]
    if len(content) < 4 + 4 * rank:
        raise InputError(f"{path} must have a header of {4 + 4 * rank} bytes, not {len(content)}")
    shape = [int(n) for n in np.frombuffer(content, ">u4", rank, 4)]
    data = content[4 + 4 * rank :]
    if len(data) != math.prod(shape):
        raise InputError(f"{path} must hold {math.prod(shape)} bytes after its header, not {len(data)}")
    return np.frombuffer(data, np.uint8).reshape(shape)


def _unpacked(content: bytes, path: Path) -> bytes:
    """What was gzipped, at most MOST_BYTES."""
    stream = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        found = stream.decompress(content, MOST_BYTES)
    except zlib.error:
        raise InputError(f"{path} must be a whole gzip file, and is damaged") from None
    if stream.eof:
        return found
    if len(found) == MOST_BYTES:
        raise InputError(f"{path} must have at most {MOST_BYTES} bytes, unpacked, and has more")
    raise InputError(f"{path} must be a whole gzip file, and is damaged")


def write_idx(path: str | Path, array: NDArray[np.uint8]) -> None:
    """Write `array` as an IDX file, gzipped (without a time stamp) if the name ends in .gz. Raises InputError."""
    content = UNSIGNED_BYTES + bytes([array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.tobytes()
    write_whole(path, gzip.compress(content, 9, mtime=0) if Path(path).suffix == ".gz" else content)
