"""How the speed of blur follows from workers, batch, sigma, faces, image, dtype and layout, next to its peers.

    python -m benchmarks.scaling [--only NAME ...] [--repeat N] [--device D] [--data DIR] [--scratch DIR] [--json FILE]

Where a figure does not vary it, an image has 500 x 375 pixels of noise and one face with a longer side of 80 px, the
recipe is "ilsvrc", so that sigma is a tenth of the face, there is one thread, and fastblur works in place. All sides of
a point are timed in turns. Peers are those of benchmarks/peers; one image after the other.

- workers: one batch of 64 of the workload's photographs with faces on 1, 2, ... threads, in place and into given
  tensors; peers that give the same picture share it out among as many Python threads, kornia uses its own.
  `fastblur run` with boxes on 4,000 files, without its start.
- batch: images a call, from 1 to 256.
- sigma: 1024 x 1024 pixels full of faces of 200 px, and of faces that grow with sigma, recipe "default": milliseconds
  an image and nanoseconds a pixel of the support; kornia's Gaussian filter on the same image as float.
- face, faces, image: longer side of the face, number of faces, pixels of the image.
- dtype: one image. layout: a batch of 8, "ragged" is a list of images.

--device cuda: the images of batch, dtype and layout on a GPU (fastblur only).
"""

import argparse
from collections.abc import Callable
from itertools import cycle, islice
from typing import Any

import numpy as np
import torch

import fastblur
from benchmarks import peers
from benchmarks.common.baselines import make_tree, seconds_of_run
from benchmarks.common.command import parser, scratch_folder, write_json
from benchmarks.common.measure import in_turns, medians, seconds_on_threads, values_in_turns
from benchmarks.common.workloads import SIZE, Workload, draw_faces, load
from benchmarks.peers.kornia_full_frame import filtered
from fastblur.pipeline.execution.concurrency import default_workers

Side = tuple[Callable[[], Any], int]  # what is timed, and how many images it does
Points = dict[Any, dict[str, Side]]  # the sides of every point of an axis
Values = dict[str, dict[str, float]]  # by side and point
PEERS = peers.found()[0]
OURS = "fastblur in place"
OTHERS = {name: peer for name, peer in PEERS.items() if peer.PACKAGE != "fastblur"}
SIZES = ((224, 224), SIZE, (768, 1024), (1080, 1920), (2160, 3840))


def main() -> None:
    axes: dict[str, Callable[[Workload, str], Points]] = {
        "workers": workers, "batch": batch, "sigma": lambda *_: sigma()[0],
        "face": lambda *_: {d: one_by_one(8, SIZE, 1, d) for d in (10, 20, 40, 80, 160, 320)},
        "faces": lambda *_: {n: one_by_one(8, SIZE, n, 40) for n in (1, 2, 4, 8, 16, 32)},
        "image": lambda *_: {height * width: one_by_one(4, (height, width)) for height, width in SIZES},
        "dtype": dtype, "layout": layout,
    }  # fmt: skip
    options = parser(__doc__, repeat=7, only=axes, scratch=True)
    options.add_argument("--device", default="cpu", help="of batch, dtype and layout")
    arguments = options.parse_args()
    workload = load(arguments.data)
    print(f"workload: {workload.source}")
    results: dict[str, Any] = {"workload": workload.source}
    results["peers"] = {name: peers.described(peer) for name, peer in PEERS.items()}
    for axis in arguments.only:
        torch.set_num_threads(1)
        results[axis] = series(axis, axes[axis](workload, arguments.device), arguments.repeat)
    if "workers" in results:
        results["workers"]["run"] = commands(workload, arguments)
    if "sigma" in results:
        results["sigma"]["nanoseconds_a_support_pixel"] = cost(results["sigma"]["milliseconds"], sigma()[1])
    write_json(arguments.json, "benchmarks.scaling", results)


def series(axis: str, points: Points, repeat: int) -> dict[str, Any]:
    """Time the sides of every point in turns; return milliseconds an image by side and point."""
    turns: dict[str, dict[str, list[float]]] = {}
    for point, sides in points.items():
        taken = in_turns({name: work for name, (work, _) in sides.items()}, repeat)
        for name, seconds in taken.items():
            turns.setdefault(name, {})[str(point)] = [1000 * one / sides[name][1] for one in seconds]
    milliseconds = {name: medians(values) for name, values in turns.items()}
    print(f"{axis}: ms an image")
    for name, values in milliseconds.items():
        print(f"  {name:36} {'  '.join(f'{point}: {value:.3f}' for point, value in values.items())}")
    return {"milliseconds": milliseconds, "turns": turns}


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def noise_batch(count: int, device: str) -> torch.Tensor:
    """Return (count, 3, H, W) uint8 images of the usual size, channels_last."""
    return torch.from_numpy(np.stack([noise(*SIZE, seed=i) for i in range(count)])).permute(0, 3, 1, 2).to(device)


def draw(images: int, size: tuple[int, int] = SIZE, count: int = 1, side: float = 80) -> list[np.ndarray]:
    """Draw the (count, 4) boxes of so many images."""
    return [draw_faces(np.random.default_rng(i), *size, count, side) for i in range(images)]


def one_by_one(images: int, size: tuple[int, int] = SIZE, count: int = 1, side: float = 80) -> dict[str, Side]:
    """Return sides that take one image of noise after the other, on one thread."""
    pixels, boxes = [noise(*size, seed=i) for i in range(images)], draw(images, size, count, side)
    return {name: (peers.side(peer, pixels, boxes), images) for name, peer in PEERS.items()}


