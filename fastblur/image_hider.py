"""ImageHider: the faces hidden in one image, or a batch, in whatever form a data set hands it over."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fastblur import ops
from fastblur.box_formats import as_rows, check_own_size, found_in, relative_boxes, to_corners
from fastblur.boxes import Boxes
from fastblur.codecs import Picture, check, decode, encode, file_to_copy, size_of, stored_boxes, upright_views
from fastblur.codecs.exif import ORIENTATION, orientation
from fastblur.codecs.formats import format_of
from fastblur.codecs.jpeg_segments import exif, read_header
from fastblur.detectors import load_detector
from fastblur.detectors.custom import find_regions, resolve
from fastblur.detectors.registry import is_import_name
from fastblur.jpeg import hide_jpeg
from fastblur.method_options import operator_arguments
from fastblur.options import BoxCoordinates, BoxFormat, Channels, Method
from fastblur.pipeline.boxes.checks import given_boxes, hiding_boxes
from fastblur.pipeline.images.methods import as_levels, make_hide, parse_color
from fastblur.regions import Regions
from fastblur.samples import BYTES, FILE_TYPES, PATH, is_cell, is_pil

MODES = ("L", "LA", "RGB", "RGBA", "CMYK")


class ImageHider:
    """Hides the faces in images; what it needs for that is made in each process when it is first used.

    Args:
        detector: the name of one, or one of the user's own.
        settings: of a detector given by name.
        method: "blur", "pixelate" or "fill".
        options: of the method.
        boxes: what messages call the boxes that are given.
        format: of those boxes; None for what they say themselves, or "xyxy".
        channels: the order of the colours of tensors and arrays.

    Attributes:
        coordinates: of which picture the boxes of one that is stored turned are.

    Raises ValueError as `operator_arguments` does.
    """

    def __init__(
        self,
        detector: Any,
        settings: dict[str, Any],
        method: Method,
        options: dict[str, Any],
        boxes: str | None,
        format: BoxFormat | None,
        channels: Channels,
    ) -> None:
        self.detector, self.settings = detector, settings
        self.method, self.options = method, options
        self.boxes, self.format, self.channels = boxes, format, channels
        self.coordinates: BoxCoordinates = "auto"
        self._arguments, _ = operator_arguments(method, **options)
        self._operator = getattr(ops, method)
        self._made: dict[str, Any] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Return all but what each process makes for itself."""
        return {**self.__dict__, "_made": {}}

    def hide(self, value: Any, given: Any) -> Any:
        """Return an image or a batch of them with the faces hidden."""
        if value is None:  # an empty cell, which shows nothing
            return None
        is_batch = isinstance(value, (list, tuple)) or (isinstance(value, np.ndarray) and value.ndim == 4)
        if is_batch:
            each = [None] * len(value) if given is None else self._of_each(given, len(value))
            hidden = [self.hide(image, rows) for image, rows in zip(value, each, strict=True)]
            if isinstance(value, np.ndarray):
                return np.stack(hidden) if hidden else value
            return type(value)(hidden)
        if is_cell(value):
            data = value[BYTES] if value[BYTES] is not None else _read(value.get(PATH))
            hidden_data = self._file(data, given)
            return value if hidden_data is data else {**value, BYTES: hidden_data}
        if isinstance(value, Tensor):
            return self.tensor(value, given)
        if isinstance(value, FILE_TYPES):
            return self._file(bytes(value), given)
        if isinstance(value, np.ndarray):
            return self._array(value, given)
        if is_pil(value):
            return self._pil(value, given)
        raise TypeError(f"the image is a {type(value).__name__}, expected a tensor, a PIL image, an array or bytes")

    def _of_each(self, given: Any, count: int) -> list[Any]:
        if not hasattr(given, "__len__") or isinstance(given, Mapping) or len(given) != count:
            raise ValueError(f"the boxes {self.boxes!r} are not those of {count} images, expected a list of as many")
        return list(given)

    def _rows(self, given: Any, sizes: list[tuple[int, int]]) -> tuple[Boxes, bool]:
        """Return the boxes of an image as corners, (n, 4), and whether they are relative to its sides.

        `sizes` are the (H, W) that the image may be said to have.
        """
        found = found_in(given, 0)
        check_own_size(found, sizes, 0)
        format: Any = found.format or self.format or "xyxy"
        rows = as_rows(found.rows, 0)
        if not np.isfinite(rows).all():
            raise ValueError(f"the boxes {self.boxes!r} are {rows.tolist()}, expected (n, 4) finite numbers")
        if self.format is not None and format != self.format:
            raise ValueError(
                f"the boxes {self.boxes!r} are in the format {format!r}, and box_format is {self.format!r}"
            )
        return to_corners(rows, format), format.endswith("n")

    def _in_pixels(self, given: Any, height: int, width: int) -> Boxes:
        rows, relative = self._rows(given, [(height, width)])
        return hiding_boxes(relative_boxes(rows, height, width) if relative else rows, height, width)

    def _as_stored(self, given: Any, height: int, width: int, turned: int) -> Boxes:
        """Return boxes that are given for a stored picture, whose EXIF orientation is `turned`, in its pixels."""
        upright = (width, height) if turned >= 5 else (height, width)
        rows, relative = self._rows(given, [(height, width), upright])
        return given_boxes(rows, height, width, turned, coordinates=self.coordinates, relative=relative)

    def tensor(
        self,
        image: Tensor,  # (C, H, W) or (B, C, H, W)
        given: Any,
        out: Tensor | None = None,
    ) -> Tensor:
        """Return a tensor with the faces hidden, `out` where it is given."""
        plain = image.as_subclass(Tensor)
        if given is None:
            regions: Any = self._detect(plain.flip(-3) if self.channels == "bgr" else plain)
        elif plain.ndim == 3:
            regions = [self._in_pixels(given, *plain.shape[-2:])]
        else:
            regions = [self._in_pixels(one, *plain.shape[-2:]) for one in self._of_each(given, len(plain))]
        if out is not None:
            self._operator(plain, regions, out=out.as_subclass(Tensor), **self._arguments)
            return out
        hidden: Tensor = self._operator(plain, regions, **self._arguments)
        return hidden.as_subclass(type(image))

    def _file(self, data: bytes, given: Any) -> bytes:
        """Return a file with the faces hidden: itself where there are none, a JPEG rewritten block by block."""
        if given is not None and format_of(data) == "JPEG":
            width, height = size_of(data)
            boxes = self._as_stored(given, height, width, orientation(exif(read_header(data))))
            if not len(boxes):
                check(data)
                return file_to_copy(data)
            return hide_jpeg(data, boxes, self.method, **self.options)
        picture = decode(data)
        boxes = self._boxes_in(picture, given)
        if not len(boxes):
            return file_to_copy(data, picture)
        if picture.format == "JPEG":
            return hide_jpeg(data, boxes, self.method, **self.options)
        self._hide(picture, boxes)
        return encode(picture, picture.pixels)

    def _array(self, image: np.ndarray[Any, Any], given: Any) -> np.ndarray[Any, Any]:
        channels = 1 if image.ndim == 2 else image.shape[-1]
        if image.dtype.kind == "f" and image.ndim in (2, 3) and channels in (1, 3):
            return self._floats(image, given)
        if image.dtype != np.uint8 or image.ndim not in (2, 3) or not 1 <= channels <= 4:
            raise ValueError(
                f"the array is {image.dtype} {image.shape}, expected uint8 (H, W) or (H, W, 1 to 4), or floating in "
                "0..1 (H, W) or (H, W, 1 or 3)"
            )
        pixels = np.array(_swapped(image, self.channels) if image.ndim == 3 else image[..., None], order="C")
        picture = Picture(pixels, "PNG", MODES[channels - 1], 1, b"")
        boxes = self._boxes_in(picture, given)
        if not len(boxes):
            return image
        self._hide(picture, boxes)
        shown: np.ndarray[Any, Any] = np.ascontiguousarray(_swapped(pixels, self.channels)).reshape(image.shape)
        return shown

    def _floats(self, image: np.ndarray[Any, Any], given: Any) -> np.ndarray[Any, Any]:
        """Hide the faces in an array in 0..1, as WebDataset decodes to "rgb"."""
        pixels = _swapped(image if image.ndim == 3 else image[..., None], self.channels)
        tensor = torch.from_numpy(np.array(pixels, order="C")).permute(2, 0, 1)
        tensor = tensor if tensor.dtype in (torch.float32, torch.float64, torch.float16) else tensor.float()
        if given is None:
            regions: Any = self._detect(tensor)
        else:
            regions = [self._in_pixels(given, *tensor.shape[-2:])]
        if not sum(map(len, regions)):
            return image
        arguments = dict(self._arguments)
        if self.method == "fill":
            levels = as_levels(parse_color(arguments["color"]), "L" if len(tensor) == 1 else "RGB")
            arguments["color"] = [level / 255 for level in levels]
        hidden = self._operator(tensor, regions, **arguments).permute(1, 2, 0).numpy()
        shown: np.ndarray[Any, Any] = np.ascontiguousarray(_swapped(hidden, self.channels)).reshape(image.shape)
        return shown.astype(image.dtype)

    def _pil(self, image: Any, given: Any) -> Any:
        from PIL import Image

        if image.mode not in MODES:
            raise ValueError(f"the PIL image has mode {image.mode!r}, expected {', '.join(MODES)}: convert it first")
        pixels = np.array(image)
        pixels = pixels if pixels.ndim == 3 else pixels[..., None]
        turned = image.getexif().get(ORIENTATION, 1)
        picture = Picture(pixels, "PNG", image.mode, turned if turned in range(1, 9) else 1, b"")
        boxes = self._boxes_in(picture, given)
        if not len(boxes):
            return image
        self._hide(picture, boxes)
        hidden = image.copy()  # with its metadata
        hidden.paste(Image.fromarray(pixels[..., 0] if image.mode == "L" else pixels, image.mode))
        return hidden

    def _boxes_in(self, picture: Picture, given: Any) -> Boxes:
        """Return the boxes to hide in a picture, found or given, (n, 4) in stored pixels."""
        height, width = picture.pixels.shape[:2]
        if given is not None:
            return self._as_stored(given, height, width, picture.orientation)
        found = [self._detect(torch.from_numpy(view).permute(2, 0, 1)) for view in upright_views(picture)]
        boxes = stored_boxes(np.concatenate([regions[0].cpu().numpy() for regions in found]), picture)
        return hiding_boxes(boxes, height, width)

    def _hide(self, picture: Picture, boxes: Boxes) -> None:
        self._own("hide", self._make_hide)([picture], [boxes])

    def _detect(self, image: Tensor) -> Regions:
        return find_regions(self._own("detector", self._load), image)

    def _load(self) -> Any:
        if isinstance(self.detector, str) and not is_import_name(self.detector):
            return load_detector(self.detector, **self.settings)
        return resolve(self.detector)

    def _make_hide(self) -> Any:
        return make_hide(self.method, "cpu", **self.options)[0]

    def _own(self, name: str, make: Callable[[], Any]) -> Any:
        """Return what this process has made by that name; a forked one makes its own."""
        if self._made.get("process") != os.getpid():
            self._made = {"process": os.getpid()}
        if name not in self._made:
            self._made[name] = make()
        return self._made[name]


def _swapped(
    pixels: np.ndarray[Any, Any],  # (H, W, C)
    channels: Channels,
) -> np.ndarray[Any, Any]:
    """Return pixels with red and blue changed for each other where their order is BGR."""
    if channels == "rgb" or pixels.shape[-1] < 3:
        return pixels
    return pixels[..., [2, 1, 0, *range(3, pixels.shape[-1])]]


def _read(path: Any) -> bytes:
    if not isinstance(path, (str, os.PathLike)):
        raise ValueError(f"an image has no bytes, and its path is {path!r}, expected one of them")
    return Path(path).read_bytes()
