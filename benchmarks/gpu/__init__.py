"""`python -m benchmarks.gpu`: blur on a GPU."""
