"""What the audit finds: faces left visible, and outputs that were tampered with."""

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.audit.data import Known, found, known_faces, make_tree, take_out, write_boxes
from fastblur.audit import audit
from fastblur.codecs import decode, encode
from fastblur.pipeline import run
from fastblur.pipeline.images.near_misses import from_journal

TAKEN_OUT = 30


def search(folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    files, known = known_faces(arguments.data)
    source = make_tree(folder / "src", files)
    visible = _found(folder / "visible", source, {name: [] for name in known}, known, arguments)
    left, out = take_out(known, TAKEN_OUT)
    among = _found(folder / "among", source, left, out, arguments)
    plain = [name for name, rows in known.items() if not rows]
    suspects = sum(len(visible["suspects"][name]) for name in plain)
    return {
        "faces left visible": visible["faces"],
        "of these found by the search": visible["by search"],
        "of these found by search or near misses": visible["by both"],
        "faces taken out of the boxes file": among["faces"],
        "of these found": among["by search"],
        "images without a known face": len(plain),
        "suspects a hundred of them": round(100 * suspects / len(plain), 1),
        "detectors": visible["detectors"],
        "seconds of the search": visible["seconds"],
        "missed": [*visible["missed"], *among["missed"]],
    }


def _found(folder: Path, source: Path, hidden: Known, faces: Known, arguments: argparse.Namespace) -> dict[str, Any]:
    """Hide the boxes, audit all images, and count which faces are suspects; near misses come from a detector run."""
    folder.mkdir()
    boxes = write_boxes(folder / "boxes.jsonl", hidden)
    run(source, folder / "out", boxes=boxes, workers=arguments.workers, engine="threads", device="cpu")
    content = audit(folder / "out", folder / "report", sample=10**6, workers=arguments.workers, device="cpu").content
    suspects = {one["image"]: [each["box"] for each in one["suspects"]] for one in content["images"]}
    run(source, folder / "detected", workers=arguments.workers, engine="threads", device="cpu")
    near: Known = {}
    for path in (folder / "detected" / ".fastblur" / "journal").iterdir():
        for line in map(json.loads, path.read_text().splitlines()[1:]):
            near[line["path"]] = [list(box) for box, _ in from_journal(line.get("near", ()))]
    total = [(name, face) for name, rows in faces.items() for face in rows]
    by_search = [found(face, suspects[name]) for name, face in total]
    by_both = [found(face, [*suspects[name], *near[name]]) for name, face in total]
    return {
        "faces": len(total),
        "by search": sum(by_search),
        "by both": sum(by_both),
        "missed": [pair for pair, is_found in zip(total, by_search, strict=True) if not is_found],
        "suspects": suspects,
        "detectors": content["search"]["detectors"],
        "seconds": content["search"]["seconds"],
    }


def smuggled(folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    files, known = known_faces(arguments.data)
    faces = {name: rows for name, rows in known.items() if rows and name.startswith("train/")}
    chosen = list(faces)[:50]
    source = make_tree(folder / "src", files)
    boxes = write_boxes(folder / "boxes.jsonl", known)
    results: dict[str, Any] = {}
    for way in ("blocks", "encode"):
        out = folder / way
        run(source, out, boxes=boxes, workers=arguments.workers, engine="threads", device="cpu", jpeg=way)
        clean = audit(out, source=source, sample=0, workers=arguments.workers)
        results[f"{way}: problems of the true output"] = len(clean.content["account"]["problems"])
        results[f"{way}: least coverage of its regions"] = clean.content["coverage"]["least"]
        for number, name in enumerate(chosen):
            kind = "original" if number < 20 else "half" if number < 35 else "pixel"
            _tamper(source / name, out / name, known[name], kind)
        summary = audit(out, source=source, sample=0, workers=arguments.workers)
        named = {one["image"] for one in summary.content["account"]["problems"]}
        results[f"{way}: found of {len(chosen)}"] = len(named & set(chosen))
        results[f"{way}: missed"] = sorted(set(chosen) - named)
        results[f"{way}: named without cause"] = sorted(named - set(chosen))
        results[f"{way}: seconds for {len(files)} images"] = round(summary.seconds, 1)
    return results


def _tamper(source: Path, output: Path, boxes: list[list[float]], kind: str) -> None:
    if kind == "original":
        shutil.copy(source, output)
        return
    picture, pixels = decode(source.read_bytes()), decode(output.read_bytes()).pixels
    height, width = pixels.shape[:2]
    if kind == "half":
        x0, y0, x1, y1 = (max(0, round(value)) for value in boxes[0])
        half = slice(y0, y1), slice(x0, (x0 + x1) // 2)
        pixels[half] = picture.pixels[half]
    else:
        far = np.ones((height, width), bool)
        for x0, y0, x1, y1 in boxes:
            reach = 0.31 * max(x1 - x0, y1 - y0)
            rows = slice(max(0, int(y0 - reach)), max(0, int(y1 + reach) + 1))
            far[rows, max(0, int(x0 - reach)) : max(0, int(x1 + reach) + 1)] = False
        y, x = np.argwhere(far)[np.random.default_rng(len(boxes)).integers(far.sum())]
        pixels[y, x] = 255 if pixels[y, x].mean() < 128 else 0
    output.write_bytes(encode(picture, pixels))
