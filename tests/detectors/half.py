"""Say how far the boxes of each detector move when its network runs in float16.

    FASTBLUR_WEIGHTS=../shared/weights python -m tests.detectors.half

prints, for the photographs and for the sample of ImageNet images of the test data, how many regions there are, how far
a side of a region moves at most, how many move by more than half a pixel, and the scores of those that are found in one
precision only. On the CPU, where float16 is slow but rounds as on CUDA: layers' inputs and outputs are float16, sums
are float32. Minutes.
"""

from collections.abc import Iterable

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from fastblur import load_detector
from fastblur.detectors import Detector
from tests.conftest import SHARED
from tests.detectors.photographs import known_faces

FAR = 4.0  # pixels; what is moved by more is another region


def moves(exact: Detector, half: Detector, images: Iterable[Tensor]) -> tuple[list[float], list[float]]:
    """How far each region of either detector is from the other's nearest, and the scores of those with none."""
    moved, alone = [], []
    for image in images:
        pair = exact(image), half(image)
        for mine, others in (pair, pair[::-1]):
            for box, score in zip(mine[0], mine.scores[0].tolist(), strict=False):
                far = float((others[0] - box).abs().amax(1).min()) if len(others[0]) else torch.inf
                moved.append(far) if far <= FAR else alone.append(score)
    return moved, alone


def main() -> None:
    photos = [image for _, (image, _) in sorted(known_faces(SHARED).items())]
    paths = sorted((SHARED / "imagenet-sample").rglob("*.JPEG"))
    sample = [torch.from_numpy(np.array(Image.open(path).convert("RGB"))).permute(2, 0, 1) for path in paths]
    for name in ("centerface", "retinaface-mobilenet0.25", "yunet"):
        exact, half = (load_detector(name, engine="torch", half=value) for value in (False, True))
        for title, images in (("photos", photos), ("sample", sample)):
            moved, alone = moves(exact, half, images)
            print(
                f"{name:26} {title}: {(len(moved) + len(alone)) / 2:g} regions, at most {max(moved):.2f} px, "
                f"over half a pixel {sum(far > 0.5 for far in moved) / 2:g}, in one precision only "
                f"{[round(score, 3) for score in alone]}",
                flush=True,
            )


if __name__ == "__main__":
    main()
