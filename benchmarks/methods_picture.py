"""One picture of every method and recipe on the same face, for README and docs.

    python -m benchmarks.methods_picture docs/methods.jpg

The face is that of scikit-image's astronaut, which NASA has put into the public domain.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import fastblur

FACE = [168.0, 62.0, 274.0, 204.0]  # xyxy px
SHOWN = (80, 0, 360, 280)  # xyxy px, the part of the photograph that is shown

METHODS: dict[str, Callable[[Tensor], Tensor]] = {
    "the photograph, and the box": lambda image: image,
    'blur, "default"': lambda image: fastblur.blur(image, [FACE]),
    'blur, "ilsvrc"': lambda image: fastblur.blur(image, [FACE], "ilsvrc"),
    'blur, "default", ellipse': lambda image: fastblur.blur(
        image, [FACE], fastblur.Recipe(0.15, 0.15, 0.05, shape="ellipse")
    ),
    "pixelate": lambda image: fastblur.pixelate(image, [FACE]),
    "pixelate, ellipse": lambda image: fastblur.pixelate(image, [FACE], shape="ellipse"),
    "fill": lambda image: fastblur.fill(image, [FACE]),
    "fill, ellipse, feather 0.05, a colour": lambda image: fastblur.fill(
        image, [FACE], color=(70, 90, 140), shape="ellipse", feather=0.05
    ),
}
"""What the panels show, from left to right and from top to bottom."""


def panels(photograph: np.ndarray) -> dict[str, np.ndarray]:  # (H, W, 3) uint8
    """Return what each method makes of a photograph, (H, W, 3) uint8."""
    image = torch.from_numpy(np.ascontiguousarray(photograph)).permute(2, 0, 1)
    return {name: method(image).permute(1, 2, 0).numpy() for name, method in METHODS.items()}


def draw(path: Path) -> None:
    """Write the picture."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle
    from skimage import data

    figure = Figure(figsize=(12, 6.5), dpi=100, layout="constrained")
    axes = figure.subplots(2, len(METHODS) // 2)
    x0, y0, x1, y1 = SHOWN
    for axis, (name, panel) in zip(axes.flat, panels(data.astronaut()).items(), strict=True):
        axis.imshow(panel[y0:y1, x0:x1], interpolation="nearest")
        axis.set_title(name, fontsize=12)
        axis.axis("off")
    left, top, right, bottom = FACE
    axes.flat[0].add_patch(
        Rectangle((left - x0, top - y0), right - left, bottom - top, fill=False, color="white", lw=2)
    )
    figure.savefig(path, pil_kwargs={"quality": 88})


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, metavar="OUT.jpg")
    draw(parser.parse_args().out)


if __name__ == "__main__":
    main()
