"""A stage's way to its device and back."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from fastblur.staging import to_device_at_once


class DeviceStream:
    """A stage's own stream on a CUDA device: its copies and its kernels overlap with those of other stages.

    Copies go through pinned memory, without which they would wait for each other. On the CPU nothing is copied.

    Args:
        device: "cpu" or "cuda".
    """

    def __init__(self, device: str) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device) if device == "cuda" else None  # type: ignore[no-untyped-call]

    @contextmanager
    def activate(self) -> Iterator[None]:
        """Put what is done in the block on the stream, and wait for the stream at its end."""
        if self._stream is None:
            yield
            return
        with torch.cuda.stream(self._stream):
            yield
        self._stream.synchronize()

    def to_device(
        self,
        images: Sequence[Tensor],  # (C, H, W) each, on the CPU, any layout
    ) -> list[Tensor]:
        """Return the images on the device; their copies may be under way."""
        if self._stream is None or not images:
            return list(images)
        if any(image.dtype != images[0].dtype for image in images):
            return [image.pin_memory().to(self._device, non_blocking=True) for image in images]
        return to_device_at_once(images, self._device)

    def copy_back(
        self,
        changed: Sequence[Tensor],  # (C, H, W) each, on the device
        images: Sequence[Tensor],  # (C, H, W) each, on the CPU
    ) -> None:
        """Write images of the device into those that they come from."""
        if self._stream is None:
            return
        pinned = [torch.empty_like(image, pin_memory=True) for image in images]
        for source, target in zip(changed, pinned, strict=True):
            target.copy_(source, non_blocking=True)
        self._stream.synchronize()
        for result, image in zip(pinned, images, strict=True):
            image.copy_(result)
