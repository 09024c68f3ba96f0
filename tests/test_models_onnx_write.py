import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.models.errors import InputError
from accel.models.exchange import onnx_write
from accel.models.graph import Pool, build
from accel.models.window import Window
from tests.benches.model_networks import draw_network


@settings(deadline=None, max_examples=40)
@given(st.randoms(use_true_random=False))
def test_shapes_agree_with_onnx(rng):
    network = draw_network(rng)
    model = onnx.shape_inference.infer_shapes(onnx_write.to_model(network), strict_mode=True, data_prop=True)
    for value in (x for x in model.graph.value_info if x.name in network.shapes):  # not those between steps
        batch, *sizes = value.type.tensor_type.shape.dim
        assert batch.dim_param == "batch" or batch.dim_param.startswith("unk__")  # behind a Resize by scales
        assert tuple(d.dim_value for d in sizes) == network.shapes[value.name]


def test_folder_that_does_not_exist(tmp_path):
    network = build("n", "x", (1, 4, 4), (Pool("p", ("x",), "y", "max", Window((2, 2))),))
    with pytest.raises(InputError, match=r"y\.onnx cannot be written: No such file"):
        onnx_write.write(network, tmp_path / "none" / "y.onnx")


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "n.onnx"
    path.write_bytes(b"old")
    network = build("n", "x", (1, 4, 4), (Pool("p", ("x",), "y", "average", Window((2, 2), dilation=(2, 2))),))
    with pytest.raises(InputError, match="layer 'p': ONNX opset 13 has no dilated average pooling"):
        onnx_write.write(network, path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
