"""Files as they come in real collections: each is hidden, copied or listed as failed, and none stops the run."""

import errno
import json
import os
import re
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from fastblur.pipeline import Summary, run
from fastblur.pipeline.shards.interfaces import Item
from fastblur.pipeline.storage.paths import read_file
from tests.pipeline.helpers import FACE, decoded, detail, encoded, failures, files_below, outside


def exif(orientation: int, thumbnail: bytes = b"") -> bytes:
    """Return an EXIF block with an orientation and, in IFD1, a thumbnail (EXIF 2.32, sections 4.5 and 4.6.2)."""

    def entry(tag: int, kind: int, value: int) -> bytes:
        return struct.pack(">HHI", tag, kind, 1) + (
            struct.pack(">HH", value, 0) if kind == 3 else struct.pack(">I", value)
        )

    first = struct.pack(">H", 1) + entry(0x0112, 3, orientation)
    second_at = 8 + len(first) + 4
    second = struct.pack(">H", 2)
    thumbnail_at = second_at + 2 + 2 * 12 + 4
    second += entry(0x0201, 4, thumbnail_at) + entry(0x0202, 4, len(thumbnail)) + struct.pack(">I", 0)
    tiff = b"MM\0*" + struct.pack(">I", 8) + first
    if not thumbnail:
        return b"Exif\0\0" + tiff + struct.pack(">I", 0)
    return b"Exif\0\0" + tiff + struct.pack(">I", second_at) + second + thumbnail


@pytest.fixture(scope="module")
def thumbnail(face_pixels: np.ndarray) -> bytes:
    return encoded(Image.fromarray(face_pixels).resize((96, 96)), "JPEG")


@pytest.fixture(scope="module")
def files(face_pixels: np.ndarray, plain_pixels: np.ndarray, face_jpeg: bytes, thumbnail: bytes) -> dict[str, bytes]:
    of_plain = encoded(Image.fromarray(plain_pixels).resize((96, 64)), "JPEG")
    face, plain = Image.fromarray(face_pixels), Image.fromarray(plain_pixels)
    with_alpha = face.convert("RGBA")
    with_alpha.putalpha(Image.fromarray(np.tile(np.arange(512) // 2, (512, 1)).astype(np.uint8)))
    # Stored so that orientation 6 (turn a quarter to the right to see it) gives the upright face.
    turned = face.transpose(Image.Transpose.ROTATE_90)
    return {
        # hidden
        "hidden/cmyk.jpg": encoded(face.convert("CMYK"), "JPEG", quality=90),
        "hidden/grey.jpg": encoded(face.convert("L"), "JPEG", quality=90),
        "hidden/progressive.jpg": encoded(face, "JPEG", quality=90, progressive=True),
        "hidden/png named.JPEG": encoded(face, "PNG", compress_level=1),
        "hidden/jpeg named.png": face_jpeg,
        "hidden/alpha.png": encoded(with_alpha, "PNG", compress_level=1),
        "hidden/palette.png": encoded(face.quantize(256), "PNG"),
        "hidden/grey alpha.png": encoded(face.convert("LA"), "PNG", compress_level=1),
        "hidden/rotated.jpg": encoded(turned, "JPEG", quality=90, exif=exif(6)),
        "hidden/thumbnail.jpg": encoded(face, "JPEG", quality=90, exif=exif(1, thumbnail)),
        "hidden/lossless.webp": encoded(face, "WEBP", lossless=True, method=0),
        "hidden/lossy.webp": encoded(face, "WEBP", quality=90, method=0),
        "hidden/face.bmp": encoded(face, "BMP"),
        "hidden/face.tif": encoded(face, "TIFF", compression="tiff_lzw"),
        "hidden/accents é ü and spaces.jpg": face_jpeg,
        # copied
        "copied/one pixel.png": encoded(np.zeros((1, 1, 3), np.uint8), "PNG"),
        "copied/one pixel.jpg": encoded(np.zeros((1, 1, 3), np.uint8), "JPEG"),
        "copied/one column.jpg": encoded(plain_pixels[:, :1], "JPEG"),
        "copied/one bit.png": encoded(plain.convert("1"), "PNG"),
        "copied/thumbnail.jpg": encoded(plain, "JPEG", exif=exif(1, of_plain)),
        "stale/thumbnail.jpg": encoded(plain, "JPEG", exif=exif(1, thumbnail)),
        "copied/plain.tiff": encoded(plain, "TIFF"),
        "copied/sixteen bit.png": encoded(Image.fromarray(plain_pixels[..., 0].astype(np.uint16) * 257), "PNG"),
        # failed
        "failed/empty.jpg": b"",
        "failed/text.jpg": b"This is no image.\n" * 40,
        "failed/truncated.jpg": face_jpeg[: len(face_jpeg) // 2],
        "failed/truncated.png": encoded(face, "PNG", compress_level=1)[:-5000],
        "failed/truncated plain.jpg": encoded(plain, "JPEG")[:-500],
        "failed/header only.jpg": face_jpeg[:20],
        "failed/float.tif": encoded(plain.convert("F"), "TIFF"),
        "failed/gif.jpg": encoded(plain.quantize(16), "GIF"),
        "failed/image without a suffix": face_jpeg,
        # other files
        "other/readme.txt": b"text",
    }


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes]) -> tuple[Path, Path, Summary]:
    """Source, destination and summary of one run over all files, with a link that leaves the source."""
    root = tmp_path_factory.mktemp("bad")
    for name, data in files.items():
        (root / "src" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "src" / name).write_bytes(data)
    (root / "secret.jpg").write_bytes(files["copied/one pixel.jpg"])
    (root / "src/failed/link that leaves.jpg").symlink_to(root / "secret.jpg")
    return root / "src", root / "out", run(root / "src", root / "out", device="cpu")


def named(files: dict[str, bytes], folder: str) -> set[str]:
    return {name for name in files if name.startswith(folder + "/")}


def test_every_file_has_its_fate(trees: tuple[Path, Path, Summary], files: dict[str, bytes]) -> None:
    _, out, summary = trees
    failed = named(files, "failed") | {"failed/link that leaves.jpg"}
    assert set(failures(out)) == failed
    assert files_below(out) == named(files, "hidden") | named(files, "copied") | named(files, "stale")
    assert summary.with_regions == len(named(files, "hidden"))
    assert summary.copied == len(named(files, "copied") | named(files, "stale"))
    assert summary.failed == len(failed)
    assert summary.other_files == 1
    assert summary.exit_status == 1


def test_copies_are_byte_for_byte(trees: tuple[Path, Path, Summary], files: dict[str, bytes]) -> None:
    for name in named(files, "copied"):
        assert (trees[1] / name).read_bytes() == files[name], name


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("empty.jpg", "decode: the file is empty"),
        ("text.jpg", "decode: "),
        ("truncated.jpg", "decode: "),
        ("truncated.png", "decode: "),
        ("truncated plain.jpg", "decode: "),
        ("header only.jpg", "decode: "),
        ("float.tif", "decode: 32-bit TIFF"),
        ("gif.jpg", "decode: GIF"),
        ("link that leaves.jpg", "is a link that leaves SRC"),
        ("image without a suffix", "is an image, which is not searched, expected --others copy or skip"),
    ],
)
def test_reasons_say_what_is_wrong(trees: tuple[Path, Path, Summary], name: str, word: str) -> None:
    reason = failures(trees[1])[f"failed/{name}"]
    assert re.match(word, reason)
    assert "\n" not in reason


