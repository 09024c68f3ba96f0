from dataclasses import fields, is_dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.models.compress.share import share
from accel.models.errors import InputError
from accel.models.exchange.storage import load, save
from accel.models.quantisation.quantise import quantise
from accel.models.zoo import integer_network
from tests.benches.model_networks import draw_inputs, draw_network


def assert_same(a, b):
    assert type(a) is type(b)
    if isinstance(a, np.ndarray):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
    elif is_dataclass(a):
        for f in fields(a):
            assert_same(getattr(a, f.name), getattr(b, f.name))
    elif isinstance(a, dict):
        assert list(a) == list(b)
        for key in a:
            assert_same(a[key], b[key])
    elif isinstance(a, tuple):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            assert_same(x, y)
    else:
        assert a == b


@settings(deadline=None, max_examples=25)
@given(st.randoms(use_true_random=False))
def test_round_trip(tmp_path_factory, rng):
    network = draw_network(rng, quantisable=True)
    inputs = draw_inputs(rng, network, 2)
    integer = share(network, inputs, 3) if rng.random() < 0.5 else quantise(network, inputs)
    path = tmp_path_factory.mktemp("storage") / "n.npz"
    save(integer, path)
    assert_same(load(path), integer)


def test_files_that_are_no_network(tmp_path):
    path = tmp_path / "n.npz"
    with pytest.raises(InputError, match=r"n\.npz cannot be read: No such file"):
        load(path)
    for content in (b"", b"something else"):
        path.write_bytes(content)
        with pytest.raises(InputError, match="must be a saved integer network, and is damaged"):
            load(path)
    np.savez(path, network=np.array('{"format": 1, "network": {"type": "Window", "fields": {"kernel": [1, 1]}}}'))
    with pytest.raises(InputError, match="must be a saved integer network"):
        load(path)
    np.savez(path, network=np.array('{"format": 7}'))
    with pytest.raises(InputError, match="must have format 1, not 7"):
        load(path)


def test_truncated_file(tmp_path):
    path = tmp_path / "n.npz"
    save(integer_network("lenet-300-100"), path)
    content = path.read_bytes()
    for size in (10, len(content) // 2, len(content) - 30):
        path.write_bytes(content[:size])
        with pytest.raises(InputError, match="damaged"):
            load(path)


def test_damaged_bytes(tmp_path):
    """A flipped byte in the middle of an array fails the archive's own checksum."""
    path = tmp_path / "n.npz"
    save(integer_network("lenet-300-100"), path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(InputError, match="damaged"):
        load(path)


def test_folder_that_does_not_exist(tmp_path):
    with pytest.raises(InputError, match=r"n\.npz cannot be written: No such file"):
        save(integer_network("lenet-300-100"), tmp_path / "none" / "n.npz")
