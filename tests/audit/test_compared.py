"""How near an output has to come to the formula: no true output is named, and none that shows the source passes."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import simplejpeg
from PIL import Image

from fastblur.audit import audit
from fastblur.audit.coverage import Verdict, check_hidden
from fastblur.audit.formula import Formula, levels
from fastblur.codecs import Picture, decode, encode
from fastblur.pipeline import run
from tests.audit.run_cases import Box, pixels, write_boxes

BOXES: list[Box] = [(20, 15, 60, 60), (70, 30, 121.5, 90.25)]
WHOLE = slice(0, 120), slice(0, 160)


def file_of(image: np.ndarray, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, kind, **options)
    return file.getvalue()


def sixteen_bits(divisor: int) -> bytes:
    """Return a grey PNG of 16 bits whose values are those of the picture over a divisor."""
    return file_of((pixels(5)[:, :, 0].astype(np.uint16) * 257) // divisor, "PNG")


FILES = {
    "q5.jpg": file_of(pixels(1), "JPEG", quality=5),
    "q10.jpg": file_of(pixels(1), "JPEG", quality=10),
    "q30.jpg": file_of(pixels(2), "JPEG", quality=30),
    "q75.jpg": file_of(pixels(3), "JPEG", quality=75),
    "progressive.jpg": file_of(pixels(3), "JPEG", quality=60, progressive=True),
    "fine.jpg": file_of(pixels(4), "JPEG", quality=95, subsampling=0),
    "faint.jpg": file_of(pixels(4) // 6 + 80, "JPEG", quality=20),
    "dark.jpg": file_of(pixels(4) // 16, "JPEG", quality=75),
    "dark.png": file_of(pixels(5) // 16, "PNG"),
    "darker.png": file_of(pixels(5) // 64, "PNG"),
    "deep.png": sixteen_bits(1),
    "deep32.png": sixteen_bits(32),
    "deep256.png": sixteen_bits(256),
    "full.png": file_of(pixels(6), "PNG"),
    "full.webp": file_of(pixels(6), "WEBP", lossless=True),
}
OPTIONS: list[dict[str, Any]] = [
    {},
    {"method": "pixelate"},
    {"method": "fill"},
    {"recipe": "ilsvrc"},
    {"strength": 0.06},
    {"method": "pixelate", "jpeg": "encode"},
]


def made(folder: Path, **options: Any) -> tuple[Path, Path]:
    source, out = folder / "src", folder / "out"
    source.mkdir()
    for name, data in FILES.items():
        (source / name).write_bytes(data)
    boxes = write_boxes(folder / "boxes.jsonl", dict.fromkeys(FILES, BOXES))
    assert run(source, out, boxes=boxes, engine="threads", workers=1, **options).with_regions == len(FILES)
    return source, out


def named(out: Path, source: Path) -> dict[str, str]:
    found = audit(out, source=source, sample=0).content["account"]["problems"]
    return {one["image"]: one["kind"] for one in found}


def mix(source: bytes, output: bytes, part: float) -> bytes:
    """Return the output with a part of the source mixed into all of it."""
    before, after = decode(source), decode(output)
    mixed = after.pixels + part * (before.pixels.astype(np.float64) - after.pixels)
    return encode(before, np.rint(mixed).astype(before.pixels.dtype))


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_true_outputs_of_all_qualities_and_depths(tmp_path: Path, options: dict[str, Any]) -> None:
    source, out = made(tmp_path, **options)
    assert named(out, source) == {}


def test_originals_with_other_bytes(tmp_path: Path) -> None:
    """However dark, faint or coarsely coded the image is."""
    source, out = made(tmp_path)
    for name in FILES:
        picture = decode(FILES[name])
        if picture.format == "JPEG":
            (out / name).write_bytes(FILES[name][:2] + b"\xff\xfe\x00\x03x" + FILES[name][2:])
        else:
            (out / name).write_bytes(encode(picture, picture.pixels))
    assert named(out, source) == dict.fromkeys(FILES, "not hidden")


@pytest.mark.parametrize("part", [0.03, 0.06])
@pytest.mark.parametrize("name", ["full.png", "full.webp", "deep.png", "deep32.png", "deep256.png", "fine.jpg"])
def test_a_few_percent_of_the_original(tmp_path: Path, name: str, part: float) -> None:
    source, out = made(tmp_path)
    (out / name).write_bytes(mix(FILES[name], (out / name).read_bytes(), part))
    assert named(out, source) == {name: "not hidden"}


def hidden_by_the_formula(source: bytes) -> bytes:
    """Return what a run gives whose kernels make no error and share none with those here."""
    picture = decode(source)
    formula, boxes = Formula("blur", {}), np.array(BOXES, np.float32)
    most = np.iinfo(picture.pixels.dtype).max
    result = formula.result(picture, boxes, WHOLE) * (most / 255)
    return encode(picture, np.floor(result + 0.5).clip(0, most).astype(picture.pixels.dtype))


@pytest.mark.parametrize("name", sorted(set(FILES) - {"q5.jpg", "q10.jpg", "faint.jpg", "dark.jpg"}))
def test_what_other_kernels_make_passes(tmp_path: Path, name: str) -> None:
    source, out = made(tmp_path, jpeg="encode")
    (out / name).write_bytes(hidden_by_the_formula(FILES[name]))
    assert named(out, source) == {}


def verdict(name: str, result: bytes) -> Verdict:
    """Return what is said of a result that the run's code gives again."""
    return check_hidden(FILES[name], result, result, BOXES, Formula("blur", {}))


