"""JPEG: the source's tables, subsampling, progressive flag and colours come back; Pillow is the independent reader."""

from pathlib import Path

import numpy as np
import pytest
import simplejpeg
from PIL import Image, JpegImagePlugin

from fastblur.codecs import CodecError, Picture, decode, encode
from tests.codecs.files import array, image, opened, photo, psnr, saved, scan_of, segment, segments_of, with_segments


def same_coding(a: bytes, b: bytes) -> bool:
    """Whether two JPEG files agree in all but their pixels; b may be 4:4:4 where a has what Pillow cannot write."""
    first, second = opened(a), opened(b)
    wanted = JpegImagePlugin.get_sampling(first)
    return (
        first.quantization == second.quantization
        and JpegImagePlugin.get_sampling(second) == (0 if wanted == -1 and first.layers == 3 else wanted)
        and first.info.get("progressive") == second.info.get("progressive")
        and first.mode == second.mode
        and first.size == second.size
    )


def changed(data: bytes) -> tuple[np.ndarray, np.ndarray, bytes]:
    """Paint a square as the pipeline would, encode; return the source's pixels, a mask of the square, the new file."""
    picture = decode(data)
    before = picture.pixels.copy()
    picture.pixels[16:32, 24:40] = 90
    square = np.zeros(before.shape[:2], bool)
    square[16:32, 24:40] = True
    return before, square, encode(picture, picture.pixels)


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("sampling", [0, 1, 2])
@pytest.mark.parametrize("quality", [20, 75, 95, 96, 100])
def test_coding_is_kept(quality: int, sampling: int, progressive: bool) -> None:
    data = saved(image(), "JPEG", quality=quality, subsampling=sampling, progressive=progressive)
    before, square, out = changed(data)
    assert np.array_equal(before, array(data))
    assert same_coding(data, out)
    after = array(out)
    near = np.zeros_like(square)
    near[0:48, 8:56] = True  # blocks that the square touches, with their neighbours' chroma
    assert psnr(before[~near], after[~near]) > 40
    inner = after[20:28, 28:36].astype(int)
    assert abs(inner.mean() - 90) < 8  # the change is there


@pytest.mark.parametrize("sampling", [0, 2])
@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("quality", [50, 95, 96, 98, 100])
def test_coded_as_pillow_codes_with_the_same_tables(quality: int, mode: str, sampling: int) -> None:
    """Whichever encoder is taken, the coded pixels are byte for byte Pillow's."""
    data = saved(image(mode), "JPEG", quality=quality, subsampling=sampling)
    picture = decode(data)
    plain = picture.pixels[..., 0] if mode == "L" else picture.pixels
    pillow = saved(Image.fromarray(plain), "JPEG", qtables=opened(data).quantization, subsampling=sampling)
    assert scan_of(encode(picture, picture.pixels)) == scan_of(pillow)


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_tables_of_their_own(mode: str) -> None:
    rng = np.random.default_rng(3)
    tables = [rng.integers(1, 30, 64).tolist() for _ in range(len(mode))]
    data = saved(image(mode), "JPEG", qtables=tables, subsampling=0)
    before, _, out = changed(data)
    assert opened(data).quantization == dict(enumerate(tables))
    assert same_coding(data, out)
    assert np.array_equal(before, array(data))


def test_first_and_last_component_share_a_table() -> None:
    a, b = [3] * 64, [11] * 64
    data = saved(image(), "JPEG", qtables=[a, b, a], subsampling=0)
    out = encode(decode(data), decode(data).pixels)
    assert [opened(out).quantization[layer[3]] for layer in opened(out).layer] == [a, b, a]


def test_tables_of_16_bits() -> None:
    data = saved(image(), "JPEG", qtables=[[300] * 64, [400] * 64], subsampling=0)
    assert same_coding(data, encode(decode(data), decode(data).pixels))


def test_large_progressive_file() -> None:
    """Noise under the finest tables is more than the buffer that Pillow takes for a progressive file."""
    noise = np.random.default_rng(0).integers(0, 256, (300, 300, 3), np.uint8)
    baseline = saved(Image.fromarray(noise), "JPEG", qtables=[[1] * 64] * 2, subsampling=0)
    small = saved(image(height=300, width=300), "JPEG", qtables=[[1] * 64] * 2, subsampling=0, progressive=True)
    picture = decode(small)
    out = encode(picture, noise)
    assert len(out) > 2 * 300 * 300
    assert same_coding(small, out)
    assert psnr(array(out), array(baseline)) > 60


@pytest.mark.parametrize(("name", "expected"), [("440", 0), ("411", 1)])
def test_unusual_subsampling_becomes_a_finer_one(name: str, expected: int) -> None:
    data = simplejpeg.encode_jpeg(photo(), 90, "RGB", name)
    before, square, out = changed(data)
    assert np.array_equal(before, array(data))
    assert JpegImagePlugin.get_sampling(opened(out)) == expected
    assert opened(out).quantization == opened(data).quantization
    square[0:48, 8:56] = True
    assert psnr(before[~square], array(out)[~square]) > 35  # the chroma was coarser, and is sampled anew


def test_grey() -> None:
    data = saved(image("L"), "JPEG", quality=90)
    before, _, out = changed(data)
    assert before.shape == (61, 83, 1)
    assert decode(data).color == "L"
    assert same_coding(data, out)
    assert psnr(before[40:], array(out)[40:]) > 40


