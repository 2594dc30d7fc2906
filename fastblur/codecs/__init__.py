"""Image files as bytes in, pixels out, and back, with their metadata and without their thumbnails."""

from fastblur.need import need

try:
    from fastblur.codecs.codec import check, decode, decode_reduced, encode, size_of
    from fastblur.codecs.formats import OTHER_SUFFIXES, SUFFIXES, is_image
    from fastblur.codecs.orientation import stored_boxes, upright_rgb, upright_views
    from fastblur.codecs.picture import CodecError, Picture
    from fastblur.codecs.previews import file_to_copy
    from fastblur.codecs.strip import strip_metadata
except ModuleNotFoundError:
    for package in ("PIL", "simplejpeg"):
        need(package, "run")
    raise

__all__ = [
    "OTHER_SUFFIXES", "SUFFIXES", "CodecError", "Picture", "check", "decode", "decode_reduced", "encode",
    "file_to_copy", "is_image", "size_of", "stored_boxes", "strip_metadata", "upright_rgb", "upright_views",
]  # fmt: skip
