"""JPEG files rewritten block by block, where that is possible: `codecs.jpeg_blocks` with the options of a method."""

from typing import TYPE_CHECKING, Any

import numpy as np

from fastblur.boxes import Boxes
from fastblur.codecs.formats import format_of
from fastblur.method_options import operator_arguments
from fastblur.pipeline.images.methods import as_levels, parse_color

if TYPE_CHECKING:
    from fastblur.codecs.jpeg_blocks import Layout

COLORS = "L", "RGB", "CMYK"


class Rewriter:
    """Hides boxes in the bytes of JPEG files: only the blocks that the operator touches change.

    Called by any number of threads at once.

    Args:
        method: "blur", "pixelate" or "fill".
        max_pixels: the largest width times height that is taken.
        options: those of the operator, as `operator_arguments` takes them.

    Raises ValueError as `operator_arguments` does.
    """

    def __init__(self, method: str, max_pixels: int, **options: Any) -> None:
        from fastblur.kernels.parameters import KernelParameters

        arguments, _ = operator_arguments(method, **options)
        color = parse_color(arguments.pop("color")) if method == "fill" else None
        self._levels = None if color is None else {kind: as_levels(color, kind) for kind in COLORS}
        self._parameters = KernelParameters.for_method(method, arguments)
        self._max_pixels = max_pixels

    def layout(self, data: bytes) -> "Layout | None":
        """Return what a JPEG file has before its scan, None for another file; raises as `read_layout`."""
        if format_of(data) != "JPEG":
            return None
        from fastblur.codecs.jpeg_blocks import read_layout

        return read_layout(data, self._max_pixels)

    def rewrite(
        self,
        data: bytes,
        layout: "Layout",
        boxes: Boxes,  # (n, 4) xyxy px, stored coordinates
    ) -> bytes:
        """Return the file with the boxes hidden; raises Refused where it has to be decoded and encoded instead."""
        from fastblur.codecs.jpeg_blocks import hide

        return hide(data, layout, boxes, self._parameters, self._levels).data


def load_compiled() -> None:
    """Rewrite a tiny file, so that the compiled loops are there before the run starts."""
    import simplejpeg

    data = simplejpeg.encode_jpeg(np.zeros((16, 16, 3), np.uint8))
    rewriter = Rewriter("blur", max_pixels=256)
    layout = rewriter.layout(data)
    assert layout is not None
    rewriter.rewrite(data, layout, np.array([[4, 4, 9, 9]], np.float32))
