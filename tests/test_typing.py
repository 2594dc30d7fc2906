"""mypy on a user's file: what is right passes, and a misspelt choice is an error."""

import os
import re
import subprocess
import sys

import pytest

from tests.conftest import ROOT

pytestmark = pytest.mark.slow

RIGHT = """
import torch
import fastblur
from fastblur.transforms import HideFaces

images = torch.zeros(2, 3, 64, 64, dtype=torch.uint8)
regions = fastblur.Regions.from_boxes([[[1, 2, 30, 40]], []], format="xywh")
one: torch.Tensor = fastblur.blur(images, regions, shape="ellipse", scope="image")
many: list[torch.Tensor] = fastblur.pixelate([images[0], images[1]], regions, blocks=6)


def faces(images: list[torch.Tensor]) -> list[list[list[float]]]:
    return [[] for _ in images]


hide = fastblur.FaceBlur(faces, "fill", color=7, channels="bgr", margin=0.2)
hidden, found = hide.forward(images, return_regions=True)
transform = HideFaces("yunet", threshold=0.5, device="cpu", weights=None, shape="box")
same = fastblur.transforms.HideFaces(boxes="faces", box_format="xyxyn", images=(0, 1))
joined = fastblur.Regions.cat([found, regions]).pin_memory()
summary = fastblur.pipeline.run("a", "b", detector=faces, method="pixelate")
"""
WRONG = [
    'fastblur.blur(images, regions, shape="elipse")',
    'fastblur.blur(images, regions, scope="picture")',
    'fastblur.FaceBlur(faces, "blurr")',
    'fastblur.FaceBlur(faces, shape="elipse")',
    "fastblur.FaceBlur(faces, strenght=0.2)",
    'HideFaces(channels="gbr")',
    'HideFaces(box_format="yolo")',
    'HideFaces(threshold="high")',
    'fastblur.Regions.from_boxes([], format="yolo")',
    'fastblur.pipeline.run("a", "b", method="blurr")',
    "fastblur.load_detector(7)",
]


def test_a_users_file(tmp_path) -> None:
    pytest.importorskip("mypy")
    (tmp_path / "right.py").write_text(RIGHT)
    (tmp_path / "wrong.py").write_text(RIGHT + "\n" + "\n".join(WRONG) + "\n")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--cache-dir", tmp_path / "cache",
         "--follow-imports=silent", "--ignore-missing-imports", "right.py", "wrong.py"],
        cwd=tmp_path, capture_output=True, text=True, check=False, env={**os.environ, "MYPYPATH": str(ROOT)},
    )  # fmt: skip
    begin = RIGHT.count("\n") + 2
    places = set(re.findall(r"^(\w+)\.py:(\d+): error", done.stdout, re.MULTILINE))
    assert places == {("wrong", str(begin + number)) for number in range(len(WRONG))}, done.stdout + done.stderr
