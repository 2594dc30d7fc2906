"""The masked_blur2d operator and its module twin."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fastblur.kernels.dispatch import pick_kernel
from fastblur.kernels.kernel import Batch, Images, device_of
from fastblur.ops.arguments import AnyImages, as_batch, as_input_container, as_out
from fastblur.options import check_choice
from fastblur.recipes import Backend, BorderType


def masked_blur2d(
    images: AnyImages,
    mask: Images,
    sigma: float | Sequence[float] | Tensor,
    *,
    border_type: BorderType = "replicate",
    out: AnyImages | None = None,
    backend: Backend | None = None,
) -> AnyImages:
    """Return images + mask * (gaussian(images, sigma) - images).

    Args:
        images: as for `blur`.
        mask: (B, 1, H, W), or a list of (1, H, W) for a list of images, or (1, H, W) for a single image; bool, or
            floating in 0..1. Pixels where it is 0 are left as they are, bit for bit.
        sigma: standard deviation in pixels, > 0: a number; a tuple (y, x), as kornia takes it; a list or tensor (B,) of
            one for each image; or (B, 2) or (1, 2), (y, x) for each image or for all.
        border_type: "replicate", "reflect", "constant" (zeros) or "circular", as kornia names them.
        out: images to write into; `out=images` works in place.
        backend: as for `blur`.

    Returns:
        Images of the same type, shape, dtype, layout and device; uint8 rounded half up.

    Raises ValueError or TypeError for arguments that do not fit, in one sentence.

    >>> import torch, fastblur
    >>> images, mask = torch.rand(2, 3, 80, 80), torch.zeros(2, 1, 80, 80)
    >>> mask[:, :, 20:60, 20:60] = 1
    >>> blurred = fastblur.masked_blur2d(images, mask, sigma=[1.5, 4.0])  # pixels, one for each image
    >>> torch.equal(blurred[:, :, :20], images[:, :, :20])  # the mask is 0 there
    True
    """
    check_choice("border_type", border_type, BorderType)
    batch = as_batch(images)
    masks = _as_mask(mask, batch, images)
    sigmas = _as_sigma(sigma, batch)
    if border_type == "reflect" and any(min(image.shape[-2:]) < 2 for image in batch):
        raise ValueError("border_type is 'reflect' for an image one pixel high or wide, expected 2 pixels or more")
    target = as_out(out, images, batch)
    kernel = pick_kernel(batch, backend, sigmas, *([masks] if isinstance(masks, Tensor) else masks))
    return as_input_container(images, kernel.masked_blur2d(batch, masks, sigmas, border_type, target), out)


class MaskedGaussianBlur2d(nn.Module):
    """The module twin of `masked_blur2d`: `MaskedGaussianBlur2d(sigma)(images, mask)`.

    Args:
        sigma: as for `masked_blur2d`.
        border_type: as for `masked_blur2d`.
        backend: as for `blur`.

    >>> import torch, fastblur
    >>> blur = fastblur.MaskedGaussianBlur2d(2.0)
    >>> blur
    MaskedGaussianBlur2d(sigma=2.0, border_type='replicate')
    >>> blur(torch.rand(1, 3, 80, 80), torch.ones(1, 1, 80, 80)).shape
    torch.Size([1, 3, 80, 80])
    """

    def __init__(
        self,
        sigma: float | Sequence[float] | Tensor,
        border_type: BorderType = "replicate",
        backend: Backend | None = None,
    ) -> None:
        super().__init__()
        self.sigma = sigma
        self.border_type = border_type
        self.backend = backend

    def forward(self, images: Tensor, mask: Tensor) -> Tensor:
        """Return images + mask * (gaussian(images, sigma) - images).

        Args:
            images: (B, C, H, W) or (C, H, W), uint8 in 0..255 or floating in 0..1.
            mask: (B, 1, H, W), or (1, H, W) for a single image; bool, or floating in 0..1.

        Returns:
            Images of the same shape, dtype, layout and device.

        Raises what `masked_blur2d` raises.

        >>> import torch, fastblur
        >>> images = torch.rand(1, 3, 80, 80)
        >>> nothing = fastblur.MaskedGaussianBlur2d(2.0)(images, torch.zeros(1, 1, 80, 80))
        >>> torch.equal(nothing, images)
        True
        """
        return masked_blur2d(images, mask, self.sigma, border_type=self.border_type, backend=self.backend)

    def extra_repr(self) -> str:
        """Return the arguments, for printing."""
        return f"sigma={self.sigma}, border_type={self.border_type!r}"


def _as_mask(
    mask: Any,
    batch: Batch,  # (B, C, H, W), or a list of (C, H, W)
    images: Images,  # what the batch was made of
) -> Batch:  # (B, 1, H, W), or a list of (1, H, W)
    """Return the mask as the kernels take it; raises ValueError or TypeError where it is not the images'."""
    if isinstance(mask, Tensor) != isinstance(images, Tensor):
        raise TypeError(f"mask is a {type(mask).__name__}, expected a {type(images).__name__} as the images")
    if isinstance(mask, Tensor) and mask.ndim == 3 and getattr(images, "ndim", 0) == 3:
        mask = mask[None]
    if len(mask) != len(batch):
        raise ValueError(f"mask is for {len(mask)} images, expected {len(batch)} as the images")
    for i, (one, image) in enumerate(zip(mask, batch, strict=True)):
        if not isinstance(one, Tensor) or tuple(one.shape) != (1, *image.shape[-2:]):
            shape = tuple(getattr(one, "shape", ()))
            raise ValueError(f"mask of image {i} has shape {shape}, expected {(1, *image.shape[-2:])}")
        if one.dtype != torch.bool and not one.is_floating_point():
            raise ValueError(f"mask has dtype {one.dtype}, expected bool or floating")
        if one.dtype != mask[0].dtype:
            raise ValueError(
                f"mask of image {i} has dtype {one.dtype}, expected {mask[0].dtype} as the mask of image 0"
            )
        if one.device != image.device:
            raise ValueError(f"mask is on {one.device}, expected {image.device} as the images")
    return mask if isinstance(mask, Tensor) else list(mask)


def _as_sigma(
    sigma: Any,
    batch: Batch,  # (B, C, H, W), or a list of (C, H, W)
) -> Tensor:  # (B, 2) float32, (y, x) px
    """Return a deviation for each image and axis; raises ValueError for another form, or one that is not > 0."""
    count = len(batch)
    try:
        values = torch.as_tensor(sigma, dtype=torch.float32, device=device_of(batch))
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(f"sigma is {sigma!r}, expected a number, (y, x), (B,) or (B, 2) numbers") from None
    if isinstance(sigma, tuple) and values.ndim == 1:  # as kornia takes it, whatever the batch
        if len(values) != 2:
            raise ValueError(f"sigma is {sigma!r}, expected (y, x), or a list of {count} numbers, one for each image")
        values = values[None]
    if values.ndim == 0 or tuple(values.shape) == (1, 2):
        values = values.expand(count, 2)
    if tuple(values.shape) not in ((count,), (count, 2)):
        raise ValueError(
            f"sigma has shape {tuple(values.shape)}, expected one number, a tuple (y, x), ({count},) or ({count}, 2)"
        )
    if (
        values.device.type == "cpu"
        and not torch.compiler.is_compiling()
        and not bool((values.isfinite() & (values > 0)).all())
    ):
        raise ValueError(f"sigma is {sigma!r}, expected finite numbers > 0")
    return values if values.ndim == 2 else values[:, None].expand(-1, 2)
