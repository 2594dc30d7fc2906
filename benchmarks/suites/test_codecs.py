"""Codecs beside Pillow's and OpenCV's: pytest benchmarks/suites/test_codecs.py"""

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
FORMATS = ("JPEG", "PNG", "WEBP")


def files(workload: Workload, format: str, count: int = 5) -> list[bytes]:
    some = workload.with_faces[:count]
    return [one.jpeg for one in some] if format == "JPEG" else [saved(one.pixels, format) for one in some]


def saved(pixels: np.ndarray, format: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format, **({"quality": 90} if format == "WEBP" else {}))
    return file.getvalue()


@pytest.mark.parametrize("format", FORMATS)
def test_decode_fastblur(timed: Timed, workload: Workload, format: str) -> None:
    some = files(workload, format)
    timed(f"decode: 5 {format}", lambda: [decode(data) for data in some])


@pytest.mark.parametrize("format", FORMATS)
def test_decode_pillow(timed: Timed, workload: Workload, format: str) -> None:
    some = files(workload, format)
    timed(f"decode: 5 {format}", lambda: [np.asarray(Image.open(io.BytesIO(data)).convert("RGB")) for data in some])


@pytest.mark.parametrize("format", FORMATS)
def test_decode_opencv(timed: Timed, workload: Workload, format: str) -> None:
    cv2.setNumThreads(1)
    some = [np.frombuffer(data, np.uint8) for data in files(workload, format)]
    timed(f"decode: 5 {format}", lambda: [cv2.imdecode(data, cv2.IMREAD_COLOR) for data in some])


@pytest.mark.parametrize("format", FORMATS)
def test_encode_fastblur(timed: Timed, workload: Workload, format: str) -> None:
    some = [decode(data) for data in files(workload, format)]
    timed(f"encode: 5 {format}", lambda: [encode(picture, picture.pixels) for picture in some])


@pytest.mark.parametrize("format", FORMATS)
def test_encode_pillow(timed: Timed, workload: Workload, format: str) -> None:
    some = [Image.open(io.BytesIO(data)) for data in files(workload, format)]
    pixels = [np.asarray(image.convert("RGB")) for image in some]

    def side() -> None:
        for image, array in zip(some, pixels, strict=True):
            # The same quality: a JPEG's own tables and subsampling.
            options = {"qtables": image.quantization, "subsampling": "keep"} if format == "JPEG" else {}
            target = Image.fromarray(array)
            if format == "JPEG":
                options["subsampling"] = {(1, 1): 0, (2, 1): 1, (2, 2): 2}[image.layer[0][1:3]]  # type: ignore
            target.save(io.BytesIO(), format, **options, **({"quality": 90} if format == "WEBP" else {}))

    timed(f"encode: 5 {format}", side)


@pytest.mark.parametrize("format", FORMATS)
def test_encode_opencv(timed: Timed, workload: Workload, format: str) -> None:
    cv2.setNumThreads(1)
    some = [cv2.cvtColor(decode(data).pixels, cv2.COLOR_RGB2BGR) for data in files(workload, format)]
    suffix, options = {
        "JPEG": (".jpg", [cv2.IMWRITE_JPEG_QUALITY, 95]),
        "PNG": (".png", []),
        "WEBP": (".webp", [cv2.IMWRITE_WEBP_QUALITY, 90]),
    }[format]
    timed(f"encode: 5 {format}", lambda: [cv2.imencode(suffix, image, options) for image in some])
