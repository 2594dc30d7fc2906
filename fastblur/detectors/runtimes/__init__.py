"""What runs a network: PyTorch, CUDA graphs, ONNX Runtime."""
