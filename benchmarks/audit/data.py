"""Images and boxes for the benchmarks of the audit."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np

Box = list[float]
Known = dict[str, list[Box]]  # known faces of each image, xyxy px


def known_faces(data: Path) -> tuple[dict[str, Path], Known]:
    """Return the images of sample and photos by the names that they get, and the known faces in them."""
    files: dict[str, Path] = {}
    known: Known = {}
    root = data / "imagenet-sample"
    entries = {entry["url"]: entry["bboxes"] for entry in json.loads((root / "face_annotations.json").read_text())}
    for path in sorted((root / "train").rglob("*.JPEG")):
        name = path.relative_to(root).as_posix()
        files[name] = path
        boxes = entries.get(name, entries.get(name.removeprefix("train/"), []))
        known[name] = [[box[corner] for corner in ("x0", "y0", "x1", "y1")] for box in boxes]
    truth = json.loads((data / "photos" / "ground_truth.json").read_text())
    for name, faces in truth.items():
        files[f"photos/{name}"] = data / "photos" / name
        known[f"photos/{name}"] = [face["box"] for face in faces]
    return files, known


def make_tree(root: Path, files: dict[str, Path]) -> Path:
    for name, path in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, root / name)
    return root


def link_tree(root: Path, files: dict[str, Path], copies: int) -> list[str]:
    """Make a tree in which every image comes `copies` times, as hard links; return the names."""
    names = []
    for copy in range(copies):
        for name in files:
            (root / f"{copy:03}" / name).parent.mkdir(parents=True, exist_ok=True)
            target = root / f"{copy:03}" / name
            if copy == 0:
                shutil.copy(files[name], target)
            else:
                os.link(root / "000" / name, target)
            names.append(f"{copy:03}/{name}")
    return names


def write_boxes(path: Path, boxes: Known) -> Path:
    with open(path, "w") as file:
        for name, rows in boxes.items():
            file.write(json.dumps({"path": name, "boxes": rows}) + "\n")
    return path


def found(face: Box, boxes: list[Box]) -> bool:
    """Return whether a face is matched by a box: IoU of at least 0.3, or 70 % of it inside."""
    for box in boxes:
        width = min(face[2], box[2]) - max(face[0], box[0])
        height = min(face[3], box[3]) - max(face[1], box[1])
        if width <= 0 or height <= 0:
            continue
        inter = width * height
        areas = [(b[2] - b[0]) * (b[3] - b[1]) for b in (face, box)]
        if inter >= 0.3 * (sum(areas) - inter) or inter >= 0.7 * areas[0]:
            return True
    return False


def take_out(known: Known, count: int) -> tuple[Known, Known]:
    """Return boxes without `count` of them, chosen at random, and those."""
    places = [(name, place) for name, rows in known.items() for place in range(len(rows))]
    chosen = np.random.default_rng(0).permutation(len(places))[:count]
    out: Known = {}
    for i in chosen:
        name, place = places[i]
        out.setdefault(name, []).append(known[name][place])
    left = {name: [row for row in rows if row not in out.get(name, [])] for name, rows in known.items()}
    return left, out


def judgements(path: Path, images: list[dict[str, Any]], boxes: Known) -> Path:
    """Write judgements of images as audit.json has them, upright as they are stored."""
    with open(path, "w") as file:
        for image in images:
            line = {"image": image["image"], "shard": image["shard"], "coordinates": "stored", "verdict": "face"}
            line |= {"width": image["stored_width"], "height": image["stored_height"], "boxes": boxes[image["image"]]}
            file.write(json.dumps(line) + "\n")
    return path