def in_place(images: Any, boxes: list[np.ndarray], calls: int = 1) -> Side:
    """Return a side that blurs a batch in place, so many times."""
    device = images[0].device

    def side() -> None:
        for _ in range(calls):
            regions = fastblur.Regions.from_boxes(boxes, device=device)
            fastblur.blur(images, regions, "ilsvrc", out=images)
        if device.type == "cuda":
            torch.cuda.synchronize()

    return side, calls * len(images)


def workers(workload: Workload, device: str) -> Points:
    some = list(islice(cycle(workload.with_faces), 64))
    boxes = [one.boxes for one in some]
    images = [PEERS[OURS].image(one.pixels) for one in some]
    given = [torch.empty_like(one) for one in images]
    regions = fastblur.Regions.from_boxes(boxes)

    def ours(threads: int, out: list[torch.Tensor]) -> Side:
        def side() -> None:
            torch.set_num_threads(threads)
            for _ in range(64):  # as long as the peers take for one: processors that were idle take a while to wake
                fastblur.blur(images, regions, "ilsvrc", out=out)

        return side, 64 * 64

    def shared(peer: Any, threads: int) -> Side:
        ready = [peer.image(one.pixels) for one in some]
        own, outer = (threads, 1) if "kornia" in peer.NAME else (1, threads)

        def side() -> None:
            peer.threads(own)
            seconds_on_threads(lambda i: peer.hide(ready[i], boxes[i]), range(64), outer)

        return side, 64

    return {
        threads: {OURS: ours(threads, images), "fastblur into given tensors": ours(threads, given)}
        | {name: shared(peer, threads) for name, peer in OTHERS.items() if peer.SAME}
        for threads in range(1, default_workers() + 1)
    }


def commands(workload: Workload, arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the images a second of `fastblur run` by its number of workers, without its start."""
    with scratch_folder(arguments) as folder:
        make_tree(folder, workload.stream(4000))
        sides = {
            str(count): lambda count=count: 4000 / seconds_of_run(folder, "--workers", count)[1]["seconds"]
            for count in range(1, default_workers() + 1)
        }
        turns = values_in_turns(sides, min(3, arguments.repeat))
    rates = medians(turns)
    print("workers: fastblur run, images a second", {count: round(rate) for count, rate in rates.items()})
    return {"images_a_second": rates, "turns": turns}


def batch(workload: Workload, device: str) -> Points:
    sizes = (1, 4, 16, 64, 256)
    images, boxes = list(noise_batch(max(sizes), device)), draw(max(sizes))

    def side(count: int) -> Side:
        parts = [in_place(images[i : i + count], boxes[i : i + count])[0] for i in range(0, max(sizes), count)]
        return lambda: [part() for part in parts], max(sizes)

    points = {count: {OURS: side(count)} for count in sizes}
    points[1] |= {name: side for name, side in one_by_one(16).items() if name in OTHERS}  # they take one image a call
    return points


def sigma() -> tuple[Points, Values]:
    """Return the sides, and the pixels of the support."""
    pixels = noise(1024, 1024)
    image, value = PEERS[OURS].image(pixels), torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255
    points: Points = {}
    support: Values = {}
    for s in (2, 4, 8, 16, 25, 40, 64):
        points[s] = {"kornia full frame, the filter alone": (lambda s=s: filtered(value, float(s)), 1)}
        for title, d in ((OURS, 200.0), (f"{OURS}, faces of sigma / 0.15", s / 0.15)):
            pitch = round(d * 1.6) + 2  # the box, its margin and its feather on both sides
            corners = np.arange(0.3 * d, max(1024 - 1.3 * d, 0.3 * d + 1), pitch)
            boxes = np.array([[x, y, x + d, y + d] for x in corners for y in corners])
            regions, change = fastblur.Regions.from_boxes([boxes]), {"strength": s / d, "out": image}
            points[s][title] = (lambda r=regions, change=change: fastblur.blur(image, r, **change), 1)
            support.setdefault(title, {})[str(s)] = len(boxes) * (1.6 * d) ** 2
    return points, support


def cost(milliseconds: Values, support: Values) -> Values:
    """Return and print the nanoseconds a pixel of the support."""
    costs = {name: {s: 1e6 * milliseconds[name][s] / n for s, n in pixels.items()} for name, pixels in support.items()}
    for name, values in costs.items():
        row = "  ".join(f"{s}: {value:.2f}" for s, value in values.items())
        print(f"  {name:36} ns a support pixel  {row}  (40 over 4: {values['40'] / values['4']:.2f})")
    return costs


def dtype(workload: Workload, device: str) -> Points:
    pixels = noise_batch(1, device).contiguous()
    kinds = (torch.uint8, torch.float32, torch.float16, torch.bfloat16)
    images = {str(kind)[6:]: pixels if kind == torch.uint8 else (pixels / 255).to(kind) for kind in kinds}
    return {name: {OURS: in_place(image, draw(1), 16)} for name, image in images.items()}


def layout(workload: Workload, device: str) -> Points:
    wide = noise_batch(8, device)
    planar = wide.contiguous()
    images = {"planar": planar, "channels_last": wide, "ragged": list(planar), "ragged channels_last": list(wide)}
    return {name: {OURS: in_place(batch, draw(8), 4)} for name, batch in images.items()}


if __name__ == "__main__":
    main()
