"""Tensors in one piece of memory: the same pixels, strides that stay, and addresses that kernels read in words."""

import pytest
import torch

from fastblur.staging import ALIGNMENT, to_device_at_once

DEVICES = [
    "cpu",
    pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")),
]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_what_arrives_is_what_was_sent(device, dtype):
    generator = torch.Generator().manual_seed(0)

    def noise(*shape):
        return torch.randint(0, 256, shape, generator=generator).to(dtype)

    sent = [
        noise(3, 5, 7),
        noise(9, 11, 3).permute(2, 0, 1),
        noise(2, 3, 4, 5),
        noise(2, 3, 4, 5).to(memory_format=torch.channels_last),
        noise(3, 8, 9)[:, 1:, ::2],
        noise(1, 6, 5).expand(3, 6, 5),
        noise(3, 0, 4),
    ]
    there = to_device_at_once(sent, device)
    assert len({one.untyped_storage().data_ptr() for one in there}) == 1
    for mine, given in zip(there, sent, strict=True):
        assert mine.device.type == device
        assert torch.equal(mine.cpu(), given)
        assert mine.storage_offset() % ALIGNMENT == 0
    for i in range(4):
        assert there[i].stride() == sent[i].stride()
    assert all(one.is_contiguous() for one in there[4:])
