"""Image files as bytes in, pixels out, and back, with their metadata and without their thumbnails."""

from fastblur.codecs.formats import OTHER_SUFFIXES, SUFFIXES, decode, decode_reduced, encode, is_image, size_of
from fastblur.codecs.orientation import stored_boxes, upright_rgb
from fastblur.codecs.picture import CodecError, Picture

__all__ = [
    "OTHER_SUFFIXES", "SUFFIXES", "CodecError", "Picture", "decode", "decode_reduced", "encode", "is_image", "size_of",
    "stored_boxes", "upright_rgb",
]  # fmt: skip
