"""`python -m benchmarks.suites`: the pytest-benchmark suites."""
