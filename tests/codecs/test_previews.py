"""Previews in metadata: a file whose previews show something else than its picture is not copied as it is."""

import base64
import io
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, PngImagePlugin

from fastblur.codecs import CodecError, decode, file_to_copy
from fastblur.codecs.jpeg_segments import read_header
from tests.codecs.files import Tiff, array, heic, photo, saved, segment, shows_thumbnail, with_segments
from tests.codecs.files import exif as camera_exif

SIZE = (480, 360)
WHOLE = Image.fromarray(photo(360, 480, 3)).filter(ImageFilter.GaussianBlur(3))
CROPPED = WHOLE.crop((96, 0, *SIZE))  # a fifth is cut off at the left
PAINTED = WHOLE.copy()
ImageDraw.Draw(PAINTED).rectangle((200, 100, 260, 180), fill=(0, 0, 0))


def thumbnail(picture: Image.Image, *, bars: bool = False, quality: int = 80) -> bytes:
    small = picture.copy()
    small.thumbnail((160, 120))
    if bars:
        field = Image.new("RGB", (160, 120))
        field.paste(small, ((160 - small.width) // 2, (120 - small.height) // 2))
        small = field
    return saved(small, "JPEG", quality=quality)


def in_exif(preview: bytes, orientation: int | None = None) -> bytes:
    return camera_exif(orientation, thumbnail=preview)


def jpeg(picture: Image.Image, *segments: bytes, **options: object) -> bytes:
    return with_segments(saved(picture, "JPEG", quality=90, **options), *segments)


def with_exif(picture: Image.Image, preview: bytes, orientation: int | None = None) -> bytes:
    return jpeg(picture, segment(0xE1, b"Exif\0\0" + in_exif(preview, orientation)))


def in_photoshop(preview: bytes) -> bytes:
    resource = struct.pack(">IIIIIIHH", 1, 160, 120, 480, 57600, len(preview), 24, 1) + preview
    return segment(0xED, b"Photoshop 3.0\0" + b"8BIM\x04\x0c\0\0" + struct.pack(">I", len(resource)) + resource)


def in_xmp(preview: bytes) -> bytes:
    text = base64.encodebytes(preview).replace(b"\n", b"&#xA;")
    return segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<xmpGImg:image>" + text + b"</xmpGImg:image>")


def in_content_credentials(preview: bytes) -> bytes:
    """JUMBF in two segments, of which the second repeats the box's head."""
    box = struct.pack(">I4s", 8 + len(preview), b"bidb") + preview
    half = len(box) // 2
    return segment(0xEB, b"JP" + struct.pack(">HI", 1, 1) + box[:half]) + segment(
        0xEB, b"JP" + struct.pack(">HI", 1, 2) + box[:8] + box[half:]
    )


def in_maker_note(preview: bytes) -> bytes:
    """A larger preview that lost its first byte, as some cameras write it."""
    return segment(0xE1, b"Exif\0\0" + camera_exif(None, thumbnail=None, maker_note=b"Maker\0\0" + preview[1:]))


PLACES: dict[str, Callable[[bytes], bytes]] = {
    "exif": lambda preview: segment(0xE1, b"Exif\0\0" + in_exif(preview)),
    "photoshop": in_photoshop,
    "xmp": in_xmp,
    "content credentials": in_content_credentials,
    "maker note": in_maker_note,
    "jfxx": lambda preview: segment(0xE0, b"JFXX\0\x10" + preview),
    "comment": lambda preview: segment(0xFE, preview),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("picture", [CROPPED, PAINTED], ids=["cropped", "painted over"])
def test_a_preview_of_something_else_goes(place: str, picture: Image.Image) -> None:
    preview = thumbnail(WHOLE)
    stale = jpeg(picture, PLACES[place](preview), comment=b"by hand", icc_profile=b"profile")
    after = file_to_copy(stale)
    assert after != stale
    assert not shows_thumbnail(after, preview)
    assert after[read_header(after).scan :] == stale[read_header(stale).scan :]
    assert np.array_equal(array(after), array(stale))
    with Image.open(io.BytesIO(after)) as read:
        assert read.info["icc_profile"] == b"profile"
        assert read.info.get("comment") == b"by hand"
    assert file_to_copy(after) is after


@pytest.mark.parametrize("place", PLACES)
def test_a_preview_of_the_picture_stays(place: str) -> None:
    data = jpeg(WHOLE, PLACES[place](thumbnail(WHOLE)))
    assert file_to_copy(data) is data


@pytest.mark.parametrize(
    "picture",
    [CROPPED, PAINTED, *(WHOLE.crop(box) for box in ((0, 0, 432, 360), (24, 18, 456, 342), (0, 60, 480, 300)))],
    ids=["a fifth", "painted", "a tenth", "all around", "wide"],
)  # fmt: skip
@pytest.mark.parametrize("bars", [False, True])
def test_whatever_was_cut_off_or_painted_over(picture: Image.Image, bars: bool) -> None:
    stale = with_exif(picture, thumbnail(WHOLE, bars=bars))
    assert file_to_copy(stale) != stale


@pytest.mark.parametrize("quality", [30, 95])
@pytest.mark.parametrize("shape", [(480, 360), (360, 480), (480, 320), (320, 480), (480, 270), (400, 400)])
def test_a_camera_s_own_previews_stay(shape: tuple[int, int], quality: int) -> None:
    picture = WHOLE.resize(shape)
    for preview in (thumbnail(picture, quality=quality), thumbnail(picture, bars=True, quality=quality)):
        data = with_exif(picture, preview)
        assert file_to_copy(data) is data


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turned_photographs(orientation: int) -> None:
    data = with_exif(WHOLE, thumbnail(WHOLE), orientation)
    assert file_to_copy(data) is data
    stale = with_exif(CROPPED, thumbnail(WHOLE), orientation)
    after = file_to_copy(stale)
    assert after != stale
    assert decode(after).orientation == orientation
    turned = with_exif(WHOLE.rotate(90, expand=True), thumbnail(WHOLE))  # by an editor that left the preview as it was
    assert file_to_copy(turned) is turned


def test_edits_of_the_whole_picture_show_nothing_new() -> None:
    for picture in (WHOLE.convert("L"), ImageEnhance.Contrast(WHOLE).enhance(0.8), WHOLE.resize((240, 180))):
        data = with_exif(picture, thumbnail(WHOLE))
        assert file_to_copy(data) is data


def test_photographs_with_previews_of_theirs(shared: Path) -> None:
    for path in sorted((shared / "imagenet-sample/train").rglob("*.JPEG"))[::9]:
        picture = Image.open(path).convert("RGB")
        data = with_exif(picture, thumbnail(picture, bars=True))
        assert file_to_copy(data) is data, path.name
        if min(picture.size) > 100:
            width, height = picture.size
            stale = with_exif(picture.crop((width // 4, 0, width, height)), thumbnail(picture, bars=True))
            assert file_to_copy(stale) != stale, path.name


def test_a_preview_that_cannot_be_read_goes() -> None:
    broken = thumbnail(WHOLE)[:200]
    data = jpeg(WHOLE, segment(0xFE, broken))
    assert broken not in file_to_copy(data)


def test_a_thumbnail_without_compression() -> None:
    def made(thumb: Image.Image) -> bytes:
        tiff = Tiff()
        at = tiff.blob(thumb.tobytes())
        rows = [(256, 3, thumb.width), (257, 3, thumb.height), (259, 3, 1), (262, 3, 2), (273, 4, at), (277, 3, 3)]
        second = tiff.directory([*rows, (279, 4, 3 * thumb.width * thumb.height)])
        return segment(0xE1, b"Exif\0\0" + tiff.done(tiff.directory([(0x10F, 2, b"A maker\0")], second)))

    small = WHOLE.resize((80, 60))
    fresh = jpeg(WHOLE, made(small))
    assert file_to_copy(fresh) is fresh
    stale = jpeg(CROPPED, made(small))
    assert small.tobytes()[:300] in stale
    assert small.tobytes()[:300] not in file_to_copy(stale)


def test_colours_of_cmyk_stay_when_previews_go() -> None:
    picture = CROPPED.convert("CMYK")
    stale = jpeg(picture, segment(0xE1, b"Exif\0\0" + in_exif(thumbnail(WHOLE))))
    after = file_to_copy(stale)
    assert after != stale
    assert np.array_equal(array(after), array(stale))
    assert np.array_equal(decode(after).pixels, decode(stale).pixels)


@pytest.mark.parametrize("form", ["PNG", "WEBP", "AVIF", "HEIC", "XMP of PNG"])
def test_other_formats_fail(form: str) -> None:
    exif = b"Exif\0\0" + in_exif(thumbnail(WHOLE))

    def made(picture: Image.Image) -> bytes:
        if form == "HEIC":
            return heic(picture, exif=exif)
        if form == "XMP of PNG":
            texts = PngImagePlugin.PngInfo()
            texts.add_itxt("XML:com.adobe.xmp", base64.b64encode(thumbnail(WHOLE)).decode(), zip=True)
            return saved(picture, "PNG", pnginfo=texts)
        return saved(picture, form, exif=exif)

    fresh = made(WHOLE)
    assert file_to_copy(fresh) is fresh
    with pytest.raises(CodecError, match="does not show the picture, expected one that does, or --strip-metadata"):
        file_to_copy(made(CROPPED))


def test_what_check_refuses_is_refused() -> None:
    for data in (b"GIF89a", b"", b"\xff\xd8\xff\xd9", jpeg(WHOLE)[:300]):
        with pytest.raises(CodecError):
            file_to_copy(data)
