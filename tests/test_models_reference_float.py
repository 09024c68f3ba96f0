import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.models.errors import InputError
from accel.models.exchange.onnx_write import to_model
from accel.models.graph import Linear, build
from accel.models.reference.float32 import run
from tests.benches.model_networks import draw_inputs, draw_network, onnxruntime_output


@settings(deadline=None, max_examples=300)
@given(st.randoms(use_true_random=False))
def test_agrees_with_onnx_runtime(rng):
    network = draw_network(rng)
    inputs = draw_inputs(rng, network, 2)
    expected = onnxruntime_output(to_model(network), inputs)
    ours = run(network, inputs)
    assert ours.shape == expected.shape
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-4)


def test_rows_of_a_matrix():
    random = np.random.default_rng(0)
    weights, bias = random.standard_normal((5, 4)).astype(np.float32), np.ones(5, np.float32)
    network = build("n", "x", (3, 4), (Linear("l", ("x",), "y", weights, bias),))
    inputs = random.standard_normal((200, 3, 4)).astype(np.float32)
    np.testing.assert_allclose(run(network, inputs), onnxruntime_output(to_model(network), inputs), atol=1e-4)


@pytest.mark.parametrize(
    ("shape", "message"),
    [((4, 3), r"must have shape \(n, 2\), not \(4, 3\)"), ((0, 2), "at least one input, not none")],
)
def test_inputs_that_do_not_fit(shape, message):
    network = build("n", "x", (2,), (Linear("l", ("x",), "y", np.ones((1, 2), np.float32), np.ones(1, np.float32)),))
    with pytest.raises(InputError, match=message):
        run(network, np.zeros(shape, np.float32))
