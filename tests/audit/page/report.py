"""Reports made for the tests of the page: small pictures, and an account as `fastblur audit` writes it."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

WIDTH, HEIGHT = 400, 300  # of every full-size image, upright px
PICTURE = (200, 150)
GREY = 120
UPRIGHT = [1, 0, 0, 0, 1, 0]


def save_picture(report: Path, number: int = 1, pixels: "np.ndarray[Any, Any] | None" = None) -> str:
    """Save a picture, (H, W, 3) uint8, plain grey by default; return its path in the report."""
    (report / "pictures").mkdir(parents=True, exist_ok=True)
    if pixels is None:
        pixels = np.full((PICTURE[1], PICTURE[0], 3), GREY, np.uint8)
    path = f"pictures/{number:06d}.jpg"
    Image.fromarray(pixels).save(report / path, quality=95)
    return path


def image(number: int, picture: str = "pictures/000001.jpg", **changes: Any) -> dict[str, Any]:
    """An entry of account["images"]: sampled, without boxes."""
    return {
        "id": number,
        "image": f"class/image_{number:05d}.jpg",
        "shard": "class",
        "fate": "copied",
        "sampled": True,
        "found": ["sample"],
        "width": WIDTH,
        "height": HEIGHT,
        "stored_width": WIDTH,
        "stored_height": HEIGHT,
        "to_stored": UPRIGHT,
        "picture": picture,
        "picture_width": PICTURE[0],
        "picture_height": PICTURE[1],
        "regions": [],
        "near_misses": [],
        "suspects": [],
        **changes,
    }


def region(box: list[float], score: float | None = 0.6, coverage: float | None = None) -> dict[str, Any]:
    return {"box": box, "score": score, "coverage": coverage}


def near_miss(box: list[float], score: float = 0.3) -> dict[str, Any]:
    return {"box": box, "score": score}


def suspect(box: list[float], score: float = 0.4, found_by: str = "enlarged, mirrored") -> dict[str, Any]:
    return {"box": box, "score": score, "found_by": found_by}


def account_of(images: list[dict[str, Any]], **changes: Any) -> dict[str, Any]:
    """The account of an audit with these images."""
    return {
        "fastblur_audit": 1,
        "version": "0.1.0",
        "made": "2026-11-25T21:00:00Z",
        "output": "OUT",
        "source": None,
        "method": "blur",
        "recipe": "default",
        "detector": "centerface",
        "threshold": 0.5,
        "account": {
            "images": 1200,
            "hidden": 200,
            "copied": 990,
            "failed": 10,
            "unsearched": 0,
            "skipped": 0,
            "corrected": 0,
            "problems_left_out": 0,
            "exit_status": 0,
            "galleries": {"near_misses": 0, "lowest": 0},
            "shards": [{"name": "class", "images": 1200, "hidden": 200, "copied": 990, "failed": 10}],
            "problems": [],
        },
        "coverage": None,
        "search": {
            "sample": len(images),
            "seed": 0,
            "population": {"hidden": 200, "copied": 990},
            "drawn": {"hidden": 0, "copied": len(images)},
            "passes": ["half threshold"],
            "detectors": ["centerface"],
            "searched": len(images),
        },
        "near_misses": 0,
        "near_misses_images": 0,
        "charts": {
            "sizes": {"edges": [8, 16, 32, 64, 128], "counts": [0, 3, 5, 0]},
            "scores": {"edges": [0, 0.25, 0.5, 0.75, 1], "counts": [0, 0, 3, 5]},
        },
        "images": images,
        **changes,
    }