def ycck(sampling: str) -> bytes:
    return simplejpeg.encode_jpeg(photo(channels=4), 92, "CMYK", sampling)


def without_adobe(data: bytes) -> bytes:
    at = data.index(b"\xff\xee")
    return data[:at] + data[at + 2 + int.from_bytes(data[at + 2 : at + 4], "big") :]


@pytest.mark.parametrize(
    "data",
    [saved(image("CMYK"), "JPEG", quality=92), without_adobe(saved(image("CMYK"), "JPEG")), ycck("444"), ycck("420")],
    ids=["Adobe CMYK", "CMYK without Adobe", "YCCK", "YCCK 4:2:0"],
)
def test_cmyk_keeps_its_polarity(data: bytes) -> None:
    assert opened(data).mode == "CMYK"
    before, square, out = changed(data)
    assert decode(data).color == "CMYK"
    assert np.array_equal(before, array(data))
    assert ("adobe" in opened(out).info) == ("adobe" in opened(data).info)
    after = array(out)
    assert after.shape == before.shape
    square[0:48, 8:56] = True
    assert psnr(before[~square], after[~square]) > 40
    for table in opened(out).quantization.values():  # never coarser than any of the source's
        assert (np.array(table) <= np.min(list(opened(data).quantization.values()), axis=0)).all()


def test_cmyk_of_adobe_keeps_its_table() -> None:
    data = saved(image("CMYK"), "JPEG", quality=92)
    assert same_coding(data, encode(decode(data), decode(data).pixels))


@pytest.mark.parametrize("adobe", [True, False])
def test_rgb_without_transform(adobe: bool) -> None:
    data = saved(image(), "JPEG", quality=90, keep_rgb=True)
    if not adobe:
        data = without_adobe(data)
    before, square, out = changed(data)
    assert np.array_equal(before, array(data))
    assert [layer[0] for layer in opened(out).layer] == list(b"RGB")
    assert opened(out).quantization == opened(data).quantization
    square[0:48, 8:56] = True
    assert psnr(before[~square], array(out)[~square]) > 40


def test_pixels_are_ready_to_be_changed() -> None:
    for mode in ("L", "RGB", "CMYK"):
        pixels = decode(saved(image(mode), "JPEG")).pixels
        assert pixels.flags.c_contiguous
        assert pixels.flags.writeable
        assert pixels.dtype == np.uint8


def test_odd_but_readable_files_are_read_as_pillow_reads_them() -> None:
    data = saved(image(), "JPEG")
    at = data.index(b"\xff\xdb")
    odd = {
        "fill bytes": data[:at] + b"\xff\xff\xff" + data[at:],
        "garbage between segments": data[:at] + b"garbage" + data[at:],
        "garbage before the end": data[:-2] + b"garbage" + data[-2:],
        "data after the end": data + b"more" * 100,
        "damaged pixels": data[:-300] + bytes(7) + data[-293:],
    }
    for name, variant in odd.items():
        picture = decode(variant)
        assert np.array_equal(picture.pixels, array(variant)), name
        assert same_coding(data, encode(picture, picture.pixels)), name


def test_what_is_not_supported_is_said() -> None:
    data = saved(image(), "JPEG")
    frame = data.index(b"\xff\xc0")
    with pytest.raises(CodecError, match="12-bit JPEG is not supported, expected 8 bits a channel"):
        decode(data[: frame + 4] + b"\x0c" + data[frame + 5 :])
    with pytest.raises(CodecError, match="frame 0xC3"):
        decode(data[: frame + 1] + b"\xc3" + data[frame + 2 :])
    with pytest.raises(CodecError, match="2 components"):
        decode(data[:frame] + segment(0xC0, b"\x08\0\x08\0\x08\x02" + bytes(6)) + scan_of(data))


def test_missing_quantisation_table() -> None:
    picture = decode(saved(image(), "JPEG"))
    segments = b"".join(segment(m, p) for m, p in segments_of(picture.source) if m != 0xDB)
    source = b"\xff\xd8" + segments + scan_of(picture.source)
    with pytest.raises(CodecError, match="no quantisation table"):
        encode(Picture(picture.pixels, "JPEG", "RGB", 1, source), picture.pixels)


@pytest.mark.slow
def test_real_photographs(shared: Path) -> None:
    """Every ImageNet image of the sample, with its real tables and metadata."""
    paths = sorted((shared / "imagenet-sample" / "train").rglob("*.JPEG"))
    assert len(paths) > 100
    for path in paths:
        data = path.read_bytes()
        picture = decode(data)
        assert np.array_equal(picture.pixels, array(data)), path.name
        out = encode(picture, picture.pixels)
        assert same_coding(data, out), path.name
        assert psnr(picture.pixels, array(out)) > 40, path.name
        before, after = opened(data), opened(out)
        assert after.info.get("icc_profile") == before.info.get("icc_profile"), path.name
        assert after.info.get("jfif_density") == before.info.get("jfif_density"), path.name
        assert after.info.get("comment") == before.info.get("comment"), path.name


def test_density_and_comment_are_kept() -> None:
    data = with_segments(saved(image(), "JPEG", dpi=(123, 45)), segment(0xFE, b"a comment"))
    out = opened(encode(decode(data), decode(data).pixels))
    assert out.info["dpi"] == (123, 45)
    assert out.info["comment"] == b"a comment"
