"""What the worker processes of a run all need, loaded once by the process that they are forked from."""

import sys

# Numba looks for SciPy's linear algebra, which no loop here needs, and which takes a quarter of a second to load.
_HIDDEN = "scipy" not in sys.modules
if _HIDDEN:
    sys.modules["scipy"] = None  # type: ignore[assignment]

from fastblur.pipeline.execution import worker_process  # noqa: E402
from fastblur.pipeline.images.methods import make_hide  # noqa: E402
from fastblur.pipeline.images.rewriting import load_compiled  # noqa: E402

__all__ = ["worker_process"]

make_hide("blur", "cpu")  # reads the compiled loops from the disk
load_compiled()
if _HIDDEN:
    del sys.modules["scipy"]
