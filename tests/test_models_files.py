import os
import threading
import tracemalloc

import pytest

from accel.models import files
from accel.models.errors import InputError
from accel.models.files import read_whole, write_whole


def test_a_file_is_made_and_replaced_and_nothing_else_is_left(tmp_path):
    path = tmp_path / "a.bin"
    for content in (b"first", b"", b"x" * 100_000):
        write_whole(path, content)
        assert path.read_bytes() == content
        assert os.listdir(tmp_path) == ["a.bin"]
    (tmp_path / "plain").touch()
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize("stage", ["replace", "open"])
def test_what_was_there_stays_when_the_disk_is_full(tmp_path, monkeypatch, stage):
    path = tmp_path / "a.bin"
    path.write_bytes(b"before")

    def full(*_):
        raise OSError(28, "No space left on device")

    if stage == "replace":
        monkeypatch.setattr(os, "replace", full)
    else:
        monkeypatch.setattr(files, "open", full, raising=False)
    with pytest.raises(InputError, match=r"a\.bin cannot be written: No space left on device"):
        write_whole(path, b"after")
    assert path.read_bytes() == b"before"
    assert os.listdir(tmp_path) == ["a.bin"]


def test_an_interruption_leaves_nothing(tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_whole(tmp_path / "a.bin", b"after")
    assert os.listdir(tmp_path) == []


def test_of_two_writers_the_last_wins_whole(tmp_path, monkeypatch):
    path, replace = tmp_path / "a.bin", os.replace

    def late(source, target):
        monkeypatch.setattr(os, "replace", replace)
        write_whole(path, b"the other's, and longer")
        assert path.read_bytes() == b"the other's, and longer"
        replace(source, target)

    monkeypatch.setattr(os, "replace", late)
    write_whole(path, b"ours")
    assert path.read_bytes() == b"ours"
    assert os.listdir(tmp_path) == ["a.bin"]


def test_a_pipe_is_written_to_and_stays(tmp_path):
    path, read = tmp_path / "pipe", []
    os.mkfifo(path)
    reader = threading.Thread(target=lambda: read.append(path.read_bytes()), daemon=True)
    reader.start()
    write_whole(path, b"through")
    reader.join(timeout=10)  # for ever, if the pipe is replaced
    assert read == [b"through"]
    assert path.is_fifo()


@pytest.mark.parametrize(
    ("name", "reason"),
    [("missing/a", "No such file"), ("", "Is a directory"), ("n" * 300, "File name too long"), ("a\0b", "null")],
)
def test_where_no_file_can_be(tmp_path, name, reason):
    with pytest.raises(InputError, match=rf"cannot be written: .*{reason}"):
        write_whole(tmp_path / name, b"x")
    assert os.listdir(tmp_path) == []


def test_what_is_no_regular_file_is_not_read(tmp_path):
    """A pipe without a writer, a device without an end, a folder, a file that is too long: at once, and in words."""
    (tmp_path / "long").write_bytes(b"12345")
    os.mkfifo(tmp_path / "pipe")
    for name, problem in (
        ("pipe", "it must be a regular file, and is a pipe, a device or a socket"),
        ("/dev/zero", "it must be a regular file, and is a pipe, a device or a socket"),
        (".", "Is a directory"),
        ("none", "No such file or directory"),
        ("a\0b", "embedded null byte"),
        ("long", "it must have at most 4 bytes, not 5"),
    ):
        with pytest.raises(InputError) as caught:
            read_whole(tmp_path / name, 4)
        assert str(caught.value) == f"{tmp_path / name} cannot be read: {problem}"
    assert read_whole(tmp_path / "long", 5) == b"12345"


def test_a_bound_is_no_request_for_memory(tmp_path):
    (tmp_path / "short").write_bytes(b"12345")
    tracemalloc.start()
    assert read_whole(tmp_path / "short", 2**40) == b"12345"
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20
