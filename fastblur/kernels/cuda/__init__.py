"""The CUDA kernel: Triton programs."""
