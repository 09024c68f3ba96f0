"""Networks and exact arithmetic: graph, ONNX in and out, zoo, quantisation, compression, reference."""
