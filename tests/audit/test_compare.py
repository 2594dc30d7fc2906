"""The proof against the source: every way to leave a face in an output is found."""

import io
import json
import shutil
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from fastblur.audit import audit
from fastblur.codecs import decode, encode
from fastblur.codecs import strip_metadata as strip
from fastblur.codecs.written_by import written_by
from fastblur.pipeline import run
from fastblur.pipeline.execution.journal_lines import to_text
from tests.audit.run_cases import BOXES, FILES, journal_names, make_run, pixels, with_other_preview, write_boxes


def proof(out: Path, source: Path) -> tuple[set[tuple[str, str]], dict[str, Any]]:
    summary = audit(out, source=source, sample=0)
    found = summary.content["account"]["problems"]
    assert summary.exit_status == int(bool(found))
    return {(one["kind"], one["image"]) for one in found}, summary.content["coverage"]


OPTIONS: list[dict[str, Any]] = [
    {},
    {"jpeg": "encode"},
    {"recipe": "ilsvrc"},
    {"shape": "ellipse", "feather": 0.1},
    {"method": "pixelate"},
    {"method": "pixelate", "shape": "ellipse", "blocks": 5},
    {"method": "fill", "color": "200,10,10"},
    {"method": "fill", "feather": 0.05},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_a_true_output_is_proved(tmp_path: Path, options: dict[str, Any]) -> None:
    source, out = make_run(tmp_path, **options)
    found, coverage = proof(out, source)
    assert found == set()
    assert coverage["regions"] == 5
    assert coverage["least"] > 0.9
    assert coverage["not_hidden"] == 0


@pytest.mark.parametrize("kind", ["tar", "table"])
def test_a_true_tar_or_table_is_proved(tmp_path: Path, kind: str) -> None:
    source, out = make_run(tmp_path, kind)
    found, coverage = proof(out, source)
    assert (found, coverage["regions"]) == (set(), 5)


@pytest.mark.parametrize("name", [name for name, boxes in BOXES.items() if boxes])
def test_an_original_in_place_of_its_output_is_found(tmp_path: Path, name: str) -> None:
    source, out = make_run(tmp_path)
    shutil.copy(source / name, out / name)
    found, coverage = proof(out, source)
    assert found == {("not hidden", name)}
    assert (coverage["least"], coverage["not_hidden"]) == (0.0, 1)


def put(out: Path, source: Path, name: str, rows: slice, columns: slice, value: int | None = None) -> None:
    """Put the source's pixels, or a level, into an output, which is encoded as its source is."""
    picture = decode((source / name).read_bytes())
    pixels = decode((out / name).read_bytes()).pixels
    pixels[rows, columns] = picture.pixels[rows, columns] if value is None else value
    (out / name).write_bytes(encode(picture, pixels))


@pytest.mark.parametrize("name", [name for name, boxes in BOXES.items() if boxes])
def test_a_region_that_is_half_hidden_is_found(tmp_path: Path, name: str) -> None:
    source, out = make_run(tmp_path)
    x0, y0, x1, y1 = map(round, BOXES[name][0])
    put(out, source, name, slice(y0, y1), slice(x0, (x0 + x1) // 2))
    found, _ = proof(out, source)
    assert found == {("not hidden", name)}


@pytest.mark.parametrize("jpeg", ["blocks", "encode"])
@pytest.mark.parametrize("name", ["a/1.png", "a/2.jpg", "b/6.webp"])
def test_a_pixel_outside_the_regions_is_found(tmp_path: Path, name: str, jpeg: str) -> None:
    source, out = make_run(tmp_path, jpeg=jpeg)
    before = decode((out / name).read_bytes()).pixels[5, 5]
    put(out, source, name, slice(5, 6), slice(5, 6), 0 if before.mean() > 127 else 255)
    found, coverage = proof(out, source)
    assert found == {("changed outside", name)}
    assert coverage["not_hidden"] == 0


def test_a_pixel_off_by_one_level_outside_is_found_where_nothing_is_lost(tmp_path: Path) -> None:
    source, out = make_run(tmp_path)
    level = int(decode((out / "a/1.png").read_bytes()).pixels[100, 140].min())
    put(out, source, "a/1.png", slice(100, 101), slice(140, 141), level)
    picture = decode((source / "a/1.png").read_bytes()).pixels[100, 140]
    found, _ = proof(out, source)
    assert found == ({("changed outside", "a/1.png")} if (picture != level).any() else set())


def test_a_region_with_something_else_in_it_is_found(tmp_path: Path) -> None:
    source, out = make_run(tmp_path)
    put(out, source, "a/1.png", slice(25, 50), slice(30, 50), 77)
    found, _ = proof(out, source)
    assert found == {("changed", "a/1.png")}


def test_a_copy_with_another_byte_is_found(tmp_path: Path) -> None:
    source, out = make_run(tmp_path)
    (out / "a/3.jpg").write_bytes((source / "a/3.jpg").read_bytes()[:-2] + b"\xff\xd8")
    assert proof(out, source)[0] == {("changed", "a/3.jpg")}


def test_another_picture_of_another_size_or_none_is_found(tmp_path: Path) -> None:
    source, out = make_run(tmp_path)
    file = io.BytesIO()
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(file, "PNG")
    (out / "a/1.png").write_bytes(file.getvalue())
    (out / "a/2.jpg").write_bytes(b"nothing")
    assert proof(out, source)[0] == {("changed", "a/1.png"), ("changed", "a/2.jpg")}


@pytest.mark.parametrize("kind", ["tar", "table"])
def test_an_original_in_a_tar_or_table_is_found(tmp_path: Path, kind: str) -> None:
    source, out = make_run(tmp_path, kind)
    for path in source.iterdir():
        shutil.copy(path, out / path.name)
    names = journal_names(kind)
    assert proof(out, source)[0] == {("not hidden", names[name]) for name, boxes in BOXES.items() if boxes}


def test_a_source_that_has_changed_since(tmp_path: Path) -> None:
    source, out = make_run(tmp_path)
    (source / "b/7.png").write_bytes(FILES["b/5.png"])
    found, _ = proof(out, source)
    assert {kind for kind, _ in found} == {"missing", "journal"}


def test_no_region_hides_behind_a_journal_that_does_not_name_it(tmp_path: Path) -> None:
    """An edited journal that calls a hidden image copied: its bytes are not the source's."""
    source, out = make_run(tmp_path)
    (entry,) = (out / ".fastblur/journal").iterdir()
    text = entry.read_text().splitlines(keepends=True)
    line = json.loads(text[1])
    for boxes in (line["boxes"], []):
        text[1] = to_text({**line, "fate": "copied", "boxes": boxes, "scores": []})
        entry.write_text("".join(text))
        found = proof(out, source)[0]
        assert found == {("journal", ""), ("changed", "a/1.png")} if not boxes else ("journal", "") in found


def test_copies_without_their_metadata(tmp_path: Path) -> None:
    source, out = make_run(tmp_path, strip_metadata=True)
    assert proof(out, source)[0] == set()
    shutil.copy(source / "a/1.png", out / "a/1.png")
    assert proof(out, source)[0] == {("not hidden", "a/1.png")}


@pytest.mark.parametrize("strip_metadata", [False, True])
@pytest.mark.parametrize("marker", [b"\xff\xe1", b"\xff\xe5", b"\xff\xed", b"\xff\xfe"])
def test_a_preview_put_into_a_hidden_file(tmp_path: Path, marker: bytes, strip_metadata: bool) -> None:
    source, out = make_run(tmp_path, strip_metadata=strip_metadata)
    assert proof(out, source)[0] == set()
    small = io.BytesIO()
    Image.open(source / "a/2.jpg").resize((80, 60)).save(small, "JPEG")
    part = (b"Exif\0\0" if marker == b"\xff\xe1" else b"") + small.getvalue()
    data = (out / "a/2.jpg").read_bytes()
    (out / "a/2.jpg").write_bytes(data[:2] + marker + (len(part) + 2).to_bytes(2, "big") + part + data[2:])
    assert proof(out, source)[0] == {("changed", "a/2.jpg")}


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.tif"])
def test_metadata_exchanged_for_others_of_their_length(tmp_path: Path, name: str) -> None:
    """A profile is larger than a thumbnail of a face."""
    source, out = tmp_path / "src", tmp_path / "out"
    source.mkdir()
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    picture = Image.fromarray(pixels(7))
    picture.save(source / name, icc_profile=profile, lossless=True)
    boxes = write_boxes(tmp_path / "b.jsonl", {name: [(20, 15, 60, 60)]})
    run(source, out, boxes=boxes, engine="threads", jpeg="encode")
    assert proof(out, source)[0] == set()
    changed = decode((out / name).read_bytes())
    changed.pixels[30, 30] ^= 1  # as other kernels may: the file is not byte for byte that of the run
    (out / name).write_bytes(encode(changed, changed.pixels))
    assert proof(out, source)[0] == set()
    other = profile[:200] + bytes(len(profile) - 200)
    Image.fromarray(changed.pixels).save(tmp_path / name, icc_profile=other, lossless=True)
    (out / name).write_bytes(encode(decode((tmp_path / name).read_bytes()), changed.pixels))
    assert proof(out, source)[0] == {("changed", name)}


def with_gap(name: str, data: bytes, more: bytes) -> bytes:
    """Return a file with bytes that readers pass, and that are no metadata."""
    if name == "a.png":
        at = data.index(b"IDAT") - 4
        chunk = b"hIST" + more
        added = len(more).to_bytes(4, "big") + chunk + zlib.crc32(chunk).to_bytes(4, "big")
        return data[:at] + added + data[at:]
    if name == "a.bmp":
        start = int.from_bytes(data[10:14], "little")
        whole, offset = ((number + len(more)).to_bytes(4, "little") for number in (len(data), start))
        return data[:2] + whole + data[6:10] + offset + data[14:start] + more + data[start:]
    if name == "a.tif":  # a second directory at the end, which is the first one now
        start = int.from_bytes(data[4:8], "little")
        return data[:4] + (len(data) + len(more)).to_bytes(4, "little") + data[8:] + more + data[start:]
    size = int.from_bytes(data[16:20], "little") + len(more)
    body = data[12:16] + size.to_bytes(4, "little") + data[20:] + more
    return b"RIFF" + (4 + len(body)).to_bytes(4, "little") + b"WEBP" + body


@pytest.mark.parametrize("strip_metadata", [False, True])
@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.webp", "a.tif"])
def test_bytes_between_the_parts_of_a_file(tmp_path: Path, name: str, strip_metadata: bool) -> None:
    """Where the run had the codecs of the audit, other pixels than the audit's own make no difference."""
    source, out = tmp_path / "src", tmp_path / "out"
    source.mkdir()
    Image.fromarray(pixels(7)).save(source / name, lossless=True)
    boxes = write_boxes(tmp_path / "b.jsonl", {name: [(20, 15, 60, 60)]})
    run(source, out, boxes=boxes, engine="threads", strip_metadata=strip_metadata)
    for by in (0, 1):
        picture = decode((out / name).read_bytes())
        picture.pixels[30, 30] ^= by
        right = encode(picture, picture.pixels)
        right = strip(right) if strip_metadata else right
        (out / name).write_bytes(right)
        assert proof(out, source)[0] == set()
        changed = with_gap(name, right, b"a face, said by its embedding of 128 numbers")
        (out / name).write_bytes(changed)
        assert (decode(changed).pixels == picture.pixels).all()
        assert proof(out, source)[0] == {("changed", name)}


def with_other_pixels(
    folder: Path, name: str, *, progressive: bool = False, jpeg: str = "blocks"
) -> tuple[Path, Path, bytes]:
    """Make a run whose output has pixels as another machine may make them; return source, output and the image."""
    source, out, other = (folder / part for part in ("src", "out", "other"))
    source.mkdir()
    Image.fromarray(pixels(7)).save(source / name, quality=90, progressive=progressive)
    boxes = write_boxes(folder / "b.jsonl", {name: [(20, 15, 60, 60)]})
    for place, strength in ((out, 0.15), (other, 0.1502)):
        run(source, place, boxes=boxes, engine="threads", jpeg=jpeg, strength=strength)
    assert (other / name).read_bytes() != (out / name).read_bytes()
    shutil.copy(other / name, out / name)
    assert proof(out, source)[0] == set()
    return source, out, (out / name).read_bytes()


@pytest.mark.parametrize("jpeg", ["blocks", "encode"])
@pytest.mark.parametrize("progressive", [False, True])
def test_segments_of_a_jpeg_with_other_pixels(tmp_path: Path, jpeg: str, progressive: bool) -> None:
    """Two bytes may stand in each of as many restart intervals as one likes."""
    source, out, data = with_other_pixels(tmp_path, "a.jpg", progressive=progressive, jpeg=jpeg)
    at = data.index(b"\xff\xda")
    intervals = b"".join(b"\xff\xdd\0\x04" + b"face"[n : n + 2] for n in (0, 2)) + b"\xff\xdd\0\x04\0\0"
    (out / "a.jpg").write_bytes(data[:at] + intervals + data[at:])
    assert proof(out, source)[0] == {("changed", "a.jpg")}


def test_padding_in_an_avif_with_other_pixels(tmp_path: Path) -> None:
    source, out, data = with_other_pixels(tmp_path, "a.avif")
    more = b"\x7a\xe8\x07" + bytes(range(1, 251)) * 4  # an OBU of padding, of 1,000 bytes
    assert len(data) < 45_000
    at = data.index(b"mdat")
    size = len(data) - at - 4
    place = data.index((at + 4).to_bytes(4, "big") + size.to_bytes(4, "big"))  # where iloc says that it lies
    changed = bytearray(data + more)
    changed[place + 4 : place + 8] = (size + len(more)).to_bytes(4, "big")
    changed[at - 4 : at] = (size + 8 + len(more)).to_bytes(4, "big")
    (out / "a.avif").write_bytes(bytes(changed))
    assert (decode(bytes(changed)).pixels == decode(data).pixels).all()
    assert proof(out, source)[0] == ({("changed", "a.avif")} if 0.02 * len(data) + 64 < 300 else set())


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.webp"])
def test_an_original_between_the_parts_of_a_file_of_other_codecs(tmp_path: Path, name: str) -> None:
    source, out = tmp_path / "src", tmp_path / "out"
    source.mkdir()
    Image.fromarray(pixels(7)).save(source / name, lossless=True)
    run(source, out, boxes=write_boxes(tmp_path / "b.jsonl", {name: [(20, 15, 60, 60)]}), engine="threads")
    (entry,) = (out / ".fastblur/journal").iterdir()
    entry.write_text(entry.read_text().replace(written_by(), "0123456789abcdef"))
    data, original = (out / name).read_bytes(), (source / name).read_bytes()
    if name == "a.png":  # packed by another zlib
        (out / name).write_bytes(packed_otherwise(data))
        assert (out / name).read_bytes() != data
    assert proof(out, source)[0] == set()
    changed = with_gap(name, data, original + bytes(len(original) % 2))
    (out / name).write_bytes(changed)
    assert proof(out, source)[0] == {("changed", name)}


def packed_otherwise(data: bytes) -> bytes:
    """Return a PNG file whose pixels are packed with more effort."""
    file = io.BytesIO()
    Image.open(io.BytesIO(data)).save(file, "PNG", compress_level=9)
    return file.getvalue()


def test_a_text_put_into_a_hidden_png(tmp_path: Path) -> None:
    source, out = make_run(tmp_path)
    chunk = b"prVt" + (source / "a/1.png").read_bytes()
    data = (out / "a/1.png").read_bytes()
    added = (len(chunk) - 4).to_bytes(4, "big") + chunk + zlib.crc32(chunk).to_bytes(4, "big")
    (out / "a/1.png").write_bytes(data[:33] + added + data[33:])
    assert proof(out, source)[0] == {("changed", "a/1.png")}


def test_a_copy_with_the_previews_that_the_run_removed(tmp_path: Path) -> None:
    source, out = tmp_path / "src", tmp_path / "out"
    source.mkdir()
    data, thumbnail = with_other_preview()
    (source / "a.jpg").write_bytes(data)
    run(source, out, boxes=write_boxes(tmp_path / "boxes.jsonl", {"a.jpg": []}), engine="threads")
    assert thumbnail not in (out / "a.jpg").read_bytes()
    assert proof(out, source)[0] == set()
    shutil.copy(source / "a.jpg", out / "a.jpg")
    assert proof(out, source)[0] == {("changed", "a.jpg")}


def test_several_sources(tmp_path: Path) -> None:
    source, _ = make_run(tmp_path)
    parts = [source / "a", source / "b"]
    run(parts, tmp_path / "both", boxes=tmp_path / "boxes.jsonl", engine="threads")
    assert audit(tmp_path / "both", source=parts, sample=0).exit_status == 0
    assert audit(tmp_path / "both", source=parts[:1], sample=0).exit_status == 1


def test_a_journal_with_other_boxes_is_found(tmp_path: Path) -> None:
    """Its boxes moved aside: what was hidden differs outside them, and they show the source."""
    source, out = make_run(tmp_path)
    (entry,) = (out / ".fastblur/journal").iterdir()
    text = entry.read_text()
    entry.write_text(text.replace("[[20.0,15.0,60.0,60.0]]", "[[100.0,15.0,140.0,60.0]]"))
    assert text != entry.read_text()
    assert proof(out, source)[0] == {("not hidden", "a/1.png")}
    entry.write_text(text.replace("[[20.0,15.0,60.0,60.0]]", "[[900.0,15.0,940.0,60.0]]"))
    assert proof(out, source)[0] == {("changed", "a/1.png")}
