"""What blur, pixelate and fill come to, for kernels that do all three by the same steps."""

from collections.abc import Callable
from typing import Any, NamedTuple

from fastblur.kernels.constants import BLUR, FILL, MOSAIC
from fastblur.recipes import Recipe, Shape


class KernelParameters(NamedTuple):
    """An operator's parameters as plain numbers; compiled code reads them by name.

    Attributes:
        mode: BLUR, MOSAIC or FILL of `constants`.
        strength: sigma over d; 0 unless the mode is BLUR.
        margin: how far the box grows on every side, over d.
        feather: deviation of the soft edge, over d.
        ellipse: whether the shape is "ellipse".
        whole_image: whether d is the longest of the image (scope "image"), for sigma and feather.
        blocks: blocks along the longer side of the grown box; 0 unless the mode is MOSAIC.
    """

    mode: int
    strength: float
    margin: float
    feather: float
    ellipse: bool
    whole_image: bool
    blocks: int

    @classmethod
    def for_method(cls, method: str, arguments: dict[str, Any]) -> "KernelParameters":
        """Return the parameters of a method by name, from the arguments of its operator without a color."""
        makers: dict[str, Callable[..., KernelParameters]] = {
            "blur": cls.for_blur,
            "pixelate": cls.for_pixelate,
            "fill": cls.for_fill,
        }
        return makers[method](**arguments)

    @classmethod
    def for_blur(cls, recipe: Recipe) -> "KernelParameters":
        """Return the parameters of a blur."""
        return cls(
            mode=BLUR,
            strength=float(recipe.strength),
            margin=float(recipe.margin),
            feather=float(recipe.feather),
            ellipse=recipe.shape == "ellipse",
            whole_image=recipe.scope == "image",
            blocks=0,
        )

    @classmethod
    def for_pixelate(cls, blocks: int, margin: float, shape: Shape) -> "KernelParameters":
        """Return the parameters of a mosaic."""
        return cls(MOSAIC, 0.0, float(margin), 0.0, shape == "ellipse", False, blocks)

    @classmethod
    def for_fill(cls, margin: float, feather: float, shape: Shape) -> "KernelParameters":
        """Return the parameters of painting over."""
        return cls(FILL, 0.0, float(margin), float(feather), shape == "ellipse", False, 0)
