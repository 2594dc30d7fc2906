"""Runs to be audited: a few images with known boxes, in folders, tars and tables."""

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fastblur.pipeline import run

Box = tuple[float, float, float, float]
BOXES: dict[str, list[Box]] = {
    "a/1.png": [(20, 15, 60, 60)],
    "a/2.jpg": [(70, 30, 121.5, 90.25)],
    "a/3.jpg": [],
    "b/4.jpg": [(10, 10, 40, 50), (30, 20, 90, 70)],
    "b/5.png": [],
    "b/6.webp": [(90, 50, 130, 100)],
}
"""The images of `make_source` with their boxes."""


def pixels(seed: int, height: int = 120, width: int = 160) -> np.ndarray:
    """Return a picture full of detail: noise that is smoothed over 3 pixels, on a ramp."""
    rng = np.random.default_rng(seed)
    noise = rng.integers(0, 256, (height + 2, width + 2, 3)).astype(np.float64)
    smooth = sum(noise[y : y + height, x : x + width] for y in range(3) for x in range(3)) / 9
    ramp = np.linspace(-40, 40, width)[None, :, None]
    return (128 + (smooth - 128) * 2.5 + ramp).clip(0, 255).astype(np.uint8)


def encoded(seed: int, name: str) -> bytes:
    """Return an image file of the format that its name says."""
    file = io.BytesIO()
    suffix = name.rpartition(".")[2]
    options: dict[str, Any] = {"jpg": {"quality": 92}, "webp": {"lossless": True}}.get(suffix, {})
    Image.fromarray(pixels(seed)).save(file, {"jpg": "JPEG"}.get(suffix, suffix.upper()), **options)
    return file.getvalue()


FILES = {name: encoded(seed, name) for seed, name in enumerate(BOXES)}


def with_other_preview() -> tuple[bytes, bytes]:
    """Return a JPEG file whose preview shows something else than its picture, and the preview."""
    picture, other = io.BytesIO(), io.BytesIO()
    Image.fromarray(np.full((120, 160, 3), 90, np.uint8)).save(picture, "JPEG")
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (60, 80, 3)).astype(np.uint8)).save(other, "JPEG")
    data, thumbnail = picture.getvalue(), other.getvalue()
    tiff = b"MM\0*\0\0\0\x08" + b"\0\0" + b"\0\0\0\x0e" + b"\0\x02"
    tiff += b"\x02\x01\0\x04\0\0\0\x01" + (44).to_bytes(4, "big")
    tiff += b"\x02\x02\0\x04\0\0\0\x01" + len(thumbnail).to_bytes(4, "big") + b"\0\0\0\0"
    part = b"Exif\0\0" + tiff + thumbnail
    return data[:2] + b"\xff\xe1" + (len(part) + 2).to_bytes(2, "big") + part + data[2:], thumbnail


def make_folder(root: Path) -> Path:
    for name, data in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def make_tar(root: Path) -> Path:
    """Two tars, with a text next to each image."""
    root.mkdir(parents=True)
    for shard in "ab":
        with tarfile.open(root / f"{shard}.tar", "w") as tar:
            for name, data in FILES.items():
                if name.startswith(shard):
                    stem = name.rpartition(".")[0][2:]
                    for member, content in ((name[2:], data), (f"{stem}.cls", b"7")):
                        info = tarfile.TarInfo(member)
                        info.size = len(content)
                        tar.addfile(info, io.BytesIO(content))
    return root


def make_table(root: Path) -> Path:
    """A Parquet file with a row that has no image between the others."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    root.mkdir(parents=True)
    rows: list[Any] = list(FILES.values())
    rows.insert(2, None)
    pq.write_table(
        pa.table({"image": pa.array(rows, pa.binary()), "label": list(range(len(rows)))}), root / "t.parquet"
    )
    return root


KINDS = {"folder": make_folder, "tar": make_tar, "table": make_table}


def journal_names(kind: str) -> dict[str, str]:
    """Return what the journal calls the images of `FILES`."""
    if kind == "folder":
        return {name: name for name in FILES}
    if kind == "tar":
        return {name: f"{name[0]}.tar/{name[2:]}" for name in FILES}
    return {name: f"t.parquet/{row + (row >= 2)}" for row, name in enumerate(FILES)}


def write_boxes(path: Path, boxes: dict[str, list[Box]]) -> Path:
    """Write a file as `fastblur detect` does."""
    path.write_text("".join(json.dumps({"path": name, "boxes": rows}) + "\n" for name, rows in boxes.items()))
    return path


def make_run(folder: Path, kind: str = "folder", **options: Any) -> tuple[Path, Path]:
    """Make a source and run it with the known boxes; return both."""
    source = KINDS[kind](folder / "src")
    names = journal_names(kind)
    boxes = write_boxes(folder / "boxes.jsonl", {names[name]: rows for name, rows in BOXES.items()})
    summary = run(source, folder / "out", boxes=boxes, engine="threads", workers=1, **options)
    assert (summary.failed, summary.with_regions, summary.copied) == (0, 4, 2)
    return source, folder / "out"


def journal(out: Path) -> dict[str, dict[str, Any]]:
    """Return the journal's lines by their images."""
    lines = [
        line for path in sorted((out / ".fastblur/journal").iterdir()) for line in path.read_text().splitlines()[1:]
    ]
    return {line["path"]: line for line in map(json.loads, lines)}


def outputs(out: Path, kind: str) -> dict[str, bytes]:
    """Return the images of an output, by what the journal of an untouched run calls them."""
    if kind == "folder":
        return {name: (out / name).read_bytes() for name in FILES if (out / name).exists()}
    if kind == "tar":
        found = {}
        for path in sorted(out.glob("*.tar")):
            with tarfile.open(path) as tar:
                for member in tar:
                    file = tar.extractfile(member)
                    assert file is not None
                    found[f"{path.name}/{member.name}"] = file.read()
        return found
    import pyarrow.parquet as pq

    table = pq.read_table(out / "t.parquet")
    return {
        f"t.parquet/{label}": data
        for label, data in zip(*(table[c].to_pylist() for c in ("label", "image")), strict=True)
    }
