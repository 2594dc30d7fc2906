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
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

import fastblur
from benchmarks import peers
from benchmarks.common.baselines import make_tree, seconds_of_run
from benchmarks.common.command import parser, write_json
from benchmarks.common.measure import in_turns, medians, seconds_on_threads, values_in_turns
from benchmarks.common.workloads import SIZE, Workload, draw_faces, load
from benchmarks.peers.kornia_full_frame import filtered
from fastblur.pipeline.execution.workers import default_workers

Side = tuple[Callable[[], Any], int]  # what is timed, and how many images it does
PEERS = peers.found()[0]
OURS = "fastblur in place"
OTHERS = {name: peer for name, peer in PEERS.items() if peer.PACKAGE != "fastblur"}


def main() -> None:
    measures: dict[str, Callable[[Workload, argparse.Namespace], dict[str, Any]]] = {
        "workers": workers, "batch": batch, "sigma": sigma, "face": face, "faces": number, "image": image,
        "dtype": dtype, "layout": layout,
    }  # fmt: skip
    options = parser(__doc__, repeat=7, only=measures, scratch=True)
    options.add_argument("--device", default="cpu", help="of batch, dtype and layout")
    arguments = options.parse_args()
    workload = load(arguments.data)
    print(f"workload: {workload.source}")
    torch.set_num_threads(1)
    results = {name: measures[name](workload, arguments) for name in arguments.only}
    described = {name: peers.described(peer) for name, peer in PEERS.items()}
    write_json(arguments.json, "benchmarks.scaling", {"workload": workload.source, "peers": described, **results})


def series(axis: str, points: dict[Any, dict[str, Side]], repeat: int) -> dict[str, Any]:
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


def alone(peer: Any, pixels: list[np.ndarray], boxes: list[np.ndarray]) -> Side:
    return peers.side(peer, pixels, boxes), len(pixels)


def all_alone(pixels: list[np.ndarray], boxes: list[np.ndarray]) -> dict[str, Side]:
    return {name: alone(peer, pixels, boxes) for name, peer in PEERS.items()}


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


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def noise_batch(count: int, device: str) -> torch.Tensor:
    """Return (count, 3, H, W) uint8 images of the usual size, channels_last."""
    return torch.from_numpy(np.stack([noise(*SIZE, seed=i) for i in range(count)])).permute(0, 3, 1, 2).to(device)


def draw(count: int, side: float = 80, size: tuple[int, int] = SIZE, seed: int = 0) -> np.ndarray:
    return draw_faces(np.random.default_rng(seed), *size, count, side)


def workers(workload: Workload, arguments: argparse.Namespace) -> dict[str, Any]:
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

    points = {
        threads: {OURS: ours(threads, images), "fastblur into given tensors": ours(threads, given)}
        | {name: shared(peer, threads) for name, peer in OTHERS.items() if peer.SAME}
        for threads in range(1, default_workers() + 1)
    }
    result = series("workers", points, arguments.repeat)
    torch.set_num_threads(1)
    for name, turns in result["turns"].items():
        speed = (f"{n}: {result['milliseconds'][name]['1'] / result['milliseconds'][name][n]:.2f} "
                 f"(best {min(turns['1']) / min(values):.2f})" for n, values in turns.items())  # fmt: skip
        print(f"  {name:36} speed over one thread  {'  '.join(speed)}")
    return result | {"run": commands(workload, arguments)}


