"""How speed follows from workers, batch, sigma, face size, number of faces and image size, peers beside.

    python -m benchmarks.scaling [--only NAME ...] [--repeat N] [--data DIR] [--scratch DIR] [--json FILE]

Where a figure does not vary it, an image has 500 x 375 pixels of noise and one face with a longer side of 80 px, the
recipe is "ilsvrc", so that sigma is a tenth of the face, there is one thread, and images are worked on in place where a
side can do that. All sides of a point are timed in turns. Peers are those of benchmarks/peers that mean to give the
same picture.

- workers: one batch of 64 of the workload's photographs with faces on 1, 2, ... threads; the peers share it out among
  as many Python threads, kornia uses its own. `fastblur run` with boxes on 4,000 files, without its start.
- batch: milliseconds an image, from 1 image a call to 256.
- sigma: a face of 200 px in 1024 x 1024, sigma from 2 to 64; kornia's Gaussian filter on the same float image.
- face, faces, image: longer side of the face, number of faces, pixels of the image.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

import fastblur
from benchmarks import peers
from benchmarks.common.baselines import plant
from benchmarks.common.measure import DATA, ROOT, cpus, in_turns, medians, write_json
from benchmarks.common.workloads import SIZE, Workload, faces, load
from benchmarks.peers.kornia_full_frame import filtered

Side = tuple[Callable[[], Any], int]  # what is timed, and how many images it does
SAME = {name: peer for name, peer in peers.found()[0].items() if peer.SAME and name != "fastblur"}
OURS = "fastblur in place"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    measures: dict[str, Callable[[Workload, argparse.Namespace], dict[str, Any]]] = {
        "workers": workers, "batch": batch, "sigma": sigma, "face": face, "faces": number, "image": image,
    }  # fmt: skip
    parser.add_argument("--only", nargs="+", choices=list(measures), metavar="NAME", default=list(measures))
    parser.add_argument("--repeat", type=int, default=7)
    parser.add_argument("--data", type=Path, default=DATA, help="folder with imagenet-sample")
    parser.add_argument("--scratch", type=Path, default=Path("/dev/shm") if Path("/dev/shm").is_dir() else None)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    workload = load(arguments.data)
    print(f"workload: {workload.source}")
    results = {name: measures[name](workload, arguments) for name in arguments.only}
    write_json(arguments.json, "benchmarks.scaling", {"workload": workload.source, **results})


def series(axis: str, points: dict[Any, dict[str, Side]], repeat: int) -> dict[str, Any]:
    """Time the sides of every point in turns; return milliseconds an image by side and point."""
    milliseconds: dict[str, dict[str, float]] = {}
    turns: dict[str, dict[str, list[float]]] = {}
    for point, sides in points.items():
        taken = in_turns({name: work for name, (work, _) in sides.items()}, repeat)
        for name, seconds in taken.items():
            each = [1000 * one / sides[name][1] for one in seconds]
            turns.setdefault(name, {})[str(point)] = each
            milliseconds.setdefault(name, {})[str(point)] = statistics.median(each)
    print(f"{axis}: ms an image")
    for name, values in milliseconds.items():
        print(f"  {name:36} {'  '.join(f'{point}: {value:.3f}' for point, value in values.items())}")
    return {"milliseconds": milliseconds, "turns": turns}


def alone(peer: Any, pixels: list[np.ndarray], rows: list[np.ndarray]) -> Side:
    """One thread, one image after the other."""
    images = [peer.image(one) for one in pixels]

    def side() -> None:
        peer.threads(1)
        for one, boxes in zip(images, rows, strict=True):
            peer.hide(one, boxes)

    return side, len(images)


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def drawn(count: int, side: float = 80, size: tuple[int, int] = SIZE, seed: int = 0) -> np.ndarray:
    return faces(np.random.default_rng(seed), *size, count, side)


def workers(workload: Workload, arguments: argparse.Namespace) -> dict[str, Any]:
    some = list(islice(cycle(workload.with_faces), 64))
    batch = [SAME[OURS].image(one.pixels) for one in some]
    regions = fastblur.Regions.from_boxes([one.boxes for one in some])

    def ours(threads: int) -> Side:
        def side() -> None:
            torch.set_num_threads(threads)
            for _ in range(64):  # as long as the peers take for one: idle processors take a while to come
                fastblur.blur(batch, regions, "ilsvrc", out=batch)

        return side, 64 * 64

    def shared(peer: Any, threads: int) -> Side:
        images = [peer.image(one.pixels) for one in some]

        def side() -> None:
            peer.threads(threads if "kornia" in peer.NAME else 1)
            with ThreadPoolExecutor(1 if "kornia" in peer.NAME else threads) as pool:
                list(pool.map(peer.hide, images, [one.boxes for one in some]))

        return side, 64

    points = {
        threads: {
            OURS: ours(threads),
            **{name: shared(peer, threads) for name, peer in SAME.items() if name != OURS},
        }
        for threads in range(1, cpus() + 1)
    }
    result = series("workers", points, arguments.repeat)
    torch.set_num_threads(1)
    return result | {"run": commands(workload, arguments)}


def commands(workload: Workload, arguments: argparse.Namespace) -> dict[str, Any]:
    """Images a second of `fastblur run` by its number of workers, without its start."""
    turns: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="fastblur-benchmark-", dir=arguments.scratch) as name:
        folder = Path(name)
        plant(folder, workload.stream(4000))
        for turn in range(4):
            for count in range(1, cpus() + 1):
                run = [sys.executable, "-m", "fastblur", "run", folder / "images", folder / "out", "--boxes"]
                run += [folder / "boxes.json", "--workers", count, "--json", folder / "summary.json"]
                subprocess.run([str(part) for part in run], cwd=ROOT, check=True, capture_output=True)
                shutil.rmtree(folder / "out")
                if turn:
                    rate = 4000 / json.loads((folder / "summary.json").read_text())["seconds"]
                    turns.setdefault(str(count), []).append(rate)
    rates = medians(turns)
    print("workers: fastblur run, images a second", {count: round(rate) for count, rate in rates.items()})
    return {"images_a_second": rates, "turns": turns}


def batch(workload: Workload, arguments: argparse.Namespace) -> dict[str, Any]:
    sizes = (1, 4, 16, 64, 256)
    images = [SAME[OURS].image(noise(*SIZE, seed=i)) for i in range(max(sizes))]
    rows = [drawn(1, seed=i) for i in range(max(sizes))]

    def side(count: int) -> Side:
        def work() -> None:
            torch.set_num_threads(1)
            for first in range(0, max(sizes), count):
                part = images[first : first + count]
                fastblur.blur(part, fastblur.Regions.from_boxes(rows[first : first + count]), "ilsvrc", out=part)

        return work, max(sizes)

    others = {name: alone(peer, [noise(*SIZE)] * 16, rows[:16]) for name, peer in SAME.items() if name != OURS}
    result = series("batch", {count: {OURS: side(count)} for count in sizes}, arguments.repeat)
    peers_alone = series("batch, peers, which take one image", {1: others}, arguments.repeat)
    return {key: result[key] | peers_alone[key] for key in result}


def sigma(workload: Workload, arguments: argparse.Namespace) -> dict[str, Any]:
    pixels = noise(1024, 1024)
    image, value = SAME[OURS].image(pixels), torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255
    regions = fastblur.Regions.from_boxes([[[400, 400, 600, 600]]])

    def ours(deviation: float) -> Side:
        def side() -> None:
            for _ in range(8):
                fastblur.blur(image, regions, "ilsvrc", strength=deviation / 200, out=image)

        return side, 8

    torch.set_num_threads(1)
    points = {
        s: {OURS: ours(s), "kornia full frame, the filter alone": (lambda s=s: filtered(value, float(s)), 1)}
        for s in (2, 4, 8, 16, 32, 64)
    }
    return series("sigma", points, arguments.repeat)


def face(workload: Workload, arguments: argparse.Namespace) -> dict[str, Any]:
    points = {d: every([noise(*SIZE, seed=i) for i in range(8)], [drawn(1, d, seed=i) for i in range(8)])
              for d in (10, 20, 40, 80, 160, 320)}  # fmt: skip
    return series("face", points, arguments.repeat)


def number(workload: Workload, arguments: argparse.Namespace) -> dict[str, Any]:
    points = {n: every([noise(*SIZE, seed=i) for i in range(8)], [drawn(n, 40, seed=i) for i in range(8)])
              for n in (1, 2, 4, 8, 16, 32)}  # fmt: skip
    return series("faces", points, arguments.repeat)


def image(workload: Workload, arguments: argparse.Namespace) -> dict[str, Any]:
    points = {
        height * width: every([noise(height, width)] * 4, [drawn(1, 80, (height, width), seed=i) for i in range(4)])
        for height, width in ((224, 224), SIZE, (768, 1024), (1080, 1920), (2160, 3840))
    }
    return series("image", points, arguments.repeat)


def every(pixels: list[np.ndarray], rows: list[np.ndarray]) -> dict[str, Side]:
    return {name: alone(peer, pixels, rows) for name, peer in SAME.items()}


if __name__ == "__main__":
    main()
