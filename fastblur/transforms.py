"""HideFaces: faces hidden in the samples of a data set, as they are loaded."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from fastblur.detectors import DEFAULT_DETECTOR, DetectorSettings
from fastblur.detectors.custom import FaceDetector, name_of
from fastblur.detectors.registry import is_import_name, network_of
from fastblur.detectors.weights import can_be_had, find
from fastblur.errors import UsageError
from fastblur.forked import use_one_thread_if_forked
from fastblur.image_hider import ImageHider
from fastblur.module import check_detector, split_options
from fastblur.options import BoxCoordinates, BoxFormat, Channels, Method, check_choice
from fastblur.samples import checked_places, image_keys, image_places, is_cell, map_list

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from fastblur.method_options import HidingOptions

__all__ = ["HideFaces"]


class HideFaces(nn.Module):
    """Hides the faces in a sample, and returns the sample in the form in which it came.

    Works wherever a sample goes through a callable: a chain of torchvision transforms, a Dataset, a WebDataset's
    `.map`, the `map` and `with_transform` of Hugging Face's datasets. A sample is

    - an image: a tensor (C, H, W) or (B, C, H, W), RGB or grey, or a subclass of it; a PIL image of mode L, LA, RGB,
      RGBA or CMYK, which is searched upright as its EXIF says; an array (H, W), (H, W, C) or (B, H, W, C), uint8 or
      floating in 0..1; the bytes of an image file, which come back as a file of the same format, a JPEG with only the
      blocks changed that show a face; or a dict {"bytes": .., "path": ..} of such bytes, as Hugging Face keeps them;
    - a list of these: a batch;
    - a dict with images or lists of images in it, at the keys `images`, or else at those that end as image files do
      ("jpg", "left.png"); without `images`, an image under any other key is an error; or a list of such dicts;
    - a tuple whose first entry is one of these, or several arguments, as torchvision passes them; the others come back
      as they are. Another image among them is an error, unless `images` says which entries are searched. A list whose
      first entry is the only image is taken for such a tuple.

    Images without a face come back unchanged. Whatever goes wrong is raised: none of these images comes back that was
    not searched.
    The detector is loaded in each process when it is first used, so the transform can be pickled and a data loader's
    workers may be forked.

    Args:
        detector: the name of one, by default "centerface"; or your own: a callable or class, or "package.module:name",
            see `fastblur.detectors.FaceDetector`.
        method: "blur", "pixelate" or "fill": the operator.
        boxes: instead of a detector, where a sample has its boxes: the key in its dict, or in a dict among its other
            entries; (n, 4) numbers, or what `Regions.from_boxes` takes for an image; for a batch a list of these.
        box_format: what the numbers of those boxes are, "xyxy" in pixels by default; see `Regions.from_boxes`.
        box_coordinates: whether those boxes are of the picture as it is "stored", or "upright", turned as its EXIF
            orientation says; "auto" raises for an image that is stored turned.
        images: the keys of a dict's images; None for those that end as image files do. Or the places of a tuple's
            images, as 0 or (0, 1); None for the first.
        channels: "bgr" for tensors and arrays whose colours are in OpenCV's order; files and PIL images are RGB.
        options: those of a detector given by name and those of the operator, as `fastblur.FaceBlur` takes them; for
            the detector `threads` is 1 by default. For tensors `color` is in the images' own scale, for all others a
            level or RGB in 0..255.

    All are checked here, and that there are weights, or that they can be downloaded. Raises ValueError (UsageError) or
    TypeError for arguments that do not fit, WeightsNotFound or WrongWeights for weights; when it is first used, what
    `load_detector` raises.

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
        detector: str | FaceDetector | Callable[..., Any] | None = None,
        method: Method = "blur",
        *,
        boxes: str | None = None,
        box_format: BoxFormat | None = None,
        box_coordinates: BoxCoordinates = "auto",
        images: str | int | Sequence[str] | Sequence[int] | None = None,
        channels: Channels = "rgb",
        **options: "Unpack[HidingOptions]",
    ) -> None:
        super().__init__()
        settings, own = split_options(dict(options))
        if boxes is not None and (detector is not None or settings):
            raise UsageError("boxes and a detector were given, expected one of them")
        if boxes is None and box_format is not None:
            raise UsageError("box_format has no effect without boxes, expected it left out")
        check_choice("box_coordinates", box_coordinates, BoxCoordinates)
        check_choice("channels", channels, Channels)
        if box_format is not None:
            check_choice("box_format", box_format, BoxFormat)
        if boxes is not None and not isinstance(boxes, str):
            raise TypeError(f"boxes is a {type(boxes).__name__}, expected the key under which samples have them")
        self.boxes = boxes
        self.images: Any = checked_places(images)
        chosen = DEFAULT_DETECTOR if detector is None else detector
        check_detector(chosen, settings)
        if isinstance(chosen, str) and not is_import_name(chosen):
            network_of(chosen)
            if settings.get("weights") is not None or not can_be_had(chosen):
                find(chosen, settings.get("weights"))  # says what is missing
        checked = DetectorSettings(**settings)
        self._settings = {name: getattr(checked, name) for name in settings}
        self._hider = ImageHider(chosen, {"threads": 1, **self._settings}, method, own, boxes, box_format, channels)
        self._hider.coordinates = box_coordinates

    def forward(self, *sample: Any, out: Tensor | None = None) -> Any:
        """Return the sample with the faces in its images hidden.

        Args:
            sample: see the class.
            out: for a sample that is a tensor, one like it to write into; the tensor itself works in place.
        """
        use_one_thread_if_forked()
        if out is not None and not (len(sample) == 1 and isinstance(sample[0], Tensor)):
            raise TypeError("out was given for a sample that is not a tensor, expected a tensor, or no out")
        if len(sample) != 1:
            return self._entries(sample)
        (one,) = sample
        if out is not None:
            return self._hider.tensor(one, self._given([]), out)
        if isinstance(one, list):
            return map_list(one, lambda image: self._hider.hide(image, self._given([])), self.forward)
        if isinstance(one, tuple):
            make = getattr(type(one), "_make", type(one))  # of a named tuple
            return make(self._entries(one))
        return self._entries(sample)[0]

    def extra_repr(self) -> str:
        """Return the arguments, for `repr`."""
        hider = self._hider
        shown: dict[str, Any] = {"detector": name_of(hider.detector), **self._settings}
        if self.boxes is not None:
            shown = {"boxes": self.boxes, "box_format": hider.format, "box_coordinates": hider.coordinates}
        shown |= {"method": hider.method, **hider.options, "images": self.images}
        shown["channels"] = None if hider.channels == "rgb" else hider.channels
        return ", ".join(f"{name}={value!r}" for name, value in shown.items() if value is not None)

    def _entries(self, entries: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return a tuple's entries, the images hidden: those of the dict that it begins with, or the first entry."""
        if not entries:
            raise TypeError("no sample was given, expected an image, a dict or a tuple that begins with one")
        dicts = [entry for entry in entries if isinstance(entry, Mapping)]
        named: Any = self.images
        if isinstance(entries[0], Mapping) and not is_cell(entries[0]):
            keys = image_keys(entries[0], None if named is None or isinstance(named[0], int) else named)
            if self.boxes is not None and len(keys) > 1:
                raise ValueError(
                    f"the sample has the images {list(keys)}, expected images= to name the one that boxes= is of"
                )
            changed = {key: self._hider.hide(entries[0][key], self._given(dicts)) for key in keys}
            return ({**entries[0], **changed}, *entries[1:])
        places = image_places(entries, named if named and isinstance(named[0], int) else None)
        if self.boxes is not None and len(places) > 1:
            raise ValueError(f"the sample has {len(places)} images, expected images= to name the one that boxes= is of")
        hidden = list(entries)
        for place in places:
            hidden[place] = self._hider.hide(entries[place], self._given(dicts))
        return tuple(hidden)

    def _given(self, dicts: list[Mapping[str, Any]]) -> Any:
        """Return the boxes that the sample has for an image or a batch; None where a detector finds them."""
        if self.boxes is None:
            return None
        found = next((entry[self.boxes] for entry in dicts if self.boxes in entry), None)
        if found is None:
            raise ValueError(f"the sample has no {self.boxes!r}, expected its boxes there")
        return found
