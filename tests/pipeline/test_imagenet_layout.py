"""ImageNet's own layout, a tar of one tar a class: run, killed and gone on with, the same bytes as from the folder."""

import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from fastblur.pipeline import run
from tests.pipeline.test_unsearched import tar, tree

CLASSES = 5
IMAGES = int(os.environ.get("FASTBLUR_LAYOUT_IMAGES", "8"))  # of a class; 40 takes as many of the sample as it can
DETECTOR = {"detector": "centerface", "detect_size": 320}

pytestmark = pytest.mark.slow


def annotations(shared: Path) -> dict[str, list[dict[str, float]]]:
    """The sample's hand-checked boxes by the names of files."""
    entries = json.loads((shared / "imagenet-sample/face_annotations.json").read_text())
    return {entry["url"].rpartition("/")[2]: entry["bboxes"] for entry in entries}


@pytest.fixture(scope="module")
def layouts(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """folder/train/<class>/<file> and tars/train.tar, of the sample's photographs, those with faces first."""
    given = annotations(shared)
    files = sorted(
        (shared / "imagenet-sample/train").rglob("*.JPEG"), key=lambda path: (not given.get(path.name), path)
    )
    root = tmp_path_factory.mktemp("imagenet")
    classes: dict[str, bytes] = {}
    for number in range(CLASSES):
        own = {path.name: path.read_bytes() for path in files[number::CLASSES][:IMAGES]}
        own = dict(sorted(own.items()))
        folder = root / f"folder/train/n0{number}"
        folder.mkdir(parents=True)
        for name, data in own.items():
            (folder / name).write_bytes(data)
        classes[f"n0{number}.tar"] = tar(own)
    (root / "tars").mkdir()
    (root / "tars/train.tar").write_bytes(tar(classes))
    return root


@pytest.fixture(scope="module")
def boxes(layouts: Path, shared: Path) -> Path:
    """The hand-checked boxes of the sample, by the paths of this layout."""
    given = annotations(shared)
    entries = [
        {"url": path.relative_to(layouts / "folder").as_posix(), "bboxes": given.get(path.name, [])}
        for path in sorted((layouts / "folder").rglob("*.JPEG"))
    ]
    (layouts / "boxes.json").write_text(json.dumps(entries))
    return layouts / "boxes.json"


@pytest.fixture(scope="module")
def from_folder(layouts: Path, boxes: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, bytes]]:
    """What runs of the folder give, by what finds the faces."""
    found = {}
    for by in ("boxes", "centerface"):
        out = tmp_path_factory.mktemp(by)
        summary = run(layouts / "folder", out, engine="threads", workers=2, **options(by, boxes))
        assert (summary.images, summary.failed) == (CLASSES * IMAGES, 0)
        assert summary.with_regions > CLASSES * IMAGES // 8
        found[by] = {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*.JPEG")}
    return found


def options(by: str, boxes: Path) -> dict[str, Any]:
    return {"boxes": boxes} if by == "boxes" else DETECTOR


@pytest.mark.parametrize("by", ["boxes", "centerface"])
@pytest.mark.parametrize("engine", ["threads", "processes", pytest.param("ray", marks=pytest.mark.ray)])
def test_a_tar_of_tars_gives_the_folder_s_bytes(
    layouts: Path, boxes: Path, from_folder: dict[str, dict[str, bytes]], tmp_path: Path, by: str, engine: Any
) -> None:
    if engine == "ray":
        pytest.importorskip("ray", reason="ray is not installed")
    summary = run(layouts / "tars", tmp_path / "out", engine=engine, workers=2, **options(by, boxes))
    assert (summary.images, summary.failed, summary.exit_status) == (CLASSES * IMAGES, 0, 0)
    assert tree((tmp_path / "out/train.tar").read_bytes(), "train/") == from_folder[by]


@pytest.mark.parametrize("by", ["boxes", "centerface"])
def test_killed_and_gone_on_with(
    layouts: Path, boxes: Path, from_folder: dict[str, dict[str, bytes]], tmp_path: Path, by: str
) -> None:
    program = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from fastblur.pipeline import run\n"
        "from fastblur.pipeline.shards.tar.shard import TarOutput\n"
        "write, left = TarOutput.write_batch, [3]\n"
        "def write_batch(self, *arguments):\n"
        "    left[0] -= 1\n"
        "    if left[0] == 0: os._exit(9)\n"
        "    return write(self, *arguments)\n"
        "TarOutput.write_batch = write_batch\n"
        f"options = {options(by, boxes)!r}\n"
        "run(sys.argv[1], sys.argv[2], engine='threads', workers=1, **options)\n"
    ).replace("PosixPath", "Path")
    out = tmp_path / "out"
    done = subprocess.run([sys.executable, "-c", program, str(layouts / "tars"), str(out)], check=False, timeout=600)
    assert done.returncode == 9
    assert not (out / "train.tar").exists()
    summary = run(layouts / "tars", out, engine="processes", workers=2, **options(by, boxes))
    assert (summary.images, summary.resumed, summary.failed) == (CLASSES * IMAGES, 0, 0)
    assert tree((out / "train.tar").read_bytes(), "train/") == from_folder[by]
    assert list((out / ".fastblur/tmp").glob("*")) == []
    with tarfile.open(out / "train.tar") as file:
        assert file.getnames() == [f"n0{number}.tar" for number in range(CLASSES)]
        first = file.extractfile("n00.tar")
        assert first is not None
        with tarfile.open(fileobj=io.BytesIO(first.read())) as inner:
            assert len(inner.getnames()) == IMAGES
