"""HideFaces: faces hidden in the samples of a data set, as they are loaded."""

import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fastblur import ops
from fastblur.box_formats import relative_boxes
from fastblur.boxes import Boxes
from fastblur.codecs import (
    OTHER_SUFFIXES,
    SUFFIXES,
    Picture,
    decode,
    encode,
    file_to_copy,
    is_image,
    stored_boxes,
    upright_views,
)  # fmt: skip
from fastblur.codecs.exif import ORIENTATION
from fastblur.detectors import DEFAULT_DETECTOR, DetectorSettings, load_detector
from fastblur.detectors.registry import network_of
from fastblur.errors import UsageError
from fastblur.method_options import operator_arguments
from fastblur.module import check_detector, split_options
from fastblur.options import BoxCoordinates, Method, check_choice
from fastblur.pipeline.boxes.checks import given_boxes, hiding_boxes
from fastblur.pipeline.images.methods import make_hide
from fastblur.regions import Regions

__all__ = ["HideFaces"]

MODES = ("L", "LA", "RGB", "RGBA", "CMYK")


class HideFaces(nn.Module):
    """Hides the faces in a sample, and returns the sample in the form in which it came.

    Works wherever a sample goes through a callable: a chain of torchvision transforms, a Dataset, a WebDataset's
    `.map`. A sample is

    - an image: a tensor (C, H, W) or (B, C, H, W), or a subclass of it; a PIL image of mode L, LA, RGB, RGBA or CMYK,
      which is searched upright as its EXIF says; an array (H, W) or (H, W, C) uint8; or the bytes of an image file,
      which come back as a file of the same format;
    - a dict with images in it, at the keys `images`, or else at those that end as image files do ("jpg", "left.png");
      without `images`, an image under any other key is an error;
    - a tuple or list whose first entry is one of these, or several arguments, as torchvision passes them; the others
      come back as they are, whatever they show: targets may be images too.

    Images without a face come back unchanged. Whatever goes wrong is raised: none of these images comes back that was
    not searched.
    The detector is loaded in each process when it is first used, so the transform can be pickled and a data loader's
    workers may be forked.

    Args:
        detector: the name of one, or any callable from (3, H, W) tensors to Regions; by default "centerface".
        method: "blur", "pixelate" or "fill": the operator.
        boxes: instead of a detector, where a sample has its boxes: the key in its dict, or in a dict among its other
            entries; (n, 4) xyxy in pixels, as tensor, array or list.
        relative: whether those boxes are relative to the image's sides, 0..1, and not in pixels.
        box_coordinates: whether those boxes are of the picture as it is "stored", or "upright", turned as its EXIF
            orientation says; "auto" raises for an image that is stored turned.
        images: the keys of a dict's images; None for those that end as image files do.
        options: those of a detector given by name and those of the operator, as `fastblur.FaceBlur` takes them; for
            the detector `threads` is 1 by default. For tensors `color` is in the images' own scale, for all others a
            level or RGB in 0..255.

    All are checked here, except whether the weights are there. Raises ValueError (UsageError) or TypeError for
    arguments that do not fit; when it is first used, what `load_detector` raises.

    Example:
        >>> import numpy as np
        >>> from fastblur.transforms import HideFaces
        >>> image = np.zeros((96, 128, 3), np.uint8)
        >>> hide = HideFaces(threshold=0.4)
        >>> hide(image) is image  # no face
        True
        >>> image[:, ::2] = 255
        >>> hide = HideFaces(boxes="faces", method="fill", color=7)
        >>> hidden, target = hide(image, {"faces": [[10, 10, 50, 60]], "label": 3})
        >>> hidden[30, 30].tolist(), hidden[0, :2, 0].tolist(), target["label"]
        ([7, 7, 7], [255, 0], 3)
    """

    def __init__(
        self,
        detector: str | Callable[[Any], Regions] | None = None,
        method: Method = "blur",
        *,
        boxes: str | None = None,
        relative: bool = False,
        box_coordinates: BoxCoordinates = "auto",
        images: str | tuple[str, ...] | None = None,
        **options: Any,
    ) -> None:
        super().__init__()
        settings, own = split_options(options)
        if boxes is not None and (detector is not None or settings):
            raise UsageError("boxes and a detector were given, expected one of them")
        check_choice("box_coordinates", box_coordinates, BoxCoordinates)
        self.boxes, self._relative, self._coordinates = boxes, relative, box_coordinates
        self.images = (images,) if isinstance(images, str) else images
        self._detector = DEFAULT_DETECTOR if detector is None else detector
        check_detector(self._detector, settings)
        if isinstance(self._detector, str):
            network_of(self._detector)
        self._settings = {"threads": 1, **settings}
        DetectorSettings(**self._settings)
        self._method, self._options = method, own
        self._arguments, _ = operator_arguments(method, **own)
        self._operator = getattr(ops, method)
        self._made: dict[str, Any] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Return all but what each process makes for itself."""
        return {**self.__dict__, "_made": {}}

    def forward(self, *sample: Any) -> Any:
        """Return the sample with the faces in its images hidden."""
        if len(sample) != 1:
            return self._sequence(sample)
        if isinstance(sample[0], (tuple, list)):
            make = getattr(type(sample[0]), "_make", type(sample[0]))  # of a named tuple
            return make(self._sequence(tuple(sample[0])))
        return self._sequence(sample)[0]

    def extra_repr(self) -> str:
        """Return the arguments, for `repr`."""
        found = f"boxes={self.boxes!r}" if self.boxes is not None else f"detector={self._detector!r}"
        return ", ".join([found, f"method={self._method!r}", *(f"{name}={v!r}" for name, v in self._options.items())])

    def _sequence(self, entries: tuple[Any, ...]) -> tuple[Any, ...]:
        if not entries:
            raise TypeError("no sample was given, expected an image, a dict or a tuple that begins with one")
        first = entries[0]
        dicts = [entry for entry in entries if isinstance(entry, Mapping)]
        if not isinstance(first, Mapping):
            return (self._image(first, self._given(dicts)), *entries[1:])
        keys = self.images or tuple(key for key in first if f".{key}".lower().endswith(SUFFIXES))
        if not keys or any(key not in first for key in keys):
            raise ValueError(f"the sample has the keys {list(first)}, expected {self.images or 'one that ends as jpg'}")
        if self.images is None:
            for key, value in first.items():
                if key not in keys and (
                    f".{key}".lower().endswith(OTHER_SUFFIXES) or (isinstance(value, bytes) and is_image(value))
                ):
                    raise ValueError(
                        f"the sample has {key!r}, an image that would not be searched, expected images= to name those "
                        "that are"
                    )
        if self.boxes is not None and len(keys) > 1:
            raise ValueError(
                f"the sample has the images {list(keys)}, expected images= to name the one that boxes= is of"
            )
        given = self._given(dicts)
        changed = {key: self._image(first[key], given) for key in keys}
        return ({**first, **changed}, *entries[1:])

    def _given(self, dicts: list[Mapping[str, Any]]) -> Boxes | None:
        """Return the boxes that the sample has, where they are given."""
        if self.boxes is None:
            return None
        found = next((entry[self.boxes] for entry in dicts if self.boxes in entry), None)
        if found is None:
            raise ValueError(f"the sample has no {self.boxes!r}, expected its boxes there")
        rows = np.asarray(found.tolist() if isinstance(found, Tensor) else found, np.float32)
        if rows.size == 0:
            rows = rows.reshape(0, 4)
        if rows.ndim != 2 or rows.shape[1] != 4 or not np.isfinite(rows).all():
            raise ValueError(f"the boxes {self.boxes!r} are {rows.tolist()}, expected (n, 4) finite numbers")
        return rows

    def _image(self, image: Any, given: Boxes | None) -> Any:
        if isinstance(image, Tensor):
            return self._tensor(image, given)
        if isinstance(image, bytes):
            picture = decode(image)
            return encode(picture, picture.pixels) if self._picture(picture, given) else file_to_copy(image, picture)
        if isinstance(image, np.ndarray):
            return self._array(image, given)
        if hasattr(image, "mode") and hasattr(image, "getbands"):
            return self._pil(image, given)
        raise TypeError(f"the image is a {type(image).__name__}, expected a tensor, a PIL image, an array or bytes")

    def _tensor(self, image: Tensor, given: Boxes | None) -> Tensor:
        plain = image.as_subclass(Tensor)
        if given is not None and plain.ndim != 3:
            raise ValueError(f"the image has shape {tuple(plain.shape)}, expected (C, H, W) with boxes of one image")
        regions = self._detect(plain) if given is None else [self._in_pixels(given, *plain.shape[-2:])]
        hidden: Tensor = self._operator(plain, regions, **self._arguments)
        return hidden.as_subclass(type(image))

    def _in_pixels(self, given: Boxes, height: int, width: int) -> Boxes:
        return hiding_boxes(relative_boxes(given, height, width) if self._relative else given, height, width)

    def _array(self, image: np.ndarray[Any, Any], given: Boxes | None) -> np.ndarray[Any, Any]:
        channels = 1 if image.ndim == 2 else image.shape[-1]
        if image.dtype != np.uint8 or image.ndim not in (2, 3) or not 1 <= channels <= 4:
            raise ValueError(f"the array is {image.dtype} {image.shape}, expected uint8 (H, W) or (H, W, 1 to 4)")
        pixels = np.array(image if image.ndim == 3 else image[..., None], order="C")
        hidden = self._picture(Picture(pixels, "PNG", MODES[channels - 1], 1, b""), given)
        return pixels.reshape(image.shape) if hidden else image

    def _pil(self, image: Any, given: Boxes | None) -> Any:
        from PIL import Image

        if image.mode not in MODES:
            raise ValueError(f"the PIL image has mode {image.mode!r}, expected {', '.join(MODES)}: convert it first")
        pixels = np.array(image)
        pixels = pixels if pixels.ndim == 3 else pixels[..., None]
        orientation = image.getexif().get(ORIENTATION, 1)
        picture = Picture(pixels, "PNG", image.mode, orientation if orientation in range(1, 9) else 1, b"")
        if not self._picture(picture, given):
            return image
        hidden = image.copy()  # with its metadata
        hidden.paste(Image.fromarray(pixels[..., 0] if image.mode == "L" else pixels, image.mode))
        return hidden

    def _picture(self, picture: Picture, given: Boxes | None) -> bool:
        """Hide the faces in the picture's own pixels; return whether there are any."""
        if given is None:
            found = [self._detect(torch.from_numpy(view).permute(2, 0, 1)) for view in upright_views(picture)]
            boxes = stored_boxes(np.concatenate([regions[0].cpu().numpy() for regions in found]), picture)
            boxes = hiding_boxes(boxes, *picture.pixels.shape[:2])
        else:
            height, width = picture.pixels.shape[:2]
            boxes = given_boxes(
                given, height, width, picture.orientation, coordinates=self._coordinates, relative=self._relative
            )
        if len(boxes):
            self._own("hide", self._make_hide)([picture], [boxes])
        return len(boxes) > 0

    def _detect(self, image: Tensor) -> Regions:
        if not isinstance(self._detector, str):
            return self._detector(image)
        regions: Regions = self._own("detector", self._load)(image)
        return regions

    def _load(self) -> Any:
        return load_detector(str(self._detector), **self._settings)

    def _make_hide(self) -> Any:
        return make_hide(self._method, "cpu", **self._options)[0]

    def _own(self, name: str, make: Callable[[], Any]) -> Any:
        """Return what this process has made by that name; a forked one makes its own."""
        if self._made.get("process") != os.getpid():
            self._made = {"process": os.getpid()}
        if name not in self._made:
            self._made[name] = make()
        return self._made[name]
