"""Benchmarks: each module here, `gpu`, `suites` and `report` are commands, `python -m benchmarks.NAME`.

They compare with tests/formula.py, the operators in float64, which imports nothing of fastblur: it stays in tests/.
"""