def rounded(picture: Picture, part: float) -> bytes:
    """Return a picture that is hidden but for a part of the source."""
    hidden = decode(hidden_by_the_formula(picture.source))
    mixed = levels(hidden, WHOLE) + part * (levels(picture, WHOLE) - levels(hidden, WHOLE))
    most = np.iinfo(picture.pixels.dtype).max
    return encode(picture, np.rint(mixed * (most / 255)).astype(picture.pixels.dtype))


@pytest.mark.parametrize("part", [0.2, 0.6, 1.0])
@pytest.mark.parametrize("name", ["q30.jpg", "q75.jpg", "fine.jpg", "full.png", "deep.png", "full.webp"])
def test_a_fault_of_the_kernels_is_found_by_the_formula(name: str, part: float) -> None:
    """The source hidden again shows as much as the output: that it is the same proves nothing."""
    assert verdict(name, hidden_by_the_formula(FILES[name])).kind is None
    assert verdict(name, rounded(decode(FILES[name]), part)).kind == "not hidden"


@pytest.mark.parametrize("name", ["q30.jpg", "q75.jpg", "full.png"])
def test_a_fault_that_shows_something_else(name: str) -> None:
    picture = decode(hidden_by_the_formula(FILES[name]))
    picture.pixels[40:56, 30:46] = 0
    assert verdict(name, encode(picture, picture.pixels)).kind == "changed"


def test_images_in_which_hiding_changes_nothing(tmp_path: Path) -> None:
    """Flat ones, of a pixel, and boxes between the centres of pixels: the output is the source's file."""
    source = tmp_path / "src"
    source.mkdir()
    files: dict[str, tuple[np.ndarray, list[Box]]] = {
        "flat.png": (np.full((60, 80, 3), 90, np.uint8), [(10, 10, 40, 40)]),
        "flat.jpg": (np.full((60, 80, 3), 90, np.uint8), [(10, 10, 40, 40)]),
        "pixel.bmp": (np.full((1, 1, 3), 7, np.uint8), [(0, 0, 1, 1)]),
        "between.png": (pixels(1), [(100.2, 50.2, 100.3, 50.3)]),
        "between.jpg": (pixels(1), [(100.2, 50.2, 100.3, 50.3), (20, 20, 20.2, 60)]),
        "both.png": (pixels(1), [(100.2, 50.2, 100.3, 50.3), (20, 15, 60, 60)]),
    }
    for name, (image, _) in files.items():
        Image.fromarray(image).save(source / name)
    boxes = write_boxes(tmp_path / "boxes.jsonl", {name: rows for name, (_, rows) in files.items()})
    for method in ("blur", "pixelate"):
        options: dict[str, Any] = {"feather": 0.0, "margin": 0.0} if method == "blur" else {"margin": 0.0}
        out = tmp_path / method
        run(source, out, boxes=boxes, method=method, engine="threads", workers=1, **options)
        assert named(out, source) == {}


@pytest.mark.parametrize("sampling", ["440", "411"])
@pytest.mark.parametrize("options", [{"method": "fill", "color": "255,0,0"}, {"method": "pixelate"}], ids=str)
def test_hard_edges_in_files_whose_sampling_the_codec_does_not_write(
    tmp_path: Path, sampling: str, options: dict[str, Any]
) -> None:
    source, out = tmp_path / "src", tmp_path / "out"
    source.mkdir()
    names = []
    for seed in range(8):
        names.append(f"{seed}.jpg")
        smooth = np.asarray(Image.fromarray(pixels(seed)).resize((40, 30)).resize((160, 120), Image.Resampling.BICUBIC))
        data = simplejpeg.encode_jpeg(np.ascontiguousarray(smooth), 90, "RGB", sampling)
        (source / names[-1]).write_bytes(data)
    boxes = write_boxes(tmp_path / "boxes.jsonl", {n: [(20.4 + i, 15.7 + i, 61, 70)] for i, n in enumerate(names)})
    summary = run(source, out, boxes=boxes, engine="threads", workers=1, **options)
    assert summary.jpeg_blocks == len(names)
    assert named(out, source) == {}
