"""A file whose further pictures are not searched fails, unless they are previews of the one that is."""

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fastblur.codecs import CodecError, check, decode, decode_reduced, encode
from tests.codecs.files import THUMBNAIL, array, heic, image, saved, scan_of, segments_of, shows_thumbnail

FILM = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + bytes(range(200))


def mpo(kind: int, xmp: bytes = b"") -> bytes:
    """Two pictures in a Multi-Picture file, the second of a type."""
    data = bytearray(saved(image(seed=1), "MPO", save_all=True, append_images=[image(seed=2)]))
    at = data.index(b"MPF\0") + 4
    order = "<" if data[at : at + 2] == b"II" else ">"
    (first,) = struct.unpack_from(order + "I", data, at + 4)
    (count,) = struct.unpack_from(order + "H", data, at + first)
    for row in range(at + first + 2, at + first + 2 + 12 * count, 12):
        tag, _, _, offset = struct.unpack_from(order + "HHII", data, row)
        if tag == 0xB002:
            struct.pack_into(order + "I", data, at + offset + 16, kind)
    return bytes(data[:-2]) + xmp + b"\xff\xd9" if xmp else bytes(data)


def both_fail(data: bytes, message: str) -> None:
    for function in (check, decode):
        with pytest.raises(CodecError, match=message):
            function(data)


@pytest.mark.parametrize(
    "kind", [0, 0x020001, 0x020002, 0x020003], ids=["undefined", "panorama", "disparity", "multi-angle"]
)
def test_another_view_in_a_multi_picture_file_fails(kind: int) -> None:
    both_fail(mpo(kind), "JPEG is followed by .* bytes that may show more, which is not searched")


@pytest.mark.parametrize("kind", [0x010001, 0x010002], ids=["VGA", "full HD"])
def test_previews_in_a_multi_picture_file_are_left_out_of_changed_files(kind: int) -> None:
    data = mpo(kind)
    second = scan_of(saved(image(seed=2), "JPEG"))
    assert second in data
    check(data)
    picture = decode(data)
    assert np.array_equal(picture.pixels, array(saved(image(seed=1), "JPEG")))
    out = encode(picture, picture.pixels)
    assert second not in out
    assert not any(payload.startswith(b"MPF\0") for _, payload in segments_of(out))


def test_a_gain_map_is_a_preview() -> None:
    """As phones write Ultra HDR: the type is undefined, and XMP says what it is."""
    data = mpo(0)
    xmp = b'http://ns.adobe.com/xap/1.0/\0<x hdrgm:Version="1.0"/>'
    at = 2
    with_xmp = data[:at] + struct.pack(">BBH", 0xFF, 0xE1, len(xmp) + 2) + xmp + data[at:]
    check(with_xmp)
    assert scan_of(saved(image(seed=2), "JPEG")) not in encode(decode(with_xmp), decode(with_xmp).pixels)


def test_a_preview_listed_does_not_excuse_another_picture() -> None:
    both_fail(mpo(0x010001) + THUMBNAIL, "JPEG is followed by")


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "BMP"])
@pytest.mark.parametrize(
    "rest",
    [THUMBNAIL, FILM, saved(image(), "PNG"), saved(image(), "PNG")[300:], saved(image(), "JPEG")[900:], b"SEFT" + FILM],
    ids=["JPEG", "film", "PNG", "end of a PNG", "end of a JPEG", "motion photo"],
)
def test_what_follows_may_show_more(form: str, rest: bytes) -> None:
    both_fail(saved(image(), form) + rest, "(JPEG|PNG|WebP|BMP) is followed by .* bytes that may show more")


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "BMP"])
@pytest.mark.parametrize("rest", [b"\0" * 300, b"\r\n", b"Image_UTC_Data1613SEFHk\0\0\0SEFT", b"more " * 99])
def test_harmless_rests_do_not_fail(form: str, rest: bytes) -> None:
    data = saved(image(), form)
    check(data + rest)
    assert np.array_equal(decode(data + rest).pixels, decode(data).pixels)


def test_an_end_marker_inside_a_segment_between_scans_is_no_end() -> None:
    data = saved(image(), "JPEG", progressive=True)
    at = data.index(b"\xff\xda", data.index(b"\xff\xda") + 2)  # before the second scan
    while data[at : at + 2] != b"\xff\xc4":
        at -= 1
    data = data[:at] + b"\xff\xfe\0\x08\xff\xd9\xff\xd9\0\0" + data[at:]
    check(data)
    assert decode(data).pixels.shape == (61, 83, 3)
    both_fail(data + THUMBNAIL, "JPEG is followed by")