def test_every_face_is_hidden_and_all_else_is_as_it_was(
    trees: tuple[Path, Path, Summary], files: dict[str, bytes]
) -> None:
    src, out, _ = trees
    for name in named(files, "hidden"):
        with Image.open(src / name) as was, Image.open(out / name) as now:
            assert (now.format, now.size) == (was.format, was.size), name
            lossy = now.format == "JPEG"
            upright = [np.asarray(ImageOps.exif_transpose(image).convert("RGBA"), np.int32) for image in (was, now)]
        before, after = upright
        far = outside(before.shape, margin=0.6)
        assert detail(after[..., :3]) < 0.3 * detail(before[..., :3]), name
        difference = np.abs(before - after)[far]
        assert difference.mean() < 1.5 if lossy else difference.max() == 0, name


def test_the_thumbnail_goes_where_the_face_is_hidden_and_only_there(
    trees: tuple[Path, Path, Summary], thumbnail: bytes
) -> None:
    src, out, _ = trees
    assert thumbnail in (src / "hidden/thumbnail.jpg").read_bytes()
    assert thumbnail not in (out / "hidden/thumbnail.jpg").read_bytes()
    assert thumbnail[-400:-100] not in (out / "hidden/thumbnail.jpg").read_bytes()
    assert (out / "copied/thumbnail.jpg").read_bytes().count(b"\xff\xd8\xff") == 2
    assert (out / "stale/thumbnail.jpg").read_bytes().count(b"\xff\xd8\xff") == 1, "it shows a face, its picture none"


def test_orientation_and_tables_are_kept(trees: tuple[Path, Path, Summary]) -> None:
    src, out, _ = trees
    with Image.open(out / "hidden/rotated.jpg") as image:
        assert image.getexif()[0x0112] == 6
    for name in ("rotated", "progressive", "grey", "accents é ü and spaces"):
        with Image.open(src / f"hidden/{name}.jpg") as was, Image.open(out / f"hidden/{name}.jpg") as now:
            assert now.quantization == was.quantization, name
            assert now.info.get("progressive") == was.info.get("progressive"), name


