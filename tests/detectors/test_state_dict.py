"""State dicts: what is read, and what is refused."""

import pickle
import zipfile
from pathlib import Path

import pytest
import torch
from torch import nn

from fastblur.detectors.state_dict import load_state_dict, read_state_dict


@pytest.fixture
def net() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))


@pytest.mark.parametrize("zipped", [True, False], ids=["zip format", "legacy format"])
def test_what_torch_saves_is_read(net: nn.Module, tmp_path: Path, zipped: bool) -> None:
    path = tmp_path / "weights.pth"
    torch.save(net.state_dict(), path, _use_new_zipfile_serialization=zipped)
    state = read_state_dict(path)
    assert list(state) == list(net.state_dict())
    assert all(torch.equal(state[name], value) for name, value in net.state_dict().items())


@pytest.mark.parametrize("zipped", [True, False], ids=["zip format", "legacy format"])
def test_release_that_packs_the_file_into_an_archive_is_read(net: nn.Module, tmp_path: Path, zipped: bool) -> None:
    inner, path = tmp_path / "inner.pth", tmp_path / "release.zip"
    torch.save(net.state_dict(), inner, _use_new_zipfile_serialization=zipped)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(inner, "retinaface_resnet50.pth")
    assert torch.equal(read_state_dict(path)["0.weight"], net[0].weight)


def test_prefix_of_data_parallel_goes(net: nn.Module, tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    torch.save(nn.DataParallel(net).state_dict(), path)
    other = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    load_state_dict(other, path)
    assert torch.equal(other[0].weight, net[0].weight)


class Payload:
    """Pickles as a call that writes a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.target,)


def test_code_in_a_file_is_not_run(tmp_path: Path) -> None:
    path, target = tmp_path / "weights.pth", tmp_path / "written"
    torch.save({"weight": Payload(target)}, path)
    with pytest.raises(ValueError, match="cannot be read"):
        read_state_dict(path)
    assert not target.exists()
    path.write_bytes(pickle.dumps(Payload(target), protocol=2))
    with pytest.raises(ValueError, match="cannot be read"):
        read_state_dict(path)
    assert not target.exists()


def test_cut_or_empty_file_is_refused(net: nn.Module, tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    for zipped in (True, False):
        torch.save(net.state_dict(), path, _use_new_zipfile_serialization=zipped)
        data = path.read_bytes()
        for length in (0, 1, 10, len(data) // 2, len(data) - 30):
            path.write_bytes(data[:length])
            with pytest.raises(ValueError, match="cannot be read"):
                read_state_dict(path)


def test_absent_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"absent\.pth"):
        read_state_dict(tmp_path / "absent.pth")


def test_file_that_holds_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    torch.save([torch.zeros(2)], path)
    with pytest.raises(ValueError, match="hold a list, expected names to tensors"):
        read_state_dict(path)
    torch.save({"epoch": 3, "state_dict": {}}, path)
    with pytest.raises(ValueError, match="hold a dict, expected names to tensors"):
        read_state_dict(path)


def test_state_dict_that_does_not_fit_is_refused_and_changes_nothing(net: nn.Module, tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    before = net[0].weight.clone()
    full = {name: torch.ones_like(value) for name, value in net.state_dict().items()}
    without = {name: value for name, value in full.items() if name != "1.running_var"}
    for state, first in (
        (without, "1.running_var"),
        ({**full, "extra": torch.zeros(1)}, "extra"),
        ({**full, "0.bias": torch.zeros(5)}, "0.bias"),
    ):
        torch.save(state, path)
        with pytest.raises(ValueError, match=f"do not fit Sequential: 1 entries differ, first '{first}'"):
            load_state_dict(net, path)
    assert torch.equal(net[0].weight, before)