def test_thumbnails_in_metadata_are_no_further_pictures(shared: Path) -> None:
    for path in [*(shared / "photos").glob("*.jpg"), *(shared / "imagenet-sample" / "train").rglob("*.JPEG")]:
        check(path.read_bytes())


def tiff_with(**options: Any) -> bytes:
    tifffile = pytest.importorskip("tifffile")
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as writer:
        writer.write(np.asarray(image(seed=1)), photometric="rgb", subifds=1, metadata=None)
        writer.write(np.asarray(image(height=20, width=30, seed=2)), photometric="rgb", metadata=None, **options)
    return buffer.getvalue()


def test_a_sub_image_of_tiff_fails_unless_it_is_a_reduced_one() -> None:
    both_fail(tiff_with(subfiletype=0), "TIFF holds a further picture in a sub-directory")
    reduced = tiff_with(subfiletype=1)
    check(reduced)
    picture = decode(reduced)
    out = encode(picture, picture.pixels)
    assert np.asarray(image(height=20, width=30, seed=2))[5].tobytes() in reduced
    assert np.asarray(image(height=20, width=30, seed=2))[5].tobytes() not in out


def test_photoshop_layers_in_tiff_fail() -> None:
    layers = b"Adobe Photoshop Document Data Block\0" + b"MIB8ryaL" + bytes(50)
    both_fail(saved(image(), "TIFF", tiffinfo={37724: layers}), "TIFF holds Photoshop layers")
    check(saved(image(), "TIFF", tiffinfo={37724: b"Adobe Photoshop Document Data Block\0MIB8ksaM" + bytes(50)}))


@pytest.mark.parametrize("extra", [["unspecified"], ["unassalpha", "unspecified"], ["unspecified", "unspecified"]])
def test_extra_channels_of_tiff_fail(extra: list[str]) -> None:
    tifffile = pytest.importorskip("tifffile")
    buffer = io.BytesIO()
    pixels = np.concatenate([np.asarray(image()), *[np.asarray(image("L", seed=3))[..., None]] * len(extra)], axis=2)
    tifffile.imwrite(buffer, pixels, photometric="rgb", extrasamples=extra, metadata=None)
    with pytest.raises(CodecError):
        decode(buffer.getvalue())


@pytest.mark.parametrize("form", ["PNG", "WEBP", "GIF", "TIFF", "AVIF"])
def test_several_frames_fail(form: str) -> None:
    data = saved(image(), form, save_all=True, append_images=[image(seed=5)])
    both_fail(
        data, "(animated PNG|animated WebP|GIF|TIFF of several pages|an AVIF sequence of 2 frames) is not supported"
    )


def test_several_pictures_of_heic_fail() -> None:
    pillow_heif = pytest.importorskip("pillow_heif", reason="the package pillow-heif is absent")
    file = pillow_heif.from_pillow(image())
    file.add_from_pillow(image(seed=5))
    buffer = io.BytesIO()
    file.save(buffer, quality=90)
    both_fail(buffer.getvalue(), "a HEIC of 2 pictures is not supported")
    check(heic(image()))


def test_a_gif_of_one_frame_fails_too() -> None:
    both_fail(saved(image(), "GIF"), "GIF is not supported")


def test_shown_thumbnail_measure() -> None:
    """What the tests above look for is in the files that they make."""
    assert shows_thumbnail(saved(image(), "JPEG") + THUMBNAIL)
    assert Image.open(io.BytesIO(mpo(0))).n_frames == 2


@pytest.mark.parametrize("subsampling", [0, 2])
def test_rows_of_a_scan_below_its_frame_are_refused(subsampling: int) -> None:
    """A frame cut down by its header alone: no viewer shows the rest, and whoever puts the height back sees it."""
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (128, 96, 3), np.uint8))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", subsampling=subsampling)
    data = bytearray(buffer.getvalue())
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 2] = (64).to_bytes(2, "big")
    with pytest.raises(CodecError, match="bytes in its scan behind the picture"):
        decode(bytes(data))
    assert decode_reduced(bytes(data), 16, 1 << 20) is None
