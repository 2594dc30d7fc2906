"""Image files as bytes in, pixels out, and back, with their metadata and without their thumbnails."""

from fastblur.need import need

for package in ("PIL", "simplejpeg"):
    need(package, "run")

from fastblur.codecs.formats import OTHER_SUFFIXES, SUFFIXES, decode, decode_reduced, encode, is_image, size_of  # noqa: E402
from fastblur.codecs.orientation import stored_boxes, upright_rgb  # noqa: E402
from fastblur.codecs.picture import CodecError, Picture  # noqa: E402

__all__ = [
    "OTHER_SUFFIXES", "SUFFIXES", "CodecError", "Picture", "decode", "decode_reduced", "encode", "is_image", "size_of",
    "stored_boxes", "upright_rgb",
]  # fmt: skip
