"""What is not rewritten block by block says why, and nothing that libjpeg finds wrong gets through."""

import io

import numpy as np
import pytest
from PIL import Image

from fastblur.codecs import CodecError
from fastblur.codecs.jpeg_blocks import Refused, hide, read_layout
from tests.codecs.files import image, saved, scan_of, segment, with_segments
from tests.codecs.jpeg_blocks.files import METHODS, jpeg, rewritten, strictly_decoded

BOX = [[20, 10, 45, 38]]


def parts(data):
    """The file up to its scan's first bit, and from there to before EOI."""
    at = len(data) - len(scan_of(data))
    at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    assert data.endswith(b"\xff\xd9")
    return data[:at], data[at:-2]


def changed(data, marker, at, value):
    """The file with one byte of a segment changed."""
    start = data.index(bytes((0xFF, marker))) + 4 + at
    return data[:start] + bytes((value,)) + data[start + 1 :]


PLAIN = jpeg()
RESTARTS = jpeg(restart_marker_blocks=5)
HEAD, SCAN = parts(PLAIN)
CASES = {
    "progressive": (saved(image(), "JPEG", progressive=True), "frame 0xC2"),
    "arithmetic": (changed(PLAIN.replace(b"\xff\xc0", b"\xff\xc9"), 0xC9, 0, 8), "frame 0xC9"),
    "12 bits": (changed(PLAIN, 0xC0, 0, 12), "12 bits a sample"),
    "two frames": (with_segments(PLAIN, segment(0xC0, PLAIN[PLAIN.index(b"\xff\xc0") + 4 :][:15])), "frame 0xC0"),
    "two scans": (HEAD[:-10] + b"\x00\x08\x01\x01\x00\x00\x3f\x00" + SCAN + b"\xff\xd9", "several scans"),
    "spectral selection": (HEAD[:-2] + b"\x3e\x00" + SCAN + b"\xff\xd9", "a part of the coefficients"),
    "same identifiers": (changed(PLAIN, 0xC0, 9, 1), "same identifier"),
    "sampling of a third": (changed(PLAIN, 0xC0, 7, 0x31), "expected 4:4:4"),
    "chroma sampled finer": (changed(PLAIN, 0xC0, 10, 0x21), "no usual kind"),
    "an unknown segment": (with_segments(PLAIN, segment(0x62, b"what")), "a segment 0x62"),
    "JFIF 2": (changed(PLAIN, 0xE0, 5, 2), "JFIF of version 2"),
    "too many blocks": (
        changed(changed(changed(PLAIN, 0xC0, 7, 0x22), 0xC0, 10, 0x22), 0xC0, 13, 0x22),
        "blocks in an MCU",
    ),
    "Adobe 2": (with_segments(PLAIN, segment(0xEE, b"Adobe\0d\0\0\0\0\x02")), "Adobe"),
    "the wrong table": (HEAD[:-8] + b"\x11" + HEAD[-7:] + SCAN + b"\xff\xd9", "broken in MCU"),
    "a missing table": (PLAIN.replace(b"\xff\xc4\x00\x1f\x01", b"\xff\xc4\x00\x1f\x02"), "no Huffman table"),
    "bytes between segments": (PLAIN[:20] + b"\0" + PLAIN[20:], "bytes between"),
    "no end": (PLAIN[:-2], "no end of the image"),
    "no end marker": (PLAIN[:-1] + b"\xd8", "no end of the image"),
    "one byte more": (HEAD + SCAN + b"\x7f\xff\xd9", "broken in MCU"),
    "zeros after it": (HEAD + SCAN + b"\0\0\xff\xd9", "broken in MCU"),
    "cut short": (HEAD + SCAN[: len(SCAN) // 2] + b"\xff\xd9", "broken in MCU"),
    "a restart marker too many": (HEAD + SCAN[:400] + b"\xff\xd0" + SCAN[400:] + b"\xff\xd9", "restart markers"),
    "restart markers out of order": (RESTARTS.replace(b"\xff\xd1", b"\xff\xd2", 1), "restart markers"),
    "another interval": (changed(RESTARTS, 0xDD, 1, 6), "restart markers"),
    "a quantisation step of 0": (changed(PLAIN, 0xDB, 5, 0), "quantisation table with a 0"),
    "a symbol of 12 bits": (changed(PLAIN, 0xC4, 17, 12), "impossible Huffman table"),
}


@pytest.mark.parametrize("name", CASES)
def test_refused_with_a_reason(name):
    data, reason = CASES[name]
    with pytest.raises(Refused) as error:
        rewritten(data, BOX)
    assert reason in str(error.value)


def test_what_lies_between_and_after_is_dropped():
    """Fill before a marker is allowed; bytes after the end are not in the result, and may be no picture."""
    plain = rewritten(PLAIN, BOX).data
    assert rewritten(HEAD + SCAN + b"\xff\xff\xff\xd9", BOX).data == plain
    assert rewritten(PLAIN + bytes(9), BOX).data == plain
    with pytest.raises(CodecError, match="is followed by"):
        rewritten(PLAIN + PLAIN, BOX)


def test_size_is_checked_before_anything_is_allocated():
    data = changed(changed(PLAIN, 0xC0, 1, 0xFF), 0xC0, 3, 0xFF)
    with pytest.raises(CodecError, match="max_pixels"):
        read_layout(data, 1 << 20)
    with pytest.raises(Refused):  # nor is much of it where the scan is short
        hide(data, read_layout(data, 1 << 33), np.array(BOX, np.float32), METHODS["default"], None)


def test_files_that_nobody_can_read_raise_the_codec_s_own_error():
    for data in (PLAIN[:100], b"\xff\xd8\xff\xd9", changed(changed(PLAIN, 0xC0, 1, 0), 0xC0, 2, 0)):
        with pytest.raises(CodecError):
            rewritten(data, BOX)


def test_coordinates_that_are_no_numbers():
    for box in ([[np.nan, 0, 5, 5]], [[0, 0, np.inf, 5]]):
        with pytest.raises(ValueError, match="finite"):
            rewritten(PLAIN, box)


def test_padding_of_losslessly_cropped_files_is_overwritten(tmp_path):
    """What the header crops away is still in the last blocks: where a face changes them, it goes."""
    pixels = np.full((64, 64, 3), 90, np.uint8)
    pixels[:, 50:] = np.random.default_rng(0).integers(0, 255, (64, 14, 1))
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=95, subsampling=2)
    cropped = changed(file.getvalue(), 0xC0, 4, 50)  # the same MCUs, a width of 50
    out = rewritten(cropped, [[30, 20, 49, 45]]).data
    uncropped = strictly_decoded(changed(out, 0xC0, 4, 64))
    before = strictly_decoded(changed(cropped, 0xC0, 4, 64))
    assert strictly_decoded(out).shape == (64, 50, 3)
    assert before[16:48, 52:].std() > 40
    assert uncropped[16:48, 52:].std() < 8


def test_a_broken_file_is_refused_though_nothing_is_to_be_hidden():
    broken = CASES["cut short"][0]
    with pytest.raises(Refused):
        rewritten(broken, [[500, 500, 510, 510]])
    untouched = rewritten(PLAIN, [[500, 500, 510, 510]])
    assert (untouched.mcus_coded, strictly_decoded(untouched.data).tolist()) == (0, strictly_decoded(PLAIN).tolist())
