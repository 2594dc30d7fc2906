"""JPEG files in a run: rewritten block by block where they allow it, decoded and encoded where not; both are told."""

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import fastblur
from fastblur.codecs import decode, encode
from fastblur.errors import UsageError
from fastblur.pipeline import config, run
from fastblur.pipeline.images.methods import make_hide
from tests.pipeline.helpers import FACE, decoded, encoded, failures

BOX = (20.0, 15.0, 60.0, 52.0)
METHODS: dict[str, dict[str, Any]] = {
    "blur": {},
    "ilsvrc": {"recipe": "ilsvrc"},
    "ellipse": {"shape": "ellipse"},
    "pixelate": {"method": "pixelate", "blocks": 6},
    "fill": {"method": "fill", "color": "200,30,90"},
}


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    """(90, 130, 3) uint8 with detail at all scales."""
    y, x = np.mgrid[:90, :130]
    waves = np.stack((np.sin(x / 3) + np.sin(y / 7), np.cos(x / 5 + y / 9), np.sin(x * y / 90)), -1)
    return (127 + 50 * waves + np.random.default_rng(0).normal(0, 6, waves.shape)).clip(0, 255).astype(np.uint8)


def prepared(tmp_path: Path, files: dict[str, bytes]) -> tuple[Path, Path]:
    """Write files to a folder; return it, and boxes with BOX for each."""
    source = tmp_path / "src"
    source.mkdir()
    for name, data in files.items():
        (source / name).write_bytes(data)
    corners = [dict(zip(("x0", "y0", "x1", "y1"), BOX, strict=True))]
    (tmp_path / "boxes.json").write_text(json.dumps([{"url": name, "bboxes": corners} for name in files]))
    return source, tmp_path / "boxes.json"


def lines(out: Path) -> dict[str, dict[str, Any]]:
    """The journal's lines of a run's images, by their path."""
    found = [line for path in (out / ".fastblur/journal").iterdir() for line in path.read_text().splitlines()[1:]]
    return {line["path"]: line for line in map(json.loads, found)}


def encoded_whole(data: bytes, method: str = "blur", **options: Any) -> bytes:
    """What decoding, hiding BOX and encoding make of a file."""
    picture = decode(data)
    make_hide(method, "cpu", **options)[0]([picture], [np.array([BOX], np.float32)])
    return encode(picture, picture.pixels)


@pytest.mark.parametrize("name", METHODS)
def test_each_method_is_that_of_hide_jpeg_or_of_the_operator(tmp_path: Path, pixels: np.ndarray, name: str) -> None:
    data = encoded(pixels, "JPEG", quality=92)
    source, boxes = prepared(tmp_path, {"a.jpg": data})
    summary = run(source, tmp_path / "blocks", boxes=boxes, **METHODS[name])
    expected = fastblur.hide_jpeg(data, [BOX], blocks_only=True, **METHODS[name])
    assert (tmp_path / "blocks/a.jpg").read_bytes() == expected != data
    assert (summary.with_regions, summary.jpeg_blocks) == (1, 1)
    assert "1 changed only in the blocks of their regions" in summary.text()

    summary = run(source, tmp_path / "encode", boxes=boxes, jpeg="encode", **METHODS[name])
    assert (tmp_path / "encode/a.jpg").read_bytes() == encoded_whole(data, **METHODS[name])
    assert (summary.with_regions, summary.jpeg_blocks) == (1, 0)
    assert "JPEG" not in summary.text()
    assert "jpeg" not in lines(tmp_path / "encode")["a.jpg"]


def test_a_file_that_does_not_allow_it_is_encoded_and_said_so(tmp_path: Path, pixels: np.ndarray) -> None:
    plain = encoded(pixels, "JPEG", quality=90)
    files = {
        "plain.jpg": plain,
        "progressive.jpg": encoded(pixels, "JPEG", quality=90, progressive=True),
        "without_end.jpg": plain[:-2],
        "picture.png": encoded(pixels, "PNG"),
    }
    source, boxes = prepared(tmp_path, files)
    summary = run(source, tmp_path / "out", boxes=boxes)
    counts = (summary.jpeg_blocks, summary.jpeg_progressive, summary.jpeg_unsupported, summary.jpeg_irregular)
    assert (summary.with_regions, summary.failed, *counts) == (4, 0, 1, 1, 0, 1)
    for name in ("progressive.jpg", "without_end.jpg", "picture.png"):
        assert (tmp_path / "out" / name).read_bytes() == encoded_whole(files[name]), name
    told = lines(tmp_path / "out")
    assert (told["plain.jpg"]["jpeg"], "reason" in told["plain.jpg"]) == ("blocks", False)
    assert (told["progressive.jpg"]["jpeg"], told["without_end.jpg"]["jpeg"]) == ("progressive", "irregular")
    assert told["progressive.jpg"]["reason"].startswith("frame 0xC2")
    assert "end of the image" in told["without_end.jpg"]["reason"]
    assert "jpeg" not in told["picture.png"]
    assert "2 encoded whole (1 progressive, 1 irregular)" in summary.text()


