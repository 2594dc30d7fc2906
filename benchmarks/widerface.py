"""Average precision on WIDER FACE (Yang et al., CVPR 2016) by its official protocol: easy, medium and hard.

    python -m benchmarks.widerface DIR [--split val] [--detector NAME ...] [--size N] [--threshold S] [--json FILE]

DIR is a folder that holds, at any depth, what the data set's authors publish: `WIDER_val/images`,
`wider_face_val_bbx_gt.txt`, and `wider_easy_val.mat`, `wider_medium_val.mat`, `wider_hard_val.mat`.

The protocol, as the authors' evaluation has it:

- An image's regions are taken in order of score. Each is matched to the known face that it overlaps most, at an
  intersection over union (IoU) of at least 0.5, where boxes hold their last row and column of pixels.
- A setting keeps some of the known faces and ignores the rest. A region matched to an ignored face is dropped; one
  matched to a kept face for the first time finds it; every other one is a false proposal, duplicates among them. An
  image without any known face does not count; in one whose known faces are all ignored, unmatched regions do.
- Scores are scaled so that the lowest of the whole set is 0 and the highest 1, and proposals and found faces are
  counted at the 1000 thresholds 0.999, 0.998, ... 0. Precision is found over proposals and recall found over kept, both
  of the whole set; the average precision is the area under the precision-recall curve after every precision is raised
  to the highest at no lower recall (as PASCAL VOC does since 2010).

Regions come from the detector at a low score threshold, so that the curve reaches low precision. Published figures of a
network are often for several scales and flipped images; these are for one look at each, as the detector is used.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from scipy.io import loadmat

from benchmarks.common import accuracy
from benchmarks.common.accuracy import iou, read_image
from benchmarks.common.command import parser, write_json
from fastblur.detectors import DEFAULT_DETECTOR, Detector, DetectorName, load_detector
from fastblur.options import choices

SETTINGS = ("easy", "medium", "hard")
MATCHED = 0.5  # the least IoU of a region and the face that it is matched to
THRESHOLDS = 1 - np.arange(1, 1001) / 1000
BATCH = 16  # images read and given to the detector at once


def main() -> None:
    options = parser(__doc__)
    options.add_argument("folder", type=Path, metavar="DIR")
    options.add_argument("--split", default="val")
    options.add_argument("--detector", nargs="+", choices=choices(DetectorName), default=[DEFAULT_DETECTOR])
    options.add_argument("--device", default="cpu")
    options.add_argument("--size", type=int, help="the longest side that the network sees; else each detector's own")
    options.add_argument("--threshold", type=float, default=0.02, help="the least score of a region")
    arguments = options.parse_args()
    try:
        faces = read_faces(find_file(arguments.folder, f"wider_face_{arguments.split}_bbx_gt.txt"))
        files = {setting: f"wider_{setting}_{arguments.split}.mat" for setting in SETTINGS}
        kept = {setting: read_kept(find_file(arguments.folder, file), faces) for setting, file in files.items()}
        images = find_file(arguments.folder, f"WIDER_{arguments.split}/images")
        settings = {"device": arguments.device, "detect_size": arguments.size, "threshold": arguments.threshold}
        detectors = [load_detector(name, **settings) for name in arguments.detector]
    except (OSError, ValueError) as error:
        options.error(str(error))
    count = sum(map(len, faces.values()))
    print(f"WIDER FACE {arguments.split}: {len(faces)} images, {count} faces; AP at IoU {MATCHED}")
    print(f"{'':28} " + " ".join(f"{setting:>8}" for setting in SETTINGS))
    results: dict[str, Any] = {}
    for detector in detectors:
        found = detect(detector, images, list(faces))
        values = {setting: average_precision(found, faces, kept[setting]) for setting in SETTINGS}
        size = "native" if detector.detect_size is None else detector.detect_size
        print(f"{detector.name} at {size}".ljust(28), " ".join(f"{values[setting]:8.4f}" for setting in SETTINGS))
        results[detector.name] = {"size": detector.detect_size, "weights_sha256": detector.weights_sha256, "ap": values}
    write_json(arguments.json, "benchmarks.widerface", {"threshold": arguments.threshold, "detectors": results})


def find_file(folder: Path, name: str) -> Path:
    """Return the one path below `folder` that ends in `name`; raise FileNotFoundError where there is none."""
    found = min(folder.rglob(name), key=lambda path: len(path.parts), default=None)
    if found is None:
        raise FileNotFoundError(f"no {name} in {str(folder)!r}, expected the folder of WIDER FACE")
    return found


def read_faces(path: Path) -> dict[str, np.ndarray]:
    """Return the known faces of every image, (n, 4) xyxy, by its path below the folder of images.

    Raises ValueError for a file that is not of the form: path, number of faces, and that many lines that begin with
    x, y, width and height. An image with no face has a line of zeros all the same.
    """
    faces: dict[str, np.ndarray] = {}
    lines = iter(line for line in path.read_text().splitlines() if line.strip())
    for name in lines:
        try:
            count = int(next(lines))
            rows = [[float(value) for value in next(lines).split()[:4]] for _ in range(max(1, count))]
            boxes = np.array(rows[:count]).reshape(-1, 4)
        except (StopIteration, ValueError):
            raise ValueError(f"{str(path)!r} ends or breaks off at {name!r}, expected a count and its boxes") from None
        boxes[:, 2:] += boxes[:, :2]
        faces[name.strip()] = boxes
    return faces


def read_kept(path: Path, faces: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return which faces of every image a setting keeps, (n,) bool, from its MATLAB file.

    Raises ValueError where the file speaks of images or faces that are not among `faces`.
    """
    table = loadmat(path)
    kept: dict[str, np.ndarray] = {}
    for event, files, lists in zip(
        table["event_list"].flat, table["file_list"].flat, table["gt_list"].flat, strict=True
    ):
        for file, numbers in zip(files.flat, lists.flat, strict=True):
            name = f"{event.item()}/{file.item()}.jpg"
            if name not in faces:
                raise ValueError(f"{str(path)!r} has image {name!r}, which the list of boxes has not")
            mask = np.zeros(len(faces[name]), bool)
            index = numbers.astype(int).ravel() - 1  # MATLAB counts from 1
            if index.size and not 0 <= index.min() <= index.max() < len(mask):
                raise ValueError(f"{str(path)!r} keeps face {index.max() + 1} of {name!r}, which has {len(mask)}")
            mask[index] = True
            kept[name] = mask
    return kept


