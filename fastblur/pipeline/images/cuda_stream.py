"""A stage's way to a device and back."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor


class Lane:
    """A stage's own stream on a CUDA device: its copies and its work run beside those of other stages.

    Copies go through pinned memory, which is the only way for them not to wait for each other. On the CPU nothing
    moves.

    Args:
        device: "cpu" or "cuda".
    """

    def __init__(self, device: str) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device) if device == "cuda" else None  # type: ignore[no-untyped-call]

    @contextmanager
    def open(self) -> Iterator[None]:
        """Put what is done in it on the stream, and wait for the stream at its end."""
        if self._stream is None:
            yield
            return
        with torch.cuda.stream(self._stream):
            yield
        self._stream.synchronize()

    def to_device(self, images: Sequence[Tensor]) -> list[Tensor]:
        """Return the images, (C, H, W) on the CPU in any layout, on the device; their copies may be under way."""
        if self._stream is None:
            return list(images)
        return [image.pin_memory().to(self._device, non_blocking=True) for image in images]

    def back(self, changed: Sequence[Tensor], images: Sequence[Tensor]) -> None:
        """Write images of the device into those that they come from."""
        if self._stream is None:
            return
        pinned = [torch.empty_like(image, pin_memory=True) for image in images]
        for source, target in zip(changed, pinned, strict=True):
            target.copy_(source, non_blocking=True)
        self._stream.synchronize()
        for result, image in zip(pinned, images, strict=True):
            image.copy_(result)
