"""Networks in and out of files: ONNX and .npz."""
