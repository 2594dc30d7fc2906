"""AVIF and HEIC in and out; Pillow and pillow-heif are the readers."""

import base64
import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from fastblur.codecs import CodecError, check, decode, encode, size_of, stored_boxes, upright_rgb
from tests.codecs.files import THUMBNAIL, exif, heic, image, photo, saved, shows_thumbnail

pillow_heif = pytest.importorskip("pillow_heif", reason="the package pillow-heif is absent")

XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><dc:title>A title</dc:title></x:xmpmeta>'


def made(form: str, mode: str = "RGB", **options: Any) -> bytes:
    if form == "HEIF":
        return heic(image(mode), quality=-1, chroma=444, matrix_coefficients=0, **options)
    return saved(image(mode), form, quality=100, subsampling="4:4:4", **options)


def opened(data: bytes) -> Any:
    if data[8:12] == b"avif":
        return Image.open(io.BytesIO(data))
    return pillow_heif.HeifImageFile(io.BytesIO(data))


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
@pytest.mark.parametrize(("form", "most"), [("AVIF", 2), ("HEIF", 0)])
def test_what_is_not_changed_stays(form: str, most: int, mode: str) -> None:
    data = made(form, mode)
    picture = decode(data)
    assert picture.format == form
    assert picture.pixels.shape == (61, 83, len(picture.color))
    assert np.array_equal(picture.pixels, np.asarray(opened(data).convert(picture.color)).reshape(61, 83, -1))
    assert size_of(data) == (83, 61)
    picture.pixels[16:32, 24:40] = 90
    out = encode(picture, picture.pixels)
    assert decode(out).color == picture.color
    error = np.abs(decode(out).pixels.astype(int) - picture.pixels)
    error[12:36, 20:44] = 0  # at the square's edge a lossy coder rings
    assert error.max() <= most


@pytest.mark.parametrize("form", ["AVIF", "HEIF"])
def test_metadata_is_kept_without_its_thumbnail(form: str) -> None:
    data = made(form, exif=b"Exif\0\0" + exif(None), xmp=XMP)
    assert shows_thumbnail(data)
    out = encode(decode(data), decode(data).pixels)
    assert not shows_thumbnail(out)
    info = opened(out).info
    assert b"A maker of cameras" in info["exif"]
    assert info["xmp"] == XMP


@pytest.mark.parametrize("form", ["AVIF", "HEIF"])
def test_the_colour_profile_is_kept(form: str) -> None:
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    data = made(form, icc_profile=profile)
    assert opened(data).info["icc_profile"] == profile
    assert opened(encode(decode(data), decode(data).pixels)).info["icc_profile"] == profile


@pytest.mark.parametrize("form", ["AVIF", "HEIF"])
def test_xmp_with_a_picture_is_dropped(form: str) -> None:
    xmp = b"<xmpGImg:image>" + base64.b64encode(THUMBNAIL) + b"</xmpGImg:image>"
    data = made(form, xmp=xmp)
    assert b"xmpGImg" in data
    assert b"xmpGImg" not in encode(decode(data), decode(data).pixels)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_of_avif(orientation: int) -> None:
    data = made("AVIF", exif=b"Exif\0\0" + exif(orientation, thumbnail=None))
    picture = decode(data)
    assert picture.orientation == orientation
    assert np.array_equal(upright_rgb(picture), np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data)))))
    assert decode(encode(picture, picture.pixels)).orientation == orientation


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_heic_is_stored_upright(orientation: int) -> None:
    data = made("HEIF", exif=b"Exif\0\0" + exif(orientation, thumbnail=None))
    picture = decode(data)
    assert picture.orientation == 1
    assert size_of(data) == picture.pixels.shape[1::-1]
    boxes = np.array([[1, 2, 3, 4]], np.float32)
    assert np.array_equal(stored_boxes(boxes, picture), boxes)
    again = decode(encode(picture, picture.pixels))
    assert np.array_equal(again.pixels, picture.pixels)


def test_more_than_8_bits_fail() -> None:
    file = pillow_heif.from_bytes("RGB;16", (83, 61), (photo().astype(np.uint16) << 8).tobytes())
    buffer = io.BytesIO()
    file.save(buffer, quality=90)
    for function in (check, decode):
        with pytest.raises(CodecError, match=r"HEIC of 1[02] bits a channel is not supported"):
            function(buffer.getvalue())
    data = bytearray(made("AVIF"))
    data[data.index(b"av1C") + 6] |= 0x40
    for function in (check, decode):
        with pytest.raises(CodecError, match="AVIF of more than 8 bits a channel is not supported"):
            function(bytes(data))


@pytest.mark.parametrize("form", ["AVIF", "HEIF"])
@pytest.mark.parametrize("part", [0.2, 0.6, 0.95])
def test_cut_files_fail(form: str, part: float) -> None:
    data = made(form)
    with pytest.raises(CodecError):
        decode(data[: int(len(data) * part)])


@pytest.mark.parametrize("form", ["AVIF", "HEIF"])
def test_too_large(form: str) -> None:
    with pytest.raises(CodecError, match="83 x 61 pixels, expected at most 1000"):
        decode(made(form), max_pixels=1000)


def test_without_pillow_heif_there_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "a.heic").write_bytes(heic(image()))
    code = (
        "import sys; sys.modules['pillow_heif'] = None\n"
        "from fastblur.codecs import CodecError, check, decode, size_of\n"
        "data = open(sys.argv[1], 'rb').read()\n"
        "for function in (check, decode):\n"
        "    try: function(data)\n"
        "    except CodecError as error: print(error)\n"
        "print(size_of(data))"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "a.heic"], capture_output=True, text=True, check=True)
    sentence = "the package pillow_heif is missing, expected it installed: pip install 'fastblur[heif]'"
    assert done.stdout.splitlines() == [sentence, sentence, "(0, 0)"]
