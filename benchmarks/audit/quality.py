"""Images of all qualities and depths: no true output is named without cause, and parts of the original are found."""

import argparse
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.audit.data import known_faces, write_boxes
from fastblur.audit import audit
from fastblur.codecs import decode, encode
from fastblur.pipeline import run

IMAGES = 40  # of those with faces, of each kind and method
METHODS: dict[str, dict[str, Any]] = {
    "blur": {},
    "blur, ilsvrc": {"recipe": "ilsvrc"},
    "blur, strength 0.06": {"strength": 0.06},
    "pixelate": {"method": "pixelate"},
    "fill": {"method": "fill"},
}
PARTS = (0.02, 0.03, 0.04, 0.1, 1.0)  # of the original, mixed into the output
Pixels = np.ndarray
Maker = Callable[[Pixels], bytes]


def _file(pixels: Pixels, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


def _deep(pixels: Pixels, divisor: int) -> bytes:
    """Return a grey PNG of 16 bits, its values over a divisor."""
    return _file(((pixels @ (0.299, 0.587, 0.114) * 257) // divisor).astype(np.uint16), "PNG")


KINDS: dict[str, Maker] = {
    **{f"JPEG {q}": lambda p, q=q: _file(p, "JPEG", quality=q) for q in (5, 10, 20, 30, 50, 75, 90, 97)},  # type: ignore[misc]
    "JPEG 75, a sixth of the contrast": lambda p: _file(p // 6 + 80, "JPEG", quality=75),
    "JPEG 75, a sixteenth of the light": lambda p: _file(p // 16, "JPEG", quality=75),
    "PNG": lambda p: _file(p, "PNG"),
    "PNG, a sixteenth of the light": lambda p: _file(p // 16, "PNG"),
    "WebP": lambda p: _file(p, "WEBP", lossless=True),
    "PNG of 16 bits": lambda p: _deep(p, 1),
    "PNG of 16 bits, a 64th of the light": lambda p: _deep(p, 64),
}


def quality(folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    files, known = known_faces(arguments.data)
    faces = sorted(n for n, rows in known.items() if rows and decode(files[n].read_bytes()).orientation == 1)
    chosen = np.random.default_rng(0).permutation(faces)[:IMAGES].tolist()
    found: dict[str, dict[float, int]] = {kind: {} for kind in KINDS}
    named: list[str] = []
    total = 0
    for method, options in METHODS.items():
        for jpeg in ("blocks", "encode"):
            source, out, kinds = _hidden(folder / f"{method}-{jpeg}", chosen, files, known, arguments, options, jpeg)
            total += len(kinds)
            named += [f"{method}, {jpeg}: {kinds[name]}: {why}" for name, why in _named(out, source, arguments).items()]
            for part in PARTS if (method, jpeg) == ("blur", "encode") else ():
                for kind, count in _found_of(part, source, out, kinds, arguments).items():
                    found[kind][part] = count
    parts = {f"{kind}: parts of the original found, of {len(chosen)}": counts for kind, counts in found.items()}
    return {"true outputs": total, "named without cause": named, **parts}


def _hidden(
    folder: Path,
    chosen: list[str],
    files: dict[str, Path],
    known: dict[str, Any],
    arguments: argparse.Namespace,
    options: dict[str, Any],
    jpeg: str,
) -> tuple[Path, Path, dict[str, str]]:
    """Write the images in all kinds and hide their faces; return source, output, and the kind of each image."""
    source, kinds, boxes = folder / "src", {}, {}
    source.mkdir(parents=True)
    for number, one in enumerate(chosen):
        pixels = np.asarray(Image.open(files[one]).convert("RGB"))
        for place, (kind, make) in enumerate(KINDS.items()):
            name = f"{place:02}-{number:02}.{kind.split()[0].rstrip(',').lower().replace('jpeg', 'jpg')}"
            (source / name).write_bytes(make(pixels))
            kinds[name], boxes[name] = kind, known[one]
    more: Any = {**options, "workers": arguments.workers, "engine": "threads", "device": "cpu", "jpeg": jpeg}
    run(source, folder / "out", boxes=write_boxes(folder / "boxes.jsonl", boxes), **more)
    return source, folder / "out", kinds


def _named(out: Path, source: Path, arguments: argparse.Namespace) -> dict[str, str]:
    content = audit(out, source=source, sample=0, workers=arguments.workers).content
    return {one["image"]: one["kind"] for one in content["account"]["problems"]}


def _found_of(
    part: float, source: Path, out: Path, kinds: dict[str, str], arguments: argparse.Namespace
) -> dict[str, int]:
    """Mix a part of the original into all outputs for a while; return how many of each kind are named."""
    kept = {name: (out / name).read_bytes() for name in kinds}
    for name, data in kept.items():
        before, after = decode((source / name).read_bytes()), decode(data)
        mixed = after.pixels + part * (before.pixels.astype(np.float64) - after.pixels)
        (out / name).write_bytes(encode(before, np.rint(mixed).astype(before.pixels.dtype)))
    found = _named(out, source, arguments)
    for name, data in kept.items():
        (out / name).write_bytes(data)
    return {kind: sum(kinds[name] == kind for name in found) for kind in KINDS}
