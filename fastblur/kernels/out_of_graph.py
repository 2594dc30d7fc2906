"""The reference where torch.compile meets it: a graph ends there, since none can read coordinates back.

Imported by graphs alone: what it needs of torch takes seconds to load.
"""

import torch

from fastblur.kernels import reference

blur = torch.compiler.disable(reference.blur)  # type: ignore[no-untyped-call]
pixelate = torch.compiler.disable(reference.pixelate)  # type: ignore[no-untyped-call]
fill = torch.compiler.disable(reference.fill)  # type: ignore[no-untyped-call]
masked_blur2d = torch.compiler.disable(reference.masked_blur2d)  # type: ignore[no-untyped-call]
