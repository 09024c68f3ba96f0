"""Networks in and out of ONNX files."""
