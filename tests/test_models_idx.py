import gzip

import numpy as np
import pytest

from accel.models.errors import InputError
from accel.models.training.idx import read_idx, write_idx


@pytest.mark.parametrize("name", ["a", "a.gz"])
def test_round_trip(tmp_path, name):
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    write_idx(tmp_path / name, array)
    np.testing.assert_array_equal(read_idx(tmp_path / name), array)


def test_header_is_big_endian(tmp_path):
    (tmp_path / "a").write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 2, 7, 9]))
    assert read_idx(tmp_path / "a").tolist() == [7, 9]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a", b"", "must be an IDX file of unsigned bytes"),
        ("a", b"\0\0\x0d\1\0\0\0\0", "must be an IDX file of unsigned bytes"),
        ("a", b"\0\0\x08\2\0\0\0\1", "must have a header of 12 bytes, not 8"),
        ("a", b"\0\0\x08\1\0\0\0\3ab", "must hold 3 bytes after its header, not 2"),
        ("a.gz", b"no gzip", "must be a whole gzip file"),
        ("a.gz", gzip.compress(b"\0\0\x08\1\0\0\0\3abc", mtime=0)[:-9], "must be a whole gzip file"),
    ],
)
def test_damaged_file(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_idx(tmp_path / name)


def test_missing_file(tmp_path):
    with pytest.raises(InputError, match=r"nowhere cannot be read: No such file"):
        read_idx(tmp_path / "nowhere")


def test_a_file_that_grows_when_it_is_unpacked(tmp_path):
    """A megabyte of zeros, a thousand times over: the bound is met before the memory is taken."""
    (tmp_path / "a.gz").write_bytes(gzip.compress(bytes(2**29), 9))
    with pytest.raises(InputError, match="must have at most 268435456 bytes, unpacked, and has more"):
        read_idx(tmp_path / "a.gz")
