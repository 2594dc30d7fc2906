"""Kernels: one backend a file, the same function names and arguments in each; `kernel.py` says which."""
