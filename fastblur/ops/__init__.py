"""The public operators on image tensors; each checks its arguments and hands them to a kernel."""

from fastblur.ops.blur import blur
from fastblur.ops.fill import fill
from fastblur.ops.masked import MaskedGaussianBlur2d, masked_blur2d
from fastblur.ops.pixelate import pixelate

__all__ = ["MaskedGaussianBlur2d", "blur", "fill", "masked_blur2d", "pixelate"]
