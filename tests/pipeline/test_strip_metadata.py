"""Runs that write images without their metadata, whether a face was found in them or not."""

import io
import struct
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fastblur.errors import UsageError
from fastblur.pipeline import run
from tests.pipeline.helpers import FACE, decoded, detail, encoded, failures

Write = Callable[[dict[str, list[tuple[float, float, float, float]]]], Path]
PLACE = b"52 31 12 N, 13 24 36 E"


@pytest.fixture
def photographs(tmp_path: Path, face_pixels: np.ndarray, plain_pixels: np.ndarray) -> Path:
    """A face and a picture without one, with a place in EXIF and a comment, as files and in a tar."""
    exif = Image.Exif()
    exif[0x112], exif[0x13B] = 3, PLACE.decode()
    folder = tmp_path / "src"
    folder.mkdir()
    for name, pixels in (("face.jpg", face_pixels), ("plain.jpg", plain_pixels)):
        (folder / name).write_bytes(encoded(pixels, "JPEG", quality=90, exif=exif, comment=PLACE))
    with tarfile.open(folder / "a.tar", "w") as file:
        for name in ("face.jpg", "plain.jpg"):
            data = (folder / name).read_bytes()
            for member, content in ((name, data), (f"{name[:-4]}.json", b'{"exif": "' + PLACE + b'"}')):
                info = tarfile.TarInfo(member)
                info.size = len(content)
                file.addfile(info, io.BytesIO(content))
    return folder


BOXES = {"face.jpg": [FACE], "plain.jpg": [], "a.tar/face.jpg": [FACE], "a.tar/plain.jpg": []}


@pytest.mark.parametrize("engine", ["threads", "processes"])
def test_hidden_and_copied_images_lose_their_metadata(
    photographs: Path, tmp_path: Path, write_boxes: Write, engine: str
) -> None:
    out, boxes = tmp_path / "out", write_boxes(BOXES)
    summary = run(
        photographs, out, boxes=boxes, box_coordinates="stored", strip_metadata=True, engine=engine, workers=1
    )
    assert (summary.with_regions, summary.copied, summary.failed) == (2, 2, 0)
    assert "copied        2, without their metadata" in summary.text()
    assert "byte for byte" not in summary.text()
    for name in ("face.jpg", "plain.jpg"):
        data = (out / name).read_bytes()
        assert PLACE not in data
        with Image.open(io.BytesIO(data)) as image:
            assert dict(image.getexif()) == {0x112: 3}
            assert "comment" not in image.info
    before, after = (photographs / "plain.jpg").read_bytes(), (out / "plain.jpg").read_bytes()
    assert np.array_equal(decoded(after), decoded(before))
    assert after.endswith(before[before.index(b"\xff\xda") :])  # the coded pixels, byte for byte
    assert detail(decoded(out / "face.jpg")) < 0.25 * detail(decoded(photographs / "face.jpg"))
    with tarfile.open(out / "a.tar") as file:
        members = {info.name: file.extractfile(info).read() for info in file}  # type: ignore[union-attr]
    assert [members[name] for name in ("face.jpg", "plain.jpg")] == [
        (out / name).read_bytes() for name in ("face.jpg", "plain.jpg")
    ]
    assert PLACE in members["plain.json"]  # what is next to images is not theirs


def test_without_the_option_all_metadata_stay(photographs: Path, tmp_path: Path, write_boxes: Write) -> None:
    out, boxes = tmp_path / "out", write_boxes(BOXES)
    assert "byte for byte" in run(photographs, out, boxes=boxes, box_coordinates="stored").text()
    for name in ("face.jpg", "plain.jpg"):
        assert (out / name).read_bytes().count(PLACE) == 2
    with pytest.raises(UsageError, match="strip_metadata was False and is True"):
        run(photographs, out, boxes=boxes, box_coordinates="stored", strip_metadata=True)


def test_images_that_are_not_searched_keep_theirs_and_that_is_said(
    photographs: Path, tmp_path: Path, write_boxes: Write
) -> None:
    (photographs / "x.gif").write_bytes(b"GIF89a" + PLACE)
    summary = run(
        photographs, tmp_path / "out", boxes=write_boxes(BOXES), box_coordinates="stored", strip_metadata=True,
        others="copy",
    )  # fmt: skip
    assert (tmp_path / "out/x.gif").read_bytes() == b"GIF89a" + PLACE
    assert "1 files and members written as they are, with any face in them and their metadata" in summary.text()


def test_an_image_that_keeps_its_metadata_fails(tmp_path: Path, plain_pixels: np.ndarray, write_boxes: Write) -> None:
    (tmp_path / "src").mkdir()
    data = bytearray(encoded(plain_pixels, "TIFF"))
    at = data.index(struct.pack("<HH", 279, 4))  # the tag with the lengths of strips
    struct.pack_into("<H", data, at, 280)
    (tmp_path / "src/a.tif").write_bytes(bytes(data))
    boxes = write_boxes({"a.tif": []})
    assert run(tmp_path / "src", tmp_path / "kept", boxes=boxes).copied == 1
    summary = run(tmp_path / "src", tmp_path / "out", boxes=boxes, strip_metadata=True)
    assert (summary.copied, summary.failed, summary.exit_status) == (0, 1, 1)
    assert "metadata: TIFF does not say how long its strips are" in failures(tmp_path / "out")["a.tif"]
    assert not (tmp_path / "out/a.tif").exists()