def detect(detector: Detector, images: Path, names: list[str]) -> dict[str, np.ndarray]:
    """Return the regions of every image, (n, 5): xyxy and score."""
    found: dict[str, np.ndarray] = {}
    for start in range(0, len(names), BATCH):
        batch = names[start : start + BATCH]
        found.update(zip(batch, accuracy.detect(detector, [read_image(images / name) for name in batch]), strict=True))
    return found


def average_precision(
    found: Mapping[str, np.ndarray],  # of each image its regions, (n, 5) xyxy and score
    faces: Mapping[str, np.ndarray],  # of each image its known faces, (m, 4) xyxy
    kept: Mapping[str, np.ndarray],  # of each image of the setting which of its faces count, (m,) bool
) -> float:
    """Return the average precision of the regions of all images under one setting."""
    scores = np.concatenate([rows[:, 4] for rows in found.values()] or [np.zeros(0)])
    total = sum(int(mask.sum()) for mask in kept.values())
    if not scores.size or not total:
        return 0.0
    low, span = scores.min(), np.ptp(scores) or 1.0
    counts = np.zeros((2, len(THRESHOLDS)))
    for name, mask in kept.items():
        rows = found[name][np.argsort(-found[name][:, 4], kind="stable")]
        # Where all scores of the set are equal they count as the highest.
        scaled = (rows[:, 4] - low) / span if np.ptp(scores) else np.ones(len(rows))
        counts += image_counts(rows[:, :4], scaled, faces[name], mask)
    proposals, hits = counts
    return area(hits / total, np.divide(hits, proposals, out=np.zeros_like(hits), where=proposals > 0))


def image_counts(
    boxes: np.ndarray,  # (n, 4) xyxy, from the highest score down
    scores: np.ndarray,  # (n,), scaled to 0..1
    faces: np.ndarray,  # (m, 4) xyxy
    kept: np.ndarray,  # (m,) bool, which of the faces the setting keeps
) -> np.ndarray:
    """Return an image's proposals and found faces at each of the THRESHOLDS, (2, 1000)."""
    if not len(boxes) or not len(faces):
        return np.zeros((2, len(THRESHOLDS)))
    overlaps = iou(boxes, faces, last=1.0)
    face = overlaps.argmax(1)
    matched = overlaps.max(1) >= MATCHED
    ignored = matched & ~kept[face]
    hits = np.flatnonzero(matched & kept[face])
    first = np.zeros(len(boxes), bool)
    first[hits[np.unique(face[hits], return_index=True)[1]]] = True
    running = np.pad(np.cumsum((~ignored, first), axis=1), ((0, 0), (1, 0)))
    return running[:, np.searchsorted(-scores, -THRESHOLDS, side="right")]


def area(recall: np.ndarray, precision: np.ndarray) -> float:
    """Return the area under the curve, recall not falling, each precision raised to the highest at no lower recall."""
    raised = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(np.diff(recall, prepend=0.0) * raised))


if __name__ == "__main__":
    main()
