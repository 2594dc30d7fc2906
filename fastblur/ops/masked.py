"""The masked_blur2d operator and its module twin."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fastblur.kernels.dispatch import device_of, pick_kernel
from fastblur.kernels.kernel import Batch, Images
from fastblur.ops.arguments import AnyImages, as_batch, as_out, like
from fastblur.recipes import BorderType, check_choice


def masked_blur2d(
    images: AnyImages,
    mask: Images,
    sigma: float | Sequence[float] | Tensor,
    *,
    border_type: str = "replicate",
    out: AnyImages | None = None,
    backend: str | None = None,
) -> AnyImages:
    """Return images + mask * (gaussian(images, sigma) - images).

    Args:
        images: as for `blur`.
        mask: (B, 1, H, W), or a list of (1, H, W) for a list of images, or (1, H, W) for a single image; bool, or
            floating in 0..1. Pixels where it is 0 are left bit for bit.
        sigma: standard deviation in pixels, > 0: a number, (B,) or (B, 2) as (y, x), the order of kornia.
        border_type: "replicate", "reflect", "constant" (zeros) or "circular", as kornia names them.
        out: images to write into; `out=images` works in place.
        backend: as for `blur`.

    Returns:
        Images of the same type, shape, dtype, layout and device; uint8 rounded half up.

    Raises ValueError or TypeError for arguments that do not fit, in one sentence.

    >>> masked_blur2d(torch.rand(2, 3, 8, 8), torch.ones(2, 1, 8, 8), 1.5).shape
    torch.Size([2, 3, 8, 8])
    """
    check_choice("border_type", border_type, BorderType)
    batch = as_batch(images)
    masks = _as_mask(mask, batch, images)
    sigmas = _as_sigma(sigma, batch)
    if border_type == "reflect" and any(min(image.shape[-2:]) < 2 for image in batch):
        raise ValueError("border_type is 'reflect' for an image one pixel high or wide, expected 2 pixels or more")
    target = as_out(out, images, batch)
    kernel = pick_kernel(batch, backend, sigmas, *([masks] if isinstance(masks, Tensor) else masks))
    return like(images, kernel.masked_blur2d(batch, masks, sigmas, border_type, target), out)


class MaskedGaussianBlur2d(nn.Module):
    """The module twin of `masked_blur2d`: `MaskedGaussianBlur2d(sigma)(images, mask)`.

    Args:
        sigma: as for `masked_blur2d`.
        border_type: as for `masked_blur2d`.
        backend: as for `blur`.

    >>> MaskedGaussianBlur2d(2.0)(torch.rand(1, 3, 8, 8), torch.zeros(1, 1, 8, 8)).shape
    torch.Size([1, 3, 8, 8])
    """

    def __init__(
        self, sigma: float | Sequence[float] | Tensor, border_type: str = "replicate", backend: str | None = None
    ) -> None:
        super().__init__()
        self.sigma = sigma
        self.border_type = border_type
        self.backend = backend

    def forward(self, images: Tensor, mask: Tensor) -> Tensor:
        """Return the images blurred where the mask is; shapes as for `masked_blur2d`."""
        return masked_blur2d(images, mask, self.sigma, border_type=self.border_type, backend=self.backend)

    def extra_repr(self) -> str:
        """Return the arguments, for printing."""
        return f"sigma={self.sigma}, border_type={self.border_type!r}"


def _as_mask(mask: Any, batch: Batch, images: Images) -> Batch:
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


def _as_sigma(sigma: Any, batch: Batch) -> Tensor:
    try:
        values = torch.as_tensor(sigma, dtype=torch.float32, device=device_of(batch))
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(f"sigma is {sigma!r}, expected a number, (B,) or (B, 2) numbers") from None
    if values.ndim == 0:
        values = values.expand(len(batch))
    if tuple(values.shape) not in ((len(batch),), (len(batch), 2)):
        raise ValueError(
            f"sigma has shape {tuple(values.shape)}, expected one number, ({len(batch)},) or ({len(batch)}, 2)"
        )
    if values.device.type == "cpu" and not bool((values.isfinite() & (values > 0)).all()):
        raise ValueError(f"sigma is {sigma!r}, expected finite numbers > 0")
    return values if values.ndim == 2 else values[:, None].expand(-1, 2)
