"""Codecs next to Pillow's and OpenCV's: pytest benchmarks/suites/test_codecs.py"""

import io
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from benchmarks.common.workloads import Workload
from fastblur.codecs import decode, encode

Timed = Callable[..., Any]
LIBRARIES, FORMATS = ("fastblur", "pillow", "opencv"), ("JPEG", "PNG", "WEBP")
WEBP = {"quality": 90}
OPENCV = {
    "JPEG": (".jpg", [cv2.IMWRITE_JPEG_QUALITY, 95]),
    "PNG": (".png", []),
    "WEBP": (".webp", [cv2.IMWRITE_WEBP_QUALITY, 90]),
}


@pytest.fixture(params=FORMATS)
def format(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def files(workload: Workload, format: str) -> list[bytes]:
    some = workload.with_faces[:5]
    return [one.jpeg if format == "JPEG" else saved(Image.fromarray(one.pixels), format) for one in some]


def saved(image: Image.Image, format: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options, **(WEBP if format == "WEBP" else {}))
    return file.getvalue()


@pytest.mark.parametrize("library", LIBRARIES)
def test_decode(timed: Timed, files: list[bytes], format: str, library: str) -> None:
    cv2.setNumThreads(1)
    codecs: dict[str, Callable[[bytes], Any]] = {
        "fastblur": decode,
        "pillow": lambda data: np.asarray(Image.open(io.BytesIO(data)).convert("RGB")),
        "opencv": lambda data: cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR),
    }
    timed(f"decode: 5 {format}", lambda: [codecs[library](data) for data in files])


@pytest.mark.parametrize("library", LIBRARIES)
def test_encode(timed: Timed, files: list[bytes], format: str, library: str) -> None:
    cv2.setNumThreads(1)
    pictures = [decode(data) for data in files]
    bgr = [cv2.cvtColor(picture.pixels, cv2.COLOR_RGB2BGR) for picture in pictures]
    options = [jpeg_options(data) if format == "JPEG" else {} for data in files]

    def pillow() -> list[bytes]:
        return [saved(Image.fromarray(one.pixels), format, **kept) for one, kept in zip(pictures, options, strict=True)]

    codecs: dict[str, Callable[[], Any]] = {
        "fastblur": lambda: [encode(picture, picture.pixels) for picture in pictures],
        "pillow": pillow,
        "opencv": lambda: [cv2.imencode(OPENCV[format][0], image, OPENCV[format][1]) for image in bgr],
    }
    timed(f"encode: 5 {format}", codecs[library])


def jpeg_options(data: bytes) -> dict[str, Any]:
    """Return what makes Pillow encode at the same quality: the file's own tables and subsampling."""
    image = Image.open(io.BytesIO(data))
    subsampling = {(1, 1): 0, (2, 1): 1, (2, 2): 2}[image.layer[0][1:3]]  # type: ignore[attr-defined]
    return {"qtables": image.quantization, "subsampling": subsampling}  # type: ignore[attr-defined]
