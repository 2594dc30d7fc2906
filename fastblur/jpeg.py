"""hide_jpeg: the bytes of a JPEG file in, the bytes with faces hidden out."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastblur.codecs import CodecError, check, decode, encode, file_to_copy
from fastblur.codecs.formats import format_of
from fastblur.codecs.refused import Refused
from fastblur.options import MAX_PIXELS, Method
from fastblur.pipeline.boxes.checks import hiding_boxes
from fastblur.pipeline.images.methods import make_hide
from fastblur.pipeline.images.rewriting import Rewriter


def hide_jpeg(
    data: bytes,
    boxes: ArrayLike,  # (n, 4) xyxy px
    method: Method = "blur",
    *,
    blocks_only: bool = False,
    max_pixels: int = MAX_PIXELS,
    **options: Any,
) -> bytes:
    """Hide boxes in a JPEG file: only the 8 x 8 blocks that the operator touches change.

    A baseline JPEG (most files are) is not decoded and encoded again: the blocks that the boxes' support reaches are,
    with the file's own quantisation tables, and all other blocks keep their coefficients bit for bit. Other files
    (progressive, arithmetic or lossless coding, 12 bits a sample, several scans, unusual sampling, or anything that is
    not whole and exact) are decoded, hidden and encoded as a run does, with the same tables and subsampling; with
    `blocks_only` they are an error. Metadata stay, thumbnails and previews go.

    The formula is that of the operator, `fastblur.blur`, `pixelate` or `fill`, on the file's own components: chroma of
    half the width is blurred with half the deviation. The function holds no GIL while it works on the bytes and
    shares no state: call it from as many threads as you like.

    Args:
        data: the file.
        boxes: (n, 4) xyxy in pixels of the stored picture, before any EXIF orientation; a list, an array, or empty.
        method: "blur", "pixelate" or "fill".
        blocks_only: raise CodecError where the file cannot be rewritten block by block.
        max_pixels: the largest width times height that is taken, checked before any memory is allocated.
        options: those of the operator: recipe, strength, margin, feather, shape; blocks; color, a level or three of
            RGB in 0..255.

    Returns: the file with the boxes hidden; where there is no box `data` itself, without previews that show something
    else.

    Raises CodecError for bytes that are no JPEG, broken, or too large; ValueError for boxes that do not fit the
    picture and options that do not fit the method.

    Example:
        >>> import io
        >>> import numpy as np
        >>> from PIL import Image
        >>> import fastblur
        >>> file = io.BytesIO()
        >>> Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 96, 3), np.uint8)).save(file, "JPEG")
        >>> hidden = fastblur.hide_jpeg(file.getvalue(), [[16, 16, 40, 40]])
        >>> Image.open(io.BytesIO(hidden)).size
        (96, 64)
    """
    if not isinstance(data, bytes):
        raise TypeError(f"data is a {type(data).__name__}, expected bytes")
    if format_of(data) != "JPEG":
        raise CodecError("the bytes are not those of a JPEG file, expected one")
    rows = np.asarray(boxes, np.float32)
    rows = rows.reshape(0, 4) if rows.size == 0 else rows
    if rows.ndim != 2 or rows.shape[1] != 4:
        raise ValueError(f"boxes have shape {rows.shape}, expected (n, 4)")
    rewriter = Rewriter(method, max_pixels, **options)
    if not len(rows):
        check(data)
        return file_to_copy(data)
    try:
        layout = rewriter.layout(data)
        assert layout is not None, "it is a JPEG file"
        boxes_here = hiding_boxes(rows, layout.header.height, layout.header.width)
        return rewriter.rewrite(data, layout, boxes_here)
    except Refused as reason:
        if blocks_only:
            raise CodecError(f"the JPEG cannot be rewritten block by block: it has {reason}") from None
    picture = decode(data, max_pixels=max_pixels)
    boxes_here = hiding_boxes(rows, *picture.pixels.shape[:2])
    make_hide(method, "cpu", **options)[0]([picture], [boxes_here])
    return encode(picture, picture.pixels)
