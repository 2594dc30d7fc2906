"""Whether Triton is there, and whether it runs its programs on the CPU; without importing it."""

import os
from importlib.util import find_spec

HAS_TRITON = find_spec("triton") is not None
INTERPRETED = HAS_TRITON and os.environ.get("TRITON_INTERPRET") == "1"
"""Triton's interpreter, for tests: its programs then take CPU tensors."""
