"""`python -m benchmarks.report`: docs/benchmarks.md and the figures, from the result files."""
