"""Regions half of which shows the source again: whether `audit --source` names them."""

import argparse
import io
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.audit.data import known_faces, write_boxes
from fastblur.audit import audit
from fastblur.codecs import decode, encode
from fastblur.pipeline import run

SEEDS, IMAGES = 3, 50  # images of each way and seed, one region of each
WAYS = {"JPEG, blocks": ".jpg", "JPEG, encoded": ".jpg", "PNG": ".png", "WebP": ".webp"}


def half(folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    files, known = known_faces(arguments.data)
    faces = [name for name, rows in known.items() if rows and not decode(files[name].read_bytes()).orientation > 1]
    results: dict[str, Any] = {}
    missed: list[str] = []
    for way, suffix in WAYS.items():
        kinds: Counter[str] = Counter()
        for seed in range(SEEDS):
            rng = np.random.default_rng(seed)
            chosen = sorted(rng.permutation(faces)[:IMAGES].tolist())
            found = _trial(folder / f"{way}-{seed}", way, {n + suffix: files[n] for n in chosen}, known, rng, arguments)
            kinds.update(found.values())
            missed += [f"{way}, seed {seed}: {name}" for name, kind in found.items() if kind == "missed"]
        results[f"{way}: regions, found"] = [kinds.total(), kinds.total() - kinds["missed"]]
        results[f"{way}: of these as not hidden"] = kinds["not hidden"]
    results["missed"] = missed
    return results


def _trial(
    folder: Path, way: str, files: dict[str, Path], known: dict[str, Any], rng: Any, arguments: argparse.Namespace
) -> dict[str, str]:
    """Hide all faces, give half of one back in each image, and return the kind of problem by which each is named."""
    boxes = {}
    for name, path in files.items():
        target = folder / "src" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(_as(path.read_bytes(), target.suffix))
        boxes[name] = next(rows for one, rows in known.items() if name.startswith(f"{one}."))
    jpeg: Any = "encode" if way == "JPEG, encoded" else "blocks"
    options: dict[str, Any] = {"workers": arguments.workers, "engine": "threads", "device": "cpu", "jpeg": jpeg}
    run(folder / "src", folder / "out", boxes=write_boxes(folder / "boxes.jsonl", boxes), **options)
    for name, rows in boxes.items():
        _give_back(folder / "src" / name, folder / "out" / name, rows[rng.integers(len(rows))], int(rng.integers(4)))
    content = audit(folder / "out", source=folder / "src", sample=0, workers=arguments.workers).content
    kinds = {one["image"]: one["kind"] for one in content["account"]["problems"]}
    return {name: kinds.get(name, "missed") for name in files}


def _as(data: bytes, suffix: str) -> bytes:
    if suffix == ".jpg":
        return data
    file = io.BytesIO()
    image = Image.open(io.BytesIO(data)).convert("RGB")
    image.save(file, "PNG") if suffix == ".png" else image.save(file, "WEBP", lossless=True)
    return file.getvalue()


def _give_back(source: Path, output: Path, box: list[float], side: int) -> None:
    """Put the left, right, upper or lower half of a box back as it was."""
    picture, pixels = decode(source.read_bytes()), decode(output.read_bytes()).pixels
    x0, y0, x1, y1 = (max(0, round(value)) for value in box)
    x, y = (x0 + x1) // 2, (y0 + y1) // 2
    rows, columns = [
        (slice(y0, y1), slice(x0, x)),
        (slice(y0, y1), slice(x, x1)),
        (slice(y0, y), slice(x0, x1)),
        (slice(y, y1), slice(x0, x1)),
    ][side]
    pixels[rows, columns] = picture.pixels[rows, columns]
    output.write_bytes(encode(picture, pixels))
