"""Folding batch norm: the same outputs, the network itself untouched."""

import pytest
import torch
from torch import nn

from fastblur.detectors.runtimes.batch_norm import fold_batch_norm


def with_statistics(net: nn.Module) -> nn.Module:
    """The network in evaluation mode, with batch norms that do something."""
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 2)
            nn.init.uniform_(module.bias, -1, 1)
            nn.init.uniform_(module.running_mean, -1, 1)
            nn.init.uniform_(module.running_var, 0.5, 2)
    return net.eval()


@pytest.mark.parametrize(
    "conv",
    [
        nn.Conv2d(4, 6, 3, 2, 1, bias=False),
        nn.Conv2d(4, 6, 3, 1, 1, groups=2),
        nn.ConvTranspose2d(4, 6, 2, 2, bias=False),
        nn.ConvTranspose2d(4, 6, 2, 2),
    ],
    ids=["strided", "grouped", "transposed", "transposed with a bias"],
)
def test_folding_changes_no_output(conv: nn.Conv2d | nn.ConvTranspose2d) -> None:
    net = with_statistics(nn.Sequential(conv, nn.BatchNorm2d(conv.out_channels), nn.ReLU()).double())
    before = {name: value.clone() for name, value in net.state_dict().items()}
    folded = fold_batch_norm(net)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    x = torch.randn(2, 4, 9, 7, dtype=torch.float64)
    torch.testing.assert_close(folded(x), net(x), atol=1e-12, rtol=0)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


@pytest.mark.parametrize(
    "net",
    [
        nn.Sequential(nn.ConvTranspose2d(4, 4, 4, 2, 1, groups=4), nn.BatchNorm2d(4)),
        nn.Sequential(nn.Conv2d(4, 4, 1), nn.ReLU(), nn.BatchNorm2d(4)),
    ],
    ids=["after a grouped transposed convolution", "after a ReLU"],
)
def test_what_cannot_be_folded_stays_and_changes_no_output(net: nn.Sequential) -> None:
    net = with_statistics(net.double())
    folded = fold_batch_norm(net)
    assert sum(isinstance(module, nn.BatchNorm2d) for module in folded.modules()) == 1
    x = torch.randn(2, 4, 9, 7, dtype=torch.float64)
    torch.testing.assert_close(folded(x), net(x), atol=0, rtol=0)


def test_batch_norm_that_follows_no_convolution_stays() -> None:
    net = with_statistics(nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 4, 1), nn.ReLU(), nn.BatchNorm2d(4)).double())
    folded = fold_batch_norm(net)
    assert sum(isinstance(module, nn.BatchNorm2d) for module in folded.modules()) == 2
    x = torch.randn(1, 3, 5, 5, dtype=torch.float64)
    torch.testing.assert_close(folded(x), net(x), atol=1e-12, rtol=0)


def test_training_mode_is_refused() -> None:
    with pytest.raises(ValueError, match="training mode"):
        fold_batch_norm(nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)))
