"""A stage's way to a device: the same pixels come back, in the layout that they had."""

import numpy as np
import pytest
import torch

from fastblur.pipeline.images.cuda_stream import DeviceStream


@pytest.mark.parametrize(
    "device",
    ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"))],
)
def test_there_and_back(device: str) -> None:
    arrays = [np.random.default_rng(i).integers(0, 256, (7 + i, 9, 3), np.uint8) for i in range(3)]
    images = [torch.from_numpy(array.copy()).permute(2, 0, 1) for array in arrays]
    stream = DeviceStream(device)
    with stream.activate():
        moved = stream.to_device(images)
        assert [one.device.type for one in moved] == [device] * 3
        assert [one.stride() for one in moved] == [one.stride() for one in images]
        for one in moved:
            one.add_(1)
        stream.copy_back(moved, images)
    for image, array in zip(images, arrays, strict=True):
        np.testing.assert_array_equal(image.permute(1, 2, 0).numpy(), array + np.uint8(1))
