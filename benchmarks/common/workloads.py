"""Where the images and boxes of the benchmarks come from.

Where FASTBLUR_TEST_DATA (or ../shared) exists they are ImageNet photographs with boxes checked by hand. Otherwise they
are photographs from installed packages, cropped and scaled to ImageNet's sizes, with boxes drawn from its statistics:
the cost of blur depends on sizes alone, that of codecs on the photographs, so only figures of one source are compared.
"""

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import cycle
from pathlib import Path

import numpy as np

from benchmarks.common.measure import DATA
from tests import formula

# Images of ILSVRC 2012 that show a face, and all of them: Yang et al., ICML 2022.
ILSVRC_WITH_FACES, ILSVRC_IMAGES = 243_198, 1_431_093

# Measured on 250 ImageNet images (80 with faces, 125 boxes checked by hand); the share of images that show a face is
# that of a sample of 1000. Quantiles of the boxes' longer side in pixels, and how many faces the 80 images have.
SHARE = 1 / 6
SIDES = {0.0: 11, 0.05: 15, 0.1: 16, 0.25: 25, 0.5: 44, 0.75: 77, 0.9: 134, 0.95: 162, 1.0: 232}
FACES = {1: 56, 2: 15, 3: 5, 4: 1, 5: 1, 6: 1, 9: 1}
ASPECT = 0.8  # median of the shorter over the longer side
SIZE = 375, 500  # height and width, the most frequent ones by far
SIZES = [(375, 500)] * 6 + [(500, 375)] * 2 + [(333, 500)] * 2  # of ragged batches


@dataclass(frozen=True)
class Photograph:
    """A JPEG file's name and content, and the (n, 4) boxes in it, xyxy pixels."""

    name: str
    jpeg: bytes
    boxes: np.ndarray

    @cached_property
    def pixels(self) -> np.ndarray:
        """The decoded image, (H, W, 3) uint8."""
        from PIL import Image

        return np.asarray(Image.open(io.BytesIO(self.jpeg)).convert("RGB")).copy()

    @property
    def entry(self) -> dict[str, object]:
        """The entry of an ILSVRC box file, without the name."""
        return {"bboxes": [dict(zip(("x0", "y0", "x1", "y1"), box, strict=True)) for box in self.boxes.tolist()]}


@dataclass(frozen=True)
class Workload:
    """Photographs, and the sentence about them in every output."""

    source: str
    photographs: list[Photograph]

    @property
    def with_faces(self) -> list[Photograph]:
        """Those with at least one box."""
        return [one for one in self.photographs if len(one.boxes)]

    def stream(self, images: int) -> Iterator[Photograph]:
        """Yield so many photographs, repeating them; those with faces are 17.0 % as in ILSVRC 2012, evenly spread."""
        faces, others = cycle(self.with_faces), cycle([one for one in self.photographs if not len(one.boxes)])
        for i in range(images):
            before, after = (n * ILSVRC_WITH_FACES // ILSVRC_IMAGES for n in (i, i + 1))
            yield next(faces if after > before else others)


def load(data: Path = DATA) -> Workload:
    """Return the photographs of `data`/imagenet-sample where it is, else those of installed packages."""
    folder = data / "imagenet-sample"
    if not folder.is_dir():
        return packaged()
    photographs = [
        Photograph(entry["url"], (folder / entry["url"]).read_bytes(), box_array(entry["bboxes"]))
        for entry in json.loads((folder / "face_annotations.json").read_text())
    ]
    faces = sum(len(one.boxes) > 0 for one in photographs)
    return Workload(f"{len(photographs)} ImageNet photographs, {faces} with faces", photographs)


def box_array(boxes: list[dict[str, float]]) -> np.ndarray:
    """Return the boxes of an ILSVRC entry as (n, 4) float64 xyxy px."""
    return np.array([[box["x0"], box["y0"], box["x1"], box["y1"]] for box in boxes], np.float64).reshape(-1, 4)


def packaged(images: int = 120) -> Workload:
    """Return photographs cropped from those in scikit-image and matplotlib, with drawn boxes in every sixth."""
    from matplotlib.cbook import get_sample_data
    from PIL import Image
    from skimage import data

    with get_sample_data("grace_hopper.jpg") as file:
        hopper = Image.open(file).convert("RGB")
    sources = [hopper, *(Image.fromarray(read()) for read in (data.astronaut, data.chelsea, data.coffee))]
    rng = np.random.default_rng(0)
    photographs = []
    for i in range(images):
        image, (height, width) = sources[i % len(sources)], SIZES[i % len(SIZES)]
        share = rng.uniform(0.6, 1) * min(image.width / width, image.height / height)
        left, top = rng.random(2) * (image.width - share * width, image.height - share * height)
        source = left, top, left + share * width, top + share * height
        crop = image.resize((width, height), Image.Resampling.BICUBIC, source)
        file = io.BytesIO()
        crop.save(file, "JPEG", quality=92)
        boxes = draw_faces(rng, height, width, draw_count(rng)) if i % round(1 / SHARE) == 0 else np.zeros((0, 4))
        photographs.append(Photograph(f"{i:03}.JPEG", file.getvalue(), boxes))
    title = f"{images} photographs out of those of scikit-image and matplotlib, with boxes drawn from ILSVRC's profile"
    return Workload(title, photographs)


def draw_count(rng: np.random.Generator) -> int:
    """Draw the number of faces of an image with faces."""
    images = np.array(list(FACES.values()))
    return int(rng.choice(list(FACES), p=images / images.sum()))


def draw_faces(rng: np.random.Generator, height: int, width: int, count: int, side: float | None = None) -> np.ndarray:
    """Draw `count` boxes inside an image, of the profile's sizes or with a longer side of `side`: (count, 4) xyxy."""
    drawn = np.interp(rng.random(count), list(SIDES), list(SIDES.values())) if side is None else np.full(count, side)
    longer = np.minimum(drawn, 0.9 * min(height, width))
    x, y = rng.random(count) * (width - ASPECT * longer), rng.random(count) * (height - longer)
    return np.stack((x, y, x + ASPECT * longer, y + longer), 1)


def draw_profile(rng: np.random.Generator, sizes: list[tuple[int, int]]) -> list[np.ndarray]:
    """Draw the (n, 4) boxes of every image of a batch; sizes are (height, width), five of six images have no face."""
    return [draw_faces(rng, *size, draw_count(rng) if rng.random() < SHARE else 0) for size in sizes]


def support_pixels(boxes: np.ndarray, height: int, width: int, recipe: str) -> int:  # boxes: (n, 4) xyxy px
    """Return how many pixels a recipe may change in an image, by the masks of the float64 formula."""
    feather, scope = formula.RECIPES[recipe]["feather"], formula.RECIPES[recipe]["scope"]
    kept = {key: formula.RECIPES[recipe][key] for key in ("margin", "shape")}
    sides = [formula.longer_side(box) for box in boxes]
    covered = np.zeros((height, width), bool)
    for box, side in zip(boxes, sides, strict=True):
        deviation = feather * (max(sides) if scope == "image" else side)
        covered |= formula.soft_mask(box, height, width, deviation=deviation, **kept) > 0
    return int(covered.sum())