def commands(workload: Workload, arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the images a second of `fastblur run` by its number of workers, without its start."""
    with TemporaryDirectory(prefix="fastblur-benchmark-", dir=arguments.scratch) as name:
        folder = Path(name)
        make_tree(folder, workload.stream(4000))
        sides = {
            str(count): lambda count=count: 4000 / seconds_of_run(folder, "--workers", count)[1]["seconds"]
            for count in range(1, default_workers() + 1)
        }
        turns = values_in_turns(sides, min(3, arguments.repeat))
    rates = medians(turns)
    print("workers: fastblur run, images a second", {count: round(rate) for count, rate in rates.items()})
    return {"images_a_second": rates, "turns": turns}


def batch(workload: Workload, arguments: argparse.Namespace) -> dict[str, Any]:
    sizes = (1, 4, 16, 64, 256)
    images = list(noise_batch(max(sizes), arguments.device))
    boxes = [draw(1, seed=i) for i in range(max(sizes))]

    def side(count: int) -> Side:
        parts = [in_place(images[i : i + count], boxes[i : i + count])[0] for i in range(0, max(sizes), count)]
        return lambda: [part() for part in parts], max(sizes)

    result = series("batch", {count: {OURS: side(count)} for count in sizes}, arguments.repeat)
    others = {name: alone(peer, [noise(*SIZE)] * 16, boxes[:16]) for name, peer in OTHERS.items()}
    peers_alone = series("batch, peers, which take one image", {1: others}, arguments.repeat)
    return {key: result[key] | peers_alone[key] for key in result}


def sigma(workload: Workload, arguments: argparse.Namespace) -> dict[str, Any]:
    side = 1024
    pixels = noise(side, side)
    image, value = PEERS[OURS].image(pixels), torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255
    support: dict[str, dict[str, float]] = {}  # pixels by title and sigma
    points: dict[int, dict[str, Side]] = {}
    for s in (2, 4, 8, 16, 25, 40, 64):
        points[s] = {"kornia full frame, the filter alone": (lambda s=s: filtered(value, float(s)), 1)}
        for title, d in ((OURS, 200.0), (f"{OURS}, faces of sigma / 0.15", s / 0.15)):
            pitch = round(d * 1.6) + 2  # the box, its margin and its feather on both sides
            corners = np.arange(0.3 * d, max(side - 1.3 * d, 0.3 * d + 1), pitch)
            boxes = np.array([[x, y, x + d, y + d] for x in corners for y in corners])
            regions, change = fastblur.Regions.from_boxes([boxes]), {"strength": s / d, "out": image}
            points[s][title] = (lambda r=regions, change=change: fastblur.blur(image, r, **change), 1)
            support.setdefault(title, {})[str(s)] = len(boxes) * (1.6 * d) ** 2
    result = series("sigma", points, arguments.repeat)
    times = {name: result["milliseconds"][name] for name in support}
    cost = {name: {s: 1e6 * times[name][s] / n for s, n in pixels.items()} for name, pixels in support.items()}
    for name, values in cost.items():
        row = "  ".join(f"{s}: {value:.2f}" for s, value in values.items())
        print(f"  {name:36} ns a support pixel  {row}  (40 over 4: {values['40'] / values['4']:.2f})")
    return result | {"nanoseconds_a_support_pixel": cost}


def face(workload: Workload, arguments: argparse.Namespace) -> dict[str, Any]:
    pixels = [noise(*SIZE, seed=i) for i in range(8)]
    points = {d: all_alone(pixels, [draw(1, d, seed=i) for i in range(8)]) for d in (10, 20, 40, 80, 160, 320)}
    return series("face", points, arguments.repeat)


def number(workload: Workload, arguments: argparse.Namespace) -> dict[str, Any]:
    pixels = [noise(*SIZE, seed=i) for i in range(8)]
    points = {n: all_alone(pixels, [draw(n, 40, seed=i) for i in range(8)]) for n in (1, 2, 4, 8, 16, 32)}
    return series("faces", points, arguments.repeat)


def image(workload: Workload, arguments: argparse.Namespace) -> dict[str, Any]:
    points = {
        height * width: all_alone([noise(height, width)] * 4, [draw(1, 80, (height, width), i) for i in range(4)])
        for height, width in ((224, 224), SIZE, (768, 1024), (1080, 1920), (2160, 3840))
    }
    return series("image", points, arguments.repeat)


def dtype(workload: Workload, arguments: argparse.Namespace) -> dict[str, Any]:
    pixels = noise_batch(1, arguments.device).contiguous()
    images = {"uint8": pixels}
    images |= {name: (pixels / 255).to(getattr(torch, name)) for name in ("float32", "float16", "bfloat16")}
    return series(
        "dtype", {name: {OURS: in_place(one, [draw(1)], 16)} for name, one in images.items()}, arguments.repeat
    )


def layout(workload: Workload, arguments: argparse.Namespace) -> dict[str, Any]:
    wide, boxes = noise_batch(8, arguments.device), [draw(1, seed=i) for i in range(8)]
    planar = wide.contiguous()
    images = {"planar": planar, "channels_last": wide, "ragged": list(planar), "ragged channels_last": list(wide)}
    return series("layout", {name: {OURS: in_place(one, boxes, 4)} for name, one in images.items()}, arguments.repeat)


if __name__ == "__main__":
    main()
