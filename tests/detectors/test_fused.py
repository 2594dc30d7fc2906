"""ReLUs as part of convolutions: the same network with fewer launches, whatever cuDNN takes of it."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fastblur.detectors.networks.centerface import CenterFace
from fastblur.detectors.networks.retinaface import MobileNet025, ResNet50, RetinaFace
from fastblur.detectors.runtimes import fused
from fastblur.detectors.runtimes.batch_norm import fold_batch_norm
from fastblur.detectors.runtimes.fused import FusedConv, fuse_activations, helps_on
from tests.detectors.count_launches import Counted

NETWORKS = {
    "centerface": lambda: CenterFace(),
    "retinaface-mobilenet0.25": lambda: RetinaFace(MobileNet025(), 64),
    "retinaface-resnet50": lambda: RetinaFace(ResNet50(), 256),
}
LEFT = {"centerface": 3, "retinaface-mobilenet0.25": 3, "retinaface-resnet50": 3}  # after sums of more, or transposed


def network(name):
    torch.manual_seed(0)
    return fold_batch_norm(NETWORKS[name]().eval())


class Block(nn.Module):
    """Two convolutions, the second with the input added, and what must stay as it is."""

    def __init__(self, **options):
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.second = nn.Conv2d(8, 8, 3, padding=1, **options)

    def forward(self, x):
        y = F.relu(self.first(x))
        return torch.relu(self.second(y) + y)


class Shared(Block):
    def forward(self, x):
        y = self.first(x)  # wanted before the ReLU too
        return F.relu(y) - y


class Twice(Block):
    def forward(self, x):
        y = F.relu(self.first(x))
        return self.second(F.relu(self.second(y)))


class Doubled(Block):
    def forward(self, x):
        y = self.first(x)
        return F.relu(y + y) + F.relu(self.second(F.relu(self.first(x)) + 1.0))


class Looks(Block):
    def forward(self, x):
        return F.relu(self.first(x)) if x.sum() > 0 else x


def fused_layers(net):
    return sum(isinstance(module, FusedConv) for module in net.modules())


@pytest.mark.parametrize("name", NETWORKS)
@torch.no_grad()
def test_heads_are_the_same_and_launches_fewer(name):
    net = network(name)
    result = fuse_activations(net)
    for shape in ((1, 3, 64, 96), (2, 3, 128, 64)):
        x = torch.rand(shape) * 255
        for mine, expected in zip(result(x), net(x), strict=True):
            torch.testing.assert_close(mine, expected, rtol=1e-5, atol=1e-5)
    with Counted() as counted:
        result(x)
    assert counted.launches["relu"] + counted.launches["relu_"] == LEFT[name]
    assert counted.launches["conv_relu"] == fused_layers(result) > 30


@torch.no_grad()
def test_a_sum_between_goes_along():
    net, x = Block(), torch.randn(1, 3, 9, 7)
    with Counted() as counted:
        result = fuse_activations(net)(x)
    torch.testing.assert_close(result, net(x))
    assert counted.launches == {"conv_relu": 2}


@pytest.mark.parametrize(
    ("net", "layers"),
    [
        pytest.param(Shared(), 0, id="wanted before the ReLU too"),
        pytest.param(Twice(), 1, id="called twice"),
        pytest.param(Doubled(), 1, id="called twice, and added to itself"),
        pytest.param(Looks(), 0, id="Python that depends on values"),
        pytest.param(Block(padding_mode="reflect"), 1, id="another border"),
    ],
)
@torch.no_grad()
def test_what_is_left_alone(net, layers):
    x = torch.rand(1, 3, 9, 7)
    result = fuse_activations(net)
    assert fused_layers(result) == layers
    torch.testing.assert_close(result(x), net(x))


@pytest.fixture
def cudnn(monkeypatch):
    """The calls of a stand-in for cuDNN on the CPU; a test puts in what it does."""
    monkeypatch.setattr(fused, "_runs_cudnn", lambda x: True)
    monkeypatch.setattr(fused, "_unable", set())
    calls = []

    def does(result):
        def called(x, weight, bias, added, *places):
            calls.append(tuple(x.shape))
            return result(x, weight, bias, added, *places)

        monkeypatch.setattr(fused, "_cudnn", called)
        return calls

    return does


def fails(*arguments):
    raise RuntimeError("no engine")


@torch.no_grad()
def test_layers_that_cudnn_does_not_take_stay_as_they_are(cudnn):
    cudnn(fails)
    net = fuse_activations(Block())
    assert fused_layers(net) == 0


@torch.no_grad()
def test_layers_that_cudnn_does_otherwise_stay_as_they_are(cudnn):
    cudnn(lambda x, weight, bias, added, *places: F.conv2d(x, weight, bias, *places))  # forgets sum and ReLU
    assert fused_layers(fuse_activations(Block())) == 0
    cudnn(lambda *arguments: fused._plain(*arguments) * float("nan"))
    assert fused_layers(fuse_activations(Block())) == 0


@torch.no_grad()
def test_a_shape_that_cudnn_does_not_take_is_tried_once(cudnn):
    cudnn(fused._plain)
    original, x = Block(), torch.rand(2, 3, 9, 7)
    net = fuse_activations(original)
    assert fused_layers(net) == 2
    calls = cudnn(fails)
    calls.clear()
    for _ in range(3):
        torch.testing.assert_close(net(x), original(x))
    assert calls == [(2, 3, 9, 7), (2, 8, 9, 7)]


@torch.no_grad()
def test_what_is_added_has_the_result_s_shape_or_does_not_go_along(cudnn):
    calls = cudnn(fused._plain)
    conv = FusedConv(nn.Conv2d(3, 8, 3, stride=2, padding=1))
    x = torch.rand(1, 3, 9, 8)
    for shape, goes in (((1, 8, 5, 4), True), ((1, 8, 1, 1), False)):
        calls.clear()
        added = torch.rand(shape)
        torch.testing.assert_close(conv(x, added), F.relu(conv.conv(x) + added))
        assert bool(calls) == goes


@torch.no_grad()
def test_out_of_memory_is_not_hidden(cudnn):
    def out_of_memory(*arguments):
        raise torch.cuda.OutOfMemoryError("no memory")

    cudnn(out_of_memory)
    with pytest.raises(torch.cuda.OutOfMemoryError):
        FusedConv(nn.Conv2d(3, 8, 1))(torch.rand(1, 3, 4, 4))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.gpu
@pytest.mark.parametrize("name", NETWORKS)
@torch.no_grad()
def test_on_a_gpu(name):
    assert helps_on(torch.device("cuda"))
    net = network(name).cuda().half().to(memory_format=torch.channels_last)
    result = fuse_activations(net)
    assert fused_layers(result) > 0
    x = torch.rand(4, 3, 96, 64, device="cuda").half().to(memory_format=torch.channels_last)
    for mine, expected in zip(result(x), net(x), strict=True):
        assert float((mine - expected).abs().max()) <= 0.02 * float(expected.abs().max())
