"""Two checkouts compared: the one that does more work is found, and it is the checkouts that are measured."""

import sys
from pathlib import Path

import pytest

from benchmarks import compare_trees

CHECKOUT = """
class Regions:
    @staticmethod
    def from_boxes(boxes):
        return boxes

def blur(image, regions, recipe, out):
    sum(range({steps}))
"""


def checkout(folder: Path, steps: int) -> Path:
    (folder / "fastblur").mkdir(parents=True)
    (folder / "fastblur" / "__init__.py").write_text(CHECKOUT.format(steps=steps))
    return folder


def status(monkeypatch: pytest.MonkeyPatch, data: Path, *arguments: object) -> object:
    line = ["compare_trees", *arguments, "--only", "blur", "--repeat", "5", "--data", data, "--scratch", data]
    monkeypatch.setattr(sys, "argv", [str(part) for part in line])
    with pytest.raises(SystemExit) as caught:
        compare_trees.main()
    return caught.value.code


@pytest.mark.slow
def test_the_checkout_that_does_more_is_slower(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    little, much = checkout(tmp_path / "little", 20_000), checkout(tmp_path / "much", 1_000_000)
    assert status(monkeypatch, tmp_path, little, much) == 1
    assert status(monkeypatch, tmp_path, much, little) == 0
    ratios = [float(line.split()[6]) for line in capsys.readouterr().out.splitlines()]
    assert ratios[0] > 3
    assert ratios[1] < 1 / 3


def test_a_folder_without_fastblur_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status(monkeypatch, tmp_path, tmp_path) == 2
    assert f"{tmp_path} holds no fastblur/, expected a checkout" in capsys.readouterr().err