def test_boxes_are_in_stored_coordinates(tmp_path: Path, face_pixels: np.ndarray) -> None:
    turned = Image.fromarray(face_pixels).transpose(Image.Transpose.ROTATE_90)
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "a.jpg").write_bytes(encoded(turned, "JPEG", quality=90, exif=exif(6)))
    x0, y0, x1, y1 = FACE
    stored = (y0, 512 - x1, y1, 512 - x0)
    box = dict(zip(("x0", "y0", "x1", "y1"), stored, strict=True))
    (tmp_path / "boxes.json").write_text(json.dumps([{"url": "a.jpg", "bboxes": [box]}]))
    run(tmp_path / "src", tmp_path / "out", boxes=tmp_path / "boxes.json", box_coordinates="stored")
    was, now = decoded(tmp_path / "src/a.jpg"), decoded(tmp_path / "out/a.jpg")
    assert detail(now, stored) < 0.3 * detail(was, stored)
    assert np.abs(was - now)[outside(was.shape, stored)].mean() < 0.7


def test_an_image_without_boxes_is_copied_without_decoding_but_not_if_it_is_no_image(
    tmp_path: Path, face_jpeg: bytes
) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "cut.jpg").write_bytes(face_jpeg[:-100])
    (tmp_path / "src" / "text.jpg").write_bytes(b"no image")
    (tmp_path / "src" / "empty.jpg").write_bytes(b"")
    entries = ",".join(f'{{"url": "{name}.jpg", "bboxes": []}}' for name in ("cut", "text", "empty"))
    (tmp_path / "boxes.json").write_text(f"[{entries}]")
    summary = run(tmp_path / "src", tmp_path / "out", boxes=tmp_path / "boxes.json")
    assert files_below(tmp_path / "out") == {"cut.jpg"}
    assert set(failures(tmp_path / "out")) == {"text.jpg", "empty.jpg"}
    assert summary.copied == 1


def test_an_unreadable_file_and_a_read_only_output(tmp_path: Path, plain_jpeg: bytes) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "a.jpg").write_bytes(plain_jpeg)
    (tmp_path / "src" / "b.jpg").write_bytes(plain_jpeg)
    (tmp_path / "src" / "a.jpg").chmod(0)
    if os.access(tmp_path / "src" / "a.jpg", os.R_OK):
        pytest.skip("permissions do not stop this user, who may be root")
    run(tmp_path / "src", tmp_path / "out")
    assert failures(tmp_path / "out") == {"a.jpg": "read: Permission denied"}
    (tmp_path / "closed").mkdir(mode=0o500)
    with pytest.raises(OSError, match="cannot be written: Permission denied"):
        run(tmp_path / "src", tmp_path / "closed")


def test_a_file_that_cannot_be_read_is_listed(
    tmp_path: Path, plain_jpeg: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As permissions do not stop root, the file's own reading is made to fail.
    (tmp_path / "src").mkdir()
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / "src" / name).write_bytes(plain_jpeg)

    real = os.open

    def closed(path: str, *rest: int, **options: int) -> int:
        if os.fspath(path).endswith("src/a.jpg"):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return real(path, *rest, **options)

    monkeypatch.setattr(os, "open", closed)
    run(tmp_path / "src", tmp_path / "out")
    assert failures(tmp_path / "out") == {"a.jpg": "read: Permission denied"}
    assert files_below(tmp_path / "out") == {"b.jpg"}


def test_a_file_that_vanishes_after_it_was_listed(
    tmp_path: Path, plain_jpeg: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fastblur.pipeline.shards.source import Source

    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "a.jpg").write_bytes(plain_jpeg)
    gone = Item("gone.jpg", str(tmp_path / "src" / "gone.jpg"))
    real = Source.__iter__
    monkeypatch.setattr(Source, "__iter__", lambda self: iter([gone, *real(self)]))
    run(tmp_path / "src", tmp_path / "out")
    assert failures(tmp_path / "out") == {"gone.jpg": "read: No such file or directory"}
    assert files_below(tmp_path / "out") == {"a.jpg"}


@pytest.mark.parametrize("piece", [1, 1000, 10**9])
def test_a_file_that_is_read_in_pieces_is_whole(
    tmp_path: Path, plain_jpeg: bytes, monkeypatch: pytest.MonkeyPatch, piece: int
) -> None:
    (tmp_path / "a.jpg").write_bytes(plain_jpeg)
    (tmp_path / "empty.jpg").touch()
    real = os.read
    monkeypatch.setattr(os, "read", lambda descriptor, length: real(descriptor, min(length, piece)))
    assert read_file(str(tmp_path / "a.jpg"), 1 << 30) == plain_jpeg
    assert read_file(str(tmp_path / "empty.jpg"), 1 << 30) == b""
