from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accel.models.errors import InputError
from accel.models.integers.network import TensorSpec
from accel.models.quantisation.requantise import activation_spec, clip_codes, multiplier_and_shift


@given(st.floats(2.0**-31, 65535))
def test_multiplier_has_16_significant_bits(ratio):
    multiplier, shift = multiplier_and_shift(ratio)
    assert 32768 <= multiplier <= 65535
    assert 0 <= shift <= 47
    assert abs(Fraction(multiplier, 2**shift) / Fraction(ratio) - 1) <= Fraction(1, 2**16)


@given(st.floats(0, 2.0**-31))
def test_tiny_ratios_take_the_largest_shift(ratio):
    multiplier, shift = multiplier_and_shift(ratio)
    assert 0 <= multiplier <= 65535
    assert abs(Fraction(multiplier, 2**shift) - Fraction(ratio)) <= Fraction(1, 2**48)


def test_known_ratios():
    assert multiplier_and_shift(1.0) == (32768, 15)
    assert multiplier_and_shift(1 - 2.0**-20) == (32768, 15)  # rounds up past 65535
    assert multiplier_and_shift(65535) == (65535, 0)


@pytest.mark.parametrize("ratio", [-1.0, 65536.0, float("nan"), float("inf")])
def test_ratio_out_of_range(ratio):
    with pytest.raises(InputError, match=r"ratio of scales must be in 0\.\.65535, not"):
        multiplier_and_shift(ratio)


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_range_of_an_activation(a, b):
    low, high = min(a, b), max(a, b)
    spec = activation_spec("t", (1, 1, 1), low, high)
    assert -128 <= spec.zero_point <= 127
    # Half a code at each end is what rounding the zero point may cost.
    assert spec.scale * (-128 - spec.zero_point) <= min(low, 0) + 0.51 * spec.scale
    assert spec.scale * (127 - spec.zero_point) >= max(high, 0) - 0.51 * spec.scale


def test_clip_codes():
    spec = TensorSpec("t", (1, 1, 1), 0.1, -100)
    assert clip_codes(spec, 0.0, float("inf")) == (-100, 127)
    assert clip_codes(spec, 0.0, 6.0) == (-100, -40)
    assert clip_codes(spec, -float("inf"), 1e30) == (-128, 127)
