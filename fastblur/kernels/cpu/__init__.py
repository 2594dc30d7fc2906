"""The CPU kernel: Numba loops over tables of addresses."""