def test_outside_the_changed_blocks_no_pixel_changes(tmp_path: Path, pixels: np.ndarray) -> None:
    """In 4:4:4; with subsampled chroma decoders interpolate one pixel further."""
    full, half = encoded(pixels, "JPEG", subsampling=0), encoded(pixels, "JPEG", subsampling=2)
    source, boxes = prepared(tmp_path, {"444.jpg": full, "420.jpg": half})
    run(source, tmp_path / "out", boxes=boxes)
    reach = 0.3 * max(BOX[2] - BOX[0], BOX[3] - BOX[1])  # the margin and three deviations of the default's feather
    for name, mcu, fringe in (("444.jpg", 8, 0), ("420.jpg", 16, 1)):
        x0, y0 = (int((low - reach) // mcu * mcu) - fringe for low in BOX[:2])
        x1, y1 = (int(-(-(high + reach) // mcu) * mcu) + fringe for high in BOX[2:])
        changed = (decoded(source / name) != decoded(tmp_path / "out" / name)).any(2)
        assert changed.any()
        changed[max(y0, 0) : y1, max(x0, 0) : x1] = False
        assert not changed.any(), name


@pytest.mark.parametrize("jpeg", ["blocks", "encode"])
def test_broken_and_further_pictures_fail_either_way(tmp_path: Path, pixels: np.ndarray, jpeg: Any) -> None:
    plain = encoded(pixels, "JPEG", quality=90)
    source, boxes = prepared(tmp_path, {"cut.jpg": plain[: len(plain) // 2], "two.jpg": plain + plain})
    summary = run(source, tmp_path / "out", boxes=boxes, jpeg=jpeg)
    assert (summary.failed, summary.with_regions, summary.exit_status) == (2, 0, 1)
    assert failures(tmp_path / "out").keys() == {"cut.jpg", "two.jpg"}
    assert all(reason.startswith("decode: ") for reason in failures(tmp_path / "out").values())


def test_boxes_of_a_turned_photograph(tmp_path: Path, pixels: np.ndarray) -> None:
    """Upright boxes hide the same blocks as stored ones."""
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(pixels, "JPEG", quality=90, exif=exif)
    height = pixels.shape[0]
    source, boxes = prepared(tmp_path, {"a.jpg": data})
    run(source, tmp_path / "stored", boxes=boxes, box_coordinates="stored")
    x0, y0, x1, y1 = BOX
    upright = {"x0": height - y1, "y0": x0, "x1": height - y0, "y1": x1}
    boxes.write_text(json.dumps([{"url": "a.jpg", "bboxes": [upright]}]))
    summary = run(source, tmp_path / "upright", boxes=boxes, box_coordinates="upright")
    assert summary.jpeg_blocks == 1
    assert (tmp_path / "upright/a.jpg").read_bytes() == (tmp_path / "stored/a.jpg").read_bytes()


def test_the_largest_size_holds(tmp_path: Path, pixels: np.ndarray) -> None:
    source, boxes = prepared(tmp_path, {"a.jpg": encoded(pixels, "JPEG")})
    summary = run(source, tmp_path / "out", boxes=boxes, max_pixels=90 * 130 - 1)
    assert summary.failed == 1
    assert "max_pixels" in failures(tmp_path / "out")["a.jpg"]


def test_a_box_that_reaches_no_pixel_still_takes_the_thumbnail_away(tmp_path: Path, pixels: np.ndarray) -> None:
    source, boxes = prepared(tmp_path, {"a.jpg": encoded(pixels, "JPEG", exif=with_thumbnail(pixels))})
    tiny = {"x0": 30.1, "y0": 30.1, "x1": 30.2, "y1": 30.2}
    boxes.write_text(json.dumps([{"url": "a.jpg", "bboxes": [tiny]}]))
    run(source, tmp_path / "out", boxes=boxes)
    assert (source / "a.jpg").read_bytes().count(b"\xff\xd8\xff") == 2
    assert (tmp_path / "out/a.jpg").read_bytes().count(b"\xff\xd8\xff") == 1


def with_thumbnail(pixels: np.ndarray) -> bytes:
    """EXIF with a thumbnail, little-endian: an empty first directory, and a second with the thumbnail's place."""
    small = encoded(pixels[::4, ::4], "JPEG")
    second = b"\x02\0" + b"\x01\x02\x04\0\x01\0\0\0" + (44).to_bytes(4, "little")
    second += b"\x02\x02\x04\0\x01\0\0\0" + len(small).to_bytes(4, "little") + bytes(4)
    return b"Exif\0\0" + b"II*\0\x08\0\0\0" + bytes(2) + (14).to_bytes(4, "little") + second + small


def test_engines_and_shards_give_the_same_bytes(tmp_path: Path, pixels: np.ndarray) -> None:
    files = {f"{i}.jpg": encoded(np.roll(pixels, i, 1), "JPEG", progressive=i % 3 == 0) for i in range(12)}
    source, boxes = prepared(tmp_path, files)
    one = run(source, tmp_path / "threads", boxes=boxes, engine="threads")
    other = run(source, tmp_path / "processes", boxes=boxes, engine="processes", workers=2)
    with tarfile.open(tmp_path / "shard.tar", "w") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    third = run(tmp_path / "shard.tar", tmp_path / "tar", boxes=boxes)
    ways = [(s.jpeg_blocks, s.jpeg_progressive) for s in (one, other, third)]
    assert ways == [(8, 4)] * 3
    with tarfile.open(tmp_path / "tar/shard.tar") as archive:
        for name in files:
            expected = (tmp_path / "threads" / name).read_bytes()
            assert (tmp_path / "processes" / name).read_bytes() == expected
            assert archive.extractfile(name).read() == expected  # type: ignore[union-attr]
    again = run(source, tmp_path / "threads", boxes=boxes)
    assert (again.resumed, again.jpeg_blocks, again.jpeg_progressive) == (12, 8, 4)


def test_another_way_is_another_run(tmp_path: Path, pixels: np.ndarray) -> None:
    source, boxes = prepared(tmp_path, {"a.jpg": encoded(pixels, "JPEG")})
    run(source, tmp_path / "out", boxes=boxes)
    with pytest.raises(UsageError, match="jpeg was 'blocks' and is 'encode'"):
        run(source, tmp_path / "out", boxes=boxes, jpeg="encode")
    with pytest.raises(UsageError, match="jpeg is 'lossless', expected 'blocks' or 'encode'"):
        run(source, tmp_path / "other", boxes=boxes, jpeg="lossless")  # type: ignore[arg-type]


def test_found_regions_are_hidden_in_the_bytes(
    tmp_path: Path, face_jpeg: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a detector finds in a picture decoded smaller is hidden in the file as it is."""
    (tmp_path / "src").mkdir()
    (tmp_path / "src/face.jpg").write_bytes(face_jpeg)
    sizes = []

    def detect(images: list[Any]) -> tuple[fastblur.Regions, fastblur.Regions]:
        sizes.extend(tuple(image.shape[1:]) for image in images)
        scale = images[0].shape[2] / 512
        found = fastblur.Regions.from_boxes([np.array([FACE], np.float32) * scale])
        return found, fastblur.Regions.from_boxes([[]])

    monkeypatch.setattr(config, "make_detect", lambda *_: (detect, {"detect_size": 128}))
    summary = run(tmp_path / "src", tmp_path / "out", device="cpu", workers=1)
    assert sizes == [(128, 128)]
    assert (tmp_path / "out/face.jpg").read_bytes() == fastblur.hide_jpeg(face_jpeg, [FACE], blocks_only=True)
    assert summary.jpeg_blocks == 1


def test_pieces_of_a_batch_of_large_photographs(
    tmp_path: Path, pixels: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch that is too large to be decoded at once holds files of both ways."""
    monkeypatch.setattr("fastblur.pipeline.images.detection.PIECE_PIXELS", pixels.size // 3 + 1)
    files = {f"{i}.jpg": encoded(pixels, "JPEG", quality=80 + i, progressive=i % 2 == 0) for i in range(6)}
    source, boxes = prepared(tmp_path, files)
    summary = run(source, tmp_path / "out", boxes=boxes, workers=1)
    assert (summary.jpeg_blocks, summary.jpeg_progressive, summary.failed) == (3, 3, 0)
    for name, data in files.items():
        assert (tmp_path / "out" / name).read_bytes() == fastblur.hide_jpeg(data, [BOX])
