"""blur beside its peers: pytest benchmarks/suites/test_blur.py

One group of the table for each value of what is varied; what is not varied is one image of 500 x 375 uint8 with one
face of 80 pixels, recipe "ilsvrc", one thread. Peers get their images in their own form, one after the other.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import fastblur
from benchmarks import peers
from benchmarks.common.measure import cpus
from benchmarks.common.workloads import SIZE, Workload, faces

FOUND, ABSENT = peers.found()
EVERY = [pytest.param(peer, id=name) for name, peer in FOUND.items()]
FASTBLUR = FOUND["fastblur in place"]
Timed = Callable[..., Any]


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def boxes(height: int = SIZE[0], width: int = SIZE[1], count: int = 1, side: float = 80, seed: int = 0) -> np.ndarray:
    return faces(np.random.default_rng(seed), height, width, count, side)


def one_by_one(peer: Any, pixels: list[np.ndarray], rows: list[np.ndarray]) -> Callable[[], None]:
    peer.threads(1)
    images = [peer.image(one) for one in pixels]

    def side() -> None:
        for image, row in zip(images, rows, strict=True):
            peer.hide(image, row)

    return side


def batched(
    images: torch.Tensor | list[torch.Tensor], rows: list[np.ndarray], recipe: str = "ilsvrc"
) -> Callable[[], Any]:
    device = images[0].device
    return lambda: fastblur.blur(images, fastblur.Regions.from_boxes(rows, device=device), recipe, out=images)


@pytest.mark.parametrize("name", ABSENT)
def test_absent(name: str) -> None:
    pytest.skip(f"{name}: {ABSENT[name]}")


@pytest.mark.parametrize("peer", EVERY)
def test_photographs(timed: Timed, workload: Workload, peer: Any) -> None:
    some = workload.with_faces[:20]
    timed(
        "blur: 20 photographs of the workload",
        one_by_one(peer, [one.pixels for one in some], [one.boxes for one in some]),
    )


@pytest.mark.parametrize("peer", EVERY)
@pytest.mark.parametrize("size", [(224, 224), SIZE, (1080, 1920)], ids=lambda size: f"{size[1]}x{size[0]}")
def test_size(timed: Timed, peer: Any, size: tuple[int, int]) -> None:
    timed(f"blur: image {size[1]} x {size[0]}", one_by_one(peer, [noise(*size)], [boxes(*size)]))


@pytest.mark.parametrize("peer", EVERY)
@pytest.mark.parametrize("count", [1, 4, 16])
def test_faces(timed: Timed, peer: Any, count: int) -> None:
    timed(f"blur: {count:2} faces", one_by_one(peer, [noise(*SIZE)], [boxes(count=count)]))


@pytest.mark.parametrize("peer", EVERY)
@pytest.mark.parametrize("sigma", [2, 8, 32])
def test_sigma(timed: Timed, peer: Any, sigma: float) -> None:
    timed(f"blur: sigma {sigma:2}", one_by_one(peer, [noise(*SIZE)], [boxes(side=10 * sigma)]))


@pytest.mark.parametrize("batch", [1, 8, 64])
def test_batch(timed: Timed, device: str, batch: int) -> None:
    images = torch.from_numpy(np.stack([noise(*SIZE, seed=i) for i in range(batch)])).permute(0, 3, 1, 2).to(device)
    timed(f"blur: batch {batch:2}", batched(images, [boxes(seed=i) for i in range(batch)]), device)


@pytest.mark.parametrize("peer", [pytest.param(peer, id=name) for name, peer in FOUND.items() if peer.SAME])
@pytest.mark.parametrize("batch", [1, 8])
def test_batch_one_by_one(timed: Timed, peer: Any, batch: int) -> None:
    pixels, rows = [noise(*SIZE, seed=i) for i in range(batch)], [boxes(seed=i) for i in range(batch)]
    timed(f"blur: batch {batch:2}", one_by_one(peer, pixels, rows))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_dtype(timed: Timed, device: str, dtype: torch.dtype) -> None:
    images = torch.from_numpy(noise(*SIZE)).permute(2, 0, 1)[None].to(device)
    images = images if dtype == torch.uint8 else (images.float() / 255).to(dtype)
    timed("blur: dtype", batched(images.contiguous(), [boxes()]), device)


@pytest.mark.parametrize("layout", ["planar", "channels_last", "ragged", "ragged HWC"])
def test_layout(timed: Timed, device: str, layout: str) -> None:
    wide = torch.from_numpy(np.stack([noise(*SIZE, seed=i) for i in range(8)])).to(device).permute(0, 3, 1, 2)
    planar = wide.contiguous()
    images = {"planar": planar, "channels_last": wide, "ragged": list(planar), "ragged HWC": list(wide)}[layout]
    timed("blur: layout, batch 8", batched(images, [boxes(seed=i) for i in range(8)]), device)


@pytest.mark.parametrize("threads", range(1, cpus() + 1))
def test_threads(timed: Timed, threads: int) -> None:
    images = [torch.from_numpy(noise(*SIZE, seed=i)).permute(2, 0, 1) for i in range(64)]
    torch.set_num_threads(threads)
    timed("blur: threads, batch 64", batched(images, [boxes(seed=i) for i in range(64)]))
